// Package grant keeps the windows that are open.
package grant

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/approval"
)

// State is where a window stands. Only Active lets anything through.
type State string

// A window goes requested → (pending →) active → expired, revoked or ended; before
// it is active it can be refused, and expire. No state is ever left backwards.
const (
	Requested State = "requested" // kept, not yet asked for or opened
	Pending   State = "pending"   // waits for a person
	Active    State = "active"
	Refused   State = "refused"
	Expired   State = "expired" // the time was over, or nobody decided in time
	Revoked   State = "revoked" // taken away
	Ended     State = "ended"   // given back
)

// open are the states in which a window takes its principal's place at a connection.
var open = []State{Requested, Pending, Active}

// Open reports whether the window is open or may yet be opened.
func (s State) Open() bool { return slices.Contains(open, s) }

// The modes of a binding.
const (
	ModeStanding  = "standing"   // no window is needed: there is nothing to request
	ModeOnRequest = "on-request" // opens at once
	ModeApproval  = "approval"   // opens when a person approves
)

// Grant is one window of one principal at one connection.
type Grant struct {
	ID         string         `json:"id"`
	Principal  approval.Party `json:"principal"`
	Connection string         `json:"connection"`
	Binding    string         `json:"binding"`
	Reason     string         `json:"reason"` // the principal's own words
	Mode       string         `json:"mode"`
	Revision   string         `json:"revision,omitempty"` // of the policy that let it be requested
	Record     bool           `json:"record,omitempty"`

	State        State         `json:"state"`
	RequestedTTL time.Duration `json:"requested_ttl,omitempty"`
	TTL          time.Duration `json:"ttl"`
	RequestedAt  time.Time     `json:"requested_at"`
	OpenedAt     time.Time     `json:"opened_at,omitzero"`
	ExpiresAt    time.Time     `json:"expires_at,omitzero"` // absolute; of a window not yet open, when it stops waiting
	ClosedAt     time.Time     `json:"closed_at,omitzero"`

	ApprovalID string   `json:"approval,omitempty"`
	Approvers  []string `json:"approvers,omitempty"`
	ApprovedBy string   `json:"approved_by,omitempty"`
	Actor      string   `json:"actor,omitempty"` // who made the last transition
	Cause      string   `json:"cause,omitempty"` // why it ended

	// Unrecorded: it was closed, and the audit log has yet to be told.
	Unrecorded bool `json:"-"`
}

// Terms are what the policy grants, as decided for this principal now.
type Terms struct {
	Binding       string
	Mode          string
	TTL           time.Duration // the longest the window may be
	NeedsApproval bool
	Approvers     []string
	MaxWait       time.Duration // how long it may wait for a person; 0: Config.MaxWait
	Record        bool
	Revision      string
	Reasons       []string // of the policy, shown to the approver
}

func (t Terms) check(connection string) error {
	switch t.Mode {
	case ModeOnRequest, ModeApproval:
	case ModeStanding:
		return explain(ErrInvalid, "binding %s of %s is standing: no window is needed", t.Binding, connection)
	default:
		return explain(ErrInvalid, "binding %s of %s has mode %q: must be standing, on-request or approval", t.Binding, connection, t.Mode)
	}
	if t.TTL <= 0 {
		return explain(ErrInvalid, "binding %s of %s has no ttl, and a window must have an end: set ttl", t.Binding, connection)
	}
	return nil
}

// What a caller may have to tell apart. Errors of this package wrap one of them and
// are sentences that say what to do.
var (
	ErrNotFound    = errors.New("no such window")
	ErrAlreadyOpen = errors.New("there is a window already")
	ErrState       = errors.New("the window does not allow that now")
	ErrNotApproved = errors.New("not approved")
	ErrInvalid     = errors.New("no window can be opened")
)

// Filter selects windows; empty fields select all.
type Filter struct {
	States       []State
	PrincipalKey string
	Connection   string
	Unrecorded   bool // only those the audit log has yet to be told of
	Limit        int
}

// Event is a transition, for the audit log.
type Event struct {
	Type  string // as in the audit log: grant.requested, grant.activated…
	Grant Grant  // after the transition
	Actor string
	Cause string
}

// Store keeps windows durably.
type Store interface {
	// CreateGrant keeps a new window, unless the principal has one in an open state at
	// the connection: that one is returned, with ErrAlreadyOpen. record is called
	// before it counts; its error is returned and nothing is kept.
	CreateGrant(ctx context.Context, g Grant, record func() error) (Grant, error)
	// MoveGrant compares and sets: if the window is in one of the states, change is
	// applied to it and kept, unless change returns an error. If it is in another,
	// the window as it stands is returned with ErrState. change must not use the store.
	MoveGrant(ctx context.Context, id string, from []State, change func(*Grant) error) (Grant, error)
	// Grant returns ErrNotFound if there is none.
	Grant(ctx context.Context, id string) (Grant, error)
	// Grants lists, newest first.
	Grants(ctx context.Context, f Filter) ([]Grant, error)
}

func newID() string { return "g-" + strings.ToLower(rand.Text()[:12]) }

func explain(kind error, format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{kind}, args...)...)
}
