package proxy

import (
	"github.com/sallyport/sallyport/internal/pgwire"
)

// step processes one client message. It returns false when the message has to
// wait; it is offered again when something has changed.
func (m *machine) step(f pgwire.Frame) bool {
	switch {
	case m.state == closing:
		return true
	case m.state != ready || m.stopping:
		return f.Type() == pgwire.Terminate && m.terminate()
	}
	switch {
	case f.Type() == pgwire.Terminate:
		return m.terminate()
	case m.copyIn:
		return m.stepCopy(f)
	case m.discarding:
		if f.Type() == pgwire.Sync {
			m.sync(f)
		}
		return true
	}
	return m.stepMessage(f)
}

func (m *machine) terminate() bool {
	m.close()
	return true
}

func (m *machine) stepMessage(f pgwire.Frame) bool {
	switch f.Type() {
	case pgwire.Sync:
		if m.barrier != nil && m.barrier.holdsSync {
			return m.drained() && m.stepMessage(f)
		}
		m.sync(f)
		return true
	case pgwire.Flush:
		m.relay(f)
		return true
	case pgwire.CopyData, pgwire.CopyDone, pgwire.CopyFail:
		if m.barrier != nil && m.barrier.copies {
			m.drained() // the server may be about to ask for it
			return false
		}
		return true // outside of COPY the server ignores them
	}
	if m.barrier != nil {
		return m.drained() && m.barrier == nil
	}
	if m.pathSet {
		// What comes now could roll the change back, or not, in ways that only the
		// server would know.
		m.refuse(f.Type(), &Refusal{Code: codeUnsupported, Message: "search_path was changed in this pipeline, and nothing else may follow before Sync",
			Hint: "Send SET search_path as a query of its own."})
		return true
	}
	switch f.Type() {
	case pgwire.Query:
		return m.stepQuery(f)
	case pgwire.Parse:
		return m.stepParse(f)
	case pgwire.Bind:
		return m.stepBind(f)
	case pgwire.Describe:
		return m.stepDescribe(f)
	case pgwire.Execute:
		return m.stepExecute(f)
	case pgwire.Close:
		return m.stepClose(f)
	case pgwire.Function:
		if !m.drained() {
			return false
		}
		return m.decide(&job{kind: jobFunction, raw: f.Clone(), sql: "function call by message"})
	default:
		m.fail(protocolViolation("a message of an unknown type came"))
		return true
	}
}

func (m *machine) sync(f pgwire.Frame) {
	if m.closes != nil && !m.discarding && !m.now().Before(m.closes.closes) {
		m.failImplicit(m.closes.closing) // what was begun in time is not committed late
	}
	m.closes = nil
	m.discarding, m.worked = false, false
	m.relay(f)
	e := &expect{typ: pgwire.Sync}
	m.push(e)
	m.segment++
	if m.unsettled {
		m.barrier, m.unsettled = e, false
	}
}

// stepCopy handles messages while the server takes COPY data.
func (m *machine) stepCopy(f pgwire.Frame) bool {
	switch f.Type() {
	case pgwire.CopyData:
		m.relay(f)
	case pgwire.CopyDone, pgwire.CopyFail:
		m.relay(f)
		m.copyIn = false
	case pgwire.Sync, pgwire.Flush: // the server ignores them during COPY
	default:
		// The server would read the message and fail the COPY; so it shall, but
		// without seeing the message.
		m.toServer = pgwire.AppendFrame(m.toServer, pgwire.CopyFail, []byte("unexpected message during COPY from stdin\x00"))
		m.copyIn = false
	}
	return true
}

func (m *machine) stepQuery(f pgwire.Frame) bool {
	if !m.drained() {
		return false
	}
	sql, err := pgwire.DecodeQuery(f.Body())
	if err != nil {
		m.fail(protocolViolation("a Query message is malformed"))
		return true
	}
	return m.decide(&job{kind: jobQuery, raw: f.Clone(), sql: sql, working: m.worked})
}

func (m *machine) stepParse(f pgwire.Frame) bool {
	p, err := pgwire.DecodeParse(f.Body())
	if err != nil {
		m.fail(protocolViolation("a Parse message is malformed"))
		return true
	}
	if m.tooLong(f.Type(), p.Name) {
		return true
	}
	if m.named.statement(p.Name) != nil { // EXECUTE would be judged as the one and run the other
		m.refuse(f.Type(), &Refusal{Code: codeDupStatement, Message: "prepared statement " + quote(p.Name) + " already exists"})
		return true
	}
	return m.decide(&job{kind: jobParse, raw: f.Clone(), sql: p.Query, parse: p, working: m.worked})
}

