package policy.leaks

session.allow := true

statement.allow := true

statement.deny contains "personnel files are closed" if {
	some table in input.statement.tables
	table.schema == "hr"
}

statement.trusted_functions contains "shop.touch"

statement.mask contains {"column": column, "with": mask} if some column, mask in masks

masks := {
	"shop.customers.email": "email",
	"shop.customers.phone": {"partial": {"keep_last": 4}},
	"shop.customers.ssn": "redact",
	"shop.customers.nick": {"hash": {"salt": "s4lt", "length": 16}},
	"shop.customers.birth": {"truncate": {"unit": "year"}},
	"shop.customers.credit_limit": {"round": {"digits": -3}},
	"shop.customers.loyalty": {"round": {"digits": -2}},
	"shop.customers.visits": "null",
	"shop.customers.score": {"truncate": {"digits": 0}},
	"shop.customers.last_seen": {"truncate": {"unit": "month"}},
	"shop.customers.tier": "null",
	"shop.customers.contact": "email",
	"shop.customers.address": "null",
	"shop.customers.tags": "redact",
	"shop.customers.prefs": "redact",
	"shop.customers.avatar": "null",
	"shop.customers.token": {"replace": {"value": "00000000-0000-0000-0000-000000000000"}},
	"shop.customers.last_ip": "redact",
	"shop.customers.password_hash": {"replace": {"value": "x"}},
	"shop.products.cost": "null",
	"shop.orders.note": "redact",
	"shop.payments.card": {"partial": {"keep_last": 4}},
	"shop.payments.holder": {"partial": {"keep_first": 1}},
	"shop.cards.number": {"partial": {"keep_last": 4}},
	"shop.card_uses.number": {"partial": {"keep_last": 4}},
	"shop.bookings.during": "null",
	"shop.bookings.guest": "redact",
	"shop.documents.body": "redact",
	"shop.documents.search": "null",
	"shop.jobs.payload": "redact",
	"crm.contacts.work_email": "email",
	"crm.contacts.notes": {"replace": {"value": "-"}},
	"crm.contacts.rating": "null",
	"crm.subscribers.email": "email",
	"crm.people.secret": "redact",
	"crm.staff.badge": {"partial": {"keep_first": 1}},
}
