package proxy

import (
	"strings"

	"github.com/sallyport/sallyport/internal/pgwire"
)

// server takes a message from the server. The frame may be reused afterwards.
func (m *machine) server(f pgwire.Frame) {
	if m.state == closing {
		return
	}
	switch f.Type() {
	case pgwire.DataRow, pgwire.CopyData:
		if m.data(len(f)) {
			m.toClient = append(m.toClient, f...)
		}
	case pgwire.Notice:
		m.serverNotice(f)
	case pgwire.Notification:
		if !m.shut && (m.windowCloses.IsZero() || m.now().Before(m.windowCloses)) {
			m.toClient = append(m.toClient, m.heard(f)...)
		}
	case pgwire.ParameterStatus:
		m.parameterStatus(f)
	case pgwire.ErrorResponse:
		m.serverError(f)
	case pgwire.ReadyForQuery:
		m.readyForQuery(f)
	default:
		m.reply(f)
	}
	m.advance()
}

// data accounts for a row or COPY message of n bytes and reports whether the
// client shall have it.
func (m *machine) data(n int) bool {
	e := m.head()
	if e == nil || (e.typ != pgwire.Query && e.typ != pgwire.Execute) || e.run() == nil {
		m.desync("data came that nothing asked for")
		return false
	}
	r := e.run()
	if e.hidden || e.dead || r.cut != nil {
		return false
	}
	r.rows++
	r.bytes += int64(n)
	rows, bytes := r.rows, r.bytes
	if c := r.cursor; c != nil {
		c.rows++
		c.bytes += int64(n)
		rows, bytes = c.rows, c.bytes
	}
	if r.limitRows >= 0 && rows > r.limitRows || r.limitBytes >= 0 && bytes > r.limitBytes {
		r.cut = limitReached(r)
		m.stop()
		return false
	}
	return true
}

// reply handles answers that belong to the message being answered.
func (m *machine) reply(f pgwire.Frame) {
	e := m.head()
	if e == nil || !m.answers(e, f) {
		if m.state != closing {
			m.desync("the server sent a message out of order")
		}
		return
	}
	if !e.hidden && !e.dead && m.state != closing {
		m.toClient = append(m.toClient, f...)
	}
}

// answers reports whether the message is a legal answer, and does what it means.
func (m *machine) answers(e *expect, f pgwire.Frame) bool {
	running := e.typ == pgwire.Query || e.typ == pgwire.Execute
	switch f.Type() {
	case pgwire.ParseComplete:
		return e.typ == pgwire.Parse && m.parsed(e)
	case pgwire.BindComplete:
		if e.typ != pgwire.Bind {
			return false
		}
		m.portals[e.name] = e.portal
		m.pop()
	case pgwire.CloseComplete:
		if e.typ != pgwire.Close {
			return false
		}
		m.drop(pgwire.Target{Kind: e.target, Name: e.name})
		m.pop()
	case pgwire.ParameterDesc:
		return e.typ == pgwire.Describe && e.target == 'S'
	case pgwire.NoData:
		if e.typ != pgwire.Describe {
			return false
		}
		m.pop()
	case pgwire.RowDescription:
		return m.described(e, f)
	case pgwire.CommandComplete, pgwire.EmptyQuery:
		return running && m.completed(e, f)
	case pgwire.PortalSuspended:
		if e.typ != pgwire.Execute {
			return false
		}
		return m.suspended(e)
	case pgwire.CopyIn:
		return running && m.copyBegins()
	case pgwire.CopyOut, pgwire.CopyDone:
		return running
	default: // CopyBoth, FunctionCallResponse and whatever else has no place here
		return false
	}
	return true
}

func (m *machine) parsed(e *expect) bool {
	if e.refusal != nil || e.stmt == nil {
		return false // the statement that had to be rejected was not
	}
	m.statements[e.name] = e.stmt
	m.pop()
	return true
}

func (m *machine) described(e *expect, f pgwire.Frame) bool {
	var fence fence
	switch {
	case e.typ == pgwire.Describe:
		fence = e.stmt.judged.fence
	case e.typ == pgwire.Query && e.run() != nil:
		fence = e.run().fence
	default:
		return false
	}
	if column := fence.breach(f.Body()); column != "" {
		m.breach = column
		m.fail(&Refusal{Code: codeDenied, Message: "the result was cut off: it would have shown " + column + " unmasked",
			Hint: "This is a fault of sallyport, not of your statement. It has been recorded; please report it."})
		return false
	}
	if e.typ == pgwire.Describe {
		m.pop()
	}
	return true
}

