package sallyport.session_test

import data.sallyport.session

agent := {
	"version": 1,
	"phase": "session",
	"time": {"now_ns": 1763780000000000000, "rfc3339": "2025-11-22T02:53:20Z"},
	"identity": {
		"issuer": "entra-contoso",
		"subject": "spn-7",
		"kind": "workload",
		"known": true,
		"groups": ["support-agents"],
		"groups_complete": true,
		"claims": {},
	},
	"connection": {"name": "prod-replica", "database": "shop"},
	"session": {"id": "s-1"},
}

replacing(path, value) := json.patch(agent, [{"op": "replace", "path": path, "value": value}])

test_schema_checks_as_seeded if {
	decision := session.decision with input as replacing("/identity/groups", [])
	decision.effect == "allow"
	decision.grant.mode == "on-request"
	decision.grant.ttl == "30m"
}

test_binding_is_named_where_several_fit if {
	decision := session.decision with input as agent
	decision.effect == "deny"
	some reason in decision.reasons
	reason.message == "name the binding to use: jit-schema-checks, support-desk"
	contains(reason.hint, "options='-c sallyport.binding=NAME'")
}

test_several_are_fine_once_one_is_named if {
	decision := session.decision with input as asking({"binding": "jit-schema-checks"})
	decision.effect == "allow"
	decision.binding == "jit-schema-checks"
}

test_support_desk_opens_on_request if {
	decision := session.decision with input as asking({"binding": "support-desk"})
	decision.effect == "allow"
	decision.grant.mode == "on-request"
	decision.grant.ttl == "15m"
	decision.grant.privileges != set()
}

test_payments_review_asks_for_approval if {
	decision := session.decision with input as json.patch(
		asking({"binding": "payments-review"}),
		[{"op": "replace", "path": "/identity/groups", "value": ["data-fixers"]}],
	)
	decision.effect == "require_approval"
	decision.grant.mode == "approval"
	decision.grant.ttl == "10m"
	decision.grant.approvers == {"group:dba-oncall"}
	messages(decision) == {"windows under payments-review are approved one by one"}
}

test_approved_window_is_allowed if {
	decision := session.decision with input as json.patch(
		asking({"binding": "payments-review"}),
		[
			{"op": "replace", "path": "/identity/groups", "value": ["data-fixers"]},
			{"op": "add", "path": "/approval", "value": {"state": "approved"}},
		],
	)
	decision.effect == "allow"
}

messages(decision) := {reason.message | some reason in decision.reasons}

test_window_is_the_shortest_asked_for[ttl] if {
	some ttl, want in {"5m": "5m", "15m": "15m", "24h": "15m"}
	decision := session.decision with input as asking({"binding": "support-desk", "requested_ttl": ttl})
	decision.grant.ttl == want
}

test_binding_of_others_cannot_be_named if {
	decision := session.decision with input as json.patch(
		asking({"binding": "support-desk"}),
		[{"op": "replace", "path": "/identity/groups", "value": []}],
	)
	decision.effect == "deny"
	messages(decision) == {"the binding support-desk does not open prod-replica to you"}
}

test_who_is_told_by_name if {
	decision := session.decision with input as json.patch(agent, [
		{"op": "add", "path": "/identity/name", "value": "schema-agent"},
		{"op": "replace", "path": "/connection/name", "value": "billing"},
	])
	messages(decision) == {"no binding opens billing to schema-agent"}
}

asking(grant) := object.union(agent, {"grant": object.union({"state": "requested"}, grant)})

test_other_issuers_do_not_reach_the_support_desk if {
	decision := session.decision with input as replacing("/identity/issuer", "okta-dev")
	decision.effect == "allow"
	decision.policies == {"guardrails", "jit_schema_checks"}
}

test_unknown_connection_is_denied if {
	decision := session.decision with input as replacing("/connection/name", "billing")
	decision.effect == "deny"
}

