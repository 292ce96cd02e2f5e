package audit

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// WriteSessions writes a table for people.
func WriteSessions(w io.Writer, sessions []SessionSummary) error {
	if len(sessions) == 0 {
		_, err := fmt.Fprintln(w, "no sessions")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SESSION\tSTARTED\tLASTED\tWHO\tCONNECTION\tWINDOW\tSTATEMENTS\tALLOWED\tMASKED\tHELD\tDENIED\tROWS\tEND")
	for i := range sessions {
		s := &sessions[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n",
			visible(s.ID), stamp(s.Started), lasted(s.Last.Sub(s.Started)), who(s.Identity), visible(s.Connection),
			dash(visible(strings.Join(s.Grants, " "))), s.Statements, s.Allowed, s.Masked, s.Held, s.Denied, s.Rows, ending(s))
	}
	return t.Flush()
}

// WriteSessionsJSON writes one JSON object a line.
func WriteSessionsJSON(w io.Writer, sessions []SessionSummary) error {
	enc := json.NewEncoder(w)
	for i := range sessions {
		if err := enc.Encode(&sessions[i]); err != nil {
			return err
		}
	}
	return nil
}

// WriteReplayJSON writes a history as one JSON document.
func WriteReplayJSON(w io.Writer, h *History) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(h)
}

// WriteReplay tells a session as a story: who, through which window, what they
// asked, what was decided, what came of it.
func WriteReplay(w io.Writer, h *History) error {
	p := &printer{w: w}
	p.header(&h.Summary)
	for i := range h.Windows {
		p.window(&h.Windows[i])
	}
	if len(h.Steps) > 0 {
		p.line("")
	}
	other := h.Other
	for i := range h.Steps {
		for len(other) > 0 && other[0].Seq < h.Steps[i].Decisions[0].Seq {
			p.other(&other[0])
			other = other[1:]
		}
		p.step(&h.Steps[i])
	}
	for i := range other {
		p.other(&other[i])
	}
	return p.err
}