// completed handles the end of one statement. A cut one that ended by itself
// before the cancel request came is told as cut all the same.
func (m *machine) completed(e *expect, f pgwire.Frame) bool {
	if e.refusal != nil || e.hidden {
		return false // what had to be rejected was not
	}
	tag := ""
	if f.Type() == pgwire.CommandComplete {
		tag = strings.TrimSuffix(string(f.Body()), "\x00")
	}
	if e.portal != nil {
		e.portal.suspended = false
	}
	late := e.run() != nil && e.run().cut != nil && !e.dead
	if late {
		m.toClient = e.run().cut.appendTo(m.toClient)
		e.dead = true
	}
	m.finish(e, tag, "")
	m.settle(e)
	if r := e.run(); r != nil && r.makes != nil {
		m.named = m.named.with(r.makes)
	}
	if e.typ == pgwire.Execute {
		m.popRun(e)
		if late {
			m.failLate(e.segment)
		}
		return true
	}
	if len(e.runs) > 1 {
		e.runs = e.runs[1:]
		e.runs[0].started = m.now()
	}
	return true
}

// suspended handles the end of an Execute that left rows in its portal.
func (m *machine) suspended(e *expect) bool {
	late := e.run() != nil && e.run().cut != nil && !e.dead
	if late {
		m.toClient = e.run().cut.appendTo(m.toClient)
		e.dead = true
	}
	e.portal.suspended = true
	m.finish(e, "", "")
	m.popRun(e)
	if late {
		m.failLate(e.segment)
	}
	return true
}

// failLate makes the server fail as the client was told it has.
func (m *machine) failLate(segment uint64) {
	m.deadSegment = segment
	m.markDead()
	if m.segment != segment {
		return // its Sync is sent: ReadyForQuery will do what is left to do
	}
	m.discarding = true
	m.toServer = pgwire.AppendFrame(m.toServer, pgwire.Parse, []byte(refusedName), []byte{0},
		[]byte("sallyport cut this off"), []byte{0, 0, 0})
	m.push(&expect{typ: pgwire.Parse, hidden: true})
}

// markDead keeps the answers to what follows in the segment from a client that
// was told an error.
func (m *machine) markDead() {
	for _, e := range m.expects {
		if e.segment == m.deadSegment {
			e.dead = true
		}
	}
}

func (m *machine) popRun(e *expect) {
	if e.portal != nil && e.run() != nil {
		e.portal.rows += e.run().rows
		e.portal.bytes += e.run().bytes
	}
	if m.barrier == e {
		m.barrier = nil
	}
	m.pop()
}

// settle makes the session follow what a statement has done.
func (m *machine) settle(e *expect) {
	fx := e.effects
	switch {
	case fx.path != nil:
		m.pathNext = fx.path
	case fx.resetPath:
		m.pathNext = m.pathInitial
	}
	switch {
	case fx.dropAll:
		clear(m.statements)
		m.named = m.named.without("")
	case fx.deallocate != "":
		m.named = m.named.without(fx.deallocate)
		m.drop(pgwire.Target{Kind: 'S', Name: fx.deallocate})
	}
	if fx.endsPortals {
		clear(m.portals)
		m.named = m.named.closed("", true)
	}
	for _, name := range fx.closes {
		m.named = m.named.closed(name, false)
	}
	if fx.code {
		m.named = m.named.only(e.run())
	}
	m.temporary = m.temporary || fx.temporary
	if fx.transaction { // a savepoint rolled back to takes its objects away
		m.changes++
	}
	if fx.schema {
		m.schemaInTx = true // until ReadyForQuery says that the transaction is over
		m.changes++
	}
}

func (m *machine) copyBegins() bool {
	m.copyIn = true
	// Syncs already sent are read by the server during COPY, and ignored.
	kept := m.expects[:1]
	for _, later := range m.expects[1:] {
		if later.typ != pgwire.Sync {
			return false
		}
		if m.barrier == later {
			m.barrier = m.expects[0]
		}
		m.orphans++
		m.segment++ // what follows is not what followed that Sync
	}
	m.expects = kept
	return true
}

// serverError handles an ErrorResponse: it ends the message being answered and,
// in the extended protocol, all up to the next Sync.
func (m *machine) serverError(f pgwire.Frame) {
	report, err := pgwire.DecodeReport(f.Body())
	if err != nil {
		m.desync("the server sent an error that cannot be read")
		return
	}
	e := m.head()
	fatal := report.Severity == "FATAL" || report.Severity == "PANIC"
	m.fatal = m.fatal || fatal
	m.pathNext = nil // rolled back
	if e == nil || fatal {
		m.toClient = append(m.toClient, f...)
		return
	}
	m.tellError(e, f, report)
	if e.refusal != nil && (e.typ == pgwire.Query || e.unnamed) {
		delete(m.statements, "") // as the refused message would have
	}
	m.finish(e, "", report.Code)
	m.copyIn = false
	if e.typ == pgwire.Query {
		return // ReadyForQuery follows
	}
	m.failSegment(e.segment)
}

