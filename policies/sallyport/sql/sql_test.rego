package sallyport.sql_test

import data.sallyport.sql

plain := {
	"kind": "select",
	"class": "read",
	"analysis": {"complete": true},
	"tables": [{"id": "public.t", "schema": "public", "name": "t", "kind": "table", "access": ["read"]}],
	"columns": [{"id": "public.t.c", "table": "public.t", "name": "c", "uses": ["projected"]}],
	"functions": [{"id": "pg_catalog.lower", "volatility": "immutable"}],
}

test_plain_read_is_read_only if sql.read_only with input.statement as plain

test_not_read_only[why] if {
	some why, change in {
		"writes": {"class": "write"},
		"not fully analyzed": {"analysis": {"complete": false}},
		"deletes in a CTE": {"tables": [{"id": "public.t", "access": ["read", "delete"]}]},
		"locks rows": {"locks": ["for update"]},
		"calls a volatile function": {"functions": [{"id": "public.f", "volatility": "volatile"}]},
		"calls an unknown function": {"functions": [{"id": "public.f", "volatility": "unknown"}]},
	}
	not sql.read_only with input.statement as object.union(plain, change)
}

test_visible if sql.visible == {"public.t.c"} with input.statement as plain

test_functions_seen_through_are_what_they_call if {
	sql.read_only with input.statement as object.union(
		plain,
		{"functions": [{"id": "app.price", "volatility": "volatile", "transparent": true}]},
	)
}

test_asking_for_the_time_is_read_only if {
	sleeping := object.union(plain, {"functions": [{"id": "pg_catalog.pg_sleep", "volatility": "volatile"}]})
	sql.read_only with input.statement as sleeping
}

temporary := object.union(plain, {
	"kind": "create_table",
	"class": "schema",
	"tables": [
		{"id": "public.t", "schema": "public", "name": "t", "kind": "table", "access": ["read"]},
		{"id": "pg_temp.t", "schema": "pg_temp", "name": "t", "kind": "table", "access": ["ddl"]},
	],
})

test_temporary_tables_are_scratch if {
	sql.scratch with input.statement as temporary
	not sql.read_only with input.statement as temporary
}

test_other_tables_are_not_scratch if {
	lasting := {"tables": [{"id": "public.u", "schema": "public", "access": ["insert"]}]}
	not sql.scratch with input.statement as object.union(temporary, lasting)
}
