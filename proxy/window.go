package proxy

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/grant"
	"github.com/sallyport/sallyport/internal/identity"
	"github.com/sallyport/sallyport/rego"
)

// window is the principal's open window on this connection. Where the client
// named a binding, a window under another one is none.
func (g *gate) window() (grant.Grant, bool) {
	w, open := g.Grants.Active(g.principal.Key(), g.upstream.Name)
	if !open || (g.binding != "" && w.Binding != g.binding) {
		return grant.Grant{}, false
	}
	return w, true
}

// closes is the window that is open and when it closes, zero for standing access.
func (g *gate) closes() (grant.Grant, time.Time) {
	w, open := g.window()
	if !open {
		return grant.Grant{}, time.Time{}
	}
	return w, w.ExpiresAt
}

// regoGrant is the window as policies see it.
func (g *gate) regoGrant() *rego.Grant {
	w, open := g.window()
	if !open {
		return &rego.Grant{State: "none", Binding: g.binding}
	}
	return regoGrant(w)
}

func regoGrant(w grant.Grant) *rego.Grant {
	out := &rego.Grant{ID: w.ID, Binding: w.Binding, State: string(w.State), Reason: w.Reason,
		OpenedAt: stamp(w.OpenedAt), ExpiresAt: stamp(w.ExpiresAt)}
	if w.RequestedTTL > 0 {
		out.RequestedTTL = w.RequestedTTL.String()
	}
	if w.ApprovedBy != "" {
		out.Approvals = []rego.GrantApproval{{Approver: w.ApprovedBy, At: stamp(w.OpenedAt)}}
	}
	return out
}

// howToAsk is said wherever a window is missing.
const howToAsk = "Ask for a window: SELECT sallyport.request('why you need it'); or reconnect with options='-c sallyport.reason=why\\ you\\ need\\ it'."

// explainClosed tells why there is no window and what to do about it.
func (g *gate) explainClosed(r *Refusal) {
	last, err := g.Grants.List(context.Background(), grant.Filter{PrincipalKey: g.principal.Key(), Connection: g.upstream.Name, Limit: 1})
	r.Detail.Retryable = true
	r.Hint = howToAsk
	if err != nil || len(last) == 0 {
		r.Message = "no window is open on " + g.upstream.Name
		return
	}
	w := last[0]
	r.Detail.Grant, r.Detail.Approval = w.ID, w.ApprovalID
	switch w.State {
	case grant.Pending, grant.Requested:
		r.Message = "window " + w.ID + " on " + g.upstream.Name + " waits for approval by " + strings.Join(w.Approvers, " or ")
		r.Hint = "Wait until it is approved (SELECT * FROM sallyport.status()), then send the statement again."
	case grant.Active: // under another binding than the one this session named
		r.Message = "window " + w.ID + " on " + g.upstream.Name + " was opened under binding " + w.Binding + ", not " + g.binding
	case grant.Refused:
		r.Message = "window " + w.ID + " on " + g.upstream.Name + " was refused"
		if w.Cause != "" {
			r.Message += ": " + w.Cause
		}
	default:
		r.Message = "window " + w.ID + " on " + g.upstream.Name + " is closed: it " + past(w.State) + " at " + clock(closedAt(w))
	}
}

func past(s grant.State) string {
	switch s {
	case grant.Revoked:
		return "was revoked"
	case grant.Ended:
		return "was ended"
	default:
		return "expired"
	}
}

func closedAt(w grant.Grant) time.Time {
	if w.ClosedAt.IsZero() {
		return w.ExpiresAt
	}
	return w.ClosedAt
}

// windowClosing is what is told when the window closes on a running statement.
func (g *gate) windowClosing(w grant.Grant) *Refusal {
	return &Refusal{Code: codeCancelled, Message: "the statement was cancelled: window " + w.ID + " closed at " + clock(w.ExpiresAt),
		Hint: howToAsk, Detail: Detail{Grant: w.ID, Effect: "expired", Retryable: true}}
}

// otherWindow labels the refusal of a window because one is open under another
// binding.
const otherWindow = "sallyport/one-window"

