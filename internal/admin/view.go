package admin

import (
	"time"

	"github.com/sallyport/sallyport/internal/approval"
	"github.com/sallyport/sallyport/internal/grant"
)

// What is shown of what is kept. Every text that somebody else wrote is Visible.

// Party is somebody.
type Party struct {
	Issuer  string `json:"issuer,omitempty"`
	Tenant  string `json:"tenant,omitempty"`
	Subject string `json:"subject,omitempty"`
	Name    string `json:"name,omitempty"`
	Kind    string `json:"kind,omitempty"`
}

// String is what people read.
func (p Party) String() string {
	if p.Name != "" {
		return p.Name
	}
	return p.Subject
}

// Grant is a window.
type Grant struct {
	ID           string    `json:"id"`
	State        string    `json:"state"`
	Principal    Party     `json:"principal"`
	Connection   string    `json:"connection"`
	Binding      string    `json:"binding"`
	Mode         string    `json:"mode"`
	Reason       string    `json:"reason"`
	RequestedTTL string    `json:"requested_ttl,omitempty"`
	TTL          string    `json:"ttl"`
	RequestedAt  time.Time `json:"requested_at"`
	OpenedAt     time.Time `json:"opened_at,omitzero"`
	ExpiresAt    time.Time `json:"expires_at,omitzero"` // of a window that waits: when it stops waiting
	ClosedAt     time.Time `json:"closed_at,omitzero"`
	Approval     string    `json:"approval,omitempty"`
	Approvers    []string  `json:"approvers,omitempty"`
	ApprovedBy   string    `json:"approved_by,omitempty"`
	Actor        string    `json:"actor,omitempty"`
	Cause        string    `json:"cause,omitempty"`
}

// Approval is a request for approval.
type Approval struct {
	ID         string `json:"id"`
	Kind       string `json:"kind"` // grant or statement
	State      string `json:"state"`
	Requester  Party  `json:"requester"`
	Connection string `json:"connection"`
	Database   string `json:"database,omitempty"`
	Session    string `json:"session,omitempty"`
	Grant      string `json:"grant,omitempty"`
	DecisionID string `json:"decision_id,omitempty"`
	Binding    string `json:"binding,omitempty"`

	Statement string `json:"statement,omitempty"`
	// Escaped: the statement holds characters that cannot be seen, written as
	// escapes here. Honest statements hardly ever do.
	Escaped   bool     `json:"escaped,omitempty"`
	Reason    string   `json:"reason,omitempty"`
	Reasons   []string `json:"reasons,omitempty"`
	Relations []string `json:"relations,omitempty"`
	Masks     []string `json:"masks,omitempty"`

	Approvers []string  `json:"approvers"`
	CreatedAt time.Time `json:"created_at"`
	Deadline  time.Time `json:"deadline"`
	DecidedBy *Party    `json:"decided_by,omitempty"`
	DecidedAt time.Time `json:"decided_at,omitzero"`
	Comment   string    `json:"comment,omitempty"`
}

// Verdict is a request that was decided, with the window it was for.
type Verdict struct {
	Approval
	Window *Grant `json:"window,omitempty"`
}

func showParty(p approval.Party) Party {
	return Party{Issuer: p.Issuer, Tenant: VisibleLine(p.Tenant), Subject: VisibleLine(p.Subject), Name: VisibleLine(p.Name), Kind: p.Kind}
}

func showGrant(g *grant.Grant) Grant {
	out := Grant{
		ID: g.ID, State: string(g.State), Principal: showParty(g.Principal), Connection: g.Connection, Binding: VisibleLine(g.Binding),
		Mode: g.Mode, Reason: VisibleLine(g.Reason), TTL: g.TTL.String(), RequestedAt: g.RequestedAt, OpenedAt: g.OpenedAt,
		ExpiresAt: g.ExpiresAt, ClosedAt: g.ClosedAt, Approval: g.ApprovalID, Approvers: visibleAll(g.Approvers),
		ApprovedBy: VisibleLine(g.ApprovedBy), Actor: VisibleLine(g.Actor), Cause: VisibleLine(g.Cause),
	}
	if g.RequestedTTL > 0 {
		out.RequestedTTL = g.RequestedTTL.String()
	}
	return out
}

func showApproval(r *approval.Request) Approval {
	out := Approval{
		ID: r.ID, Kind: string(r.Kind), State: string(r.State), Requester: showParty(r.Requester), Connection: r.Connection,
		Database: r.Database, Session: r.SessionID, Grant: r.GrantID, DecisionID: r.DecisionID, Binding: VisibleLine(r.Binding),
		Statement: Visible(r.Statement), Reason: VisibleLine(r.Reason), Reasons: visibleAll(r.Reasons),
		Relations: visibleAll(r.Relations), Masks: visibleAll(r.Masks), Approvers: visibleAll(r.Approvers),
		CreatedAt: r.CreatedAt, Deadline: r.Deadline, DecidedAt: r.DecidedAt, Comment: VisibleLine(r.Comment),
	}
	out.Escaped = out.Statement != r.Statement
	if r.DecidedBy.Key != "" {
		by := showParty(r.DecidedBy)
		out.DecidedBy = &by
	}
	return out
}
