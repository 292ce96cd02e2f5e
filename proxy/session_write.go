package proxy

import (
	"errors"
	"net"
	"time"
)

// writer is one side's output: whoever finds it idle writes, others leave their
// bytes with the machine for whoever writes.
type writer struct {
	busy  bool
	spare []byte
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