// RequestWindow asks for a window for a principal: by policy it opens at once or
// waits for a person. Asking while one is open returns that one. The refusal says
// why there is none.
func (s *Services) RequestWindow(ctx context.Context, u *Upstream, p *identity.Principal, binding, reason string, ttl time.Duration) (grant.Grant, *Refusal) {
	in := &rego.Input{Version: 1, Phase: rego.PhaseSession, Time: rego.At(s.Now()), Identity: regoIdentity(p),
		Connection: rego.Connection{Name: u.Name, Host: u.host, Database: u.database, Labels: u.Labels},
		Session:    rego.Session{ID: "request"},
		Grant:      &rego.Grant{State: "requested", Binding: binding, Reason: reason}}
	if ttl > 0 {
		in.Grant.RequestedTTL = ttl.String()
	}
	d, err := s.Policy.DecideSession(ctx, in)
	if err != nil {
		s.Log.Error().Err(err).Msg("policy failed on a request for a window")
		return grant.Grant{}, policyFailed(err)
	}
	if d.Effect.Refuses() || d.Grant == nil {
		r := sessionDenied(d)
		return grant.Grant{}, s.recordNoWindow(ctx, u, p, reason, d, r)
	}
	terms := grant.Terms{Binding: d.Binding, Mode: d.Grant.Mode, TTL: d.Grant.TTL, Approvers: d.Grant.Approvers,
		NeedsApproval: d.Effect == rego.RequireApproval, Record: d.Grant.Record, Revision: d.Revision}
	for _, r := range d.Reasons {
		terms.Reasons = append(terms.Reasons, r.Message)
	}
	w, err := s.Grants.Request(ctx, p, u.Name, reason, ttl, terms)
	switch {
	case errors.Is(err, grant.ErrAlreadyOpen) && binding != "" && w.Binding != binding:
		return w, &Refusal{Code: codeDenied, Message: "window " + w.ID + " on " + u.Name + " is " + string(w.State) + " under binding " + w.Binding + ", and there can be one at a time",
			Hint: "End it first: SELECT sallyport.end(), or sallyport grants end " + w.ID + ".", Detail: Detail{Grant: w.ID, Rule: otherWindow}}
	case err == nil, errors.Is(err, grant.ErrAlreadyOpen):
		return w, nil
	case terms.Mode == grant.ModeStanding:
		return w, &Refusal{Code: codeDenied, Message: "binding " + d.Binding + " on " + u.Name + " is standing: no window is needed, and there is none to ask for",
			Hint: "Just connect and send your statements."}
	case errors.Is(err, grant.ErrInvalid):
		return w, &Refusal{Code: codeDenied, Message: sentence(err), Hint: "Give a reason, and a duration such as 30 minutes."}
	default:
		s.Log.Error().Err(err).Msg("window not opened")
		return w, &Refusal{Code: codeNoRecord, Message: "the window could not be opened: its request could not be recorded",
			Hint: "Try again once the operators have seen to it.", Detail: Detail{Retryable: true}}
	}
}

// recordNoWindow records that a window was denied, and returns the refusal.
func (s *Services) recordNoWindow(ctx context.Context, u *Upstream, p *identity.Principal, reason string, d *rego.SessionDecision, r *Refusal) *Refusal {
	r.Detail.DecisionID = newID("d")
	rec := &audit.Record{Type: audit.GrantRefused, DecisionID: r.Detail.DecisionID, Identity: auditIdentity(p),
		Connection: u.Name, Database: u.database, Effect: "deny", Reasons: []string{r.Message}, Comment: reason,
		Binding: d.Binding, Revision: d.Revision, Generation: d.Generation}
	if err := s.Audit.Append(ctx, rec, audit.Synced); err != nil {
		s.Log.Error().Err(err).Msg("refusal of a window not recorded")
	}
	return r
}

// sessionDenied turns a denial of a session or window into a refusal.
func sessionDenied(d *rego.SessionDecision) *Refusal {
	r := &Refusal{Code: codeDenied, Detail: Detail{Effect: "deny"}}
	var messages, hints []string
	for _, reason := range d.Reasons {
		messages = append(messages, reason.Message)
		if reason.Hint != "" {
			hints = append(hints, reason.Hint)
		}
		r.Detail.Policy, r.Detail.Rule = reason.Policy, reason.Rule
	}
	r.Message, r.Hint = strings.Join(messages, "; "), strings.Join(hints, " ")
	if r.Message == "" {
		r.Message = "policy does not let you in"
	}
	return r
}

func auditIdentity(p *identity.Principal) audit.Identity {
	return audit.Identity{Issuer: p.Issuer, Tenant: p.Tenant, Subject: p.Subject, Name: p.Name, Kind: p.Kind}
}
