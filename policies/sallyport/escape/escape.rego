# METADATA
# title: Ways around a policy
# description: |
#   Functions and relations that run other SQL than the statement shows, reach
#   outside of the database, or tell what tables hold without reading them. They are
#   denied to everybody unless a policy in force names them, by id, in
#   statement.trusted_functions or statement.trusted_relations.
package sallyport.escape

# METADATA
# scope: document
# description: What a function does behind a policy's back, in words; undefined for the others.
function(f) := named[local_name(f)] if {
	named[local_name(f)]
} else := "reaches outside the database" if {
	regex.match(`^(dblink|lo_|pg_read_(binary_)?file|pg_ls_|pg_file_|pg_replication_|pg_logical_|pg_wal_replay_)`, local_name(f))
} else := "reads other tables than the statement names" if {
	regex.match(`^(query|table|schema|database|cursor)_to_xml|^(crosstab|connectby|xpath_table|_?pgr_|standardize_address)`, local_name(f))
} else := "reads pages behind PostgreSQL's back" if {
	regex.match(`^(get_raw_page|heap_page_|heap_tuple_|bt_page_|bt_multi_page_|brin_page_|brin_revmap_|gist_page_|gin_page_|gin_leafpage_|hash_page_|page_header|pg_get_wal_)`, local_name(f))
} else := "tells of other sessions" if {
	regex.match(`^(pg_stat_get_(backend_)?activity|pg_stat_(statements|monitor|reset)|pg_(qualstats|store_plans))`, local_name(f))
} else := how_alike if {
	regex.match(`^pg_(stat_get_(xact_|blocks_|db_blocks_|wal|io)|current_wal_|last_wal_|wal_summar|available_wal_summar)`, local_name(f))
} else := "acts on the server" if {
	startswith(local_name(f), "binary_upgrade_")
} else := "tells how the server is set up" if {
	startswith(local_name(f), "pg_control_")
} else := "runs with the rights of its owner" if {
	f.security_definer
	not system(f)
} else := "cannot be seen through" if {
	not system(f)
	not plain(f)
}

# What was written, block by block or byte by byte, tells whether a value that is
# written is, or begins, like the one that was there.
how_alike := "tells how much was written, and so how alike old and new values are"

# METADATA
# description: Functions that reach outside the database, which no trust can excuse.
outside(f) if function(f) == "reaches outside the database"

# Extensions of PostgreSQL's own making are written in C: their functions compute
# with what they are given, and those that do more are named above.
plain(f) if {
	f.language == "c"
	f.volatility in {"immutable", "stable"}
	not aggregate(f)
}

# What it does is listed with the rest of the statement.
plain(f) if f.transparent

plain(f) if {
	f.language == "internal"
	f.volatility == "immutable"
	not aggregate(f)
}

# What an aggregate runs is not what it is written in.
aggregate(f) if f.kind == "aggregate"

system(f) if schema_of(f) in {"pg_catalog", "information_schema"}

schema_of(f) := f.schema

schema_of(f) := split(f.id, ".")[0] if not f.schema

local_name(f) := f.name

local_name(f) := regex.replace(f.id, `^.*\.`, "") if not f.name

named := {
	"brin_desummarize_range": "acts on the server",
	"brin_summarize_new_values": "acts on the server",
	"brin_summarize_range": "acts on the server",
	"current_query": "tells how masks are made",
	"currtid2": "reads other tables than the statement names",
	"gin_clean_pending_list": "acts on the server",
	"loread": "reaches outside the database",
	"lowrite": "reaches outside the database",
	"pg_backup_start": "acts on the server",
	"pg_backup_stop": "acts on the server",
	"pg_cancel_backend": "acts on other sessions",
	"pg_config": "tells how the server is set up",
	"pg_copy_logical_replication_slot": "reaches outside the database",
	"pg_copy_physical_replication_slot": "reaches outside the database",
	"pg_create_logical_replication_slot": "reaches outside the database",
	"pg_create_physical_replication_slot": "reaches outside the database",
	"pg_create_restore_point": "acts on the server",
	"pg_current_logfile": "tells how the server is set up",
	"pg_cursor": "tells how masks are made",
	"pg_drop_replication_slot": "reaches outside the database",
	"pg_export_snapshot": "lets others see what this session sees",
	"pg_extension_config_dump": "acts on the server",
	"pg_get_backend_memory_contexts": "tells how masks are made",
	"pg_get_replication_slots": how_alike,
	"pg_get_shmem_allocations": "tells how the server is set up",
	"pg_hba_file_rules": "tells how the server is set up",
	"pg_ident_file_mappings": "tells how the server is set up",
	"pg_import_system_collations": "acts on the server",
	"pg_log_backend_memory_contexts": "acts on other sessions",
	"pg_mcv_list_items": "tells what columns hold",
	"pg_nextoid": "acts on the server",
	"pg_prepared_statement": "tells how masks are made",
	"pg_prepared_xact": "tells of other sessions",
	"pg_promote": "acts on the server",
	"pg_reload_conf": "acts on the server",
	"pg_rotate_logfile": "acts on the server",
	"pg_rotate_logfile_old": "acts on the server",
	"pg_show_all_file_settings": "tells how the server is set up",
	"pg_show_replication_origin_status": how_alike,
	"pg_stat_file": "reaches outside the database",
	"pg_stat_get_subscription": how_alike,
	"pg_stat_get_tuples_hot_updated": how_alike,
	"pg_stat_get_tuples_newpage_updated": how_alike,
	"pg_stat_get_wal_receiver": "tells how the server is set up",
	"pg_stat_get_wal_senders": how_alike,
	"pg_switch_wal": "acts on the server",
	"pg_sync_replication_slots": "reaches outside the database",
	"pg_terminate_backend": "acts on other sessions",
	"set_config": "changes settings from within an expression",
	"ts_rewrite": "reads other tables than the statement names",
	"ts_stat": "reads other tables than the statement names",
	"xslt_process": "reaches outside the database",
}

