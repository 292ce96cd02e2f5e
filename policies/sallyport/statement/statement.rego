# METADATA
# title: Statement decisions
# description: |
#   Collects what every applicable policy says about one SQL statement and makes it
#   one decision. A denial wins over everything; without an allowing policy the
#   statement is denied; an approval is asked for before anything is masked or let
#   through.
# schemas:
#   - input: schema.input
package sallyport.statement

import data.sallyport.bindings
import data.sallyport.escape
import data.sallyport.filtering
import data.sallyport.masking
import data.sallyport.reason
import data.sallyport.sql
import data.sallyport.window

# METADATA
# title: Decision for one SQL statement
# scope: document
# entrypoint: true
decision := {
	"effect": effect,
	"reasons": reasons,
	"masks": masks,
	"written": written,
	"filters": filters,
	"limits": limits,
	"approval": approval,
	"record": record,
	"binding": binding,
	"policies": bindings.policies,
}

default binding := null

binding := bindings.selected

effect := "deny" if {
	count(deny) > 0
} else := "deny" if {
	count(allow) == 0
} else := "require_approval" if {
	count(require_approval) > 0
	not approved
} else := "mask" if {
	count(masks) > 0
} else := "allow"

reasons := deny if {
	effect == "deny"
	count(deny) > 0
} else := {{
	"policy": "sallyport",
	"message": $"no policy allows this {input.statement.kind}",
	"hint": $"the policies in force are {concat(", ", bindings.policies)}; do without it, or ask their owners",
	"rule": "sallyport/default-deny",
}} if {
	effect == "deny"
} else := require_approval if {
	effect == "require_approval"
} else := set()

# METADATA
# scope: document
# description: Policies that allow the statement.
allow contains name if {
	some name in bindings.policies
	data.policy[name].statement.allow == true
}

# Whoever may open a session may begin and end transactions in it and set what is
# harmless, window or none: these reach no data, and drivers send them unasked.
allow contains "sallyport" if {
	sql.harmless
	bindings.any_offered
}

# METADATA
# scope: document
# description: Why the statement must not run.
deny contains reason.normalize(name, raw) if {
	some name in bindings.policies
	some raw in data.policy[name].statement.deny
}

deny contains {"policy": "sallyport", "message": message, "rule": "sallyport/bindings"} if {
	some fault in bindings.malformed
	message := $"binding {fault.binding}: {fault.message}"
}

deny contains reason.normalize("sallyport", window.closed) if not sql.harmless

# METADATA
# title: Understood whole, or not at all
deny contains {
	"policy": "sallyport",
	"message": "the statement could not be analyzed completely",
	"hint": "write it with plain names of existing tables, columns and functions",
	"rule": "sallyport/incomplete",
} if {
	not input.statement.analysis.complete
	not opaque
}

# METADATA
# title: No way around the policies
deny contains {"policy": "sallyport", "message": $"{function.id} {why}", "hint": trusting, "rule": "sallyport/escape"} if {
	some function in input.statement.functions
	why := escape.function(function)
	not function.id in trusted_functions
	not sql.harmless
}

deny contains {"policy": "sallyport", "message": $"{table.id} {why}", "hint": trusting, "rule": "sallyport/escape"} if {
	some table in input.statement.tables
	why := escape.relation(table)
	not table.id in trusted_relations
}

deny contains {"policy": "sallyport", "message": $"{column.id} {why}", "hint": trusting_columns, "rule": "sallyport/escape"} if {
	some column in input.statement.columns
	why := escape.column(column)
	not column.table in trusted_relations
}

deny contains {
	"policy": "sallyport",
	"message": $"the setting {input.statement.setting.name} shows how statements are run, masks included",
	"hint": "leave it as it is",
	"rule": "sallyport/escape",
} if {
	input.statement.kind != "show"
	escape.setting(input.statement.setting.name)
}

# METADATA
# title: No code that nobody has read
deny contains {
	"policy": "sallyport",
	"message": $"{replace(input.statement.kind, "_", " ")} makes code that runs unseen",
	"hint": $"only a policy in force that says statement.trusted_kinds contains \"{input.statement.kind}\" lets it through",
	"rule": "sallyport/code",
} if {
	input.statement.kind in escape.code
	not input.statement.kind in trusted_kinds
}

# METADATA
# title: No guess where a guess is asked for
# description: |
#   Where a policy in force refers to input.statement.estimate, and the server could
#   not be asked or the statement is none it plans, a rule that denies by the estimate
#   would say nothing.
deny contains {
	"policy": "sallyport",
	"message": $"there is no estimate of what the {replace(input.statement.kind, "_", " ")} would touch: {input.statement.unestimated}",
	"hint": "policies in force judge statements by the planner's estimate; write it as a statement that can be explained",
	"rule": "sallyport/estimate",
} if {
	input.statement.unestimated
	not without_estimate
	not sql.harmless
}

trusting_columns := "name the columns you need instead of *; only a policy that trusts the relation lets this one through"

