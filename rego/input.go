// Package rego decides, by Rego policies reloaded while it runs, what may be done.
package rego

import (
	"strings"
	"time"
)

//go:generate go test -count=1 -run ^TestInputSchema$ . -args -update

// Phases of an Input.
const (
	PhaseSession   = "session"   // a connection is opened, a grant is asked for
	PhaseStatement = "statement" // a statement is about to run
)

// Input is the document a policy is evaluated against. `statement` and `approval`
// are present only while a statement is decided.
//
// The JSON Schema in schemas/input.json is generated from these types: field
// comments become its descriptions, `omitempty` makes a field optional, `enum`
// lists its words. No literal, no bind value and no token ever is in here.
type Input struct {
	Version    int            `json:"version" const:"1"`
	Phase      string         `json:"phase" enum:"session,statement"`
	Time       Time           `json:"time"`
	Identity   Identity       `json:"identity"`
	Connection Connection     `json:"connection"`
	Grant      *Grant         `json:"grant,omitempty"`
	Session    Session        `json:"session"`
	Approval   *Approval      `json:"approval,omitempty"`
	Statement  *Statement     `json:"statement,omitempty"`
	Row        map[string]any `json:"row,omitempty"` // a row of a table by column, in rules below policy.NAME.rows only
}

// Time is the proxy's clock when the decision was asked for. Prefer it to
// time.now_ns(): decisions then replay exactly and can be cached.
type Time struct {
	NowNS   int64  `json:"now_ns"`
	RFC3339 string `json:"rfc3339" format:"date-time"`
	Weekday string `json:"weekday,omitempty" enum:"monday,tuesday,wednesday,thursday,friday,saturday,sunday"`
	Hour    int    `json:"hour" optional:"true" minimum:"0" maximum:"23"` // hour of the day, UTC
}

// At is the Time of a moment.
func At(t time.Time) Time {
	t = t.UTC()
	return Time{
		NowNS:   t.UnixNano(),
		RFC3339: t.Format(time.RFC3339),
		Weekday: strings.ToLower(t.Weekday().String()),
		Hour:    t.Hour(),
	}
}

// Identity is the verified principal.
type Identity struct {
	Issuer         string         `json:"issuer"` // name of the issuer in the proxy's configuration, not the claim
	Tenant         string         `json:"tenant,omitempty"`
	Subject        string         `json:"subject"`
	Name           string         `json:"name,omitempty"` // name in the registry of known identities; absent when unknown
	Kind           string         `json:"kind" enum:"workload,user"`
	Known          bool           `json:"known" optional:"true"` // listed in the registry of known non-human identities
	Groups         []string       `json:"groups"`
	GroupsComplete bool           `json:"groups_complete" optional:"true"` // false on an unresolved Entra groups overage
	Roles          []string       `json:"roles,omitempty"`
	Scopes         []string       `json:"scopes,omitempty"`
	OnBehalfOf     *OnBehalfOf    `json:"on_behalf_of,omitempty"`
	Token          *Token         `json:"token,omitempty"`
	Claims         map[string]any `json:"claims"` // verified claims as the issuer sent them
}

// OnBehalfOf is the person or workload the caller acts for.
type OnBehalfOf struct {
	Subject string `json:"subject,omitempty"`
	Name    string `json:"name,omitempty"`
}

// Token says when the caller's token was issued and runs out; never what it is.
type Token struct {
	IssuedAt  string `json:"issued_at,omitempty" format:"date-time"`
	ExpiresAt string `json:"expires_at,omitempty" format:"date-time"`
}

// Connection is the configured connection the caller came for.
type Connection struct {
	Name     string            `json:"name"`
	Host     string            `json:"host,omitempty"`
	Database string            `json:"database"`
	Labels   map[string]string `json:"labels,omitempty"`
}

// Grant is the just-in-time window the statement runs in; the proxy enforces its
// expiry whatever the policy says.
type Grant struct {
	ID           string          `json:"id,omitempty"`
	Binding      string          `json:"binding,omitempty"` // name of the binding the grant was opened under, or is asked for under
	State        string          `json:"state" enum:"none,requested,pending,active,refused,expired,revoked,ended"`
	Reason       string          `json:"reason,omitempty"`
	RequestedTTL string          `json:"requested_ttl,omitempty"` // a Go duration: 30m
	OpenedAt     string          `json:"opened_at,omitempty" format:"date-time"`
	ExpiresAt    string          `json:"expires_at,omitempty" format:"date-time"`
	Approvals    []GrantApproval `json:"approvals,omitempty"`
}

// GrantApproval is one yes to opening the window.
type GrantApproval struct {
	Approver string `json:"approver,omitempty"`
	At       string `json:"at,omitempty" format:"date-time"`
}

// Session is the client's connection to the proxy.
type Session struct {
	ID            string       `json:"id"`
	StartedAt     string       `json:"started_at,omitempty" format:"date-time"`
	Application   string       `json:"application,omitempty"`
	ClientAddress string       `json:"client_address,omitempty"`
	Statements    int          `json:"statements" optional:"true"` // statements sent so far
	SearchPath    []string     `json:"search_path,omitempty"`
	Transaction   *Transaction `json:"transaction,omitempty"`
}

// Transaction is the transaction the session is in.
type Transaction struct {
	Status    string `json:"status,omitempty" enum:"idle,open,failed"`
	ReadOnly  bool   `json:"read_only" optional:"true"`
	Isolation string `json:"isolation,omitempty"`
}

// Approval is set when a paused statement is decided again after an approver answered.
type Approval struct {
	ID       string   `json:"id,omitempty"`
	State    string   `json:"state" enum:"approved,refused,timeout"`
	Approver string   `json:"approver,omitempty"`
	Groups   []string `json:"groups,omitempty"` // groups of the approver
	At       string   `json:"at,omitempty" format:"date-time"`
	Comment  string   `json:"comment,omitempty"`
}
