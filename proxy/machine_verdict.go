package proxy

import (
	"time"

	"github.com/sallyport/sallyport/internal/pgwire"
)

// verdict takes the answer to the job that is being decided.
func (m *machine) verdict(j *job, v verdict) {
	if m.deciding != j || (m.state != decidingState && m.state != awaiting) {
		return // the session has ended, or the client has withdrawn
	}
	if v.outcome != held && m.stopping || v.outcome == answered && !m.drained() {
		m.parked = &v
		return
	}
	if v.borrowed {
		delete(m.statements, "")
		delete(m.portals, "")
	}
	m.notify(v.notices)
	if v.outcome == held {
		m.state = awaiting
		return
	}
	m.state = ready
	m.deciding = nil
	typ := j.raw.Type()
	if m.discarding && typ != pgwire.Query {
		return // the server failed an earlier message meanwhile and skips this one
	}
	switch v.outcome {
	case permitted:
		m.permitted(j, v)
	case answered:
		m.answered(j, v)
	default:
		r := v.refusal
		if r == nil {
			r = &Refusal{Code: codeInternal, Message: "no decision was made"}
		}
		m.refuseMessage(typ, j.kind == jobParse && j.parse.Name == "", r)
	}
}

func (m *machine) permitted(j *job, v verdict) {
	if len(v.runs) > 0 && v.runs[0].closing != nil {
		m.shut, m.windowCloses = false, v.runs[0].closes
	}
	if j.kind == jobQuery || j.kind == jobExecute {
		m.hush = v.hush
	}
	switch j.kind {
	case jobQuery:
		delete(m.statements, "")
		delete(m.portals, "")
		m.forward(v.permit, &expect{typ: pgwire.Query, runs: v.runs, effects: v.effects, copies: v.copyIn})
	case jobParse:
		s := &statement{name: j.parse.Name, judged: v.judged}
		m.forward(v.permit, &expect{typ: pgwire.Parse, name: s.name, stmt: s})
	case jobBind:
		j.portal.approved, j.portal.judged = v.ticket, v.judged
		m.forward(v.permit, &expect{typ: pgwire.Bind, name: j.portal.name, portal: j.portal})
	case jobExecute:
		j.portal.begun = true
		e := &expect{typ: pgwire.Execute, name: j.portal.name, portal: j.portal, runs: v.runs, effects: v.effects, copies: v.copyIn}
		// A limit that is hit has to abort what was written before it is committed.
		e.holdsSync = len(v.runs) == 1 && v.runs[0].limitRows >= 0 && (m.worked || v.writes)
		m.worked = true
		m.forward(v.permit, e)
		if v.effects.any() || e.copies || e.holdsSync {
			m.barrier = e
		}
		m.unsettled = m.unsettled || v.effects.any()
		m.pathSet = m.pathSet || v.effects.path != nil || v.effects.resetPath
		if len(v.runs) == 1 && v.runs[0].closing != nil {
			m.closes = v.runs[0]
		}
	default:
		m.fail(&Refusal{Code: codeInternal, Message: "a permit came for nothing"})
	}
}

// answered passes on what the proxy itself has to say; everything before has been
// answered by the server.
func (m *machine) answered(j *job, v verdict) {
	switch j.kind {
	case jobQuery:
		if v.rows != nil {
			m.toClient = v.rows.appendAll(m.toClient)
		}
		m.toClient = pgwire.AppendReady(m.toClient, m.tx)
	case jobParse:
		m.statements[j.parse.Name] = &statement{name: j.parse.Name, judged: v.judged}
		m.toClient = pgwire.AppendFrame(m.toClient, pgwire.ParseComplete)
	case jobExecute:
		m.toClient = v.rows.appendRows(m.toClient)
	default:
		m.fail(&Refusal{Code: codeInternal, Message: "an answer came for nothing"})
	}
}

func (m *machine) notify(texts []string) {
	for _, text := range texts {
		m.toClient = pgwire.Report{Severity: "NOTICE", Code: "00000", Message: "sallyport: " + text}.
			Append(m.toClient, pgwire.Notice)
	}
}

// notice tells a client that waits something.
func (m *machine) notice(j *job, text string) {
	if m.deciding == j && m.state == awaiting {
		m.notify([]string{text})
	}
}

