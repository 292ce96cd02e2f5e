# METADATA
# title: Blast radius
# description: |
#   Nobody reads or changes much at once. An example that no binding names yet: bind
#   it without a connection to have it everywhere, as guardrails are. The server is
#   asked to plan statements only where it is in force.
# custom:
#   owner: platform-security
package policy.blast_radius

# METADATA
# title: No statement that would return much
# labels:
#   rule: blast-radius/rows
statement.deny contains {
	"message": $"the statement would return or change about {input.statement.estimate.rows} rows; {most_rows} are allowed",
	"hint": "narrow the WHERE clause, or use LIMIT",
	"rule": "blast-radius/rows",
} if {
	input.statement.estimate.rows > most_rows
	not only_explained
}

# METADATA
# title: Changes stay small
# labels:
#   rule: blast-radius/changes
statement.require_approval contains {
	"message": $"changes about {input.statement.estimate.rows} rows",
	"approvers": ["group:dba-oncall"],
	"rule": "blast-radius/changes",
} if {
	input.statement.class == "write"
	input.statement.estimate.rows > most_changes
}

# METADATA
# title: No statement that would keep the server busy
# labels:
#   rule: blast-radius/cost
statement.deny contains {
	"message": "the statement would keep the database busy for long",
	"hint": "use an indexed column in the WHERE clause, or join fewer rows",
	"rule": "blast-radius/cost",
} if {
	input.statement.estimate.cost > most_cost
	not only_explained
}

# The estimate of EXPLAIN is that of what it explains.
only_explained if {
	input.statement.explain
	not input.statement.explain.analyze
}

most_rows := 100000

most_changes := 1000

most_cost := 1000000
