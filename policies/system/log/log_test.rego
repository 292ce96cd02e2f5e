package system.log.log_test

import data.system.log

test_claims_are_left_out if log.mask == {"/input/identity/claims"}

logged(class, effect) := {
	"path": "sallyport/statement/decision",
	"input": {"statement": {"class": class}},
	"result": {"effect": effect},
}

test_what_reaches_no_data_is_dropped if {
	log.drop with input as logged("transaction", "allow")
	log.drop with input as logged("setting", "allow")
}

test_the_rest_is_logged if {
	not log.drop with input as logged("setting", "deny")
	not log.drop with input as logged("read", "allow")
}
