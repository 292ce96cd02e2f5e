package admin

import (
	"slices"

	"github.com/sallyport/sallyport/internal/approval"
	"github.com/sallyport/sallyport/internal/grant"
	"github.com/sallyport/sallyport/internal/identity"
)

// Who may do what is said here, but for verdicts: those are approval.Keeper's.

// sees reports whether the principal may see what somebody has asked for: what is
// its own, what it is named to decide, and, for a person, what goes on in its own
// directory, since people watch over what workloads do. A workload has no business
// in what others do, and neither has another directory's person.
func sees(by *identity.Principal, whose approval.Party, approvers []string) bool {
	return mySide(whose, by) ||
		by.Kind == identity.KindUser && whose.Issuer == by.Issuer && whose.Tenant == by.Tenant ||
		named(approvers, by)
}

func named(approvers []string, by *identity.Principal) bool {
	return slices.ContainsFunc(approvers, func(form string) bool { return approval.Names(form, by) })
}

// mySide reports whether a party is the principal, or acts for it.
func mySide(p approval.Party, by *identity.Principal) bool {
	return p.Key == by.Key() || p.OnBehalfOf != "" && p.OnBehalfOf == by.Key()
}

// mayRevoke: those who could approve a window take it away again. Where nobody is
// named (a window that opens by itself), any person of the same directory may, since
// somebody must be able to; no workload ever may, unless it is named.
func mayRevoke(g *grant.Grant, by *identity.Principal) bool {
	if len(g.Approvers) == 0 {
		return by.Kind == identity.KindUser && g.Principal.Issuer == by.Issuer && g.Principal.Tenant == by.Tenant
	}
	return named(g.Approvers, by)
}

// mayEnd: whose window it is gives it back.
func mayEnd(g *grant.Grant, by *identity.Principal) bool { return mySide(g.Principal, by) }

// signature is how somebody is written down as having done something: by what they
// are called, and by the subject wherever that is something else, since anybody may
// be called anything.
func signature(by *identity.Principal) string {
	name := approval.PartyOf(by).String()
	if name == by.Subject {
		return name
	}
	return name + " (" + by.Subject + ")"
}
