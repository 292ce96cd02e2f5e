package policy.guardrails_test

import data.policy.guardrails

statement(changes) := object.union(
	{
		"kind": "select",
		"class": "read",
		"analysis": {"complete": true},
		"tables": [],
		"columns": [],
		"functions": [],
	},
	changes,
)

rules := {reason.rule | some reason in guardrails.statement.deny}

test_plain_select_is_nobodys_business if {
	guardrails.statement.deny == set() with input.statement as statement({})
}

test_denied[rule] if {
	some rule, change in {
		"guardrails/privileges": {"class": "privilege", "kind": "grant"},
		"guardrails/settings": {"class": "setting", "kind": "set", "setting": {"name": "role"}},
		"guardrails/code": {"class": "procedural", "kind": "do"},
		"guardrails/server": {"class": "other", "kind": "create_extension"},
		"guardrails/delete-all": {
			"class": "write",
			"kind": "delete",
			"tables": [{"id": "public.t", "schema": "public", "name": "t", "kind": "table", "access": ["delete"]}],
			"where": false,
		},
	}
	rules == {rule} with input.statement as statement(change)
}

test_setting_without_a_name_is_denied if {
	rules == {"guardrails/settings"} with input.statement as statement({"class": "setting", "kind": "set"})
}

test_harmless_setting_is_not_denied if {
	rules == set() with input.statement as statement({
		"class": "setting",
		"kind": "set",
		"setting": {"name": "application_name"},
	})
}

test_deallocate_is_no_setting if {
	rules == set() with input.statement as statement({"class": "setting", "kind": "deallocate"})
}

test_show_is_not_denied if {
	rules == set() with input.statement as statement({"class": "setting", "kind": "show", "setting": {"name": "role"}})
}

test_delete_of_some_rows_is_not_denied if {
	rules == set() with input.statement as statement({
		"class": "write",
		"kind": "delete",
		"tables": [{"id": "public.t", "schema": "public", "name": "t", "kind": "table", "access": ["delete"]}],
		"where": true,
	})
}

# Trust lifts what the library denies, but not this.
test_trust_does_not_reach_outside if {
	file := {"id": "pg_catalog.pg_read_file", "schema": "pg_catalog", "name": "pg_read_file", "volatility": "volatile"}
	rules == {"guardrails/escape"} with input.statement as statement({"functions": [file]})
		with data.sallyport.statement.trusted_functions as {"pg_catalog.pg_read_file"}
}
