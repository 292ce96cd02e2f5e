# METADATA
# title: Support desk
# description: |
#   Support agents read the shop's tables with personal data masked, and change a
#   customer or a ticket when somebody who leads support has seen the statement.
# custom:
#   owner: support-engineering
package policy.support_desk

import data.sallyport.identity
import data.sallyport.sql

session.allow if {
	identity.known_workload
	identity.in_group("support-agents")
}

session.deny contains "groups of the caller could not be resolved" if not input.identity.groups_complete

session.privileges contains {"schema": "public", "tables": ["customers", "tickets"], "actions": ["select", "update"]}

statement.allow if sql.read_only

statement.allow if {
	input.statement.kind == "update"
	every table in sql.writes {
		table.id in {"public.customers", "public.tickets"}
		{access | some access in table.access} & {"insert", "delete", "truncate", "ddl"} == set()
	}
	count(sql.side_effects) == 0
}

# METADATA
# title: The shop and nothing else
# labels:
#   rule: support-desk/scope
statement.deny contains {
	"message": $"{table.id} is none of the support desk's business",
	"hint": "support reads the tables of schema public",
	"rule": "support-desk/scope",
} if {
	some table in input.statement.tables
	not table.schema in {"public", "pg_catalog", "information_schema"}
}

# METADATA
# title: UPDATE names its rows
# labels:
#   rule: support-desk/update-all
statement.deny contains {
	"message": "UPDATE needs a WHERE clause",
	"hint": "say which rows, best by primary key: UPDATE ... WHERE id = ...",
	"rule": "support-desk/update-all",
} if {
	input.statement.kind == "update"
	not input.statement.where
}

# METADATA
# title: Changes are seen by somebody first
# labels:
#   rule: support-desk/changes
statement.require_approval contains {
	"message": $"changes {table.id}",
	"approvers": ["group:support-leads"],
	"max_wait": "2m",
	"rule": "support-desk/changes",
} if {
	some table in sql.writes
}

# METADATA
# title: Masked by class of data
# labels:
#   rule: support-desk/masks
statement.mask contains {"column": column.id, "with": how} if {
	some column in input.statement.columns
	some tag in data.classification[column.id]
	how := masked[tag]
	not shown[tag]
}

masked := {
	"email": "email",
	"phone": {"partial": {"keep_last": 2}},
	"national_id": "redact",
	"card": {"partial": {"keep_last": 4}},
	"salary": "null",
}

# Some may see what concerns a person; cards are shown to nobody.
shown contains tag if {
	identity.in_group("pii-readers")
	some tag in {"email", "phone", "national_id"}
}

statement.limits.rows := 200

statement.limits.duration := "10s"
