package admin

import (
	"errors"
	"net/http"
	"slices"

	"github.com/sallyport/sallyport/internal/approval"
	"github.com/sallyport/sallyport/internal/identity"
)

var approvalStates = []approval.State{approval.Pending, approval.Approved, approval.Refused, approval.Withdrawn, approval.Expired, approval.Consumed}

func (a *API) listApprovals(_ http.ResponseWriter, r *http.Request, by *identity.Principal) (int, any, *Fault) {
	q, fault := query(r, "state", "kind", "connection", "limit")
	if fault != nil {
		return 0, nil, fault
	}
	limit, fault := limitOf(q["limit"])
	if fault != nil {
		return 0, nil, fault
	}
	f := approval.Filter{State: approval.State(q["state"]), Kind: approval.Kind(q["kind"]), Connection: q["connection"], Limit: limit}
	if f.State != "" && !slices.Contains(approvalStates, f.State) {
		return 0, nil, invalid("state %q is none of pending, approved, refused, withdrawn, expired, consumed", VisibleLine(q["state"]))
	}
	if f.Kind != "" && f.Kind != approval.Grant && f.Kind != approval.Statement {
		return 0, nil, invalid("kind %q is neither grant nor statement", VisibleLine(q["kind"]))
	}
	if by.Kind != identity.KindUser {
		f.RequesterKey = by.Key()
	}
	list, err := a.Services.Approvals.List(r.Context(), f)
	if err != nil {
		return 0, nil, a.unavailable(err, "requests for approval not listed")
	}
	list = slices.DeleteFunc(list, func(r approval.Request) bool { return !sees(by, r.Requester, r.Approvers) })
	out := []Approval{}
	for i := range list {
		out = append(out, showApproval(&list[i]))
	}
	return http.StatusOK, map[string]any{"approvals": out}, nil
}

func (a *API) getApproval(_ http.ResponseWriter, r *http.Request, by *identity.Principal) (int, any, *Fault) {
	id := r.PathValue("id")
	found, err := a.Services.Approvals.Get(r.Context(), id)
	switch {
	case err != nil && !errors.Is(err, approval.ErrNotFound):
		return 0, nil, a.unavailable(err, "request for approval not read")
	case err != nil, !sees(by, found.Requester, found.Approvers):
		return 0, nil, noApproval(id)
	}
	return http.StatusOK, showApproval(&found), nil
}

func noApproval(id string) *Fault {
	return &Fault{status: http.StatusNotFound, Word: "not_found", Message: "there is no request for approval " + VisibleLine(id)}
}

func (a *API) approve(w http.ResponseWriter, r *http.Request, by *identity.Principal) (int, any, *Fault) {
	return a.decide(w, r, by, true)
}

func (a *API) refuse(w http.ResponseWriter, r *http.Request, by *identity.Principal) (int, any, *Fault) {
	return a.decide(w, r, by, false)
}

type comment struct {
	Comment string `json:"comment"`
}

// decide passes a verdict on to the keeper, which knows who may give it.
func (a *API) decide(w http.ResponseWriter, r *http.Request, by *identity.Principal, approve bool) (int, any, *Fault) {
	var c comment
	if fault := readBody(w, r, &c); fault != nil {
		return 0, nil, fault
	}
	if fault := tooLong("comment", c.Comment); fault != nil {
		return 0, nil, fault
	}
	id := r.PathValue("id")
	decided, err := a.Services.Approvals.Decide(r.Context(), id, by, approve, c.Comment)
	if err != nil && (approve || decided.State != approval.Refused || isVerdictError(err)) {
		return 0, nil, a.verdictFault(id, err)
	}
	if err != nil { // it is refused; the record follows
		a.Log.Error().Err(err).Str("approval", id).Msg("request refused, and that is not recorded yet")
	}
	out := Verdict{Approval: showApproval(&decided)}
	g, err := a.Services.Grants.Settle(r.Context(), decided)
	if err != nil { // it is tried again within a second
		a.Log.Error().Err(err).Str("approval", id).Msg("window not brought in line with its verdict yet")
	}
	if g.ID != "" {
		shown := showGrant(&g)
		out.Window = &shown
	}
	return http.StatusOK, out, nil
}

func isVerdictError(err error) bool {
	return errors.Is(err, approval.ErrNotFound) || errors.Is(err, approval.ErrNotPending) ||
		errors.Is(err, approval.ErrSelf) || errors.Is(err, approval.ErrNotApprover)
}

// verdictFault tells why a verdict is not taken. The keeper's errors are sentences
// made for whoever decides.
func (a *API) verdictFault(id string, err error) *Fault {
	f := &Fault{status: http.StatusForbidden, Word: "denied", Message: VisibleLine(err.Error())}
	switch {
	case errors.Is(err, approval.ErrNotFound):
		return noApproval(id)
	case errors.Is(err, approval.ErrNotPending):
		f.status, f.Word = http.StatusConflict, "conflict"
	case errors.Is(err, approval.ErrSelf):
		f.Word, f.Hint = "own_request", "Somebody else has to look at it."
	case errors.Is(err, approval.ErrNotApprover):
		f.Word = "not_an_approver"
	default:
		return a.unavailable(err, "verdict not taken")
	}
	return f
}