# METADATA
# description: |
#   Kinds of statements that make or change code. What such code does when it runs is
#   not in the statement that runs it, which may only write to a table.
code := {
	"alter_aggregate",
	"alter_event_trigger",
	"alter_function",
	"alter_operator",
	"alter_operator_family",
	"alter_opfamily",
	"alter_procedure",
	"alter_routine",
	"alter_rule",
	"alter_trigger",
	"create_access_method",
	"create_aggregate",
	"create_cast",
	"create_conversion",
	"create_event_trigger",
	"create_function",
	"create_language",
	"create_operator",
	"create_operator_class",
	"create_operator_family",
	"create_procedure",
	"create_rule",
	"create_transform",
	"create_trigger",
}

# METADATA
# scope: document
# description: What a relation tells behind a policy's back, in words; undefined for the others.
relation(t) := relations[t.name] if {
	t.schema == "pg_catalog"
	not through_system_view(t)
} else := "tells of other sessions' statements" if {
	t.name in {"pg_stat_statements", "pg_stat_statements_info"}
} else := "holds passwords of other servers" if {
	t.schema == "information_schema"
	t.name in {"_pg_user_mappings", "user_mapping_options"}
	not through_system_view(t)
}

# pg_roles shows pg_authid without its passwords, and so on.
through_system_view(t) if startswith(t.via, "pg_catalog.")

through_system_view(t) if startswith(t.via, "information_schema.")

# METADATA
# scope: document
# description: What a column of PostgreSQL's own relations tells; undefined for the others.
column(c) := columns[c.name] if {
	regex.match(`^pg_catalog\.pg_(attribute|stat_(all|sys|user)_tables|stat_database|statio_[a-z_]+)$`, c.table)
	not through_system_view(c)
}

columns := {
	"attmissingval": "holds what rows have in a column that was added later",
	"blks_hit": how_alike,
	"blks_read": how_alike,
	"idx_blks_hit": how_alike,
	"idx_blks_read": how_alike,
	"n_tup_hot_upd": how_alike,
	"n_tup_newpage_upd": how_alike,
}

# METADATA
# description: Settings by which the server shows a session how its statements are run, masks included.
setting(name) if {
	regex.match(`^(debug_|log_|trace_|auto_explain\.|plpgsql\.|pg_stat_)`, name)
}

relations := {
	"pg_authid": "holds password verifiers",
	"pg_backend_memory_contexts": "tells how masks are made",
	"pg_cursors": "tells how masks are made",
	"pg_file_settings": "tells how the server is set up",
	"pg_hba_file_rules": "tells how the server is set up",
	"pg_ident_file_mappings": "tells how the server is set up",
	"pg_largeobject": "holds data no column policy covers",
	"pg_prepared_statements": "tells how masks are made",
	"pg_prepared_xacts": "tells of other sessions",
	"pg_replication_origin_status": how_alike,
	"pg_replication_slots": how_alike,
	"pg_shadow": "holds password verifiers",
	"pg_shmem_allocations": "tells how the server is set up",
	"pg_stat_activity": "tells of other sessions' statements",
	"pg_stat_io": how_alike,
	"pg_stat_replication": how_alike,
	"pg_stat_subscription": how_alike,
	"pg_stat_wal": how_alike,
	"pg_stat_wal_receiver": "tells how the server is set up",
	"pg_stat_xact_all_tables": how_alike,
	"pg_stat_xact_sys_tables": how_alike,
	"pg_stat_xact_user_tables": how_alike,
	"pg_statistic": "tells what columns hold",
	"pg_statistic_ext_data": "tells what columns hold",
	"pg_stats": "tells what columns hold",
	"pg_stats_ext": "tells what columns hold",
	"pg_stats_ext_exprs": "tells what columns hold",
	"pg_subscription": "holds passwords of other servers",
	"pg_user_mapping": "holds passwords of other servers",
	"pg_user_mappings": "holds passwords of other servers",
}
