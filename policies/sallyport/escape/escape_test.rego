package sallyport.escape_test

import data.sallyport.escape

named(schema, name) := {
	"id": $"{schema}.{name}",
	"schema": schema,
	"name": name,
	"volatility": "stable",
	"language": "internal",
}

test_says_why[name] if {
	some name, why in {
		"dblink_connect": "reaches outside the database",
		"pg_ls_dir": "reaches outside the database",
		"pg_read_binary_file": "reaches outside the database",
		"query_to_xml_and_xmlschema": "reads other tables than the statement names",
		"get_raw_page": "reads pages behind PostgreSQL's back",
		"pg_stat_get_activity": "tells of other sessions",
		"pg_cancel_backend": "acts on other sessions",
		"pg_stat_get_xact_tuples_hot_updated": escape.how_alike,
		"pg_stat_get_tuples_hot_updated": escape.how_alike,
		"pg_current_wal_insert_lsn": escape.how_alike,
		"pg_stat_get_wal_senders": escape.how_alike,
		"pg_stat_monitor": "tells of other sessions",
		"binary_upgrade_set_missing_value": "acts on the server",
		"gin_clean_pending_list": "acts on the server",
		"pg_control_checkpoint": "tells how the server is set up",
		"pg_get_backend_memory_contexts": "tells how masks are made",
		"pgr_dijkstra": "reads other tables than the statement names",
		"set_config": "changes settings from within an expression",
	}
	escape.function(named("pg_catalog", name)) == why
}

test_outside if {
	escape.outside(named("public", "dblink"))
	escape.outside(named("pg_catalog", "lo_import"))
	not escape.outside(named("pg_catalog", "ts_stat"))
	not escape.outside(named("pg_catalog", "lower"))
}

test_functions_of_ones_own[why] if {
	some why, more in {
		"runs with the rights of its owner": {"security_definer": true, "language": "c"},
		"cannot be seen through": {"language": "plpgsql"},
	}
	escape.function(object.union(named("app", "f"), more)) == why
}

test_silent_about_the_rest if {
	not escape.function(named("pg_catalog", "lower"))
	not escape.function(object.union(named("public", "similarity"), {"language": "c"}))
	not escape.function(object.union(named("app", "price"), {"language": "sql", "transparent": true}))
	not escape.relation({"schema": "pg_catalog", "name": "pg_class"})
	not escape.relation({"schema": "app", "name": "pg_stats"})
}

test_columns[id] if {
	some id in [
		"pg_attribute.attmissingval",
		"pg_stat_user_tables.n_tup_hot_upd",
		"pg_statio_user_indexes.idx_blks_hit",
		"pg_stat_database.blks_read",
	]
	[table, name] := split(id, ".")
	column := {"id": $"pg_catalog.{id}", "table": $"pg_catalog.{table}", "name": name}
	escape.column(column)
	not escape.column(object.union(column, {"via": "information_schema.columns"}))
	not escape.column(object.union(column, {"table": $"app.{table}"}))
}

test_other_columns[id] if {
	some id in [
		"pg_attribute.attname",
		"pg_stat_user_tables.n_live_tup",
		"pg_statio_user_tables.heap_blks_hit",
	]
	[table, name] := split(id, ".")
	not escape.column({"id": $"pg_catalog.{id}", "table": $"pg_catalog.{table}", "name": name})
}

test_settings[name] if {
	some name in ["debug_print_plan", "log_statement", "trace_sort", "auto_explain.log_min_duration", "plpgsql.extra_errors"]
	escape.setting(name)
}

test_other_settings[name] if {
	some name in ["work_mem", "enable_seqscan", "app.tenant", "timezone"]
	not escape.setting(name)
}

test_relations if {
	escape.relation({"schema": "information_schema", "name": "user_mapping_options"}) == "holds passwords of other servers"
	escape.relation({"schema": "pg_catalog", "name": "pg_stat_xact_user_tables"}) == escape.how_alike
	not escape.relation({"schema": "information_schema", "name": "columns"})
	escape.relation({"schema": "pg_catalog", "name": "pg_stats"}) == "tells what columns hold"
	escape.relation({"schema": "monitoring", "name": "pg_stat_statements"}) == "tells of other sessions' statements"
}
