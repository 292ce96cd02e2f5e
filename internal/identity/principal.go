package identity

import (
	"net/url"
	"time"
)

// The kinds of principal.
const (
	KindWorkload = "workload" // software: an agent, a service, a CI job; also software that acts for a person
	KindUser     = "user"     // a person
)

// Principal is who a verified token says its bearer is. It is shared between sessions that present the same token: read only.
type Principal struct {
	Issuer    string // name in the configuration
	IssuerURL string // iss as the token has it
	Tenant    string
	Subject   string // stable within issuer and tenant
	Kind      string // workload or user

	Known bool   // in the registry of workloads, under this kind
	Name  string // in the registry; empty when not known, so that no claim can take the name of somebody known
	Owner string // in the registry
	// DisplayName is what the issuer calls the subject. It is for people to read and never for deciding.
	DisplayName string

	Groups         []string
	GroupsComplete bool // false: the issuer had more groups than fit into the token
	Roles          []string
	Scopes         []string
	OnBehalfOf     *OnBehalfOf

	IssuedAt time.Time // zero if the issuer does not say (SPIFFE may not)
	// ExpiresAt is the moment from which the token is not accepted here any more: its exp with the configured leeway, or the
	// end of the greatest age allowed for the issuer, whichever comes first.
	ExpiresAt time.Time
	TokenID   string
	Claims    map[string]any // as signed; numbers are json.Number
}

// OnBehalfOf is the person or workload for whom the principal acts, of the same issuer and tenant.
type OnBehalfOf struct{ Subject, Name string }

// Key says who the principal is: equal keys are the same party, whatever token is presented.
func (p *Principal) Key() string { return key(p.Issuer, p.Tenant, p.Subject) }

// OnBehalfOfKey is the Key of the party for whom the principal acts, empty if it acts for itself.
func (p *Principal) OnBehalfOfKey() string {
	if p.OnBehalfOf == nil {
		return ""
	}
	return key(p.Issuer, p.Tenant, p.OnBehalfOf.Subject)
}

// Expired reports whether the token of the principal has ceased to be accepted. Nobody is always expired.
func (p *Principal) Expired(now time.Time) bool { return p == nil || !now.Before(p.ExpiresAt) }

// key escapes the slash in its parts, so that no two different parties share one.
func key(issuer, tenant, subject string) string {
	return url.PathEscape(issuer) + "/" + url.PathEscape(tenant) + "/" + url.PathEscape(subject)
}
