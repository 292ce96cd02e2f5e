package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// The effects of a decision as the log has them.
const (
	effectAllow    = "allow"
	effectMask     = "mask"
	effectApproval = "require_approval"
)

// Filter selects sessions; empty fields select all.
type Filter struct {
	Subject      string // part of the subject or name
	Connection   string
	Effect       string // at least one statement with it
	Relation     string // at least one statement that touched it
	Since, Until time.Time
	Open         bool // only those not closed yet
	Limit        int  // the latest
}

// SessionSummary is one session in a line.
type SessionSummary struct {
	ID          string    `json:"id"`
	Identity    Identity  `json:"identity"`
	Connection  string    `json:"connection"`
	Database    string    `json:"database,omitempty"`
	Client      string    `json:"client,omitempty"`
	Application string    `json:"application,omitempty"`
	Grants      []string  `json:"grants,omitempty"` // windows it used
	Binding     string    `json:"binding,omitempty"`
	Started     time.Time `json:"started"`
	Last        time.Time `json:"last"` // of its latest record
	Closed      bool      `json:"closed"`
	Refused     bool      `json:"refused,omitempty"` // it never was a session
	Cause       string    `json:"cause,omitempty"`   // why it closed or was refused

	Statements int   `json:"statements"`
	Allowed    int   `json:"allowed"`
	Masked     int   `json:"masked"`
	Held       int   `json:"held"` // waited for a person, whatever came of it
	Denied     int   `json:"denied"`
	Failed     int   `json:"failed"` // ran, and the server reported an error
	Rows       int64 `json:"rows"`
	Bytes      int64 `json:"bytes"`
}

// Step is one statement of a session.
type Step struct {
	Decisions []Record `json:"decisions"` // more than one if it was held and decided again
	Approvals []Record `json:"approvals,omitempty"`
	Result    *Record  `json:"result,omitempty"`
}

// Verdict is the last decision.
func (s *Step) Verdict() *Record { return &s.Decisions[len(s.Decisions)-1] }

func (s *Step) held() bool {
	return len(s.Approvals) > 0 || slices.ContainsFunc(s.Decisions, func(r Record) bool { return r.Effect == effectApproval })
}

// History is everything the log has of one session.
type History struct {
	Summary SessionSummary `json:"session"`
	Windows []Record       `json:"windows,omitempty"` // transitions of the windows it used
	Steps   []Step         `json:"steps"`
	Other   []Record       `json:"other,omitempty"` // its opening, its closing, alarms
}

// ErrNoSession is returned for an ID the log does not have.
var ErrNoSession = errors.New("no such session in the log")

// ReadAll calls visit for each record. A last line that is only half there is left
// out: its record was never accepted.
func ReadAll(path string, visit func(*Record) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	defer f.Close()
	_, err = eachLine(f, func(n int, line []byte) error {
		var r Record
		if err := json.Unmarshal(line, &r); err != nil || r.V != Version {
			return &Damage{Path: path, Line: n, Why: "not a record of this version"}
		}
		return visit(&r)
	})
	return err
}

// folded is a session while the log is read.
type folded struct {
	SessionSummary
	steps     map[string]string // decision ID → effect so far
	held      map[string]bool
	effects   map[string]bool
	relations map[string]bool
}

// Sessions lists the sessions of a log, the earliest first.
func Sessions(path string, f Filter) ([]SessionSummary, error) {
	byID := map[string]*folded{}
	var order []*folded
	err := ReadAll(path, func(r *Record) error {
		if r.Session == "" {
			return nil
		}
		s := byID[r.Session]
		if s == nil {
			s = newFolded(r)
			byID[r.Session] = s
			order = append(order, s)
		}
		s.add(r)
		return nil
	})
	if err != nil {
		return nil, err
	}
	all := make([]SessionSummary, 0, len(order))
	for _, s := range order {
		if f.matches(s) {
			all = append(all, s.summary())
		}
	}
	if f.Limit > 0 && len(all) > f.Limit {
		all = all[len(all)-f.Limit:]
	}
	return all, nil
}

func (f *Filter) matches(s *folded) bool {
	who := s.Identity
	switch {
	case f.Subject != "" && !strings.Contains(who.Subject, f.Subject) && !strings.Contains(who.Name, f.Subject):
		return false
	case f.Connection != "" && s.Connection != f.Connection:
		return false
	case f.Effect != "" && !s.effects[f.Effect]:
		return false
	case f.Relation != "" && !s.relations[f.Relation]:
		return false
	case !f.Since.IsZero() && s.Last.Before(f.Since):
		return false
	case !f.Until.IsZero() && !s.Started.Before(f.Until):
		return false
	case f.Open && s.Closed:
		return false
	default:
		return true
	}
}

func newFolded(r *Record) *folded {
	return &folded{
		SessionSummary: SessionSummary{ID: r.Session, Started: r.Time},
		steps:          map[string]string{}, held: map[string]bool{}, effects: map[string]bool{}, relations: map[string]bool{},
	}
}

