package policy.data_fixer_test

import data.policy.data_fixer

write(kind, name) := {
	"kind": kind,
	"class": "write",
	"analysis": {"complete": true},
	"tables": [{"id": $"public.{name}", "schema": "public", "name": name, "kind": "table", "access": ["read", kind]}],
	"columns": [],
	"functions": [],
	"where": true,
}

test_payments_are_changed_with_approval[kind] if {
	some kind in ["update", "delete"]
	data_fixer.statement.allow with input.statement as write(kind, "payments")
	count(data_fixer.statement.require_approval) == 1 with input.statement as write(kind, "payments")
	data_fixer.statement.deny == set() with input.statement as write(kind, "payments")
}

test_nothing_else_is_changed if {
	not data_fixer.statement.allow with input.statement as write("update", "customers")
	not data_fixer.statement.allow with input.statement as write("insert", "payments")
}

test_update_without_where_is_denied if {
	statement := object.union(write("update", "payments"), {"where": false})
	count(data_fixer.statement.deny) == 1 with input.statement as statement
}

test_what_is_classified_is_hidden if {
	data_fixer.statement.mask == {{"column": "public.payments.card_number", "with": "null"}} with input.statement as {
		"kind": "select",
		"columns": [
			{"id": "public.payments.card_number", "table": "public.payments", "name": "card_number", "uses": ["projected"]},
			{"id": "public.payments.amount", "table": "public.payments", "name": "amount", "uses": ["projected"]},
		],
	}
		with data.classification as {"public.payments.card_number": ["card"]}
}

test_session if {
	data_fixer.session.allow with input.identity as {"kind": "workload", "known": true, "groups": []}
	count(data_fixer.session.deny) == 1 with input.identity as {"groups": []}
}
