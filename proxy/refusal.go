package proxy

import (
	"encoding/json"
	"strconv"

	"github.com/sallyport/sallyport/internal/pgwire"
)

// SQLSTATEs that clients are told, all of them.
const (
	codeDenied        = "42501" // a policy or a closed window
	codeIdentity      = "28000" // a token missing, refused or expired
	codeCancelled     = "57014" // cancelled, withdrawn, out of time
	codeRevoked       = "57P01" // the window was revoked, or sallyport shuts down
	codeNotReady      = "57P03" // no policy is loaded
	codeInTransaction = "25001" // not possible inside this transaction
	codeUnsupported   = "0A000" // a kind of statement or message never forwarded
	codeProtocol      = "08P01" // the client broke the protocol
	codeUpstream      = "08006" // the database cannot be reached, or left
	codeLimit         = "53300" // a limit was reached
	codeTooLarge      = "54000" // a statement or message exceeds the size limit
	codeNoRecord      = "58030" // the decision could not be recorded
	codeSyntax        = "42601"
	codeNoStatement   = "26000" // prepared statement does not exist
	codeNoPortal      = "34000" // portal does not exist
	codeDupStatement  = "42P05"
	codeDupPortal     = "42P03"
	codeInternal      = "XX000"
)

// Refusal is what a client is told instead of a result.
type Refusal struct {
	Code     string // SQLSTATE
	Message  string
	Hint     string // a sentence an agent can act on
	Position int    // in characters of the statement from 1, 0 for none
	Fatal    bool   // the session ends
	Detail   Detail
	cause    error // for the record, never for the client
}

// Detail is the machine-readable part of a refusal, one line of JSON.
type Detail struct {
	DecisionID string `json:"decision_id,omitempty"`
	Policy     string `json:"policy,omitempty"`
	Rule       string `json:"rule,omitempty"`
	Effect     string `json:"effect"`
	Retryable  bool   `json:"retryable"` // the same statement may pass later, without being changed
	Grant      string `json:"grant,omitempty"`
	Approval   string `json:"approval,omitempty"`
}

// Error makes a refusal an error inside the process.
func (r *Refusal) Error() string { return r.Message }

// appendTo appends the refusal as an ErrorResponse.
func (r *Refusal) appendTo(dst []byte) []byte {
	d := r.Detail
	if d.Effect == "" {
		d.Effect = "deny"
	}
	detail, err := json.Marshal(d)
	if err != nil { // strings and a bool: cannot fail
		detail = nil
	}
	report := pgwire.Report{
		Severity: "ERROR",
		Code:     r.Code,
		Message:  "sallyport: " + r.Message,
		Detail:   string(detail),
		Hint:     r.Hint,
	}
	if r.Fatal {
		report.Severity = "FATAL"
	}
	if r.Position > 0 {
		report.Position = strconv.Itoa(r.Position)
	}
	return report.Append(dst, pgwire.ErrorResponse)
}

func protocolViolation(what string) *Refusal {
	return &Refusal{Code: codeProtocol, Message: what, Fatal: true,
		Hint: "This is a fault of the client or its driver: reconnect."}
}
