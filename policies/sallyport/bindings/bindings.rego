# METADATA
# title: Bindings
# description: |
#   Which policies apply. A binding is plain data, one document per binding below
#   data.bindings. One that names a connection and a kind of grant opens that
#   connection to whom it says, and a grant is opened under exactly one of these.
#   One that does not adds its policies to every grant it applies to.
# schemas:
#   - input: schema.input
package sallyport.bindings

import data.sallyport.identity

# METADATA
# description: Names of the bindings under which the caller could open a grant.
offered contains name if {
	some name, candidate in data.bindings
	opens(candidate)
}

# METADATA
# scope: document
# description: There is a binding under which the caller could open a grant.
default any_offered := false

any_offered if {
	some candidate in data.bindings
	opens(candidate)
}

opens(candidate) if {
	candidate.grant in kinds
	candidate.connection
	applies(candidate)
}

# METADATA
# scope: document
# description: Name of the binding in use, the one asked for or else the only one offered.
selected := input.grant.binding if {
	opens(data.bindings[input.grant.binding])
} else := name if {
	not input.grant.binding
	count(offered) == 1
	some name in offered
}

# METADATA
# description: The binding in use.
binding := data.bindings[selected]

# METADATA
# scope: document
# description: Policies to ask, by package name.
policies contains package_name(policy) if some policy in as_set(binding.policy)

policies contains package_name(policy) if {
	some other in data.bindings
	not other.grant
	applies(other)
	some policy in as_set(other.policy)
}

# METADATA
# scope: document
# description: Why no binding is in use, and what to do about it.
unselected := {
	"message": $"no binding opens {input.connection.name} to {who}",
	"hint": "ask those who keep the policies to bind one to this connection for you; trying again changes nothing",
	"rule": "sallyport/binding",
} if {
	not selected
	count(offered) == 0
} else := {
	"message": $"the binding {input.grant.binding} does not open {input.connection.name} to {who}",
	"hint": $"choose one of those that do: {concat(", ", offered)}; {how_to_choose}",
	"rule": "sallyport/binding",
} if {
	not selected
	input.grant.binding
} else := {
	"message": $"name the binding to use: {concat(", ", offered)}",
	"hint": how_to_choose,
	"rule": "sallyport/binding",
} if {
	not selected
}

how_to_choose := "connect with options='-c sallyport.binding=NAME'"

default who := "you"

who := input.identity.name

# METADATA
# scope: document
# description: |
#   What is wrong with bindings, by name. A misspelled key would otherwise lift the
#   restriction it was meant to be.
malformed contains {"binding": name, "message": message} if {
	some name, other in data.bindings
	some message in faults(other)
}

faults(other) := union({
	{$"unknown key {key}" | some key in (object.keys(other) - keys)},
	{"policy is missing" | not other.policy},
	{"grant is none of standing, on-request, approval" |
		other.grant
		not other.grant in kinds
	},
	{"a grant needs a connection" |
		other.grant
		not other.connection
	},
	{"a just-in-time grant needs a ttl" |
		other.grant in {"on-request", "approval"}
		not other.ttl
	},
})

keys := {
	"approvers",
	"connection",
	"grant",
	"groups",
	"issuers",
	"policy",
	"record",
	"subjects",
	"ttl",
}

kinds := {"standing", "on-request", "approval"}

# Policies are named as people write them; packages cannot contain a hyphen.
package_name(policy) := replace(policy, "-", "_")

applies(candidate) if {
	by_connection(candidate)
	by_issuer(candidate)
	by_group(candidate)
	by_subject(candidate)
}

by_connection(candidate) if not candidate.connection

by_connection(candidate) if {
	some pattern in as_set(candidate.connection)
	glob.match(pattern, [], input.connection.name)
}

by_issuer(candidate) if not candidate.issuers

by_issuer(candidate) if input.identity.issuer in as_set(candidate.issuers)

by_group(candidate) if not candidate.groups

by_group(candidate) if identity.in_any_group(as_set(candidate.groups))

by_subject(candidate) if not candidate.subjects

by_subject(candidate) if input.identity.subject in as_set(candidate.subjects)

as_set(x) := {x} if is_string(x)

as_set(x) := {y | some y in x} if is_array(x)
