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
	regex.match(`^(query|table|schema|database|cursor)_to_xml|^(crosstab|connectby|xpath_table)`, local_name(f))
} else := "reads pages behind PostgreSQL's back" if {
	regex.match(`^(get_raw_page|heap_page_|heap_tuple_|bt_page_|bt_multi_page_|brin_page_|brin_revmap_|gist_page_|gin_page_|gin_leafpage_|hash_page_|page_header|pg_get_wal_)`, local_name(f))
} else := "tells of other sessions" if {
	regex.match(`^(pg_stat_get_(backend_)?activity|pg_stat_statements|pg_stat_reset)`, local_name(f))
} else := "runs with the rights of its owner" if {
	f.security_definer
	not system(f)
} else := "cannot be seen through" if {
	not system(f)
	not plain(f)
}

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
	"current_query": "tells how masks are made",
	"currtid2": "reads other tables than the statement names",
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
	"pg_cursor": "tells how masks are made",
	"pg_current_logfile": "tells how the server is set up",
	"pg_drop_replication_slot": "reaches outside the database",
	"pg_export_snapshot": "lets others see what this session sees",
	"pg_hba_file_rules": "tells how the server is set up",
	"pg_ident_file_mappings": "tells how the server is set up",
	"pg_import_system_collations": "acts on the server",
	"pg_log_backend_memory_contexts": "acts on other sessions",
	"pg_mcv_list_items": "tells what columns hold",
	"pg_prepared_statement": "tells how masks are made",
	"pg_promote": "acts on the server",
	"pg_reload_conf": "acts on the server",
	"pg_rotate_logfile": "acts on the server",
	"pg_rotate_logfile_old": "acts on the server",
	"pg_show_all_file_settings": "tells how the server is set up",
	"pg_stat_file": "reaches outside the database",
	"pg_stat_get_wal_receiver": "tells how the server is set up",
	"pg_switch_wal": "acts on the server",
	"pg_sync_replication_slots": "reaches outside the database",
	"pg_terminate_backend": "acts on other sessions",
	"set_config": "changes settings from within an expression",
	"ts_rewrite": "reads other tables than the statement names",
	"ts_stat": "reads other tables than the statement names",
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
}

# pg_roles shows pg_authid without its passwords, and so on.
through_system_view(t) if startswith(t.via, "pg_catalog.")

through_system_view(t) if startswith(t.via, "information_schema.")

relations := {
	"pg_authid": "holds password verifiers",
	"pg_cursors": "tells how masks are made",
	"pg_file_settings": "tells how the server is set up",
	"pg_hba_file_rules": "tells how the server is set up",
	"pg_ident_file_mappings": "tells how the server is set up",
	"pg_prepared_statements": "tells how masks are made",
	"pg_largeobject": "holds data no column policy covers",
	"pg_shadow": "holds password verifiers",
	"pg_stat_activity": "tells of other sessions' statements",
	"pg_stat_wal_receiver": "tells how the server is set up",
	"pg_statistic": "tells what columns hold",
	"pg_statistic_ext_data": "tells what columns hold",
	"pg_stats": "tells what columns hold",
	"pg_stats_ext": "tells what columns hold",
	"pg_stats_ext_exprs": "tells what columns hold",
	"pg_subscription": "holds passwords of other servers",
	"pg_user_mapping": "holds passwords of other servers",
	"pg_user_mappings": "holds passwords of other servers",
}
