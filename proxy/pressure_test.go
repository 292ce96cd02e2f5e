package proxy_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/sallyport/sallyport/internal/pgtest"
)

// unixDSN connects by the server's Unix socket.
func unixDSN(d *pgtest.Database) string {
	u, err := url.Parse(d.DSN())
	if err != nil {
		return ""
	}
	password, _ := u.User.Password()
	return fmt.Sprintf("host=%s port=%s user=%s password=%s dbname=%s", d.Server.SocketDir, u.Port(), u.User.Username(), password, d.Name)
}

// A client that reads while it writes may pipeline more than any buffer holds,
// also behind a statement that everything has to wait for.
func TestPipelineLargerThanBuffers(t *testing.T) {
	// A Unix socket has the smallest buffers.
	s := startSidecar(t, sidecarOptions{DSN: unixDSN})
	conn, err := pgconn.Connect(t.Context(), s.DSN("support-agent"))
	must(t, err)
	c, err := conn.Hijack()
	must(t, err)
	defer func() { _ = c.Conn.Close() }()
	must(t, c.Conn.SetDeadline(time.Now().Add(2*conversationTime)))
	const statements = 300
	var out []byte
	add := func(messages ...pgproto3.FrontendMessage) {
		for _, m := range messages {
			out, err = m.Encode(out)
			must(t, err)
		}
	}
	add(&pgproto3.Parse{Query: "DEALLOCATE ALL"}, &pgproto3.Bind{}, &pgproto3.Execute{})
	padding := " -- " + strings.Repeat("x", 3000)
	for range statements {
		add(&pgproto3.Parse{Query: "SELECT repeat('y', 100000)" + padding}, &pgproto3.Bind{}, &pgproto3.Execute{})
	}
	add(&pgproto3.Sync{})
	written := make(chan error, 1)
	go func() { _, err := c.Conn.Write(out); written <- err }()
	rows := 0
	for {
		m, err := c.Frontend.Receive()
		if err != nil {
			t.Fatalf("after %d rows: %v", rows, err)
		}
		switch m := m.(type) {
		case *pgproto3.DataRow:
			rows++
		case *pgproto3.ErrorResponse:
			t.Fatalf("%+v", m)
		case *pgproto3.ReadyForQuery:
			must(t, <-written)
			if rows != statements {
				t.Errorf("%d rows came", rows)
			}
			return
		}
	}
}
