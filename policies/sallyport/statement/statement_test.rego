package sallyport.statement_test

import data.sallyport.statement

agent := {
	"version": 1,
	"phase": "statement",
	"time": {"now_ns": 1763780000000000000, "rfc3339": "2025-11-22T02:53:20Z"},
	"identity": {
		"issuer": "entra-contoso",
		"subject": "spn-7",
		"kind": "workload",
		"known": true,
		"groups": ["g1"],
		"groups_complete": true,
		"claims": {},
	},
	"connection": {"name": "prod-replica", "database": "shop"},
	"grant": {"id": "g-1", "state": "active"},
	"session": {"id": "s-1"},
	"statement": {
		"kind": "select",
		"class": "read",
		"analysis": {"complete": true},
		"tables": [{"id": "public.t", "schema": "public", "name": "t", "kind": "table", "access": ["read"]}],
		"columns": [{"id": "public.t.c", "table": "public.t", "name": "c", "uses": ["projected"]}],
		"functions": [],
	},
}

one := {"one": {"policy": "one", "connection": "*", "grant": "on-request", "ttl": "30m"}}

two := object.union(one, {"two": {"policy": "two"}})

messages(decision) := {reason.message | some reason in decision.reasons}

decide(doc, bindings, policies) := decision if {
	decision := statement.decision with input as doc
		with data.bindings as bindings
		with data.policy as policies
}

patch(changes) := json.patch(agent, changes)

test_allowed_by_one_policy if {
	decision := decide(agent, one, {"one": {"statement": {"allow": true}}})
	decision.effect == "allow"
	decision.reasons == set()
	decision.policies == {"one"}
	decision.record
}

test_denied_by_default if {
	decision := decide(agent, one, {"one": {"statement": {}}})
	decision.effect == "deny"
	messages(decision) == {"no policy allows this select"}
}

test_denial_wins if {
	decision := decide(agent, two, {
		"one": {"statement": {"allow": true}},
		"two": {"statement": {"deny": {"no"}, "require_approval": {{"message": "ask", "approvers": ["bob"]}}}},
	})
	decision.effect == "deny"
	decision.reasons == {{"policy": "two", "message": "no"}}
}

test_approval_comes_before_masking if {
	policies := {"one": {"statement": {
		"allow": true,
		"require_approval": {{"message": "ask", "approvers": ["alice"], "max_wait": "90s"}, "ask too"},
		"mask": {{"column": "public.t.c", "with": "redact"}},
	}}}

	asked := decide(agent, one, policies)
	asked.effect == "require_approval"
	asked.approval == {"approvers": {"alice"}, "max_wait": "90s"}

	answered := decide(patch([{"op": "add", "path": "/approval", "value": {"state": "approved"}}]), one, policies)
	answered.effect == "mask"
	answered.masks == {"public.t.c": {"redact": {}}}
}

test_strictest_mask_wins if {
	decision := decide(agent, two, {
		"one": {"statement": {"allow": true, "mask": {{"column": "public.t.c", "with": {"partial": {"keep_last": 4}}}}}},
		"two": {"statement": {"mask": {
			{"column": "public.t.c", "with": "null"},
			{"column": "public.other.c", "with": "null"},
		}}},
	})
	decision.masks == {"public.t.c": {"null": {}}}
}

# Masks are applied where the column is read, so that using it otherwise tells nothing.
test_masked_column_may_be_filtered_by if {
	decision := decide(
		patch([{"op": "add", "path": "/statement/columns/0/uses/-", "value": "filtered"}]), one,
		{"one": {"statement": {"allow": true, "mask": {{"column": "public.t.c", "with": "redact"}}}}},
	)
	decision.effect == "mask"
}

test_grant_must_be_active[state] if {
	some state, message in {
		"none": "no access window is open on prod-replica",
		"requested": "the access window has been asked for and is not open yet",
		"pending": "the access window waits for somebody to approve it",
		"refused": "the access window was refused",
		"expired": "the access window has closed",
		"revoked": "the access window was revoked",
		"ended": "the access window has ended",
		"a word nobody knows": "no access window is open on prod-replica",
	}
	doc := patch([{"op": "replace", "path": "/grant/state", "value": state}])
	decision := decide(doc, one, {"one": {"statement": {"allow": true}}})
	decision.effect == "deny"
	messages(decision) == {message}
	some reason in decision.reasons
	count(reason.hint) > 0
}

