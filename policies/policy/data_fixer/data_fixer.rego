# METADATA
# title: Data fixer
# description: |
#   An agent that mends payments. Its window is opened by a person, and each change
#   is seen by one before it runs.
# custom:
#   owner: payments
package policy.data_fixer

import data.sallyport.identity
import data.sallyport.sql

session.allow if identity.known_workload

session.deny contains "groups of the caller could not be resolved" if not input.identity.groups_complete

statement.allow if sql.read_only

statement.allow if {
	input.statement.kind in {"update", "delete"}
	every table in sql.writes {
		table.id == "public.payments"
	}
	count(sql.side_effects) == 0
}

# METADATA
# title: UPDATE names its rows
# labels:
#   rule: data-fixer/update-all
statement.deny contains {
	"message": "UPDATE needs a WHERE clause",
	"hint": "say which payments, best by primary key",
	"rule": "data-fixer/update-all",
} if {
	input.statement.kind == "update"
	not input.statement.where
}

# METADATA
# title: Each change is seen by somebody
# labels:
#   rule: data-fixer/changes
statement.require_approval contains {
	"message": $"changes {table.id}",
	"approvers": ["group:dba-oncall"],
	"max_wait": "10m",
	"rule": "data-fixer/changes",
} if {
	some table in sql.writes
}

# METADATA
# title: Whoever mends payments needs no customer
# labels:
#   rule: data-fixer/masks
statement.mask contains {"column": column.id, "with": "null"} if {
	some column in input.statement.columns
	count(data.classification[column.id]) > 0
}

statement.limits.rows := 100

statement.limits.duration := "10s"
