package proxy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/pgtest"
)

const closedItems = `
statement.deny contains {"message": "items are closed", "rule": "open-door/items"} if {
	some table in input.statement.tables
	table.id == "public.items"
}
`

// change writes the policy and waits until it is in force.
func (s *sidecar) change(text string) {
	s.t.Helper()
	changed := s.Engine.Changed()
	s.WritePolicy("policy/open_door/open_door.rego", text)
	select {
	case <-changed:
	case <-time.After(conversationTime):
		s.t.Fatalf("the policy was not taken over: %+v", s.Engine.Status())
	}
}

func TestPolicyChangeGovernsTheNextStatement(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: windowSQL})
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	ctx := t.Context()
	_, err := conn.Prepare(ctx, "p", "SELECT count(*) FROM items")
	must(t, err)
	if got := one[int](t, conn, "p"); got != 2 {
		t.Errorf("got %d", got)
	}
	_, err = conn.Exec(ctx, "BEGIN")
	must(t, err)
	s.change(openDoor + closedItems)
	_, err = conn.Exec(ctx, "p")
	refusedAs(t, err, "42501", "items are closed")
	_, err = conn.Exec(ctx, "ROLLBACK")
	must(t, err)
	for range 2 {
		_, err = conn.Exec(ctx, "p")
		refusedAs(t, err, "42501", "items are closed")
	}

	// A broken policy changes nothing, and is told of.
	before := s.Engine.Status()
	s.WritePolicy("policy/open_door/open_door.rego", openDoor+"\nstatement.deny contains {")
	eventually(t, "the broken policy is refused", func() bool { return s.Engine.Status().Error != "" })
	if now := s.Engine.Status(); now.Generation != before.Generation || now.Revision != before.Revision || !now.Ready {
		t.Errorf("before %+v, now %+v", before, now)
	}
	_, err = conn.Exec(ctx, "p")
	refusedAs(t, err, "42501", "items are closed")
	if got := one[int](t, conn, "SELECT 1"); got != 1 {
		t.Errorf("got %d", got)
	}

	s.change(openDoor)
	if got := one[int](t, conn, "p"); got != 2 {
		t.Errorf("opened again: %d", got)
	}
}

const maskedItems = `
statement.mask contains {"column": "public.people.email", "with": "email"}
`

// What was prepared without a mask is not run once there is one.
func TestPreparedBeforeTheMask(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: "CREATE TABLE people (id int, email text); INSERT INTO people VALUES (1, 'ann@example.org')"})
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	_, err := conn.Prepare(t.Context(), "p", "SELECT email FROM people")
	must(t, err)
	if got := one[string](t, conn, "p"); got != "ann@example.org" {
		t.Errorf("got %q", got)
	}
	s.change(openDoor + maskedItems)
	_, err = conn.Exec(t.Context(), "p")
	refusedAs(t, err, "0A000", "cached plan must not change result type")
	// pgx prepares again on that message by itself.
	for range 2 {
		if got := one[string](t, conn, "SELECT email FROM people WHERE id = $1", 1); strings.Contains(got, "ann@") || !strings.Contains(got, "@") {
			t.Errorf("got %q", got)
		}
	}
	_, err = conn.Exec(t.Context(), "SELECT email::int FROM people")
	if err == nil || strings.Contains(err.Error(), "ann") {
		t.Errorf("an error tells the value: %v", err)
	}
}