test_hint_says_how_to_ask if {
	doc := patch([{"op": "remove", "path": "/grant"}])
	some reason in decide(doc, one, {"one": {"statement": {"allow": true}}}).reasons
	reason.hint == "ask for a window of at most 30m: SELECT sallyport.request('why you need it')"
}

test_standing_access_needs_no_window if {
	doc := patch([{"op": "remove", "path": "/grant"}])
	bindings := {"one": {"policy": "one", "connection": "*", "grant": "standing"}}
	decide(doc, bindings, {"one": {"statement": {"allow": true}}}).effect == "allow"
}

test_several_bindings_and_none_named if {
	doc := patch([{"op": "remove", "path": "/grant"}])
	bindings := object.union(one, {"other": {"policy": "one", "connection": "*", "grant": "on-request", "ttl": "5m"}})
	decision := decide(doc, bindings, {"one": {"statement": {"allow": true}}})
	messages(decision) == {"name the binding to use: one, other"}
}

# What drivers send by themselves.
harmless := {
	"begin": {"kind": "begin", "class": "transaction"},
	"set": {"kind": "set", "class": "setting", "setting": {"name": "application_name"}},
	"show": {"kind": "show", "class": "setting", "setting": {"name": "server_version"}},
	"set_config": {
		"kind": "set",
		"class": "setting",
		"setting": {"name": "application_name"},
		"functions": [{"id": "pg_catalog.set_config", "volatility": "volatile"}],
	},
	"deallocate": {"kind": "deallocate", "class": "other"},
	"discard": {"kind": "discard", "class": "other"},
}

sending(statement) := patch([
	{"op": "remove", "path": "/grant"},
	{"op": "replace", "path": "/statement", "value": object.union(
		{
			"analysis": {"complete": true},
			"tables": [],
			"columns": [],
			"functions": [],
		},
		statement,
	)},
])

test_harmless_needs_no_window[what] if {
	some what, statement in harmless
	decision := decide(sending(statement), one, {"one": {"statement": {}}})
	decision.effect == "allow"
}

test_harmless_needs_no_choice_of_binding if {
	bindings := object.union(one, {"other": {"policy": "one", "connection": "*", "grant": "on-request", "ttl": "5m"}})
	decision := decide(sending(harmless.begin), bindings, {"one": {"statement": {}}})
	decision.effect == "allow"
	decision.binding == null
}

test_harmless_still_needs_a_binding if {
	decide(sending(harmless.begin), {}, {}).effect == "deny"
}

test_harmless_can_be_denied if {
	decision := decide(sending(harmless.set), two, {"one": {}, "two": {"statement": {"deny": {"no settings"}}}})
	messages(decision) == {"no settings"}
}

test_not_harmless[what] if {
	some what, statement in {
		"role": {"kind": "set", "class": "setting", "setting": {"name": "role"}},
		"session_authorization": {"kind": "set", "class": "setting", "setting": {"name": "session_authorization"}},
		"row_security": {"kind": "set", "class": "setting", "setting": {"name": "row_security"}},
		"unnamed setting": {"kind": "set", "class": "setting"},
		"reset all": {"kind": "reset", "class": "setting", "setting": {"name": "all"}},
		"fetch": {"kind": "fetch", "class": "read"},
		"with a call": {
			"kind": "set",
			"class": "setting",
			"setting": {"name": "application_name"},
			"functions": [{"id": "pg_catalog.query_to_xml", "volatility": "volatile"}],
		},
		"with a table": {
			"kind": "show",
			"class": "setting",
			"tables": [{"id": "public.t", "schema": "public", "name": "t", "kind": "table", "access": ["read"]}],
		},
	}
	decision := decide(sending(statement), one, {"one": {"statement": {"allow": true}}})
	decision.effect == "deny"
}

