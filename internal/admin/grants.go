package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/grant"
	"github.com/sallyport/sallyport/internal/identity"
	"github.com/sallyport/sallyport/proxy"
)

// GrantRequest is the body with which a window is asked for.
type GrantRequest struct {
	Connection string `json:"connection"`
	Reason     string `json:"reason"`
	TTL        string `json:"ttl,omitempty"`     // a duration such as 30m; "": as long as the binding allows
	Binding    string `json:"binding,omitempty"` // "": whichever applies
}

// requestGrant answers 201 with a new window, open or waiting for a person, and 200
// with the one that is there already.
func (a *API) requestGrant(w http.ResponseWriter, r *http.Request, by *identity.Principal) (int, any, *Fault) {
	var ask GrantRequest
	if fault := readBody(w, r, &ask); fault != nil {
		return 0, nil, fault
	}
	var ttl time.Duration
	if ask.TTL != "" {
		var err error
		if ttl, err = time.ParseDuration(ask.TTL); err != nil || ttl <= 0 {
			return 0, nil, invalid("ttl %q is not a duration such as 30m", VisibleLine(ask.TTL))
		}
	}
	switch {
	case ask.Connection == "":
		return 0, nil, invalid("connection is missing: name the database the window is for")
	case strings.TrimSpace(ask.Reason) == "":
		return 0, nil, invalid("reason is missing: say what the access is for")
	}
	u, ok := a.Server.Upstream(ask.Connection)
	if !ok {
		return 0, nil, &Fault{status: http.StatusNotFound, Word: "not_found", Message: "there is no connection " + strconv.Quote(ask.Connection),
			Hint: "Ask the operators for the name of the connection, which is also the database name that clients give."}
	}
	asked := a.Services.Now().Round(0)
	g, refusal := a.Services.RequestWindow(r.Context(), u, by, ask.Binding, ask.Reason, ttl)
	if refusal != nil {
		return 0, nil, refusedWindow(refusal)
	}
	if g.RequestedAt.Before(asked) {
		return http.StatusOK, showGrant(&g), nil
	}
	return http.StatusCreated, showGrant(&g), nil
}

// refusedWindow says over HTTP what a session would be told.
func refusedWindow(refusal *proxy.Refusal) *Fault {
	f := &Fault{status: http.StatusForbidden, Word: "denied", Message: refusal.Message, Hint: refusal.Hint, DecisionID: refusal.Detail.DecisionID}
	if refusal.Detail.Rule == "sallyport/binding" { // the end of its hint is for SQL clients
		choice, _, _ := strings.Cut(f.Hint, "connect with options")
		if choice = strings.TrimRight(choice, "; "); choice != "" {
			choice += ". "
		}
		f.Hint = choice + "Name it: \"binding\" in the body, --binding on the command line."
	}
	if refusal.Detail.Rule == "sallyport/one-window" {
		f.status, f.Word = http.StatusConflict, "conflict"
	}
	if refusal.Detail.Retryable {
		f.status, f.Word = http.StatusServiceUnavailable, "unavailable"
	}
	return f
}

func (a *API) listGrants(_ http.ResponseWriter, r *http.Request, by *identity.Principal) (int, any, *Fault) {
	q, fault := query(r, "state", "connection", "limit")
	if fault != nil {
		return 0, nil, fault
	}
	limit, fault := limitOf(q["limit"])
	if fault != nil {
		return 0, nil, fault
	}
	f := grant.Filter{Connection: q["connection"], Limit: limit}
	for _, s := range []grant.State{grant.Requested, grant.Pending, grant.Active, grant.Refused, grant.Expired, grant.Revoked, grant.Ended} {
		if q["state"] == string(s) {
			f.States = []grant.State{s}
		}
	}
	if q["state"] != "" && f.States == nil {
		return 0, nil, invalid("state %q is none of requested, pending, active, refused, expired, revoked, ended", VisibleLine(q["state"]))
	}
	if by.Kind != identity.KindUser {
		f.PrincipalKey = by.Key()
	}
	list, err := a.Services.Grants.List(r.Context(), f)
	if err != nil {
		return 0, nil, a.unavailable(err, "windows not listed")
	}
	list = slices.DeleteFunc(list, func(g grant.Grant) bool { return !sees(by, g.Principal, g.Approvers) })
	out := []Grant{}
	for i := range list {
		// The store may have as active what has just come to its end.
		if f.States == nil || slices.Contains(f.States, list[i].State) {
			out = append(out, showGrant(&list[i]))
		}
	}
	return http.StatusOK, map[string]any{"grants": out}, nil
}

