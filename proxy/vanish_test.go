package proxy_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/sallyport/sallyport/internal/pgtest"
)

// wholeSession is all that a client sends, from startup to the middle of a COPY.
func wholeSession(t testing.TB, token string) (login, after []byte) {
	t.Helper()
	add := func(dst *[]byte, messages ...pgproto3.FrontendMessage) {
		for _, m := range messages {
			b, err := m.Encode(*dst)
			must(t, err)
			*dst = b
		}
	}
	login = startupPacket(protocol30, "user", "agent", "database", "prod-replica", "application_name", "vanishing")
	add(&login, &pgproto3.PasswordMessage{Password: token})
	add(&after,
		&pgproto3.Query{String: "BEGIN"},
		&pgproto3.Parse{Name: "s", Query: "INSERT INTO log (note) VALUES ($1)"},
		&pgproto3.Bind{PreparedStatement: "s", Parameters: [][]byte{[]byte("lost")}},
		&pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{MaxRows: 1}, &pgproto3.Sync{},
		&pgproto3.Query{String: "SELECT repeat('x', 200)"},
		&pgproto3.Query{String: "SELECT nothing FROM items"},
		&pgproto3.Query{String: "ROLLBACK"},
		&pgproto3.Query{String: "COPY log (note) FROM STDIN"},
		&pgproto3.CopyData{Data: []byte("lost\n")})
	return login, after
}

// leaves checks that what f does leaves no goroutine, session or server connection.
func (s *sidecar) leaves(f func()) {
	s.t.Helper()
	s.agent().conn.Close() // what is started once is started
	count := func() int {
		return one[int](s.t, pgtest.Connect(s.t, s.Database.DSN()), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'vanishing'")
	}
	eventually(s.t, "the first session is over", func() bool { return len(s.Server.Sessions()) == 0 && count() == 0 })
	runtime.GC()
	before := runtime.NumGoroutine()
	f()
	eventually(s.t, "no session is left", func() bool { return len(s.Server.Sessions()) == 0 })
	eventually(s.t, "no connection to the server is left", func() bool { return count() == 0 })
	eventually(s.t, "no goroutine of a session is left", func() bool { return sessionGoroutines() == 0 })
	// Others may come and go: connections kept alive by HTTP clients.
	eventually(s.t, "no other goroutine is left", func() bool { return runtime.NumGoroutine() <= before+4 })
	if got := one[int](s.t, pgtest.Connect(s.t, s.Database.DSN()), "SELECT count(*) FROM log"); got != 0 {
		s.t.Errorf("%d rows were left", got)
	}
}

func sessionGoroutines() int {
	buf := make([]byte, 4<<20)
	stacks := string(buf[:runtime.Stack(buf, true)])
	return strings.Count(stacks, "proxy.(*session)") + strings.Count(stacks, "proxy.(*Server).handle")
}

const vanishSQL = "CREATE TABLE items (id int); CREATE TABLE log (note text)"

func TestClientVanishesAnywhere(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: vanishSQL})
	login, after := wholeSession(t, s.Token("support-agent"))
	all := append(append([]byte{}, login...), after...)
	var cuts []int
	for at := range all {
		// The token is long and much the same all over.
		if at < 90 && at%3 == 0 || at > len(login)-10 && at%4 == 0 || at%97 == 0 {
			cuts = append(cuts, at)
		}
	}
	s.leaves(func() {
		var wg sync.WaitGroup
		next := make(chan int)
		for range 8 {
			wg.Go(func() {
				for at := range next {
					conn := s.Dial()
					_, _ = conn.Write(all[:at]) // the proxy may have said no already
					if at%2 == 0 {
						_ = conn.(interface{ CloseWrite() error }).CloseWrite() // half of it is gone
						_ = conn.SetReadDeadline(time.Now().Add(conversationTime))
						drain(t, conn, at)
					}
					_ = conn.Close()
				}
			})
		}
		for _, at := range cuts {
			next <- at
		}
		close(next)
		wg.Wait()
	})
}

// drain reads to the end, which has to come.
func drain(t testing.TB, conn interface{ Read([]byte) (int, error) }, at int) {
	buf := make([]byte, 64<<10)
	for {
		if _, err := conn.Read(buf); err != nil {
			if strings.Contains(err.Error(), "timeout") {
				t.Errorf("cut at %d: the session was not closed", at)
			}
			return
		}
	}
}

