package proxy_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/sallyport/sallyport/internal/devenv"
	"github.com/sallyport/sallyport/internal/pgtest"
)

// settable is a clock that tests move.
type settable struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *settable { return &settable{at: time.Now()} }

func (c *settable) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *settable) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// onRequest opens the door for a while, when asked.
func onRequest(ttl string) map[string]string {
	return map[string]string{"policy/open_door/open_door.rego": openDoor,
		"bindings/open-door/data.yaml": "policy: open-door\nconnection: \"*\"\ngrant: on-request\nttl: " + ttl + "\n"}
}

const windowSQL = "CREATE TABLE items (id int); INSERT INTO items VALUES (1), (2)"

// openWindow asks for a window and returns its id.
func openWindow(t testing.TB, conn *pgx.Conn) string {
	t.Helper()
	var id, state string
	var skip *string
	must(t, conn.QueryRow(t.Context(), "SELECT * FROM sallyport.request('to test windows')").Scan(&id, &state, &skip, &skip, &skip, &skip, &skip))
	if state != "active" {
		t.Fatalf("the window is %s", state)
	}
	return id
}

func TestNothingRunsOutsideAWindow(t *testing.T) {
	clock := newClock()
	s := startSidecar(t, sidecarOptions{SQL: windowSQL, Policies: onRequest("30m"), Now: clock.Now})
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	ctx := t.Context()
	_, err := conn.Exec(ctx, "SELECT count(*) FROM items")
	refusedAs(t, err, "42501", "no window is open")
	var pg *pgconn.PgError
	if errors.As(err, &pg); !strings.Contains(pg.Hint, "SELECT sallyport.request(") {
		t.Errorf("the hint is %q", pg.Hint)
	}
	id := openWindow(t, conn)
	if got := one[int](t, conn, "SELECT count(*) FROM items"); got != 2 {
		t.Errorf("got %d", got)
	}
	_, err = conn.Prepare(ctx, "prepared", "SELECT id FROM items WHERE id = $1")
	must(t, err)

	clock.Advance(30*time.Minute + time.Second)
	for _, statement := range []string{"SELECT count(*) FROM items", "prepared"} {
		args := []any{pgx.QueryExecModeSimpleProtocol}
		if statement == "prepared" {
			args = []any{1}
		}
		_, err = conn.Exec(ctx, statement, args...)
		refusedAs(t, err, "42501", "is closed: it expired at")
		if errors.As(err, &pg); !strings.Contains(pg.Detail, `"grant":"`+id+`"`) {
			t.Errorf("the detail does not name the window: %s", pg.Detail)
		}
	}
	_, err = conn.Exec(ctx, "BEGIN; ROLLBACK")
	must(t, err)
	if next := openWindow(t, conn); next == id {
		t.Error("the closed window was opened again")
	}
	if got := one[int](t, conn, "SELECT id FROM items WHERE id = $1", 2); got != 2 {
		t.Errorf("in the new window: %d", got)
	}
}

// The startup option asks too, and an idle session learns of the end at once.
func TestWindowClosesOnWhatIsOpen(t *testing.T) {
	clock := newClock()
	s := startSidecar(t, sidecarOptions{SQL: windowSQL, Policies: onRequest("30m"), Now: clock.Now})
	dsn := s.DSN("support-agent", "options", `-c sallyport.reason=to\ test`)
	inTransaction := pgtest.Connect(t, dsn)
	running := s.raw()
	if e := running.login(protocol30, s.Token("support-agent")); e != nil {
		t.Fatalf("%+v", e)
	}
	ctx := t.Context()
	_, err := inTransaction.Exec(ctx, "BEGIN")
	must(t, err)
	_, err = inTransaction.Exec(ctx, "INSERT INTO items VALUES (3)")
	must(t, err)
	running.send(&pgproto3.Query{String: "SELECT pg_sleep(60), 'until the window closes'"})
	wait, cancel := context.WithTimeout(ctx, conversationTime)
	defer cancel()
	must(t, awaitActivity(wait, s.Database.DSN(), "state = 'active' AND query LIKE '%until the window closes%'"))

	clock.Advance(31 * time.Minute)
	must(t, s.Grants.ExpireDue(ctx))
	heard, e := running.until("ReadyForQuery")
	refusal(t, e, "ERROR", "57014", "window")
	if got := heard[len(heard)-1]; got != "ReadyForQuery I" {
		t.Errorf("heard %v", heard)
	}
	// The idle transaction holds nothing any more.
	must(t, awaitActivity(wait, s.Database.DSN(), "state = 'idle in transaction (aborted)'"))
	_, err = inTransaction.Exec(ctx, "SELECT count(*) FROM items")
	refusedAs(t, err, "42501", "is closed")
	if status := inTransaction.PgConn().TxStatus(); status != 'E' {
		t.Errorf("the transaction is %c", status)
	}
	tag, err := inTransaction.Exec(ctx, "COMMIT")
	if err != nil || tag.String() != "ROLLBACK" {
		t.Errorf("COMMIT: %s, %v", tag, err)
	}
	openWindow(t, inTransaction)
	if got := one[int](t, inTransaction, "SELECT count(*) FROM items"); got != 2 {
		t.Errorf("%d rows, the one of the aborted transaction stayed", got)
	}
}