func (m *machine) stepBind(f pgwire.Frame) bool {
	raw := f.Clone()
	b, err := pgwire.DecodeBind(raw.Body())
	if err != nil {
		m.fail(protocolViolation("a Bind message is malformed"))
		return true
	}
	if m.tooLong(f.Type(), b.Portal) || m.tooLong(f.Type(), b.Statement) {
		return true
	}
	if m.named.cursor(b.Portal) != nil { // FETCH would be judged as the cursor, and run the portal
		m.refuse(f.Type(), &Refusal{Code: codeDupPortal, Message: "cursor " + quote(b.Portal) + " already exists"})
		return true
	}
	s, sure := m.lookupStatement(b.Statement)
	if !sure {
		return m.drained()
	}
	if s == nil {
		m.refuse(pgwire.Bind, noStatement(b.Statement))
		return true
	}
	if s.local() && !m.drained() {
		return false
	}
	p := &portal{name: b.Portal, stmt: s, bind: b}
	if s.local() {
		m.portals[b.Portal] = p
		m.toClient = pgwire.AppendFrame(m.toClient, pgwire.BindComplete)
		return true
	}
	return m.decide(&job{kind: jobBind, raw: raw, bind: b, stmt: s, portal: p, working: m.worked})
}

func (m *machine) stepDescribe(f pgwire.Frame) bool {
	t, err := pgwire.DecodeTarget(f.Body())
	if err != nil {
		m.fail(protocolViolation("a Describe message is malformed"))
		return true
	}
	if m.tooLong(f.Type(), t.Name) {
		return true
	}
	s, sure := m.target(t)
	switch {
	case !sure:
		return m.drained()
	case s == nil:
		m.refuse(pgwire.Describe, noTarget(t))
	case s.local():
		if !m.drained() {
			return false
		}
		m.toClient = s.judged.call.describe(m.toClient, t.Kind == 'S')
	default:
		m.relay(f)
		m.push(&expect{typ: pgwire.Describe, target: t.Kind, name: t.Name, stmt: s})
	}
	return true
}

func (m *machine) target(t pgwire.Target) (s *statement, sure bool) {
	if t.Kind == 'S' {
		return m.lookupStatement(t.Name)
	}
	p, sure := m.lookupPortal(t.Name)
	if p == nil {
		return nil, sure
	}
	return p.stmt, sure
}

func (m *machine) stepExecute(f pgwire.Frame) bool {
	e, err := pgwire.DecodeExecute(f.Body())
	if err != nil {
		m.fail(protocolViolation("an Execute message is malformed"))
		return true
	}
	if m.tooLong(f.Type(), e.Portal) {
		return true
	}
	if !m.windowCloses.IsZero() && m.behindSync() {
		return m.drained() // what the server has already cannot be kept from starting when the window closes
	}
	p, sure := m.lookupPortal(e.Portal)
	if !sure {
		return m.drained()
	}
	if p == nil {
		m.refuse(pgwire.Execute, &Refusal{Code: codeNoPortal, Message: "portal " + quote(e.Portal) + " does not exist"})
		return true
	}
	if p.stmt.local() && !m.drained() {
		return false
	}
	return m.decide(&job{kind: jobExecute, raw: f.Clone(), execute: e, stmt: p.stmt, portal: p, working: m.worked})
}

func (m *machine) stepClose(f pgwire.Frame) bool {
	t, err := pgwire.DecodeTarget(f.Body())
	if err != nil {
		m.fail(protocolViolation("a Close message is malformed"))
		return true
	}
	if m.tooLong(f.Type(), t.Name) {
		return true
	}
	s, sure := m.target(t)
	if !sure {
		return m.drained()
	}
	if s != nil && s.local() {
		if !m.drained() {
			return false
		}
		m.drop(t)
		m.toClient = pgwire.AppendFrame(m.toClient, pgwire.CloseComplete)
		return true
	}
	if t.Kind == 'S' && t.Name != "" {
		m.named = m.named.without(t.Name)
	} else if t.Kind == 'P' && t.Name != "" {
		m.named = m.named.closed(t.Name, false)
	}
	m.relay(f)
	m.push(&expect{typ: pgwire.Close, target: t.Kind, name: t.Name})
	return true
}

// maxName is how much of a statement's or portal's name the server tells apart.
const maxName = 63 // bytes

// tooLong refuses names that the server would take for others.
func (m *machine) tooLong(typ byte, name string) bool {
	if len(name) <= maxName {
		return false
	}
	m.refuse(typ, &Refusal{Code: "42622", Message: "names of prepared statements and portals can have at most 63 bytes"})
	return true
}

// behindSync reports whether an earlier segment is not answered yet.
func (m *machine) behindSync() bool {
	return len(m.expects) > 0 && m.expects[0].segment != m.segment
}

// drop forgets a statement or a portal. Portals outlive the statement they were
// made from.
func (m *machine) drop(t pgwire.Target) {
	if t.Kind == 'P' {
		delete(m.portals, t.Name)
		return
	}
	delete(m.statements, t.Name)
}

func noStatement(name string) *Refusal {
	if name == "" {
		return &Refusal{Code: codeNoStatement, Message: "unnamed prepared statement does not exist"}
	}
	return &Refusal{Code: codeNoStatement, Message: "prepared statement " + quote(name) + " does not exist"}
}

func noTarget(t pgwire.Target) *Refusal {
	if t.Kind == 'S' {
		return noStatement(t.Name)
	}
	return &Refusal{Code: codeNoPortal, Message: "portal " + quote(t.Name) + " does not exist"}
}

func quote(name string) string { return `"` + name + `"` }
