package policy.jit_schema_checks_test

import data.policy.jit_schema_checks

catalog := {
	"id": "information_schema.columns",
	"schema": "information_schema",
	"name": "columns",
	"kind": "view",
	"access": ["read"],
}

customers := {
	"id": "public.customers",
	"schema": "public",
	"name": "customers",
	"kind": "table",
	"access": ["read"],
}

reading(tables) := {
	"kind": "select",
	"class": "read",
	"analysis": {"complete": true},
	"tables": tables,
	"columns": [],
	"functions": [],
}

test_catalog_is_readable if {
	jit_schema_checks.statement.allow with input.statement as reading([catalog])
	jit_schema_checks.statement.deny == set() with input.statement as reading([catalog])
}

test_data_is_not if {
	some reason in jit_schema_checks.statement.deny with input.statement as reading([catalog, customers])
	startswith(reason.message, "public.customers ")
}

test_unknown_workload_gets_no_session if {
	not jit_schema_checks.session.allow with input.identity as {"kind": "workload", "known": false}
}