calling(function) := patch([{"op": "add", "path": "/statement/functions/-", "value": function}])

test_ways_around_are_denied[id] if {
	some id, function in {
		"pg_catalog.query_to_xml": {"language": "internal"},
		"pg_catalog.table_to_xmlschema": {"language": "internal"},
		"pg_catalog.ts_stat": {"language": "internal"},
		"pg_catalog.pg_read_file": {"language": "internal"},
		"pg_catalog.lo_get": {"language": "internal"},
		"pg_catalog.pg_terminate_backend": {"language": "internal"},
		"pg_catalog.set_config": {"language": "internal"},
		"extensions.dblink_exec": {"language": "c"},
		"public.crosstab": {"language": "c", "volatility": "stable"},
		"app.price": {"language": "sql"},
		"app.total": {"language": "internal", "kind": "aggregate"},
		"app.definer": {"language": "c", "security_definer": true},
		"app.new_id": {"language": "c", "volatility": "volatile"},
		"app.unsaid": {},
	}
	[schema, name] := split(id, ".")
	called := object.union({"id": id, "schema": schema, "name": name, "volatility": "immutable"}, function)
	decision := decide(calling(called), one, {"one": {"statement": {"allow": true}}})
	decision.effect == "deny"
	some reason in decision.reasons
	startswith(reason.message, id)

	# by id alone, as the schema requires no more
	short := object.remove(called, ["schema", "name"])
	decide(calling(short), one, {"one": {"statement": {"allow": true}}}).effect == "deny"

	trusting := {"one": {"statement": {"allow": true, "trusted_functions": {id}}}}
	decide(calling(called), one, trusting).effect == "allow"
}

test_ordinary_functions_are_not[id] if {
	some id, function in {
		"pg_catalog.lower": {"language": "internal"},
		"pg_catalog.pg_get_expr": {"language": "internal", "volatility": "stable"},
		"pg_catalog.age": {"language": "sql"},
		"information_schema._pg_truetypid": {"language": "sql"},
		"public.similarity": {"language": "c"},
		"public.citext": {"language": "internal"},
		"app.price": {"language": "sql", "transparent": true},
	}
	[schema, name] := split(id, ".")
	called := object.union({"id": id, "schema": schema, "name": name, "volatility": "immutable"}, function)
	decide(calling(called), one, {"one": {"statement": {"allow": true}}}).effect == "allow"
}

test_code_is_denied_unless_trusted_by_kind[kind] if {
	some kind, named in {
		"create_function": "create function",
		"create_procedure": "create procedure",
		"alter_function": "alter function",
		"create_aggregate": "create aggregate",
		"create_operator": "create operator",
		"create_cast": "create cast",
		"create_trigger": "create trigger",
		"create_rule": "create rule",
		"create_event_trigger": "create event trigger",
		"create_transform": "create transform",
	}
	doc := patch([
		{"op": "replace", "path": "/statement/kind", "value": kind},
		{"op": "replace", "path": "/statement/class", "value": "schema"},
	])
	decision := decide(doc, one, {"one": {"statement": {"allow": true}}})
	decision.effect == "deny"
	some reason in decision.reasons
	reason.message == $"{named} makes code that runs unseen"
	contains(reason.hint, $"statement.trusted_kinds contains \"{kind}\"")
	reason.rule == "sallyport/code"

	other := {"one": {"statement": {"allow": true, "trusted_kinds": {"create_table"}}}}
	decide(doc, one, other).effect == "deny"
	unbound := {"one": {"statement": {"allow": true}}, "two": {"statement": {"trusted_kinds": {kind}}}}
	decide(doc, one, unbound).effect == "deny"
	trusting := {"one": {"statement": {"allow": true, "trusted_kinds": {kind}}}}
	decide(doc, one, trusting).effect == "allow"
	malformed := {"one": {"statement": {"allow": true, "trusted_kinds": [kind]}}}
	decide(doc, one, malformed).effect == "deny"
}

