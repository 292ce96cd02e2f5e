# METADATA
# title: Session decisions
# description: |
#   Whether a caller may open a connection and on which terms: how the grant is
#   opened, for how long, and by whom it is approved.
# schemas:
#   - input: schema.input
package sallyport.session

import data.sallyport.bindings
import data.sallyport.reason

# METADATA
# title: Decision for opening a session or a grant
# scope: document
# entrypoint: true
decision := {
	"effect": effect,
	"reasons": reasons,
	"grant": grant,
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
} else := "allow"

reasons := deny if {
	effect == "deny"
	count(deny) > 0
} else := {{
	"policy": "sallyport",
	"message": $"no policy allows this session on {input.connection.name}",
	"hint": advice,
	"rule": "sallyport/default-deny",
}} if {
	effect == "deny"
} else := require_approval if {
	effect == "require_approval"
} else := set()

default advice := "ask the owners of the policies bound here to let this identity in"

advice := "this workload is not registered: ask the operators of sallyport to add it to workloads" if {
	input.identity.kind == "workload"
	not input.identity.known
}

# METADATA
# description: Policies that allow the session.
allow contains name if {
	some name in bindings.policies
	data.policy[name].session.allow == true
}

# METADATA
# scope: document
# description: Why the session must not be opened.
deny contains reason.normalize(name, raw) if {
	some name in bindings.policies
	some raw in data.policy[name].session.deny
}

deny contains {"policy": "sallyport", "message": message, "rule": "sallyport/bindings"} if {
	some fault in bindings.malformed
	message := $"binding {fault.binding}: {fault.message}"
}

deny contains reason.normalize("sallyport", bindings.unselected)

deny contains {"policy": name, "message": "bound, but no such policy is loaded", "rule": "sallyport/policy"} if {
	some name in bindings.policies
	not loaded(name)
}

# To ask for a set of its own is cheap; to ask for the whole policy runs all of it.
loaded(name) if {
	is_set(data.policy[name].session.deny)
} else if {
	data.policy[name].session.allow
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

deny contains {"policy": name, "message": message, "rule": "sallyport/policy"} if {
	some name in bindings.policies
	some rule in {"deny", "require_approval"}
	value := data.policy[name].session[rule]
	not is_set(value)
	message := $"session.{rule} must be a set: write `{rule} contains ...`"
}

# METADATA
# scope: document
# description: Why somebody has to agree before the session is opened.
require_approval contains reason.normalize(name, raw) if {
	some name in bindings.policies
	some raw in data.policy[name].session.require_approval
}

require_approval contains {
	"policy": "sallyport",
	"message": $"windows under {bindings.selected} are approved one by one",
	"rule": "sallyport/grant",
} if {
	bindings.binding.grant == "approval"
}

approved if input.approval.state == "approved"

grant := {
	"mode": bindings.binding.grant,
	"ttl": ttl,
	"record": object.get(bindings.binding, "record", true),
	"approvers": approvers,
	"privileges": privileges,
} if {
	effect != "deny"
} else := null

# The shortest of the windows. Standing access may have none.
default ttl := null

ttl := sort([[time.parse_duration_ns(window), window] | some window in windows])[0][1]

windows contains bindings.binding.ttl

windows contains window if {
	some name in bindings.policies
	window := data.policy[name].session.ttl
}

windows contains input.grant.requested_ttl

approvers contains approver if some approver in bindings.binding.approvers

approvers contains approver if {
	some required in require_approval
	some approver in required.approvers
}

privileges contains privilege if {
	some name in bindings.policies
	some privilege in data.policy[name].session.privileges
}
