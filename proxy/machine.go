package proxy

import (
	"time"

	"github.com/sallyport/sallyport/internal/pgwire"
)

// machine is a session's protocol without any I/O: frames, verdicts, ticks and
// revocations go in, bytes to write and jobs to do come out. It holds no socket,
// starts no goroutine and takes no lock; whoever drives it does (session.go).
type machine struct {
	state   state
	tx      byte // transaction status as the server last told it
	expects []*expect
	spare   []*expect // the array expects began in, to be used again
	segment uint64    // counts Sync and Query sent
	flushed bool      // a Flush was sent since the last message that has an answer

	inbox        []pgwire.Frame // client messages that wait
	inboxBytes   int
	discarding   bool      // until Sync: the server skips what comes, so it is not even sent
	copyIn       bool      // the server takes COPY data
	orphans      int       // Syncs the server may have read as part of a COPY, or not
	worked       bool      // an Execute was sent in this segment: its implicit transaction may be open
	windowCloses time.Time // of the last statement that ran in a window; zero: none did
	closes       *run      // the run of this segment whose window may close before its Sync
	shut         bool      // the window has closed: nothing more is told of what it let in
	unsettled    bool      // something was executed in this segment whose effects are sure only after its Sync
	barrier      *expect   // its answer may change what names mean

	statements map[string]*statement
	portals    map[string]*portal
	named      *namedSet // cursors, and statements prepared by SQL

	path        []string // search path in force
	pathNext    []string // what it becomes if the implicit transaction is committed, nil for no change
	pathSet     bool     // it was changed in the open segment: only Sync may follow
	pathInitial []string
	schemaDone  func() // told when what changed the schema has been committed, or not
	hush        bool   // payloads of notifications are kept back
	schemaInTx  bool   // DDL was done in the open transaction: no other session sees the catalog as this one does
	temporary   bool   // it has made temporary objects, which nobody else sees
	changes     uint64 // counts what may have changed the catalog as only this session sees it
	open        bool   // something was sent in this segment

	deciding *job     // the message being decided or held
	stopping bool     // a cancel request is under way: forward nothing that it could hit
	parked   *verdict // came while stopping, or while the server had answers to give before
	jobs     []*job
	results  []result

	toServer []byte
	toClient []byte

	deadSegment uint64 // of an Execute that was cut off
	fatal       bool   // the server said itself why it left
	breach      string // a masked column that nearly showed

	readyAt time.Time // when the server last became ready
	now     func() time.Time
	err     error // why the session is closing
}

func newMachine(path []string, now func() time.Time) *machine {
	return &machine{
		state:       ready,
		tx:          txIdle,
		spare:       make([]*expect, 0, 16),
		statements:  map[string]*statement{},
		portals:     map[string]*portal{},
		path:        path,
		pathInitial: path,
		schemaDone:  func() {},
		now:         now,
	}
}

// jobKind is what has to be decided or done outside of the machine.
type jobKind int

// The zero kind is none.
const (
	_ jobKind = iota
	jobQuery
	jobParse
	jobBind
	jobExecute
	jobFunction
	jobCancel // cancel what the server is running
)

// job is work the machine cannot do itself. Its answer comes back as a verdict;
// jobCancel is answered by cancelled.
type job struct {
	kind    jobKind
	raw     pgwire.Frame // the client's message
	sql     string
	parse   pgwire.ParseMessage
	bind    pgwire.BindMessage
	execute pgwire.ExecuteMessage
	stmt    *statement
	portal  *portal

	tx         byte
	path       []string
	named      *namedSet
	working    bool    // the implicit transaction has begun: an earlier Execute is in this segment
	own        bool    // the session sees another catalog than others do
	changes    uint64  // see machine
	borrowable bool    // the session's connection may be asked something of our own
	borrowed   bool    // it was, set by the gate
	unsure     bool    // what names mean cannot be known now: set by the gate
	ticket     *ticket // the approval asked for, while held
	release    *ticket // the approval that came, when decided again
}

// outcome is what becomes of a message. The zero value refuses.
type outcome int

const (
	refused outcome = iota
	permitted
	held
	answered
)

// verdict answers a job.
type verdict struct {
	outcome  outcome
	refusal  *Refusal
	permit   permit
	judged   *judged
	runs     []*run
	effects  effects
	writes   bool     // it may change data
	hush     bool     // the session listens, and something is masked for it
	copyIn   bool     // the statement may ask the client for data
	rows     *answer  // answered: by the proxy itself
	ticket   *ticket  // held, or the approval an execution is covered by
	notices  []string // told to the client before anything else
	borrowed bool     // the connection was: the server has forgotten what has no name
}

// wantsClient reports whether more client messages may be read now.
func (m *machine) wantsClient(limit int) bool { return m.inboxBytes <= limit }