func (a *API) getGrant(_ http.ResponseWriter, r *http.Request, by *identity.Principal) (int, any, *Fault) {
	g, fault := a.grant(r, by)
	if fault != nil {
		return 0, nil, fault
	}
	return http.StatusOK, showGrant(&g), nil
}

// grant finds the window a request is about. One that somebody may not see is not
// there, for them.
func (a *API) grant(r *http.Request, by *identity.Principal) (grant.Grant, *Fault) {
	g, err := a.Services.Grants.Get(r.Context(), r.PathValue("id"))
	switch {
	case err != nil && !errors.Is(err, grant.ErrNotFound):
		return g, a.unavailable(err, "window not read")
	case err != nil, !sees(by, g.Principal, g.Approvers):
		return g, &Fault{status: http.StatusNotFound, Word: "not_found", Message: "there is no window " + VisibleLine(r.PathValue("id"))}
	}
	return g, nil
}

type ending struct {
	Reason string `json:"reason"`
}

func (a *API) revokeGrant(w http.ResponseWriter, r *http.Request, by *identity.Principal) (int, any, *Fault) {
	g, fault := a.grant(r, by)
	switch {
	case fault != nil:
		return 0, nil, fault
	case !mayRevoke(&g, by) && len(g.Approvers) > 0:
		return 0, nil, &Fault{status: http.StatusForbidden, Word: "denied", Message: g.ID + " can be revoked by " + strings.Join(visibleAll(g.Approvers), ", "),
			Hint: "Ask one of them; whose window it is can end it."}
	case !mayRevoke(&g, by):
		return 0, nil, &Fault{status: http.StatusForbidden, Word: "denied", Message: g.ID + " can be revoked by people only", Hint: "Whose window it is can end it."}
	}
	return a.closeGrant(w, r, &g, by, a.Services.Grants.Revoke)
}

func (a *API) endGrant(w http.ResponseWriter, r *http.Request, by *identity.Principal) (int, any, *Fault) {
	g, fault := a.grant(r, by)
	switch {
	case fault != nil:
		return 0, nil, fault
	case !mayEnd(&g, by):
		return 0, nil, &Fault{status: http.StatusForbidden, Word: "denied", Message: g.ID + " is the window of " + VisibleLine(g.Principal.String()) + ", who alone can end it",
			Hint: "Revoke it instead, if you are one of its approvers."}
	}
	return a.closeGrant(w, r, &g, by, a.Services.Grants.End)
}

func (a *API) closeGrant(w http.ResponseWriter, r *http.Request, g *grant.Grant, by *identity.Principal,
	shut func(ctx context.Context, id, actor, why string) (grant.Grant, error)) (int, any, *Fault) {
	var why ending
	if fault := readBody(w, r, &why); fault != nil {
		return 0, nil, fault
	}
	if fault := tooLong("reason", why.Reason); fault != nil {
		return 0, nil, fault
	}
	// A revocation that has begun is carried out, though nobody waits for the answer.
	closed, err := shut(context.WithoutCancel(r.Context()), g.ID, signature(by), why.Reason)
	switch {
	case errors.Is(err, grant.ErrState):
		return 0, nil, &Fault{status: http.StatusConflict, Word: "conflict", Message: g.ID + " is " + string(closed.State) + " already"}
	case err != nil && closed.State.Open():
		return 0, nil, a.unavailable(err, "window not closed")
	case err != nil: // it is shut; the record or the store follows
		a.Log.Error().Err(err).Str("grant", g.ID).Msg("window closed, and that is not recorded yet")
	}
	return http.StatusOK, showGrant(&closed), nil
}

// unavailable tells operators what happened and the caller that something did.
func (a *API) unavailable(err error, what string) *Fault {
	a.Log.Error().Err(err).Str("component", "admin").Msg(what)
	return &Fault{status: http.StatusServiceUnavailable, Word: "unavailable", Message: "the state or the record cannot be reached now",
		Hint: "Try again once the operators have seen to it; /readyz says what is wrong."}
}

const (
	defaultLimit = 100
	maxLimit     = 1000
	maxComment   = 4096 // bytes
)

func limitOf(text string) (int, *Fault) {
	if text == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return 0, invalid("limit %q is not between 1 and %d", VisibleLine(text), maxLimit)
	}
	return n, nil
}

func tooLong(what, text string) *Fault {
	if len(text) > maxComment {
		return invalid("%s is longer than %d bytes", what, maxComment)
	}
	return nil
}