test_schema_changes_that_are_no_code[kind] if {
	some kind in ["create_table", "alter_table", "create_index", "create_view", "create_domain", "drop", "comment"]
	doc := patch([{"op": "replace", "path": "/statement/kind", "value": kind}])
	decide(doc, one, {"one": {"statement": {"allow": true}}}).effect == "allow"
}

reading(name, more) := patch([{"op": "add", "path": "/statement/tables/-", "value": object.union(
	{
		"id": $"pg_catalog.{name}",
		"schema": "pg_catalog",
		"name": name,
		"kind": "table",
		"access": ["read"],
	},
	more,
)}])

test_telling_relations_are_denied[name] if {
	some name in ["pg_stats", "pg_statistic", "pg_authid", "pg_shadow", "pg_stat_activity", "pg_user_mapping", "pg_largeobject"]
	decision := decide(reading(name, {}), one, {"one": {"statement": {"allow": true}}})
	decision.effect == "deny"

	# also through a view of one's own, but not through PostgreSQL's
	decide(reading(name, {"via": "public.v"}), one, {"one": {"statement": {"allow": true}}}).effect == "deny"
	decide(reading(name, {"via": "pg_catalog.pg_roles"}), one, {"one": {"statement": {"allow": true}}}).effect == "allow"

	trusting := {"one": {"statement": {"allow": true, "trusted_relations": {$"pg_catalog.{name}"}}}}
	decide(reading(name, {}), one, trusting).effect == "allow"
}

test_telling_columns_are_denied if {
	doc := patch([{"op": "add", "path": "/statement/columns/-", "value": {
		"id": "pg_catalog.pg_attribute.attmissingval",
		"table": "pg_catalog.pg_attribute",
		"name": "attmissingval",
		"uses": ["projected"],
	}}])
	decision := decide(doc, one, {"one": {"statement": {"allow": true}}})
	messages(decision) == {"pg_catalog.pg_attribute.attmissingval holds what rows have in a column that was added later"}
	trusting := {"one": {"statement": {"allow": true, "trusted_relations": {"pg_catalog.pg_attribute"}}}}
	decide(doc, one, trusting).effect == "allow"
}

test_settings_that_show_masks_are_denied if {
	showing := {"one": {"statement": {"allow": true}}}
	decide(printing("set"), standing, showing).effect == "deny"
	decide(printing("show"), standing, showing).effect == "allow"
}

printing(kind) := sending({"kind": kind, "class": "setting", "setting": {"name": "debug_print_plan"}})

standing := {"one": {"policy": "one", "connection": "*", "grant": "standing"}}

test_the_catalog_is_readable[name] if {
	some name in ["pg_class", "pg_attribute", "pg_roles", "pg_settings", "pg_statistic_ext", "pg_stat_user_tables"]
	decide(reading(name, {}), one, {"one": {"statement": {"allow": true}}}).effect == "allow"
}

test_pg_stat_statements_is_denied_anywhere if {
	doc := reading("pg_stat_statements", {"schema": "public", "id": "public.pg_stat_statements"})
	decide(doc, one, {"one": {"statement": {"allow": true}}}).effect == "deny"
}

test_approval_by_nobody_is_no_approval if {
	decision := decide(agent, one, {"one": {"statement": {"allow": true, "require_approval": {"ask"}}}})
	decision.effect == "deny"
	messages(decision) == {"this needs approval, and nobody is named who could give it"}
}

test_misspelt_limit_is_not_lost if {
	decision := decide(agent, one, {"one": {"statement": {"allow": true, "limits": {"row": 5}}}})
	messages(decision) == {"statement.limits.row is not understood: there are rows, bytes and duration"}
}

test_missing_grant_is_no_grant if {
	doc := patch([{"op": "remove", "path": "/grant"}])
	decide(doc, one, {"one": {"statement": {"allow": true}}}).effect == "deny"
}

test_no_binding_no_access if {
	decide(agent, {}, {"one": {"statement": {"allow": true}}}).effect == "deny"
}

test_incomplete_analysis_is_denied_unless_accepted if {
	doc := patch([{"op": "replace", "path": "/statement/analysis/complete", "value": false}])
	decide(doc, one, {"one": {"statement": {"allow": true}}}).effect == "deny"
	decide(doc, one, {"one": {"statement": {"allow": true, "opaque": true}}}).effect == "allow"
}

