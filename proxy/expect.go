package proxy

import (
	"time"

	"github.com/sallyport/sallyport/internal/pgwire"
)

// expect is a message that was sent to the server and not wholly answered yet.
type expect struct {
	typ     byte // the client message's type: Q P B D E C S
	name    string
	target  byte // Describe and Close: S or P
	segment uint64
	stmt    *statement
	portal  *portal
	runs    []*run   // statements it runs, in order: several for a simple Query
	refusal *Refusal // it was sent in place of a refused message: the error is replaced
	hidden  bool     // sent by the machine itself: nothing of the answer is passed on
	dead    bool     // the client was told an error: nothing more of the answer is passed on
	effects effects

	copies    bool // it may ask the client for COPY data
	unnamed   bool // it stands for a refused Parse of the unnamed statement
	holdsSync bool // Sync must not be sent before it is answered
	tellReady bool // hidden, but for its ReadyForQuery
}

// effects are what a statement does to the session once the server has done it.
type effects struct {
	path        []string // the search path it sets, nil for none
	resetPath   bool
	deallocate  string
	dropAll     bool     // DEALLOCATE ALL, DISCARD ALL
	schema      bool     // the catalog may differ
	temporary   bool     // there is a temporary object
	transaction bool     // it begins or ends a transaction, or part of one
	endsPortals bool     // COMMIT, ROLLBACK, also AND CHAIN
	names       bool     // it gives something a name: see run.makes
	code        bool     // it runs code that may open cursors: what names mean is forgotten
	closes      []string // cursors, "" for all
}

func (e effects) any() bool {
	return e.path != nil || e.resetPath || e.deallocate != "" || e.dropAll || e.schema || e.transaction || e.names || e.closes != nil || e.code
}

// run is one statement the server is executing.
type run struct {
	decisionID string
	limitRows  int64 // -1: none
	limitBytes int64 // of rows as they are sent, -1: none
	rows       int64
	bytes      int64
	started    time.Time
	deadline   time.Time // zero: none
	timeout    *Refusal  // what the client is told when the deadline passes
	closes     time.Time // when its window closes, zero: it needs none
	closing    *Refusal  // what it is told when its window closes before that; nil: it needs no window
	cut        *Refusal  // set once the run was cut off: its error is replaced
	masked     bool
	makes      *named // what the server has once the run has ended well
	cursor     *named // that it fetches from, whose limits it shares
	rewritten  bool
	fence      fence
	place      func(int) int // see judged.place
}

// result is how a run ended, for the record.
type result struct {
	run   *run
	tag   string
	code  string // SQLSTATE, "" when it succeeded
	ended time.Time
}

// statement is a prepared statement the server has, or that the proxy answers.
type statement struct {
	name   string
	judged *judged
}

func (s *statement) local() bool { return s.judged.call != nil }

// portal is a bound statement.
type portal struct {
	name      string
	stmt      *statement
	bind      pgwire.BindMessage
	judged    *judged // as it was bound
	approved  *ticket // an approval that covers one execution
	rows      int64   // sent so far, over several Execute
	bytes     int64
	begun     bool // an Execute was sent
	suspended bool // it has more rows
}

// head is the message the server is answering, nil when all are answered.
func (m *machine) head() *expect {
	if len(m.expects) == 0 {
		return nil
	}
	return m.expects[0]
}

func (m *machine) push(e *expect) {
	e.segment = m.segment
	m.expects = append(m.expects, e)
	m.flushed = false
	m.open = e.typ != pgwire.Query && e.typ != pgwire.Sync
	if e.typ == pgwire.Query {
		m.barrier = e // it may begin or end a transaction, or change what names mean
	}
}

func (m *machine) pop() {
	m.expects[0] = nil
	m.expects = m.expects[1:]
	if len(m.expects) == 0 {
		m.expects = m.spare[:0]
	}
}

func (e *expect) run() *run {
	if len(e.runs) == 0 {
		return nil
	}
	return e.runs[0]
}

// drained reports whether the server has answered everything. When it has not,
// the server is asked to send what it holds back, once.
func (m *machine) drained() bool {
	if len(m.expects) == 0 {
		return true
	}
	last := m.expects[len(m.expects)-1].typ
	if last != pgwire.Sync && last != pgwire.Query && !m.flushed {
		m.toServer = pgwire.AppendFrame(m.toServer, pgwire.Flush)
		m.flushed = true
	}
	return false
}

// lookupStatement finds what name will mean to the server when it reads the next
// message. known is false when that depends on answers still to come.
func (m *machine) lookupStatement(name string) (s *statement, known bool) {
	for i := len(m.expects) - 1; i >= 0; i-- {
		e := m.expects[i]
		touches := e.effects.dropAll || e.effects.deallocate == name && name != "" ||
			e.typ == pgwire.Parse && e.name == name && e.stmt != nil ||
			e.typ == pgwire.Close && e.target == 'S' && e.name == name ||
			e.typ == pgwire.Query && name == ""
		if !touches {
			continue
		}
		if e.segment != m.segment || e.effects.any() || e.typ == pgwire.Query {
			return nil, false
		}
		return e.stmt, true // nil for Close
	}
	return m.statements[name], true
}

func (m *machine) lookupPortal(name string) (p *portal, known bool) {
	for i := len(m.expects) - 1; i >= 0; i-- {
		e := m.expects[i]
		if e.segment != m.segment {
			return nil, false // a Sync in between may have closed it
		}
		switch {
		case e.typ == pgwire.Bind && e.name == name && e.portal != nil:
			return e.portal, true
		case e.typ == pgwire.Close && e.target == 'P' && e.name == name:
			return nil, true
		}
	}
	return m.portals[name], true
}
