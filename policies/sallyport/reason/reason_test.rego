package sallyport.reason_test

import data.sallyport.reason

test_string if reason.normalize("p", "no") == {"policy": "p", "message": "no"}

test_object if reason.normalize("p", {"message": "no", "hint": "yes"}) == {"policy": "p", "message": "no", "hint": "yes"}

test_a_policy_cannot_speak_for_another if {
	reason.normalize("p", {"message": "no", "policy": "q"}) == {"policy": "p", "message": "no"}
}

test_nothing_is_lost[said] if {
	some said in [7, {"mesage": "no"}, ["no"], null]
	reason.normalize("p", said) == {"policy": "p", "message": json.marshal(said)}
}
