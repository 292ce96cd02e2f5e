package admin

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/approval"
	"github.com/sallyport/sallyport/internal/grant"
	"github.com/sallyport/sallyport/internal/identity"
)

// Who may do what is said here, but for verdicts: those are approval.Keeper's.

// seesAll: people watch over what workloads do; a workload has no business in what
// others do.
func seesAll(by *identity.Principal) bool { return by.Kind == identity.KindUser }

// mySide reports whether a party is the principal, or acts for it.
func mySide(p approval.Party, by *identity.Principal) bool {
	return p.Key == by.Key() || p.OnBehalfOf != "" && p.OnBehalfOf == by.Key()
}

// mayRevoke: those who could approve a window take it away again. Where nobody is
// named (a window that opens by itself), any person may, since somebody must be able
// to; no workload ever may, unless it is named.
func mayRevoke(g *grant.Grant, by *identity.Principal) bool {
	if len(g.Approvers) == 0 {
		return by.Kind == identity.KindUser
	}
	return slices.ContainsFunc(g.Approvers, func(form string) bool { return isNamed(form, by) })
}

// mayEnd: whose window it is gives it back.
func mayEnd(g *grant.Grant, by *identity.Principal) bool { return mySide(g.Principal, by) }

// isNamed reads the forms in which bindings and rules name approvers, as approval
// does: a group stands for the people in it, software is named itself.
func isNamed(form string, p *identity.Principal) bool {
	if name, ok := strings.CutPrefix(form, "group:"); ok {
		return name != "" && p.Kind == identity.KindUser && slices.Contains(p.Groups, name)
	}
	if subject, ok := strings.CutPrefix(form, "subject:"); ok {
		return subject != "" && subject == p.Subject
	}
	return form != "" && (form == p.Subject || form == p.Name)
}

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
