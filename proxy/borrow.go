package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/sallyport/sallyport/internal/pgwire"
)

// borrowTimeout bounds what is asked on a session's own connection.
const borrowTimeout = 30 * time.Second

// borrow lets ask use the session's own connection to the server, between two
// messages of the client: what only this session sees can be read nowhere else. The
// server must have answered everything. After an error the connection is not to be
// trusted any more.
func (s *session) borrow(ctx context.Context, ask func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, borrowTimeout)
	defer cancel()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	if err := s.lend(far); err != nil {
		return err
	}
	defer s.takeBack()
	go s.carry(far)
	config, err := pgx.ParseConfig("host=session port=1 user=session database=session sslmode=disable")
	if err != nil {
		return fmt.Errorf("borrowing the session's connection: %w", err)
	}
	config.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"session"}, nil }
	config.DialFunc = func(context.Context, string, string) (net.Conn, error) { return near, nil }
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("borrowing the session's connection: %w", err)
	}
	err = ask(ctx, conn)
	return errors.Join(err, conn.Close(ctx))
}

// lend makes the server's messages go to somebody else than the machine.
func (s *session) lend(to net.Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m.state != decidingState || len(s.m.expects) > 0 {
		return errors.New("the session's connection is in use")
	}
	for s.toServ.busy {
		s.room.Wait()
	}
	s.lent = to
	return nil
}

func (s *session) takeBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lent = nil
}

// borrower is who has the connection now, nil for the machine.
func (s *session) borrower() net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lent
}

// carry plays the server's part of a start, and then passes messages on to it until
// the borrower takes its leave.
func (s *session) carry(from net.Conn) {
	defer from.Close()
	start := pgproto3.NewBackend(from, from)
	if _, err := start.ReceiveStartupMessage(); err != nil {
		return
	}
	start.Send(&pgproto3.AuthenticationOk{})
	for _, p := range [][2]string{{"client_encoding", "UTF8"}, {"standard_conforming_strings", "on"}} {
		start.Send(&pgproto3.ParameterStatus{Name: p[0], Value: p[1]})
	}
	start.Send(&pgproto3.BackendKeyData{SecretKey: make([]byte, 4)})
	start.Send(&pgproto3.ReadyForQuery{TxStatus: txOpen})
	if err := start.Flush(); err != nil {
		return
	}
	for {
		f, err := readFrame(from)
		if err != nil || f.Type() == pgwire.Terminate {
			return
		}
		if _, err := s.server.Write(f); err != nil {
			return
		}
	}
}

// readFrame reads one message of our own side, which is not malicious.
func readFrame(r io.Reader) (pgwire.Frame, error) {
	f := make(pgwire.Frame, pgwire.HeaderSize)
	if _, err := io.ReadFull(r, f); err != nil {
		return nil, err
	}
	body := make([]byte, int(f[1])<<24|int(f[2])<<16|int(f[3])<<8|int(f[4])-4)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	return append(f, body...), nil
}

// returned passes a message of the server on to the borrower. Notifications are
// the client's all the same.
func (s *session) returned(to net.Conn, r *pgwire.Reader, h pgwire.Header) error {
	f, err := r.Read(h, s.limits.MessageBytes)
	if err != nil {
		return s.serverLeft(err)
	}
	if f.Type() == pgwire.Notification {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.m.server(f)
		return s.pumpAside()
	}
	_, _ = to.Write(f) // it may have given up, and then the session ends
	return nil
}