// By the real clock: nothing has to happen for a window to close on what runs.
func TestWindowClosesByItself(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: windowSQL, Policies: onRequest("1s")})
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	openWindow(t, conn)
	began := time.Now()
	_, err := conn.Exec(t.Context(), "SELECT pg_sleep(60)")
	refusedAs(t, err, "57014", "window")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	_, err = conn.Exec(t.Context(), "SELECT count(*) FROM items")
	refusedAs(t, err, "42501", "is closed")
}

// A revocation reaches who is idle, who runs something, and who does not listen.
func TestRevocation(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: windowSQL, Policies: onRequest("30m")})
	id := openWindow(t, pgtest.Connect(t, s.DSN("support-agent")))
	idle, running, deaf, other := s.raw(), s.raw(), s.raw(), s.raw()
	for _, c := range []*rawClient{idle, running, deaf} {
		if e := c.login(protocol30, s.Token("support-agent")); e != nil {
			t.Fatalf("%+v", e)
		}
	}
	if e := other.login(protocol30, s.Token("data-fixer")); e != nil {
		t.Fatalf("%+v", e)
	}
	running.send(&pgproto3.Query{String: "SELECT pg_sleep(60), 'until revoked'"})
	deaf.send(&pgproto3.Query{String: "SELECT repeat('deaf', 250000) FROM generate_series(1, 1000000)"})
	ctx, cancel := context.WithTimeout(t.Context(), conversationTime)
	defer cancel()
	must(t, awaitActivity(ctx, s.Database.DSN(), "state = 'active' AND query LIKE '%until revoked%'"))
	must(t, awaitActivity(ctx, s.Database.DSN(), "wait_event = 'ClientWrite' AND query LIKE '%deaf%'"))

	began := time.Now()
	_, err := s.Grants.Revoke(ctx, id, "alice", "that was not agreed")
	must(t, err)
	for _, c := range []*rawClient{idle, running} {
		heard, e := c.until("nothing")
		refusal(t, e, "FATAL", "57P01", "was revoked: that was not agreed")
		if got := heard[len(heard)-1]; got != "closed" {
			t.Errorf("heard %v", heard)
		}
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v until both knew", took)
	}
	// Nothing of theirs goes on at the server.
	eventually(t, "the statements have ended", func() bool {
		return one[int](t, pgtest.Connect(t, s.Database.DSN()), `SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()
			AND (query LIKE '%until revoked%' OR query LIKE '%deaf%')`) == 0
	})
	other.send(&pgproto3.Query{String: "BEGIN"})
	if heard, _ := other.until("ReadyForQuery"); heard[len(heard)-1] != "ReadyForQuery T" {
		t.Errorf("somebody else's session heard %v", heard)
	}
}

func TestTokenExpires(t *testing.T) {
	clock := newClock()
	r, dsn := throughRelay(t)
	s := startSidecar(t, sidecarOptions{SQL: windowSQL, DSN: dsn, Now: clock.Now})
	raw := s.raw()
	if e := raw.login(protocol30, s.Issuer.Mint(devenv.MintOptions{Client: "support-agent", TTL: 10 * time.Minute})); e != nil {
		t.Fatalf("%+v", e)
	}
	raw.send(&pgproto3.Parse{Name: "s", Query: "SELECT id FROM items"}, &pgproto3.Sync{}, &pgproto3.Query{String: "BEGIN"})
	raw.until("ReadyForQuery")
	raw.until("ReadyForQuery")
	clock.Advance(20 * time.Minute)
	raw.send(&pgproto3.Bind{PreparedStatement: "s"}, &pgproto3.Execute{}, &pgproto3.Sync{})
	heard, e := raw.until("ReadyForQuery")
	refusal(t, e, "ERROR", "28000", "expired")
	if got := strings.Join(heard, " "); got != "ErrorResponse 28000 ReadyForQuery E" {
		t.Errorf("heard %s", got)
	}
	raw.send(&pgproto3.Query{String: "SELECT 'after the token'"})
	heard, e = raw.until("ReadyForQuery")
	refusal(t, e, "ERROR", "28000", "expired")
	if got := heard[len(heard)-1]; got != "ReadyForQuery E" {
		t.Errorf("heard %v", heard)
	}
	if r.Sent("after the token") {
		t.Error("the statement was forwarded")
	}
}
