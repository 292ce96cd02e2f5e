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
	not escape.relation({"schema": "pg_catalog", "name": "pg_class"})
	not escape.relation({"schema": "app", "name": "pg_stats"})
}

test_relations if {
	escape.relation({"schema": "pg_catalog", "name": "pg_stats"}) == "tells what columns hold"
	escape.relation({"schema": "monitoring", "name": "pg_stat_statements"}) == "tells of other sessions' statements"
}
