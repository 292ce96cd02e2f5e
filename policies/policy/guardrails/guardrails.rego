# METADATA
# title: Guardrails
# description: |
#   What nobody may do, on any connection. Bound without a connection, so it grants
#   nothing. Functions and relations that lead around policies are denied by the
#   library already, unless a policy trusts them.
# custom:
#   owner: platform-security
package policy.guardrails

import data.sallyport.escape
import data.sallyport.sql
import data.sallyport.statement as asked

# METADATA
# title: No way out of the database, whoever trusts it
# labels:
#   rule: guardrails/escape
#   severity: critical
statement.deny contains {
	"message": $"{function.id} reaches outside the database, and no policy may allow that",
	"rule": "guardrails/escape",
} if {
	some function in input.statement.functions
	function.id in asked.trusted_functions
	escape.outside(function)
}

# METADATA
# title: Privileges are not the agent's to change
# labels:
#   rule: guardrails/privileges
#   severity: critical
statement.deny contains {
	"message": "roles and privileges are managed elsewhere",
	"hint": "ask those who run the database",
	"rule": "guardrails/privileges",
} if {
	input.statement.class == "privilege"
}

# METADATA
# title: Settings that change what is seen or who is asking
# labels:
#   rule: guardrails/settings
#   severity: critical
statement.deny contains {
	"message": $"the setting {setting} is not the agent's to change",
	"hint": "leave it as it is",
	"rule": "guardrails/settings",
} if {
	input.statement.class == "setting"
	input.statement.kind != "show"
	not sql.harmless
}

default setting := "it names"

setting := input.statement.setting.name

# METADATA
# title: No code that nobody has read
# labels:
#   rule: guardrails/code
#   severity: critical
statement.deny contains {
	"message": "anonymous code blocks cannot be judged",
	"hint": "write the statements out one by one",
	"rule": "guardrails/code",
} if {
	input.statement.kind == "do"
}

# METADATA
# title: The server and its ways out are managed elsewhere
# labels:
#   rule: guardrails/server
#   severity: critical
statement.deny contains {
	"message": $"{replace(input.statement.kind, "_", " ")} is for those who run the database",
	"rule": "guardrails/server",
} if {
	input.statement.kind in server
}

# METADATA
# title: DELETE names its rows
# labels:
#   rule: guardrails/delete-all
#   severity: high
statement.deny contains {
	"message": "DELETE needs a WHERE clause",
	"hint": "say which rows; to empty a table is not for agents",
	"rule": "guardrails/delete-all",
} if {
	some table in input.statement.tables
	"delete" in table.access
	not input.statement.where
}

server := {
	"alter_database",
	"alter_system",
	"checkpoint",
	"create_database",
	"create_event_trigger",
	"create_extension",
	"create_foreign_data_wrapper",
	"create_language",
	"create_publication",
	"create_server",
	"create_subscription",
	"create_tablespace",
	"create_user_mapping",
	"drop_database",
	"import_foreign_schema",
	"load",
	"security_label",
}
