package proxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/pgwire"
)

const (
	readBuffer = 32 << 10
	// outLimit is how many bytes may wait for one side before the other is no
	// longer read, and inboxLimit how many of a client's messages may wait for one
	// that is held.
	outLimit   = 1 << 20
	inboxLimit = 1 << 20
	// noticeEvery keeps a client that is held, and what stands between, awake.
	noticeEvery = 15 * time.Second
	// cancelGrace is how long the server may take to stop a cancelled statement.
	cancelGrace = 10 * time.Second
	// lastWordsGrace is how long a client may take to hear why its session ends.
	lastWordsGrace = 500 * time.Millisecond
)

// session drives one machine: it reads both sides, runs the machine's jobs and
// writes what it says. One goroutine reads the client, one the server; what both
// share is under mu.
type session struct {
	gate    *gate
	client  net.Conn
	server  net.Conn
	backend *backend
	key     pgwire.CancelKey
	limits  Limits
	since   time.Time

	mu     sync.Mutex
	m      *machine
	room   *sync.Cond // a writer has finished, or the inbox has room
	toServ writer
	toCli  writer
	timer  *time.Timer // for the machine's next deadline
	grace  *time.Timer // for a cancel request to have its effect

	lent  net.Conn       // who the server's messages are for meanwhile, nil for the machine: see borrow
	waits sync.WaitGroup // approvals waited for, timers running
	done  chan struct{}
	once  sync.Once
	ctx   context.Context //nolint:containedctx // the session's own lifetime: what it waits for, nobody needs afterwards
	stop  context.CancelFunc
}

func (s *session) run() {
	defer s.waits.Wait()
	defer s.end(nil)
	clientDone := make(chan struct{})
	go func() {
		defer close(clientDone)
		s.end(s.readClient())
	}()
	s.end(s.readServer())
	<-clientDone
}

// end closes both sides, once.
func (s *session) end(err error) {
	s.once.Do(func() {
		s.mu.Lock()
		if s.m.err == nil && err != nil {
			s.m.err = err
		}
		held := s.m.held()
		busy := len(s.m.expects) > 0
		s.m.close()
		s.stopTimers()
		s.room.Broadcast()
		s.mu.Unlock()
		s.stop()
		s.withdraw(held, "the client left")
		if busy {
			s.cancelServer()
		}
		_ = s.server.Close()
		s.lastWords()
		_ = s.client.Close()
		close(s.done)
	})
}

// pump runs the machine's jobs, then writes what it has to say. It is called with
// mu held, and gives it up while a job runs or bytes are written.
func (s *session) pump() error {
	s.runJobs(false)
	err := s.flush()
	s.recordResults()
	return err
}

// pumpAside is pump for the goroutine that reads the server. It must not wait
// until the server reads: the server may be waiting for it.
func (s *session) pumpAside() error {
	s.runJobs(true)
	err := s.flushAside()
	s.recordResults()
	return err
}

func (s *session) runJobs(aside bool) {
	for {
		j := s.m.takeJob()
		if j == nil {
			break
		}
		if j.kind == jobCancel {
			s.waits.Go(s.deliverCancel)
			continue
		}
		if aside && j.own { // it may ask the server, whose answers only this goroutine reads
			s.waits.Go(func() { s.runAlone(j) })
			continue
		}
		s.runJob(j)
	}
	s.schedule()
}

// runAlone runs a job in a goroutine of its own.
func (s *session) runAlone(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runJob(j)
	if err := s.pump(); err != nil {
		_ = s.server.Close() // its reader ends the session
	}
}

func (s *session) runJob(j *job) {
	s.mu.Unlock()
	v := s.gate.decide(s.ctx, j)
	v.borrowed = j.borrowed
	s.mu.Lock()
	j.ticket = v.ticket
	s.m.verdict(j, v)
	switch {
	case v.outcome != held:
	case s.m.deciding == j && s.m.state == awaiting:
		s.waits.Go(func() { s.await(j, v.ticket) })
	default: // the session ended while it was asked for
		s.waits.Go(func() { s.withdraw(v.ticket, "the client left") })
	}
	s.m.advance()
}

// recordResults notes how statements ended.
func (s *session) recordResults() {
	if len(s.m.results) == 0 {
		return
	}
	results := s.m.results
	s.m.results = nil
	s.mu.Unlock()
	// The statements have run: that is recorded even while the session ends.
	s.gate.ended(context.WithoutCancel(s.ctx), results)
	s.mu.Lock()
}

// idle reports whether nothing is running, for a graceful end.
func (s *session) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.m.busy()
}

func (s *session) recordClosed() {
	rec := s.gate.record(audit.SessionClosed, nil, nil, nil)
	s.mu.Lock()
	if err := s.m.err; err != nil {
		var r *Refusal
		if errors.As(err, &r) {
			rec.Cause, rec.SQLState = r.Message, r.Code
		} else {
			rec.Cause = "the connection ended"
		}
	}
	if s.m.breach != "" {
		rec.Message = "ALARM: a result would have shown " + s.m.breach + " unmasked"
		s.gate.Log.Error().Str("session", s.gate.id).Str("column", s.m.breach).Msg("masked column at the fence: session cut off")
		s.gate.metrics.breaches.Inc()
	}
	s.mu.Unlock()
	// The session is over; its end is recorded all the same.
	if err := s.gate.Audit.Append(context.WithoutCancel(s.ctx), rec, audit.Written); err != nil {
		s.gate.Log.Error().Err(err).Msg("end of session not recorded")
	}
}
