package proxy

import (
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/internal/identity"
	"github.com/sallyport/sallyport/rego"
)

// input is what the policies are told besides the statement.
func (g *gate) input(j *job) *rego.Input {
	p := g.principal
	in := &rego.Input{
		Version: 1, Phase: rego.PhaseStatement, Time: rego.At(g.Now()),
		Identity: regoIdentity(p),
		Connection: rego.Connection{Name: g.upstream.Name, Host: g.upstream.host, Database: g.upstream.database,
			Labels: g.upstream.Labels},
		Session: rego.Session{ID: g.id, StartedAt: stamp(g.started), Application: g.application,
			ClientAddress: g.client, Statements: int(g.statements.Load())},
		Grant: g.regoGrant(),
	}
	if j != nil {
		in.Session.SearchPath = j.path
		in.Session.Transaction = &rego.Transaction{Status: txWord(j.tx, j.working)}
		if j.release != nil {
			in.Approval = j.release.input()
		}
	}
	return in
}

func txWord(tx byte, working bool) string {
	switch {
	case tx == txFailed:
		return "failed"
	case tx == txIdle && !working:
		return "idle"
	default:
		return "open"
	}
}

func regoIdentity(p *identity.Principal) rego.Identity {
	id := rego.Identity{
		Issuer: p.Issuer, Tenant: p.Tenant, Subject: p.Subject, Name: p.Name, Kind: p.Kind, Known: p.Known,
		Groups: orEmpty(p.Groups), GroupsComplete: p.GroupsComplete, Roles: p.Roles, Scopes: p.Scopes,
		Token:  &rego.Token{IssuedAt: stamp(p.IssuedAt), ExpiresAt: stamp(p.ExpiresAt)},
		Claims: p.Claims,
	}
	if id.Claims == nil {
		id.Claims = map[string]any{}
	}
	if p.OnBehalfOf != nil {
		id.OnBehalfOf = &rego.OnBehalfOf{Subject: p.OnBehalfOf.Subject, Name: p.OnBehalfOf.Name}
	}
	return id
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func asError(err error, target any) bool { return errors.As(err, target) }
