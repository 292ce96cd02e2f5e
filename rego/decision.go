package rego

import (
	"encoding/json"
	"time"
)

// Effect is what becomes of a statement or a session. The zero value refuses.
type Effect string

// The effects there are. Everything else refuses.
const (
	Deny            Effect = "deny"
	RequireApproval Effect = "require_approval"
	Mask            Effect = "mask"
	Allow           Effect = "allow"
)

// Refuses reports whether nothing may run: denied, zero, or a word nobody knows.
func (e Effect) Refuses() bool {
	switch e {
	case RequireApproval, Mask, Allow:
		return false
	default:
		return true
	}
}

// StatementDecision is what the policies say about one statement. It is shared by
// everyone who asked the same question: do not change it.
type StatementDecision struct {
	Effect   Effect
	Reasons  []Reason                // of a denial or of a request for approval; sorted
	Masks    map[string]MaskFunction // by column id
	Filters  map[string][]Filter     // by table id; a row is shown that satisfies all of its table's
	Limits   Limits
	Approval *ApprovalTerms // set exactly when Effect is RequireApproval
	Record   bool
	Binding  string // name of the binding in use, "" for none
	Policies []string
	Rules    []string // `rule` labels of the rules that spoke, sorted

	// NeedsEstimate tells that a policy in force refers to input.statement.estimate.
	NeedsEstimate bool

	Generation uint64
	Revision   string
}

// SessionDecision is what the policies say about opening a connection or a grant.
// It is shared: do not change it.
type SessionDecision struct {
	Effect   Effect // never Mask
	Reasons  []Reason
	Grant    *GrantTerms // nil exactly when denied
	Binding  string
	Policies []string
	Rules    []string

	Generation uint64
	Revision   string
}

// Reason is one thing a policy said.
type Reason struct {
	Policy    string
	Message   string
	Hint      string   // what to do instead, where the policy knows
	Approvers []string // of a request for approval
	MaxWait   string
	Rule      string // id of the rule, where the policy gives it
}

// MaskFunction is how a column is masked, and with which arguments: strings,
// booleans, int64 and float64.
type MaskFunction struct {
	Name string
	Args map[string]any
	// Written: writes may tell of the values, by what constraints say.
	Written bool
}

// Limits bound what one statement may yield. Nil and zero: no limit.
type Limits struct {
	Rows, Bytes *int64
	Duration    time.Duration
}

// ApprovalTerms say who has to agree and how long that may take.
type ApprovalTerms struct {
	Approvers []string
	MaxWait   time.Duration
}

// Modes of GrantTerms.
const (
	ModeStanding  = "standing"
	ModeOnRequest = "on-request"
	ModeApproval  = "approval"
)

// GrantTerms are the terms a grant is opened on.
type GrantTerms struct {
	Mode       string        // one of the modes
	TTL        time.Duration // zero only for standing access without one
	Record     bool
	Approvers  []string
	Privileges json.RawMessage // a JSON array, as the policies say it
}
