package sallyport.masking_test

import data.sallyport.masking

strictest(masks) := masking.strictest({masking.normalize({"column": "c", "with": how}) | some how in masks}).c

test_strictest[why] if {
	some why, [want, masks] in {
		"null over all": [{"null": {}}, {"null", "redact", "hash", "email"}],
		"redact over hash": [{"redact": {}}, {"redact", "hash"}],
		"partial over numbers' masks": [{"partial": {}}, {"partial", {"round": {"to": 10}}, {"truncate": {"to": "day"}}}],
		"fewer letters": [{"partial": {"keep_last": 2}}, {{"partial": {"keep_last": 2}}, {"partial": {"keep_last": 4}}}],
		"both ends count": [
			{"partial": {"keep_last": 3}},
			{{"partial": {"keep_last": 3}}, {"partial": {"keep_first": 2, "keep_last": 2}}},
		],
		"coarser number": [{"round": {"to": 1000}}, {{"round": {"to": 10}}, {"round": {"to": 1000}}}],
		"coarser date": [{"truncate": {"to": "year"}}, {{"truncate": {"to": "month"}}, {"truncate": {"to": "year"}}}],
		"truncate over round": [{"truncate": {"to": 10}}, {{"round": {"to": 1000}}, {"truncate": {"to": 10}}}],
	}
	strictest(masks) == want
}

test_not_understood[why] if {
	some why, how in {
		"unknown": "blur",
		"two at once": {"redact": {}, "hash": {}},
		"none": {},
		"no arguments": {"partial": 4},
	}
	not masking.normalize({"column": "c", "with": how})
}

test_column_must_be_an_id if not masking.normalize({"column": 1, "with": "redact"})
