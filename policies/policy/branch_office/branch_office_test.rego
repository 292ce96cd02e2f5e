package policy.branch_office_test

import data.policy.branch_office

# The rules that choose rows are tested with rows.
shown(claims, groups, row) if {
	branch_office.rows.customers with input.identity.claims as claims
		with input.identity.groups as groups
		with input.row as row
}

test_own_city if {
	shown({"city": "Lisbon"}, [], {"id": 1, "city": "Lisbon"})
	not shown({"city": "Lisbon"}, [], {"id": 2, "city": "Porto"})
}

test_no_city_no_rows if {
	not shown({}, [], {"id": 1, "city": "Lisbon"})
	not shown({}, [], {"id": 1, "city": null})
}

test_auditors_see_all if {
	shown({}, ["auditors"], {"id": 2, "city": "Porto"})
}

test_filters_are_always_there if {
	tables := {filter.table | some filter in branch_office.statement.filter} with input.identity.claims as {}
	tables == {"public.customers", "public.tickets"}
}

test_reads_only if {
	statement := {
		"kind": "select",
		"class": "read",
		"analysis": {"complete": true},
		"tables": [{"id": "public.customers", "schema": "public", "name": "customers", "kind": "table", "access": ["read"]}],
		"columns": [],
		"functions": [],
	}
	branch_office.statement.allow with input.statement as statement
	not branch_office.statement.allow with input.statement as object.union(statement, {"class": "write", "kind": "delete"})
}

test_session if {
	branch_office.session.allow with input.identity as {"kind": "workload", "known": true, "groups": []}
	count(branch_office.session.deny) == 1 with input.identity as {"groups": []}
	count(branch_office.session.deny) == 0 with input.identity as {"groups": [], "groups_complete": true}
}