// client takes a message from the client. The frame may be reused afterwards.
func (m *machine) client(f pgwire.Frame) {
	if len(m.inbox) == 0 && m.step(f) {
		return
	}
	if m.state == closing {
		return
	}
	m.inbox = append(m.inbox, f.Clone())
	m.inboxBytes += len(f)
}

// advance processes waiting messages as far as possible.
func (m *machine) advance() {
	m.unpark()
	for len(m.inbox) > 0 && m.step(m.inbox[0]) {
		if m.state == closing {
			m.inbox, m.inboxBytes = nil, 0
			return
		}
		m.inboxBytes -= len(m.inbox[0])
		m.inbox[0] = nil
		m.inbox = m.inbox[1:]
	}
}

// busy reports whether something is being decided, held or run.
func (m *machine) busy() bool {
	return m.state == awaiting || m.state == decidingState || len(m.expects) > 0
}

// takeJob hands out the next job, nil when there is none.
func (m *machine) takeJob() *job {
	if len(m.jobs) == 0 {
		return nil
	}
	j := m.jobs[0]
	m.jobs = m.jobs[1:]
	return j
}

// decide starts a job about a client message.
func (m *machine) decide(j *job) bool {
	j.tx, j.path, j.named = m.tx, m.path, m.named
	j.own, j.changes = m.schemaInTx || m.temporary, m.changes
	// What has been executed is committed by a query of ours, and what fails in a
	// failed transaction is no answer.
	j.borrowable = len(m.expects) == 0 && !m.open && m.tx != txFailed && (j.kind == jobQuery || j.kind == jobParse || j.kind == jobBind && j.stmt.name != "")
	m.state = decidingState
	m.deciding = j
	m.jobs = append(m.jobs, j)
	return true
}

// fail ends the session: the client is told, the server is left.
func (m *machine) fail(r *Refusal) {
	if m.state == closing {
		return
	}
	r.Fatal = true
	m.toClient = r.appendTo(m.toClient)
	m.err = r
	m.close()
}

func (m *machine) close() {
	m.state = closing
	m.inbox, m.inboxBytes = nil, 0
	m.jobs = nil
	m.toServer = pgwire.AppendFrame(m.toServer, pgwire.Terminate)
}

// forward is the only way statements reach the server, and takes a permit for
// exactly the bytes it sends.
func (m *machine) forward(p permit, e *expect) {
	if !p.valid() {
		m.fail(&Refusal{Code: codeInternal, Message: "a statement came without a permit"})
		return
	}
	m.toServer = append(m.toServer, p.frame...)
	m.push(e)
	if e.typ == pgwire.Query {
		m.segment++
	}
}

// relay sends a message that runs nothing: it ends, describes or closes what was
// permitted before, or is data the server asked for.
func (m *machine) relay(f pgwire.Frame) {
	switch f.Type() {
	case pgwire.Sync, pgwire.Flush, pgwire.Describe, pgwire.Close, pgwire.CopyData, pgwire.CopyDone, pgwire.CopyFail:
		m.toServer = append(m.toServer, f...)
	default:
		m.fail(&Refusal{Code: codeInternal, Message: "a message of this type needs a permit"})
	}
}

// refuse answers the message with an error, in its place among the answers. Where
// the server has to know – in the extended protocol and inside a transaction – it
// is sent a statement it must reject, and its error is replaced.
func (m *machine) refuse(typ byte, r *Refusal) { m.refuseMessage(typ, false, r) }

// refuseMessage is refuse; unnamed tells that the message would have replaced the
// unnamed statement, which therefore is gone.
func (m *machine) refuseMessage(typ byte, unnamed bool, r *Refusal) {
	if r.Fatal {
		m.fail(r)
		return
	}
	extended := typ != pgwire.Query && typ != pgwire.Function
	switch {
	case extended:
		m.toServer = pgwire.AppendFrame(m.toServer, pgwire.Parse, []byte(refusedName), []byte{0},
			[]byte(m.substitute(r)), []byte{0, 0, 0})
		m.push(&expect{typ: pgwire.Parse, refusal: r, unnamed: unnamed})
		m.discarding = true
	case m.tx == txIdle && len(m.expects) == 0 && !m.worked:
		delete(m.statements, "")
		m.toClient = r.appendTo(m.toClient)
		m.toClient = pgwire.AppendReady(m.toClient, m.tx)
	default:
		m.toServer = pgwire.AppendQuery(m.toServer, m.substitute(r))
		m.push(&expect{typ: pgwire.Query, refusal: r})
		m.segment++
	}
}

// refusedName is the statement name a substituted Parse uses. Nothing is ever
// prepared under it, since its text never parses.
const refusedName = "sallyport refused"

// substitute is a text no server can parse, which shows in its log.
func (m *machine) substitute(r *Refusal) string {
	id := make([]byte, 0, len(r.Detail.DecisionID))
	for _, c := range []byte(r.Detail.DecisionID) {
		if c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' {
			id = append(id, c)
		}
	}
	return "sallyport refused this statement, decision " + string(id)
}
