// Package approval holds what waits for a person.
package approval

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/identity"
)

// State is where a request stands. The zero value permits nothing.
type State string

// Pending is the only state from which a person decides, and Approved the only one
// that permits anything, once.
const (
	Pending   State = "pending"
	Approved  State = "approved"
	Refused   State = "refused"
	Withdrawn State = "withdrawn" // nobody waits for it any more
	Expired   State = "expired"   // the deadline passed before it was decided or used
	Consumed  State = "consumed"  // used
)

// Kind is what is asked for.
type Kind string

// Kinds of request.
const (
	Grant     Kind = "grant"     // a window
	Statement Kind = "statement" // one statement
)

// Party is somebody, as kept and shown.
type Party struct {
	Key        string `json:"key"` // identity.Principal.Key: the only field that decides who it is
	Issuer     string `json:"issuer"`
	Tenant     string `json:"tenant,omitempty"`
	Subject    string `json:"subject"`
	Name       string `json:"name,omitempty"`
	Kind       string `json:"kind,omitempty"`
	OnBehalfOf string `json:"on_behalf_of,omitempty"` // Key of the party it acts for
}

// PartyOf is the party a principal is. Nobody's Party is empty.
func PartyOf(p *identity.Principal) Party {
	if p == nil {
		return Party{}
	}
	name := p.Name
	if name == "" {
		name = p.DisplayName
	}
	return Party{
		Key: p.Key(), Issuer: p.Issuer, Tenant: p.Tenant, Subject: p.Subject,
		Name: name, Kind: p.Kind, OnBehalfOf: p.OnBehalfOfKey(),
	}
}

// String is what people read.
func (p Party) String() string {
	if p.Name != "" {
		return p.Name
	}
	return p.Subject
}

// Request is something that waits for a person, and what became of it.
type Request struct {
	ID        string `json:"id"`
	Kind      Kind   `json:"kind"`
	State     State  `json:"state"`
	Requester Party  `json:"requester"`

	Connection string `json:"connection"`
	Database   string `json:"database,omitempty"`
	SessionID  string `json:"session,omitempty"`
	GrantID    string `json:"grant,omitempty"`
	DecisionID string `json:"decision_id,omitempty"`
	Binding    string `json:"binding,omitempty"`

	Statement string   `json:"statement,omitempty"` // the exact text: hostile input to whoever shows it
	Reason    string   `json:"reason,omitempty"`    // the requester's
	Reasons   []string `json:"reasons,omitempty"`   // the policy's
	Relations []string `json:"relations,omitempty"`
	Masks     []string `json:"masks,omitempty"`

	Approvers []string `json:"approvers"` // group:NAME, subject:SUBJECT, or a subject or registry name
	BindHash  string   `json:"bind_hash"` // of everything the verdict is good for

	CreatedAt time.Time `json:"created_at"`
	Deadline  time.Time `json:"deadline"` // for the verdict, and for its use
	DecidedBy Party     `json:"decided_by,omitzero"`
	DecidedAt time.Time `json:"decided_at,omitzero"`
	Comment   string    `json:"comment,omitempty"` // the approver's; or why it was withdrawn

	// Unrecorded: it was closed, and the audit log has yet to be told.
	Unrecorded bool `json:"-"`
}

// Overdue reports whether the request can no longer be decided or used at the time.
func (r *Request) Overdue(now time.Time) bool {
	return (r.State == Pending || r.State == Approved) && !now.Before(r.Deadline)
}

// What a caller may have to tell apart. Errors of this package wrap one of them and
// are sentences that say what to do.
var (
	ErrNotFound    = errors.New("no such approval request")
	ErrNotPending  = errors.New("no longer waiting")
	ErrNotApproved = errors.New("not approved")
	ErrSelf        = errors.New("nobody approves their own request")
	ErrNotApprover = errors.New("not an approver of this request")
	ErrBinding     = errors.New("approved for something else")
	ErrNoApprovers = errors.New("nobody could approve this")
	ErrInvalid     = errors.New("not a request")
)

// Filter selects requests; empty fields select all.
type Filter struct {
	State        State
	Kind         Kind
	Connection   string
	RequesterKey string
	GrantID      string
	SessionID    string
	Unrecorded   bool // only those the audit log has yet to be told of
	Limit        int
}

// Event is a transition, for the audit log.
type Event struct {
	Type    string // as in the audit log: approval.requested, approval.approved…
	Request Request
	Actor   Party // zero: sallyport itself
	Cause   string
}

// Store keeps requests durably.
type Store interface {
	// CreateApproval keeps a new request. record is called before it counts; its
	// error is returned and nothing is kept.
	CreateApproval(ctx context.Context, r Request, record func() error) error
	// MoveApproval compares and sets: if the request is in one of the states, change
	// is applied to it and kept, unless change returns an error. If it is in another,
	// the request as it stands is returned with ErrNotPending. change must not use
	// the store.
	MoveApproval(ctx context.Context, id string, from []State, change func(*Request) error) (Request, error)
	// Approval returns ErrNotFound if there is none.
	Approval(ctx context.Context, id string) (Request, error)
	// Approvals lists, newest first.
	Approvals(ctx context.Context, f Filter) ([]Request, error)
}

// mayDecide says whether a principal may decide a request: nil, or an error that
// wraps ErrSelf or ErrNotApprover.
func mayDecide(r *Request, by *identity.Principal) error {
	if by == nil || by.Subject == "" {
		return explain(ErrNotApprover, "%s can be decided by %s, and this verdict comes from nobody", r.ID, strings.Join(r.Approvers, ", "))
	}
	own := []string{r.Requester.Key}
	if r.Requester.OnBehalfOf != "" {
		own = append(own, r.Requester.OnBehalfOf)
	}
	// Neither the requester, nor whom it acts for, nor anything that acts for either.
	if slices.Contains(own, by.Key()) || by.OnBehalfOf != nil && slices.Contains(own, by.OnBehalfOfKey()) {
		return explain(ErrSelf, "%s is asked for by or for %s; one of %s has to decide", r.ID, PartyOf(by), strings.Join(r.Approvers, ", "))
	}
	for _, a := range r.Approvers {
		if Names(a, by) {
			return nil
		}
	}
	if by.Kind != identity.KindUser {
		return explain(ErrNotApprover, "%s can be decided by %s; %s is software, and a group stands for the people in it", r.ID, strings.Join(r.Approvers, ", "), PartyOf(by))
	}
	if !by.GroupsComplete {
		return explain(ErrNotApprover, "%s can be decided by %s; the token of %s does not carry all of its groups, ask the issuer for a token with fewer or filtered groups", r.ID, strings.Join(r.Approvers, ", "), PartyOf(by))
	}
	return explain(ErrNotApprover, "%s can be decided by %s", r.ID, strings.Join(r.Approvers, ", "))
}

// Names reports whether a form in which policies and bindings name approvers names
// the principal. A group stands for the people in it: software decides only where
// it is named itself.
func Names(form string, p *identity.Principal) bool {
	if name, ok := strings.CutPrefix(form, "group:"); ok {
		return name != "" && p.Kind == identity.KindUser && slices.Contains(p.Groups, name)
	}
	if subject, ok := strings.CutPrefix(form, "subject:"); ok {
		return subject != "" && subject == p.Subject
	}
	return form != "" && (form == p.Subject || form == p.Name)
}

func newID() string { return "a-" + strings.ToLower(rand.Text()[:12]) }