trusting := "leave it out; only a policy that names it as trusted lets it through"

# METADATA
# description: Functions that policies in force vouch for, by id.
trusted_functions contains id if {
	some name in bindings.policies
	some id in data.policy[name].statement.trusted_functions
}

# METADATA
# description: Relations that policies in force vouch for, by id.
trusted_relations contains id if {
	some name in bindings.policies
	some id in data.policy[name].statement.trusted_relations
}

# METADATA
# description: Kinds of statements that make code and that policies in force let through.
trusted_kinds contains kind if {
	some name in bindings.policies
	some kind in data.policy[name].statement.trusted_kinds
}

# A rule of the wrong type would otherwise say nothing at all.
deny contains {"policy": name, "message": message, "rule": "sallyport/policy"} if {
	some name in bindings.policies
	some rule in {"deny", "filter", "mask", "require_approval", "trusted_functions", "trusted_kinds", "trusted_relations"}
	value := data.policy[name].statement[rule]
	not is_set(value)
	message := $"statement.{rule} must be a set: write `{rule} contains ...`"
}

deny contains {"policy": name, "message": message, "rule": "sallyport/policy"} if {
	some name in bindings.policies
	some key, _ in data.policy[name].statement.limits
	not key in {"bytes", "duration", "rows"}
	message := $"statement.limits.{key} is not understood: there are rows, bytes and duration"
}

deny contains {
	"policy": name,
	"message": "statement.mask contains a mask that is not understood",
	"rule": "sallyport/policy",
} if {
	some name in bindings.policies
	some mask in data.policy[name].statement.mask
	not masking.normalize(mask)
}

deny contains {
	"policy": name,
	"message": "statement.filter contains a filter that is not understood: want a table and a where",
	"rule": "sallyport/policy",
} if {
	some name in bindings.policies
	some filter in data.policy[name].statement.filter
	not filtering.well_formed(filter)
}

deny contains {"policy": name, "message": "bound, but no such policy is loaded", "rule": "sallyport/policy"} if {
	some name in bindings.policies
	not loaded(name)
}

# To ask for a set of its own is cheap; to ask for the whole policy runs all of it.
loaded(name) if {
	is_set(data.policy[name].statement.deny)
} else if {
	data.policy[name]
}

deny contains {
	"policy": "sallyport",
	"message": "this needs approval, and nobody is named who could give it",
	"rule": "sallyport/approvers",
} if {
	count(require_approval) > 0
	not approved
	count(approvers) == 0
}

# METADATA
# description: What has to be approved by somebody before it runs.
require_approval contains reason.normalize(name, raw) if {
	some name in bindings.policies
	some raw in data.policy[name].statement.require_approval
}

approved if input.approval.state == "approved"

approval := {
	"approvers": approvers,
	"max_wait": max_wait,
} if {
	effect == "require_approval"
} else := null

approvers contains approver if {
	some required in require_approval
	some approver in required.approvers
}

approvers contains approver if some approver in bindings.binding.approvers

max_wait := shortest({required.max_wait | some required in require_approval}, "10m")

# METADATA
# description: Masks by column id, for the columns the statement touches.
masks := masking.strictest({mask |
	some name in bindings.policies
	some raw in data.policy[name].statement.mask
	mask := masking.normalize(raw)
	mask.column in touched
})

touched contains column.id if some column in input.statement.columns

# METADATA
# scope: document
# description: |
#   Masked columns that writes may tell of, by what constraints say. Every policy that
#   masks the column takes the risk.
written contains column if {
	some column, _ in masks
	not column in withheld
}

withheld contains raw.column if {
	some name in bindings.policies
	some raw in data.policy[name].statement.mask
	object.get(raw, "written", false) != true
}

# METADATA
# scope: document
# description: |
#   Row filters of all policies in force, for the tables the statement touches. Each
#   of them holds: a row is shown that satisfies all filters of its table.
filters contains {"policy": name, "table": filter.table, "where": filter.where} if {
	some name in bindings.policies
	some filter in data.policy[name].statement.filter
	filter.table in {table.id | some table in input.statement.tables}
}

limits[name] := value if {
	some name in {"rows", "bytes"}
	values := {v |
		some policy in bindings.policies
		v := data.policy[policy].statement.limits[name]
	}
	value := min(values)
}

limits["duration"] := value if {
	values := {v |
		some policy in bindings.policies
		v := data.policy[policy].statement.limits.duration
	}
	count(values) > 0
	value := shortest(values, null)
}

# Sessions are recorded unless the binding says otherwise.
default record := true

record := bindings.binding.record

opaque if {
	some name in bindings.policies
	data.policy[name].statement.opaque == true
}

without_estimate if {
	some name in bindings.policies
	data.policy[name].statement.without_estimate == true
}

shortest(durations, fallback) := fallback if count(durations) == 0

shortest(durations, _) := sort([[time.parse_duration_ns(d), d] | some d in durations])[0][1] if count(durations) > 0
