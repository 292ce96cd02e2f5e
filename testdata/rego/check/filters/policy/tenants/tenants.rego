package policy.tenants

statement.allow if input.statement.class == "read"

statement.filter contains {"table": "public.orders", "where": "data.policy.tenants.rows.orders"}

statement.filter contains {"table": "public.notes", "where": "data.policy.tenants.rows.nots"}

statement.filter contains {"table": "public.users", "where": "data.policy.tenants.users"}

statement.filter contains {"table": "public.bills", "were": "data.policy.tenants.rows.orders"}

statement.filter contains {
	"table": "public.carts",
	"where": {"column": "tenant", "eq": input.identity.claims.tenant},
}

rows.orders if input.row.tenant == input.identity.claims.tenant

rows.orders if {
	input.row.region in input.identity.groups
	input.row.total < 100
	every group in input.identity.groups {
		input.row.hidden_from != group
	}
}
