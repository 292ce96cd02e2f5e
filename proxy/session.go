package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/approval"
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

	waits sync.WaitGroup // approvals waited for, timers running
	done  chan struct{}
	once  sync.Once
	ctx   context.Context //nolint:containedctx // the session's own lifetime: what it waits for, nobody needs afterwards
	stop  context.CancelFunc
}

// writer is one side's output: whoever finds it idle writes, others leave their
// bytes with the machine for whoever writes.
type writer struct {
	busy  bool
	spare []byte
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

// lastWords lets the client have what was still to be said to it, if it listens.
func (s *session) lastWords() {
	_ = s.client.SetWriteDeadline(time.Now().Add(lastWordsGrace))
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.toCli.busy {
		s.room.Wait()
	}
	_ = s.write(&s.toCli, s.client, &s.m.toClient) // it may be gone
}

// readClient feeds the machine with the client's messages.
func (s *session) readClient() error {
	r := pgwire.NewReader(s.client, readBuffer)
	for {
		h, err := s.nextFromClient(r)
		if err != nil {
			return err
		}
		if h.Type == pgwire.CopyData && h.Body > readBuffer && s.streamCopy() {
			if err := s.copyStream(r, h); err != nil {
				return err
			}
			continue
		}
		f, err := r.Read(h, s.limits.MessageBytes)
		if err != nil {
			return s.unreadable(err)
		}
		if closed, err := s.takeClient(r, f); err != nil || closed {
			return err
		}
	}
}

// takeClient takes the message and all that are buffered behind it. It returns
// once the machine wants more.
func (s *session) takeClient(r *pgwire.Reader, f pgwire.Frame) (closed bool, err error) {
	s.mu.Lock()
	for {
		s.m.client(f)
		if !r.HasFrame() || s.m.state == closing || !s.m.wantsClient(inboxLimit) {
			break
		}
		var h pgwire.Header
		if h, err = r.Next(); err == nil {
			f, err = r.Read(h, s.limits.MessageBytes)
		}
		if err != nil {
			break
		}
	}
	failed := s.pump()
	for failed == nil && s.m.state != closing && !s.m.wantsClient(inboxLimit) {
		s.room.Wait()
	}
	closed = s.m.state == closing
	s.mu.Unlock()
	if failed == nil && err != nil {
		failed = s.unreadable(err)
	}
	return closed, failed
}

func (s *session) nextFromClient(r *pgwire.Reader) (pgwire.Header, error) {
	if s.limits.IdleTimeout > 0 && !r.HasFrame() {
		_ = s.client.SetReadDeadline(time.Now().Add(s.limits.IdleTimeout))
		defer func() { _ = s.client.SetReadDeadline(time.Time{}) }()
	}
	h, err := r.Next()
	for err != nil && isTimeout(err) && s.busySince(s.limits.IdleTimeout) {
		_ = s.client.SetReadDeadline(time.Now().Add(s.limits.IdleTimeout))
		h, err = r.Next()
	}
	if err != nil {
		return h, s.unreadable(err)
	}
	return h, nil
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// busySince reports whether the server has had something to do within the time:
// then it is not the client that was waited for.
func (s *session) busySince(d time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m.busy() || s.gate.Now().Sub(s.m.readyAt) < d
}

// unreadable tells the client why it is not understood, where it can still listen.
func (s *session) unreadable(err error) error {
	var large *pgwire.TooLargeError
	var r *Refusal
	switch {
	case errors.As(err, &large):
		r = &Refusal{Code: codeTooLarge, Message: fmt.Sprintf("a message of %d bytes exceeds the limit of %d", large.Bytes, large.Limit),
			Hint: "Send less at a time, or COPY the data."}
	case errors.Is(err, pgwire.ErrFraming):
		r = protocolViolation("a message has an impossible length")
	case isTimeout(err):
		r = &Refusal{Code: "57P05", Message: "the session was idle for too long", Hint: "Reconnect."}
	default:
		return err // the client is gone
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m.fail(r)
	return errors.Join(r, s.flush())
}

// streamCopy reports whether COPY data may go straight through.
func (s *session) streamCopy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m.copyIn && s.m.state == ready && !s.m.stopping && len(s.m.inbox) == 0
}

// copyStream passes one large CopyData on piece by piece.
func (s *session) copyStream(r *pgwire.Reader, h pgwire.Header) error {
	s.mu.Lock()
	for s.toServ.busy {
		s.room.Wait()
	}
	s.toServ.busy = true
	pending := s.m.toServer
	s.m.toServer = nil
	s.mu.Unlock()
	_, err := s.server.Write(pending)
	if err == nil {
		err = r.Stream(h, func(piece []byte) error {
			_, err := s.server.Write(piece)
			return err
		})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.toServ.busy = false
	s.room.Broadcast()
	return errors.Join(err, s.flush())
}

// readServer feeds the machine with the server's messages.
func (s *session) readServer() error {
	r := pgwire.NewReader(s.server, readBuffer)
	for {
		h, err := r.Next()
		if err != nil {
			return s.serverLeft(err)
		}
		if (h.Type == pgwire.DataRow || h.Type == pgwire.CopyData) && h.Body > readBuffer {
			err = s.streamData(r, h)
		} else {
			err = s.takeServer(r, h)
		}
		if err != nil {
			return err
		}
	}
}

// takeServer takes the message announced and all that are buffered behind it.
func (s *session) takeServer(r *pgwire.Reader, h pgwire.Header) error {
	f, err := r.Read(h, s.limits.MessageBytes)
	if err != nil {
		return s.serverLeft(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m.server(f)
	for r.HasFrame() && s.m.state != closing && len(s.m.toClient) < outLimit {
		if h, err = r.Next(); err != nil {
			return err
		}
		if f, err = r.Read(h, s.limits.MessageBytes); err != nil {
			return err
		}
		s.m.server(f)
	}
	if err := s.pumpAside(); err != nil {
		return err
	}
	for s.toCli.busy && len(s.m.toClient) > outLimit && s.m.state != closing {
		s.room.Wait()
	}
	if s.m.state == closing {
		return s.m.err
	}
	return nil
}

// streamData passes one large row on piece by piece, or drops it.
func (s *session) streamData(r *pgwire.Reader, h pgwire.Header) error {
	s.mu.Lock()
	pass := s.m.state != closing && s.m.data(pgwire.HeaderSize+h.Body)
	if err := s.pumpAside(); err != nil || !pass {
		s.mu.Unlock()
		return errors.Join(err, r.Stream(h, func([]byte) error { return nil }))
	}
	for s.toCli.busy {
		s.room.Wait()
	}
	s.toCli.busy = true
	pending := s.m.toClient
	s.m.toClient = nil
	s.mu.Unlock()
	_, err := s.client.Write(pending)
	if err == nil {
		err = r.Stream(h, func(piece []byte) error {
			_, err := s.client.Write(piece)
			return err
		})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.toCli.busy = false
	s.room.Broadcast()
	return errors.Join(err, s.flushAside())
}

// serverLeft tells the client that there is no server any more, unless the server
// has said so itself.
func (s *session) serverLeft(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m.state == closing || s.m.fatal {
		return err
	}
	s.m.fail(&Refusal{Code: codeUpstream, Message: "the connection to the database was lost", Hint: "Reconnect and try again.",
		Detail: Detail{Effect: "error", Retryable: true}})
	return errors.Join(err, s.flush())
}

// pump runs the machine's jobs, then writes what it has to say. It is called with
// mu held, and gives it up while a job runs or bytes are written.
func (s *session) pump() error {
	s.runJobs()
	err := s.flush()
	s.recordResults()
	return err
}

// pumpAside is pump for the goroutine that reads the server. It must not wait
// until the server reads: the server may be waiting for it.
func (s *session) pumpAside() error {
	s.runJobs()
	err := s.flushAside()
	s.recordResults()
	return err
}

func (s *session) runJobs() {
	for {
		j := s.m.takeJob()
		if j == nil {
			break
		}
		if j.kind == jobCancel {
			s.waits.Go(s.deliverCancel)
			continue
		}
		s.mu.Unlock()
		v := s.gate.decide(s.ctx, j)
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
	s.schedule()
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

// flush writes what the machine has for both sides, the server first.
func (s *session) flush() error {
	err := s.write(&s.toServ, s.server, &s.m.toServer)
	return errors.Join(err, s.write(&s.toCli, s.client, &s.m.toClient))
}

// flushAside has another goroutine write to the server.
func (s *session) flushAside() error {
	if len(s.m.toServer) > 0 && !s.toServ.busy {
		s.waits.Go(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if err := s.write(&s.toServ, s.server, &s.m.toServer); err != nil {
				_ = s.server.Close() // its reader ends the session
			}
		})
	}
	return s.write(&s.toCli, s.client, &s.m.toClient)
}

func (s *session) write(w *writer, conn net.Conn, pending *[]byte) error {
	if w.busy {
		return nil // its writer takes these bytes too
	}
	for len(*pending) > 0 {
		out := *pending
		*pending = w.spare[:0]
		w.busy = true
		s.mu.Unlock()
		_, err := conn.Write(out)
		s.mu.Lock()
		w.busy = false
		w.spare = nil
		if cap(out) <= 2*outLimit {
			w.spare = out
		}
		s.room.Broadcast()
		if err != nil {
			return err
		}
	}
	return nil
}

// schedule sets the timer for the machine's next deadline.
func (s *session) schedule() {
	next := s.m.deadline()
	if next.IsZero() || s.m.state == closing {
		if s.timer != nil {
			s.timer.Stop()
		}
		return
	}
	wait := max(next.Sub(s.gate.Now()), 0)
	if s.timer == nil {
		s.timer = time.AfterFunc(wait, s.tick)
		return
	}
	s.timer.Reset(wait)
}

func (s *session) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m.state == closing {
		return
	}
	s.m.tick(s.gate.Now())
	_ = s.pump() // a write error ends the reading side, which ends the session
}

func (s *session) stopTimers() {
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.grace != nil {
		s.grace.Stop()
	}
}

// deliverCancel has the server cancel what it is running. A server that does not
// stop within cancelGrace is left.
func (s *session) deliverCancel() {
	s.mu.Lock()
	running := s.m.running()
	s.mu.Unlock()
	s.cancelServer()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m.state == closing {
		return
	}
	if running != nil && running == s.m.running() && running.run().cut != nil {
		s.grace = time.AfterFunc(cancelGrace, func() { s.overrun(running) })
	}
	s.m.cancelled()
	_ = s.pump()
}

// overrun ends a session whose server did not stop.
func (s *session) overrun(running *expect) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m.running() != running || s.m.state == closing {
		return
	}
	s.m.fail(running.run().cut)
	_ = s.flush()
	_ = s.server.Close() // the reader of it ends the session
}

func (s *session) cancelServer() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), 5*time.Second) // also for a session that ends
	defer cancel()
	if err := s.backend.cancel.CancelRequest(ctx); err != nil {
		s.gate.Log.Debug().Err(err).Str("session", s.gate.id).Msg("cancel request not delivered")
	}
}

// cancelRequest is the client's cancel request, come by a connection of its own.
func (s *session) cancelRequest() {
	s.mu.Lock()
	withdrawn := s.m.cancel()
	_ = s.pump()
	s.mu.Unlock()
	s.withdraw(withdrawn, "cancelled by the client")
}

// kill ends the session with a reason.
func (s *session) kill(r *Refusal) {
	s.mu.Lock()
	withdrawn := s.m.revoke(r)
	_ = s.flush()
	s.mu.Unlock()
	s.withdraw(withdrawn, r.Message)
	s.end(r)
}

// closeWindow cuts off what runs in the window that has closed, and makes an idle
// transaction fail.
func (s *session) closeWindow() {
	if _, open := s.gate.window(); open {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m.closeWindow()
	_ = s.pump()
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

// await waits for the answer to a request for approval, keeping the client awake.
func (s *session) await(j *job, t *ticket) {
	stop := make(chan struct{})
	var notices sync.WaitGroup
	notices.Go(func() { s.remind(j, t, stop) })
	answer, err := s.gate.Approvals.Wait(s.ctx, t.id)
	close(stop)
	notices.Wait()
	if s.ctx.Err() != nil {
		return // the session ended, and has withdrawn the request
	}
	s.mu.Lock()
	current := s.m.deciding == j && s.m.state == awaiting
	s.mu.Unlock()
	if !current {
		return
	}
	v := s.gate.release(s.ctx, j, t, answer, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m.deciding == j && s.m.state == awaiting {
		s.m.verdict(j, v)
		s.m.advance()
	}
	_ = s.pump()
}

func (s *session) remind(j *job, t *ticket, stop <-chan struct{}) {
	ticker := time.NewTicker(noticeEvery)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			s.mu.Lock()
			s.m.notice(j, "still held for approval "+t.id+", until "+clock(t.deadline))
			_ = s.flush()
			s.mu.Unlock()
		}
	}
}

// withdraw ends a request for approval that nobody waits for any more.
func (s *session) withdraw(t *ticket, why string) {
	if t == nil {
		return
	}
	ctx := context.WithoutCancel(s.ctx) // the session may have ended
	if err := s.gate.Approvals.Withdraw(ctx, t.id, why); err != nil && !errors.Is(err, approval.ErrNotPending) {
		s.gate.Log.Warn().Err(err).Str("approval", t.id).Msg("approval not withdrawn")
	}
}