// add takes one more record of the session.
func (s *folded) add(r *Record) {
	s.Last = r.Time
	fill(&s.Connection, r.Connection)
	fill(&s.Database, r.Database)
	fill(&s.Client, r.Client)
	fill(&s.Application, r.Application)
	fill(&s.Binding, r.Binding)
	// Records about an approval carry the approver as actor, never as identity.
	if s.Identity == (Identity{}) {
		s.Identity = r.Identity
	}
	if r.Grant != "" && !slices.Contains(s.Grants, r.Grant) {
		s.Grants = append(s.Grants, r.Grant)
	}
	for _, relation := range r.Relations {
		s.relations[relation] = true
	}
	switch r.Type {
	case SessionClosed:
		s.Closed, s.Cause = true, first(r.Cause, r.Message)
	case SessionRefused:
		s.Closed, s.Refused, s.Cause = true, true, first(r.Cause, r.Message, strings.Join(r.Reasons, "; "))
	case Decision:
		s.steps[r.DecisionID] = r.Effect
		s.effects[r.Effect] = true
		if r.Effect == effectApproval {
			s.held[r.DecisionID] = true
		}
	case ApprovalRequested:
		s.held[r.DecisionID] = true
	case Result:
		s.Rows += r.Rows
		s.Bytes += r.Bytes
		if r.SQLState != "" && s.steps[r.DecisionID] != "deny" {
			s.Failed++
		}
	default:
	}
}

func (s *folded) summary() SessionSummary {
	sum := s.SessionSummary
	for _, effect := range s.steps {
		sum.Statements++
		switch effect {
		case effectAllow:
			sum.Allowed++
		case effectMask:
			sum.Masked++
		case effectApproval: // held, and not decided again: it did not run
		default:
			sum.Denied++
		}
	}
	sum.Held = len(s.held)
	return sum
}

// Session returns all that the log has of one session. The beginning of an ID is
// enough if no other begins so.
func Session(path, id string) (*History, error) {
	id, err := resolve(path, id)
	if err != nil {
		return nil, err
	}
	var h collector
	err = ReadAll(path, func(r *Record) error {
		if r.Session == id {
			h.add(r)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	// What belongs to it and does not carry its ID: windows, asked for before it was
	// opened, and verdicts, given elsewhere.
	err = ReadAll(path, func(r *Record) error {
		if r.Session != id {
			h.addRelated(r)
		}
		return nil
	})
	return h.history(), err
}

func resolve(path, id string) (string, error) {
	var found []string
	err := ReadAll(path, func(r *Record) error {
		if id != "" && strings.HasPrefix(r.Session, id) && !slices.Contains(found, r.Session) {
			found = append(found, r.Session)
		}
		return nil
	})
	switch {
	case err != nil:
		return "", err
	case slices.Contains(found, id):
		return id, nil
	case len(found) == 0:
		return "", fmt.Errorf("%w: %q; `sallyport sessions` lists them", ErrNoSession, id)
	case len(found) > 1:
		return "", fmt.Errorf("%w: %q is the beginning of %d of them: %s", ErrNoSession, id, len(found), strings.Join(found[:min(4, len(found))], ", "))
	default:
		return found[0], nil
	}
}

// collector puts a history together.
type collector struct {
	sum     *folded
	steps   []*Step
	byID    map[string]*Step // by decision ID
	asked   map[string]*Step // by approval ID
	windows []Record
	other   []Record
}

func (c *collector) add(r *Record) {
	if c.sum == nil {
		c.sum = newFolded(r)
		c.byID, c.asked = map[string]*Step{}, map[string]*Step{}
	}
	c.sum.add(r)
	switch {
	case r.Type == Decision:
		step := c.byID[r.DecisionID]
		if step == nil || r.DecisionID == "" {
			step = &Step{}
			c.steps = append(c.steps, step)
			c.byID[r.DecisionID] = step
		}
		step.Decisions = append(step.Decisions, *r)
		if r.Approval != "" {
			c.asked[r.Approval] = step
		}
	case r.Type == Result && c.byID[r.DecisionID] != nil:
		c.byID[r.DecisionID].Result = r
	case isApproval(r) && c.byID[r.DecisionID] != nil:
		step := c.byID[r.DecisionID]
		c.asked[r.Approval] = step
		step.Approvals = append(step.Approvals, *r)
	case isWindow(r):
		c.windows = append(c.windows, *r)
	default:
		c.other = append(c.other, *r)
	}
}

func (c *collector) addRelated(r *Record) {
	switch {
	case isApproval(r) && c.asked[r.Approval] != nil:
		step := c.asked[r.Approval]
		step.Approvals = append(step.Approvals, *r)
	case r.Grant != "" && slices.Contains(c.sum.Grants, r.Grant) && (isWindow(r) || isApproval(r)):
		c.windows = append(c.windows, *r)
	}
}

func (c *collector) history() *History {
	bySeq := func(a, b Record) int { return int(int64(a.Seq) - int64(b.Seq)) }
	slices.SortFunc(c.windows, bySeq)
	h := &History{Summary: c.sum.summary(), Windows: c.windows, Other: c.other, Steps: make([]Step, len(c.steps))}
	for i, s := range c.steps {
		slices.SortFunc(s.Approvals, bySeq)
		h.Steps[i] = *s
	}
	return h
}

func isApproval(r *Record) bool { return strings.HasPrefix(string(r.Type), "approval.") }
func isWindow(r *Record) bool   { return strings.HasPrefix(string(r.Type), "grant.") }

func fill(to *string, s string) {
	if *to == "" {
		*to = s
	}
}

func first(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}