// held is the approval that is waited for, nil for none.
func (m *machine) held() *ticket {
	if m.state != awaiting || m.deciding == nil {
		return nil
	}
	return m.deciding.ticket
}

// cancel is a cancel request of the client for this session. It reports the job
// to withdraw when a message is held.
func (m *machine) cancel() (withdrawn *ticket) {
	switch {
	case m.state == awaiting:
		j := m.deciding
		withdrawn = m.held()
		m.verdict(j, verdict{refusal: &Refusal{Code: codeCancelled, Message: "the request for approval was withdrawn by a cancel request",
			Detail: Detail{DecisionID: j.ticket.decisionID, Approval: j.ticket.id, Effect: "withdrawn", Retryable: true}}})
		m.advance()
		return withdrawn
	case len(m.expects) > 0:
		m.stop()
	}
	return nil
}

// stop asks for what is running to be cancelled. Until the request has been
// delivered nothing is forwarded, lest it hits the next statement.
func (m *machine) stop() {
	if m.stopping || m.state == closing {
		return
	}
	m.stopping = true
	m.jobs = append(m.jobs, &job{kind: jobCancel})
}

// cancelled tells that the cancel request has been delivered.
func (m *machine) cancelled() {
	m.stopping = false
	m.advance()
}

// unpark takes up a verdict that had to wait for the server.
func (m *machine) unpark() {
	if v := m.parked; v != nil && m.deciding != nil {
		m.parked = nil
		m.verdict(m.deciding, *v)
	}
}

// running is the message whose statement the server may be executing: the first
// that has one, since the server keeps back the answers to what prepared it. nil
// when nothing is.
func (m *machine) running() *expect {
	for _, e := range m.expects {
		if e.run() != nil && !e.hidden {
			return e
		}
		if e.typ == pgwire.Sync || e.typ == pgwire.Query {
			return nil
		}
	}
	return nil
}

// tick cuts off what has run into its deadline.
func (m *machine) tick(now time.Time) {
	e := m.running()
	if e == nil {
		return
	}
	r := e.run()
	if r.cut != nil || r.deadline.IsZero() || now.Before(r.deadline) {
		return
	}
	r.cut = r.timeout
	m.stop()
}

// deadline is when tick has to be called next, zero for never.
func (m *machine) deadline() time.Time {
	if e := m.running(); e != nil && e.run().cut == nil {
		return e.run().deadline
	}
	return time.Time{}
}

// revoke ends the session now: its window was revoked, or its identity.
func (m *machine) revoke(r *Refusal) (withdrawn *ticket) {
	withdrawn = m.held()
	m.deciding = nil
	m.fail(r)
	return withdrawn
}

// closeWindow is told that the session has no window any longer: what needs one
// and is running is cut off, and an idle transaction made to fail.
func (m *machine) closeWindow() {
	m.shut = !m.windowCloses.IsZero()
	if e := m.running(); e != nil {
		if r := e.run(); r.closing != nil && r.cut == nil {
			r.cut = r.closing
			m.stop()
		}
		return
	}
	if m.closes != nil && m.state == ready && !m.stopping && !m.copyIn && !m.discarding {
		m.failImplicit(m.closes.closing)
		return
	}
	m.abort()
}

// failImplicit makes the implicit transaction of the open segment fail before its
// Sync, and tells the client why.
func (m *machine) failImplicit(r *Refusal) {
	m.closes = nil
	m.refuse(pgwire.Parse, r)
}

// abort makes an idle transaction fail, so that it holds nothing any longer. The
// client learns it with its next statement.
func (m *machine) abort() {
	if m.state != ready || m.tx != txOpen || len(m.expects) > 0 || m.discarding || m.copyIn {
		return
	}
	m.abortHidden("sallyport closed the window", false)
}

// abortHidden makes the server fail its transaction without the client seeing it.
// tell passes the ReadyForQuery on, in place of one that was kept back.
func (m *machine) abortHidden(text string, tell bool) {
	m.toServer = pgwire.AppendQuery(m.toServer, text)
	m.push(&expect{typ: pgwire.Query, hidden: true, tellReady: tell})
	m.segment++
}
