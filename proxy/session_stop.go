package proxy

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/approval"
)

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
