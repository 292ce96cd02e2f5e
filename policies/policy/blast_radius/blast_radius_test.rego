package policy.blast_radius_test

import data.policy.blast_radius

statement(class, estimate) := {
	"kind": "select",
	"class": class,
	"analysis": {"complete": true},
	"tables": [],
	"columns": [],
	"functions": [],
	"estimate": estimate,
}

denied(s) := rules if {
	rules := {reason.rule | some reason in blast_radius.statement.deny} with input.statement as s
}

test_little_is_not_denied if {
	denied(statement("read", {"rows": 100000, "cost": 1000000})) == set()
}

test_much_is_denied[rule] if {
	some rule, estimate in {
		"blast-radius/rows": {"rows": 100001, "cost": 10.5},
		"blast-radius/cost": {"rows": 1, "cost": 1000000.5},
	}
	denied(statement("read", estimate)) == {rule}
}

test_message_tells_the_rows if {
	some reason in blast_radius.statement.deny with input.statement as statement("read", {"rows": 250000, "cost": 1})
	reason.message == "the statement would return or change about 250000 rows; 100000 are allowed"
}

test_larger_changes_are_seen_by_somebody[name] if {
	some name, c in {
		"small change": {"class": "write", "rows": 1000, "asked": 0},
		"large change": {"class": "write", "rows": 1001, "asked": 1},
		"large read": {"class": "read", "rows": 1001, "asked": 0},
	}
	count(blast_radius.statement.require_approval) == c.asked with input.statement as statement(
		c.class,
		{"rows": c.rows, "cost": 1},
	)
}

# Without an estimate nothing is said here: the library denies.
test_silent_without_an_estimate if {
	unknown := object.union(object.remove(statement("write", null), ["estimate"]), {"unestimated": "COPY has no plan"})
	denied(unknown) == set()
}

# EXPLAIN is how an agent finds out what it could do instead.
test_what_is_only_explained_is_not_denied if {
	denied(explained(false)) == set()
	denied(explained(true)) == {"blast-radius/rows"}
}

explained(analyze) := object.union(
	statement("read", {"rows": 100001, "cost": 1}),
	{"kind": "explain", "explain": {"analyze": analyze}},
)