test_boolean_deny_is_not_lost if {
	decision := session.decision with input as asking({"binding": "jit-schema-checks"})
		with data.policy.jit_schema_checks.session.deny as true
	decision.effect == "deny"
}

test_guardrails_always_apply[name] if {
	some name in ["jit-schema-checks", "support-desk"]
	decision := session.decision with input as asking({"binding": name})
	"guardrails" in decision.policies
}

test_malformed_binding_stops_everything[fault] if {
	some fault, binding in {
		"unknown key issuer": {"policy": "p", "connection": "*", "grant": "standing", "issuer": "entra-contoso"},
		"policy is missing": {"connection": "*"},
		"grant is none of standing, on-request, approval": {"policy": "p", "connection": "*", "grant": "on_request"},
		"a just-in-time grant needs a ttl": {"policy": "p", "connection": "*", "grant": "on-request"},
		"a grant needs a connection": {"policy": "p", "grant": "standing"},
	}
	decision := session.decision with input as asking({"binding": "jit-schema-checks"})
		with data.bindings.odd as binding
	decision.effect == "deny"
	messages(decision) == {$"binding odd: {fault}"}
}

test_standing_access_needs_no_ttl if {
	decision := session.decision with input as agent
		with data.bindings as {"one": {"policy": "one", "connection": "*", "grant": "standing"}}
		with data.policy as {"one": {"session": {"allow": true}}}
	decision.effect == "allow"
	decision.grant.mode == "standing"
	decision.grant.ttl == null
}

test_unloaded_policy_opens_nothing if {
	decision := session.decision with input as agent
		with data.bindings as {"one": {"policy": ["one", "gone"], "connection": "*", "grant": "standing"}}
		with data.policy as {"one": {"session": {"allow": true}}}
	messages(decision) == {"bound, but no such policy is loaded"}
}

test_no_policy_allows if {
	decision := session.decision with input as agent
		with data.bindings as {"one": {"policy": "one", "connection": "*", "grant": "standing"}}
		with data.policy as {"one": {"session": {"allow": false}}}
	messages(decision) == {"no policy allows this session on prod-replica"}
	decision.grant == null
}

test_approval_by_nobody_is_no_approval if {
	decision := session.decision with input as agent
		with data.bindings as {"one": {"policy": "one", "connection": "*", "grant": "approval", "ttl": "5m"}}
		with data.policy as {"one": {"session": {"allow": true}}}
	decision.effect == "deny"
	messages(decision) == {"this needs approval, and nobody is named who could give it"}
}

test_policy_can_shorten_the_window if {
	decision := session.decision with input as agent
		with data.bindings as {"one": {"policy": "one", "connection": "*", "grant": "on-request", "ttl": "1h"}}
		with data.policy as {"one": {"session": {"allow": true, "ttl": "90s"}}}
	decision.grant.ttl == "90s"
}

test_subjects_and_lists_of_connections[subject] if {
	some subject, effect in {"spn-7": "allow", "spn-8": "deny"}
	decision := session.decision with input as replacing("/identity/subject", subject)
		with data.bindings as {"one": {
			"policy": "one",
			"connection": ["stage", "prod-*"],
			"subjects": ["spn-7"],
			"grant": "standing",
		}}
		with data.policy as {"one": {"session": {"allow": true}}}
	decision.effect == effect
}

test_policy_can_ask_for_approval if {
	decision := session.decision with input as agent
		with data.bindings as {"one": {"policy": "one", "connection": "*", "grant": "on-request", "ttl": "1h"}}
		with data.policy as {"one": {"session": {
			"allow": true,
			"require_approval": {{"message": "at night", "approvers": ["group:night"]}},
		}}}
	decision.effect == "require_approval"
	decision.grant.approvers == {"group:night"}
}

test_the_unregistered_are_told if {
	decision := session.decision with input as json.patch(asking({"binding": "jit-schema-checks"}), [{
		"op": "replace",
		"path": "/identity/known",
		"value": false,
	}])
	decision.effect == "deny"
	some reason in decision.reasons
	contains(reason.hint, "not registered")
}
