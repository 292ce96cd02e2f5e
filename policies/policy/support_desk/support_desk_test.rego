package policy.support_desk_test

import data.policy.support_desk

table(name, access) := {
	"id": $"public.{name}",
	"schema": "public",
	"name": name,
	"kind": "table",
	"access": access,
}

update(tables, where) := {
	"kind": "update",
	"class": "write",
	"analysis": {"complete": true},
	"tables": tables,
	"columns": [],
	"functions": [],
	"where": where,
}

changing := [table("customers", ["read", "update"])]

test_update_without_where_is_denied if {
	some reason in support_desk.statement.deny with input.statement as update(changing, false)
	reason.message == "UPDATE needs a WHERE clause"
	support_desk.statement.deny == set() with input.statement as update(changing, true)
}

test_update_needs_approval if {
	support_desk.statement.allow with input.statement as update(changing, true)
	some reason in support_desk.statement.require_approval with input.statement as update(changing, true)
	reason.message == "changes public.customers"
	reason.approvers == ["group:support-leads"]
	reason.max_wait == "2m"
}

test_not_allowed[why] if {
	some why, statement in {
		"another table": update([table("payments", ["update"])], true),
		"one of two tables": update([table("payments", ["update"]), table("customers", ["update"])], true),
		"deletes on the way": update([table("customers", ["delete", "update"])], true),
		"inserts": object.union(update([table("tickets", ["insert"])], true), {"kind": "insert"}),
		"with a side effect": object.union(
			update(changing, true),
			{"functions": [{"id": "pg_catalog.nextval", "volatility": "volatile"}]},
		),
	}
	not support_desk.statement.allow with input.statement as statement
}

test_other_schemas_are_denied if {
	salaries := {"id": "hr.salaries", "schema": "hr", "name": "salaries", "kind": "table", "access": ["read"]}
	some reason in support_desk.statement.deny with input.statement as {"kind": "select", "tables": [salaries]}
	startswith(reason.message, "hr.salaries ")
}

selecting(columns) := {
	"kind": "select",
	"columns": [{"id": id, "table": "t", "name": "c", "uses": ["projected"]} | some id in columns],
}

classified := {
	"public.customers.email": ["email"],
	"public.customers.ssn": ["national_id"],
	"public.payments.card_number": ["card"],
}

masks(groups) := {mask.column: mask["with"] | some mask in found} if {
	found := support_desk.statement.mask with input.identity.groups as groups
		with input.statement as selecting(object.keys(classified))
		with data.classification as classified
}

test_personal_data_is_masked if {
	masks(["support-agents"]) == {
		"public.customers.email": "email",
		"public.customers.ssn": "redact",
		"public.payments.card_number": {"partial": {"keep_last": 4}},
	}
}

test_pii_readers_see_it_but_no_cards if {
	object.keys(masks(["pii-readers"])) == {"public.payments.card_number"}
}

test_unclassified_columns_are_plain if {
	support_desk.statement.mask == set() with input.identity.groups as []
		with input.statement as selecting(["public.customers.city"])
}

test_session[why] if {
	some why, identity in {
		"stranger": {"kind": "workload", "known": false, "groups": ["support-agents"]},
		"person": {"kind": "user", "known": true, "groups": ["support-agents"]},
		"outside the group": {"kind": "workload", "known": true, "groups": []},
	}
	not support_desk.session.allow with input.identity as identity
}

test_known_agent_gets_a_session if {
	support_desk.session.allow with input.identity as {"kind": "workload", "known": true, "groups": ["support-agents"]}
}

test_unresolved_groups_open_no_session if {
	count(support_desk.session.deny) == 1 with input.identity as {"groups": []}
	count(support_desk.session.deny) == 0 with input.identity as {"groups": [], "groups_complete": true}
}
