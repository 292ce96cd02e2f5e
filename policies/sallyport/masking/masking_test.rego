package sallyport.masking_test

import data.sallyport.masking

strictest(masks) := masking.strictest({masking.normalize({"column": "c", "with": how}) | some how in masks}).c

test_strictest[why] if {
	some why, [want, masks] in {
		"null over all": [{"null": {}}, {"null", "redact", "hash", "email"}],
		"redact over hash": [{"redact": {}}, {"redact", "hash"}],
		"partial over numbers' masks": [{"partial": {}}, {"partial", {"round": {"digits": -1}}, {"truncate": {"unit": "day"}}}],
		"fewer letters": [{"partial": {"keep_last": 2}}, {{"partial": {"keep_last": 2}}, {"partial": {"keep_last": 4}}}],
		"both ends count": [
			{"partial": {"keep_last": 3}},
			{{"partial": {"keep_last": 3}}, {"partial": {"keep_first": 2, "keep_last": 2}}},
		],
		"coarser number": [{"round": {"digits": -3}}, {{"round": {"digits": -1}}, {"round": {"digits": -3}}, "round"}],
		"coarser date": [{"truncate": {"unit": "decade"}}, {{"truncate": {"unit": "month"}}, {"truncate": {"unit": "decade"}}, "truncate"}],
		"truncate over round": [{"truncate": {"digits": -1}}, {{"round": {"digits": -3}}, {"truncate": {"digits": -1}}}],
	}
	strictest(masks) == want
}

test_not_understood[why] if {
	some why, how in {
		"unknown": "blur",
		"two at once": {"redact": {}, "hash": {}},
		"none": {},
		"no arguments": {"partial": 4},
		"no unit of time": {"truncate": {"unit": "fortnight"}},
	}
	not masking.normalize({"column": "c", "with": how})
}

test_column_must_be_an_id if not masking.normalize({"column": 1, "with": "redact"})