// tellError passes an error on as what the client is to see of it.
func (m *machine) tellError(e *expect, f pgwire.Frame, report pgwire.Report) {
	r := e.run()
	switch {
	case e.hidden || e.dead:
	case e.refusal != nil:
		m.toClient = e.refusal.appendTo(m.toClient)
	case r != nil && r.cut != nil:
		m.toClient = r.cut.appendTo(m.toClient)
	case r != nil && (r.masked || r.rewritten):
		m.toClient = scrub(report, r.masked, r.place).Append(m.toClient, pgwire.ErrorResponse)
	case e.judged() != nil:
		m.toClient = scrub(report, e.judged().masked(), e.judged().place).Append(m.toClient, pgwire.ErrorResponse)
	default:
		m.toClient = append(m.toClient, f...)
	}
}

// judged is what was decided of the statement a Parse, Bind or Describe is about,
// nil when the server sees the client's own text.
func (e *expect) judged() *judged {
	var j *judged
	switch {
	case e.stmt != nil:
		j = e.stmt.judged
	case e.portal != nil:
		j = e.portal.stmt.judged
	}
	if j == nil || !j.rewritten && !j.masked() {
		return nil
	}
	return j
}

// failSegment forgets the answers the server will not give any more.
func (m *machine) failSegment(segment uint64) {
	for len(m.expects) > 0 && m.expects[0].typ != pgwire.Sync && m.expects[0].segment == segment {
		if m.barrier == m.expects[0] {
			m.barrier = nil
		}
		m.pop()
	}
	if len(m.expects) == 0 && m.segment == segment {
		m.discarding = true
	}
}

func (m *machine) readyForQuery(f pgwire.Frame) {
	if len(f.Body()) != 1 || !strings.ContainsRune("ITE", rune(f.Body()[0])) {
		m.desync("the server sent a transaction status that cannot be read")
		return
	}
	e := m.head()
	switch {
	case e == nil && m.orphans > 0:
		m.orphans-- // a Sync was read after COPY had failed, not during it
		e = &expect{typ: pgwire.Sync}
	case e == nil || (e.typ != pgwire.Sync && e.typ != pgwire.Query):
		m.desync("the server says it is ready out of order")
		return
	default:
		m.orphans = 0
		m.pop()
	}
	m.tx, m.readyAt = f.Body()[0], m.now()
	m.copyIn = false
	if e.typ == pgwire.Query { // it has ended the implicit transaction it may have come into
		m.worked, m.closes = false, nil
	}
	if m.tx == txIdle {
		if m.pathNext != nil {
			m.path = m.pathNext // committed, or there was an error and nothing is next
		}
		clear(m.portals)
		m.named = m.named.closed("", true)
		if m.schemaInTx {
			m.schemaInTx = false
			m.changes++
			m.schemaDone()
		}
	}
	m.pathNext, m.pathSet = nil, false
	if m.barrier == e {
		m.barrier = nil
	}
	switch {
	case e.dead && m.tx == txOpen:
		// The client was told an error, so the transaction has to have failed.
		m.abortHidden("sallyport cut this off", true)
	case !e.hidden || e.tellReady:
		m.toClient = append(m.toClient, f...)
	}
}

func (m *machine) serverNotice(f pgwire.Frame) {
	e := m.head()
	if e == nil || e.run() == nil || !e.run().masked {
		if e == nil || !e.hidden {
			m.toClient = append(m.toClient, f...)
		}
		return
	}
	report, err := pgwire.DecodeReport(f.Body())
	if err != nil {
		return
	}
	report = scrub(report, true, nil)
	report.Message = "a notice was withheld: it could tell a masked value"
	m.toClient = report.Append(m.toClient, pgwire.Notice)
}

// parameterStatus follows the settings that what was judged depends on.
func (m *machine) parameterStatus(f pgwire.Frame) {
	name, value, err := pgwire.DecodeParameterStatus(f.Body())
	if err != nil {
		m.desync("the server sent a parameter that cannot be read")
		return
	}
	if r := unsafeParameter(name, value); r != nil {
		m.fail(r)
		return
	}
	m.toClient = append(m.toClient, f...)
}

// unsafeParameter refuses to go on when statements would be read differently
// from how they are judged.
func unsafeParameter(name, value string) *Refusal {
	switch {
	case name == "standard_conforming_strings" && value != "on",
		name == "client_encoding" && value != "UTF8":
		return &Refusal{Code: codeUnsupported, Message: name + " became " + value + ", with which statements cannot be judged",
			Hint: "Leave standard_conforming_strings on and client_encoding UTF8."}
	}
	return nil
}

// finish notes how the statement being answered ended.
func (m *machine) finish(e *expect, tag, code string) {
	if r := e.run(); r != nil && !e.hidden {
		if r.cut != nil {
			code = r.cut.Code
		}
		m.results = append(m.results, result{run: r, tag: tag, code: code, ended: m.now()})
	}
}

// desync ends a session whose answers cannot be matched to its messages.
func (m *machine) desync(what string) {
	m.fail(&Refusal{Code: codeProtocol, Message: what, Hint: "Reconnect."})
}