func TestClientVanishesWhileItRuns(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: vanishSQL})
	s.leaves(func() {
		for _, statement := range []string{"SELECT pg_sleep(60), 'vanishing'", "SELECT repeat('x', 100000) FROM generate_series(1, 1000000)",
			"INSERT INTO log SELECT 'lost' FROM generate_series(1, 1000000000)"} {
			c := s.raw()
			if e := c.login(protocol30, s.Token("support-agent"), "application_name", "vanishing"); e != nil {
				t.Fatalf("%+v", e)
			}
			c.send(&pgproto3.Query{String: statement})
			must(t, awaitActivity(t.Context(), s.Database.DSN(), "application_name = 'vanishing' AND state = 'active' AND query = $1", statement))
			must(t, c.conn.Close())
		}
	})
}

func TestServerVanishesAnywhere(t *testing.T) {
	r, dsn := throughRelay(t)
	s := startSidecar(t, sidecarOptions{SQL: vanishSQL, DSN: dsn})
	_, after := wholeSession(t, s.Token("support-agent"))
	login := func() *rawClient {
		c := s.raw()
		if e := c.login(protocol30, s.Token("support-agent"), "application_name", "vanishing"); e != nil {
			t.Fatalf("%+v", e)
		}
		return c
	}
	var greeting, answers int
	s.leaves(func() { // how much there is to cut
		c := login()
		greeting = r.Heard()
		c.write(after)
		c.until("CopyInResponse")
		answers = r.Heard() - greeting
		must(t, c.conn.Close())
	})
	greeting /= 2 // leaves logs in too
	s.leaves(func() {
		for at := 1; at < greeting; at += 31 { // while the session's connection is made
			r.CutAfter(at)
			c := s.raw()
			if e := c.login(protocol30, s.Token("support-agent"), "application_name", "vanishing"); e == nil || e.Code != "08006" {
				t.Fatalf("cut at %d: %+v", at, e)
			}
			r.CutAfter(-1)
			must(t, c.conn.Close())
		}
		for at := 0; at < answers; at += 11 {
			c := login()
			r.CutAfter(at)
			c.write(after)
			heard, e := c.until("nothing")
			if e == nil || heard[len(heard)-1] != "closed" {
				t.Errorf("cut at %d: heard %v", at, heard)
			} else if heard[len(heard)-2] != "ErrorResponse 08006" {
				t.Errorf("cut at %d: the last word was %s", at, heard[len(heard)-2])
			}
			r.CutAfter(-1)
			must(t, c.conn.Close())
		}
	})
}

// In the middle of a row that is passed on in pieces nothing can be said.
func TestServerVanishesInARow(t *testing.T) {
	r, dsn := throughRelay(t)
	s := startSidecar(t, sidecarOptions{SQL: vanishSQL, DSN: dsn})
	c := s.agent()
	r.CutAfter(300_000)
	c.send(&pgproto3.Query{String: "SELECT repeat('x', 1000000)"})
	if heard, _ := c.until("nothing"); fmt.Sprint(heard) != "[RowDescription closed]" {
		t.Errorf("heard %v", heard)
	}
}

// A server that ends the session says so itself, and only once.
func TestServerEndsTheSession(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: vanishSQL})
	s.leaves(func() {
		c := s.raw()
		if e := c.login(protocol30, s.Token("support-agent"), "application_name", "vanishing"); e != nil {
			t.Fatalf("%+v", e)
		}
		s.Database.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'vanishing'")
		heard, _ := c.until("nothing")
		if got := fmt.Sprint(heard); got != "[ErrorResponse 57P01 closed]" {
			t.Errorf("heard %s", got)
		}
	})
}

func TestShutdown(t *testing.T) {
	s := startSidecar(t, sidecarOptions{})
	idle, busy := s.agent(), s.agent()
	busy.send(&pgproto3.Query{String: "SELECT pg_sleep(0.3), 'drained'"})
	must(t, awaitActivity(t.Context(), s.Database.DSN(), "state = 'active' AND query LIKE '%drained%'"))
	if clean := s.Server.Shutdown(t.Context()); !clean {
		t.Error("what ran did not end by itself")
	}
	heard, e := idle.until("nothing")
	refusal(t, e, "FATAL", "57P01", "shutting down")
	if got := fmt.Sprint(heard); got != "[ErrorResponse 57P01 closed]" {
		t.Errorf("the idle one heard %s", got)
	}
	heard, e = busy.until("nothing")
	refusal(t, e, "FATAL", "57P01", "shutting down")
	if got := fmt.Sprint(heard); got != "[RowDescription DataRow CommandComplete ReadyForQuery I ErrorResponse 57P01 closed]" {
		t.Errorf("the busy one heard %s", got)
	}
}
