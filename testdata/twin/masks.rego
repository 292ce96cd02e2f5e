package policy.open_door

session.allow := true

statement.allow := true

masks := {
	"app.customers.email": "email",
	"app.customers.phone": {"partial": {"keep_last": 3}},
	"app.customers.ssn": "redact",
	"app.customers.points": {"round": {"digits": -1}},
	"app.customers.balance": {"truncate": {"digits": 0}},
	"app.customers.born": {"truncate": {"unit": "year"}},
	"app.customers.seen": {"truncate": {"unit": "month"}},
	"app.customers.tags": "null",
	"app.customers.prefs": "redact",
	"app.customers.ref": {"replace": {"value": "00000000-0000-0000-0000-000000000000"}},
	"app.customers.label": "null",
	"app.orders.email": "redact",
	"app.orders.note": {"partial": {"keep_first": 2}},
	"app.visits.who": {"hash": {"salt": "salt", "length": 12}},
	"app.events.secret": "redact",
	"app.events.amount": {"round": {"digits": -1}},
	"app.people.secret": {"partial": {"keep_first": 1}},
	"app.staff.pay": "null",
	`"Odd Schema"."Odd Table"."naïve Col"`: "redact",
}

statement.mask contains {"column": column, "with": with_} if {
	some column, with_ in masks
}