test_no_estimate_is_denied_unless_accepted if {
	doc := patch([{"op": "add", "path": "/statement/unestimated", "value": "COPY is not planned"}])
	decision := decide(doc, one, {"one": {"statement": {"allow": true}}})
	decision.effect == "deny"
	messages(decision) == {"there is no estimate of what the select would touch: COPY is not planned"}
	{reason.rule | some reason in decision.reasons} == {"sallyport/estimate"}

	decide(doc, one, {"one": {"statement": {"allow": true, "without_estimate": true}}}).effect == "allow"
	unbound := {"one": {"statement": {"allow": true}}, "two": {"statement": {"without_estimate": true}}}
	decide(doc, one, unbound).effect == "deny"
}

test_boolean_deny_is_not_lost if {
	decision := decide(agent, one, {"one": {"statement": {"allow": true, "deny": true}}})
	decision.effect == "deny"
}

test_unknown_mask_is_not_lost if {
	decision := decide(agent, one, {"one": {"statement": {
		"allow": true,
		"mask": {{"column": "public.t.c", "with": "blur"}},
	}}})
	decision.effect == "deny"
}

test_missing_policy_is_denied if {
	decision := decide(agent, two, {"one": {"statement": {"allow": true}}})
	messages(decision) == {"bound, but no such policy is loaded"}
}

test_limits_are_the_lowest if {
	decision := decide(agent, two, {
		"one": {"statement": {"allow": true, "limits": {"rows": 10, "duration": "1m"}}},
		"two": {"statement": {"limits": {"rows": 500, "duration": "30s"}}},
	})
	decision.limits == {"rows": 10, "duration": "30s"}
}

filter(table) := {"table": table, "where": "data.policy.one.rows.t"}

test_filters_of_all_policies_hold if {
	decision := decide(agent, two, {
		"one": {"statement": {"allow": true, "filter": {filter("public.t"), filter("public.other")}}},
		"two": {"statement": {"filter": {{"table": "public.t", "where": {"column": "c", "eq": 1}}}}},
		"three": {"statement": {"filter": {{"table": "public.t", "where": {"column": "c", "eq": 3}}}}},
	})
	decision.effect == "allow"
	decision.filters == {
		{"policy": "one", "table": "public.t", "where": "data.policy.one.rows.t"},
		{"policy": "two", "table": "public.t", "where": {"column": "c", "eq": 1}},
	}
}

test_no_filters if {
	decide(agent, one, {"one": {"statement": {"allow": true}}}).filters == set()
}

test_filters_that_are_not_understood_deny[why] if {
	some why, said in {
		"no set": filter("public.t"),
		"an array": [filter("public.t")],
		"SQL": {{"table": "public.t", "where": "tenant = 1"}},
		"a slip": {{"table": "public.t", "were": "data.policy.one.rows.t"}},
		"of another table": {{"table": "public.other", "where": true}},
	}
	decide(agent, one, {"one": {"statement": {"allow": true, "filter": said}}}).effect == "deny"
}

# Whether writes may tell of a masked column is every policy's to say that masks it.
test_written_takes_all[why] if {
	some why, [first, second, written] in {
		"nobody": [{}, {}, set()],
		"one of two": [{"written": true}, {}, set()],
		"both": [{"written": true}, {"written": true}, {"public.t.c"}],
		"not": [{"written": true}, {"written": false}, set()],
	}
	decision := decide(agent, two, {
		"one": {"statement": {"allow": true, "mask": {object.union({"column": "public.t.c", "with": "redact"}, first)}}},
		"two": {"statement": {"mask": {object.union({"column": "public.t.c", "with": "null"}, second)}}},
	})
	decision.masks == {"public.t.c": {"null": {}}}
	decision.written == written
}

test_written_is_not_guessed if {
	decision := decide(agent, one, {"one": {"statement": {
		"allow": true,
		"mask": {{"column": "public.t.c", "with": "redact", "written": "yes"}},
	}}})
	decision.effect == "deny"
}