// printer keeps the first error, so that the rest reads as what is printed.
type printer struct {
	w        io.Writer
	revision string // of the policy, so far
	err      error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

const margin = "                        " // below the columns of time and effect

func (p *printer) header(s *SessionSummary) {
	p.line("session    %s  %s", visible(s.ID), ending(s))
	p.line("who        %s", identity(s.Identity))
	p.line("where      %s%s%s", visible(s.Connection), prefixed(", database ", s.Database), prefixed(", from ", s.Client)+prefixed(" as ", s.Application))
	p.line("when       %s, %s", stamp(s.Started), lasted(s.Last.Sub(s.Started)))
	p.line("statements %d: %d allowed, %d masked, %d held, %d denied; %s", s.Statements, s.Allowed, s.Masked, s.Held, s.Denied, count(s.Rows, "row"))
}

func (p *printer) window(r *Record) {
	what := strings.TrimPrefix(string(r.Type), "grant.")
	if isApproval(r) {
		what = "approval " + strings.TrimPrefix(string(r.Type), "approval.")
	}
	text := prefixed(" by ", r.Actor) + prefixed(", until ", stampOrNone(r.ExpiresAt))
	if r.Type == GrantRequested {
		text = prefixed(" by ", r.Actor) + prefixed(" for ", r.TTL) + prefixed(" under ", r.Binding)
	}
	p.line("window     %s  %s %s%s%s", visible(first(r.Grant, r.Approval)), stamp(r.Time), what, text,
		prefixed(": ", first(r.Cause, r.Comment, r.Message)))
}

func (p *printer) step(s *Step) {
	begun, last := &s.Decisions[0], s.Verdict()
	if begun.Revision != "" && begun.Revision != p.revision {
		if p.revision != "" {
			p.event(begun.Time, "policy "+visible(begun.Revision)+" from here on")
		}
		p.revision = begun.Revision
	}
	p.line("%s  %-8s  %s", at(begun.Time), label(s), indent(statement(begun)))
	for i := range s.Decisions[1:] { // the other statements of one message that was held whole
		if text := s.Decisions[i+1].Statement; text != "" && text != begun.Statement {
			p.line("%s%s", margin, indent(text))
		}
	}
	p.reasons(begun)
	for i := range s.Approvals {
		r := &s.Approvals[i]
		p.line("%s%s %s%s%s%s", margin, visible(r.Approval), strings.TrimPrefix(string(r.Type), "approval."),
			prefixed(" by ", r.Actor), after(begun.Time, r.Time), prefixed(": ", first(r.Comment, r.Cause, r.Message)))
	}
	if last != begun {
		p.reasons(last)
	}
	if len(last.Masks) > 0 {
		p.line("%smasked: %s", margin, visible(strings.Join(last.Masks, ", ")))
	}
	if len(last.Filters) > 0 {
		p.line("%sin part: %s", margin, visible(strings.Join(last.Filters, ", ")))
	}
	p.line("%s%s", margin, outcome(s))
}

func (p *printer) reasons(r *Record) {
	for _, reason := range r.Reasons {
		p.line("%s%s%s", margin, prefixedRule(r), visible(reason))
	}
}

func (p *printer) other(r *Record) {
	p.event(r.Time, string(r.Type)+prefixed(": ", first(r.Cause, r.Message, strings.Join(r.Reasons, "; "))))
}

func (p *printer) event(t time.Time, text string) { p.line("%s  %-8s  %s", at(t), "·", text) }

// at is the time of day; the day is in the header.
func at(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// label is the effect in a word.
func label(s *Step) string {
	switch last := s.Verdict(); last.Effect {
	case effectAllow:
		if s.held() {
			return "APPROVED"
		}
		return "allow"
	case effectMask:
		return "mask"
	case effectApproval:
		return "HELD"
	default:
		return "DENY"
	}
}

func outcome(s *Step) string {
	r := s.Result
	switch {
	case r == nil && s.Verdict().Effect == effectAllow, r == nil && s.Verdict().Effect == effectMask:
		return "→ no result recorded: it was cut off, or is still running"
	case r == nil:
		return "→ did not run"
	case r.SQLState != "":
		return "→ error " + visible(r.SQLState) + prefixed(": ", r.Message) + took(r)
	default:
		return fmt.Sprintf("→ %s, %s, %s%s", dash(visible(r.Tag)), count(r.Rows, "row"), count(r.Bytes, "byte"), took(r))
	}
}

func took(r *Record) string {
	if r.DurationMS == 0 {
		return ""
	}
	return fmt.Sprintf(", %.1f ms", r.DurationMS)
}

func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func statement(r *Record) string {
	if r.Statement != "" {
		return r.Statement
	}
	return "(text not recorded) " + strings.TrimSpace(r.Kind+prefixed(" fingerprint ", r.Fingerprint)+prefixed(" on ", strings.Join(r.Relations, ", ")))
}

func prefixedRule(r *Record) string {
	name := first(r.Policy, r.Rule)
	if name == "" {
		return ""
	}
	switch {
	case strings.Contains(r.Rule, "/"):
		name = r.Rule // the label names its policy itself
	case r.Policy != "" && r.Rule != "":
		name = r.Policy + "/" + r.Rule
	}
	return visible(name) + ": "
}

func ending(s *SessionSummary) string {
	switch {
	case s.Refused:
		return "refused" + prefixed(": ", s.Cause)
	case s.Closed:
		return "closed" + prefixed(": ", s.Cause)
	default:
		return "open" // or its process was killed
	}
}

func who(id Identity) string { return dash(visible(first(id.Name, id.Subject))) }

func identity(id Identity) string {
	text := who(id)
	if id.Name != "" {
		text += prefixed(", subject ", id.Subject)
	}
	return text + prefixed(", ", id.Kind) + prefixed(", of ", id.Issuer) + prefixed(", tenant ", id.Tenant)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

func stampOrNone(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return stamp(t)
}

func lasted(d time.Duration) string {
	if d >= time.Second {
		d = d.Round(time.Second)
	} else {
		d = d.Round(time.Millisecond)
	}
	return d.String()
}

func after(from, to time.Time) string { return fmt.Sprintf(" after %.1fs", to.Sub(from).Seconds()) }

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + visible(s)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// indent puts the lines of a statement below each other.
func indent(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n\r\t "), "\n")
	for i, l := range lines {
		lines[i] = visible(strings.TrimRight(l, "\r"))
	}
	return strings.Join(lines, "\n"+margin)
}

// visible shows text that somebody else wrote without letting it play with the
// terminal: what cannot be seen is written as an escape.
func visible(s string) string {
	if !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\t':
			b.WriteString("    ")
		case r == '\n':
			b.WriteString(" ")
		case hidden(r):
			fmt.Fprintf(&b, "\\u%04x", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hidden(r rune) bool { return !unicode.IsPrint(r) }
