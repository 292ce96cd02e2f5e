package proxy

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/sallyport/sallyport/internal/pgwire"
)

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
		if to := s.borrower(); to != nil {
			if err := s.returned(to, r, h); err != nil {
				return err
			}
			continue
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
