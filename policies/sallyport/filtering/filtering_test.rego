package sallyport.filtering_test

import data.sallyport.filtering

test_well_formed[where] if {
	some where in ["data.policy.a.rows.t", {"column": "c", "eq": 1}]
	filtering.well_formed({"table": "public.t", "where": where})
}

test_not_understood[why] if {
	some why, filter in {
		"no where": {"table": "public.t"},
		"no table": {"where": "data.policy.a.rows.t"},
		"a slip": {"table": "public.t", "were": "data.policy.a.rows.t"},
		"more": {"table": "public.t", "where": "data.policy.a.rows.t", "column": "c"},
		"SQL": {"table": "public.t", "where": "tenant = 1"},
		"a truth": {"table": "public.t", "where": true},
		"many tables": {"table": ["public.t"], "where": "data.policy.a.rows.t"},
		"a table": "public.t",
	}
	not filtering.well_formed(filter)
}
