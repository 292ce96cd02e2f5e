package audit

import "time"

// Version is the version of the record's schema.
const Version = 1

// Type says what happened. The list is closed: Append refuses any other.
type Type string

// What is recorded.
const (
	SessionOpened  Type = "session.opened"
	SessionRefused Type = "session.refused"
	SessionClosed  Type = "session.closed"

	Decision Type = "decision" // before the statement runs, whatever the effect
	Result   Type = "result"   // what became of it

	GrantRequested Type = "grant.requested"
	GrantPending   Type = "grant.pending" // waits for a person
	GrantActivated Type = "grant.activated"
	GrantRefused   Type = "grant.refused"
	GrantExpired   Type = "grant.expired"
	GrantRevoked   Type = "grant.revoked"
	GrantEnded     Type = "grant.ended"

	ApprovalRequested Type = "approval.requested"
	ApprovalApproved  Type = "approval.approved"
	ApprovalRefused   Type = "approval.refused"
	ApprovalWithdrawn Type = "approval.withdrawn"
	ApprovalExpired   Type = "approval.expired"
	ApprovalConsumed  Type = "approval.consumed"
	ApprovalRejected  Type = "approval.rejected" // somebody's verdict was not taken: own request, not an approver

	PolicyLoaded  Type = "policy.loaded"
	PolicyRefused Type = "policy.refused"

	ProxyStarted Type = "proxy.started"
	ProxyStopped Type = "proxy.stopped"

	LogRecovered Type = "log.recovered" // the log itself: a half line cut off, records refused while the disk was full
)

var known = map[Type]bool{
	SessionOpened: true, SessionRefused: true, SessionClosed: true,
	Decision: true, Result: true,
	GrantRequested: true, GrantPending: true, GrantActivated: true, GrantRefused: true,
	GrantExpired: true, GrantRevoked: true, GrantEnded: true,
	ApprovalRequested: true, ApprovalApproved: true, ApprovalRefused: true, ApprovalWithdrawn: true,
	ApprovalExpired: true, ApprovalConsumed: true, ApprovalRejected: true,
	PolicyLoaded: true, PolicyRefused: true, ProxyStarted: true, ProxyStopped: true, LogRecovered: true,
}

// Identity is the principal a record is about.
type Identity struct {
	Issuer  string `json:"issuer,omitempty"`
	Tenant  string `json:"tenant,omitempty"`
	Subject string `json:"subject,omitempty"`
	Name    string `json:"name,omitempty"`
	Kind    string `json:"kind,omitempty"` // workload or user
}

// Estimate is what the planner expected of a statement, where a policy looked at it.
type Estimate struct {
	Rows int64   `json:"rows"`
	Cost float64 `json:"cost"`
}

// Record is one line of the log. Which fields are set depends on the type; a
// field that is empty is not written. No field may hold a token, a secret or a
// bind value.
type Record struct {
	// Set by the log; what a caller puts here is not looked at.
	V    int       `json:"v"`
	Seq  uint64    `json:"seq"`
	Time time.Time `json:"time"`
	Prev string    `json:"prev"` // SHA-256 of the line before, in hex

	Type       Type   `json:"type"`
	Session    string `json:"session,omitempty"`
	DecisionID string `json:"decision_id,omitempty"` // a held statement keeps its decision ID when it is decided again
	Grant      string `json:"grant,omitempty"`
	Approval   string `json:"approval,omitempty"`

	Identity    Identity `json:"identity,omitzero"`
	Connection  string   `json:"connection,omitempty"`
	Database    string   `json:"database,omitempty"`
	Client      string   `json:"client,omitempty"` // address
	Application string   `json:"application,omitempty"`

	// Statement is the text as the client sent it, Normalized the same without
	// literals. Config.Statements decides which of the two becomes the line's
	// "statement"; the exact text is never written in place of a missing
	// normalised one.
	Statement   string `json:"statement,omitempty"`
	Normalized  string `json:"-"`
	Fingerprint string `json:"fingerprint,omitempty"`
	Kind        string `json:"kind,omitempty"`
	Class       string `json:"class,omitempty"`
	Protocol    string `json:"protocol,omitempty"`
	Phase       string `json:"phase,omitempty"` // query, parse, bind, execute

	Effect     string   `json:"effect,omitempty"`
	Reasons    []string `json:"reasons,omitempty"`
	Policy     string   `json:"policy,omitempty"`
	Rule       string   `json:"rule,omitempty"`
	Masks      []string `json:"masks,omitempty"`   // columns masked, schema.table.column
	Filters    []string `json:"filters,omitempty"` // tables of which only some rows were shown, schema.table
	Relations  []string `json:"relations,omitempty"`
	Estimate   Estimate `json:"estimate,omitzero"`
	Binding    string   `json:"binding,omitempty"`
	Revision   string   `json:"revision,omitempty"`
	Generation uint64   `json:"generation,omitempty"`

	Tag        string  `json:"tag,omitempty"`
	Rows       int64   `json:"rows,omitempty"`
	Bytes      int64   `json:"bytes,omitempty"`
	DurationMS float64 `json:"duration_ms,omitempty"`
	SQLState   string  `json:"sqlstate,omitempty"` // the error the client was told

	Actor     string    `json:"actor,omitempty"` // who did it, if not the principal
	Comment   string    `json:"comment,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	TTL       string    `json:"ttl,omitempty"` // 30m0s
	Cause     string    `json:"cause,omitempty"`
	Message   string    `json:"message,omitempty"`
}
