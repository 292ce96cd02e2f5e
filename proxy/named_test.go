package proxy_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/sallyport/sallyport/internal/pgtest"
)

// collected are the values of a one-column result.
func collected(t testing.TB, conn *pgx.Conn, sql string, args ...any) ([]string, error) {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, args...)
	must(t, err)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Masks hold for what is read by the name of a cursor or a prepared statement.
func TestNamesAreMasked(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: peopleSQL, Policies: maskedEmails()})
	conn := pgtest.Connect(t, s.DSN("support-agent", "default_query_exec_mode", "simple_protocol"))
	for _, sql := range []string{
		"PREPARE p (int) AS SELECT email FROM people WHERE id >= $1 ORDER BY id", "BEGIN",
		"DECLARE c CURSOR FOR SELECT email FROM people ORDER BY id",
	} {
		_, err := conn.Exec(t.Context(), sql)
		must(t, err)
	}
	for _, sql := range []string{"EXECUTE p(1)", "FETCH ALL FROM c"} {
		got, err := collected(t, conn, sql)
		must(t, err)
		if strings.Join(got, " ") != "[redacted] [redacted]" {
			t.Errorf("%s gives %q", sql, got)
		}
	}
}

// What a name stands for is decided again each time it is used.
func TestNamesAreJudgedWhenUsed(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: peopleSQL + "; create table secrets (word text); insert into secrets values ('hush')"})
	conn := pgtest.Connect(t, s.DSN("support-agent", "default_query_exec_mode", "simple_protocol"))
	run := func(sql string) error { _, err := conn.Exec(t.Context(), sql); return err }
	must(t, run("PREPARE p AS SELECT word FROM secrets"))
	must(t, run("PREPARE q AS SELECT email FROM people"))
	must(t, run("DECLARE c CURSOR WITH HOLD FOR SELECT word FROM secrets"))
	must(t, run("DECLARE d CURSOR WITH HOLD FOR SELECT email FROM people"))
	must(t, run("EXECUTE p"))
	must(t, run("FETCH c"))
	s.WritePolicy("policy/open_door/more.rego", `package policy.open_door

statement.deny contains "secrets are secret" if {
	some table in input.statement.tables
	table.name == "secrets"
}

statement.mask contains {"column": "public.people.email", "with": "redact"} if {
	some column in input.statement.columns
	column.id == "public.people.email"
}
`)
	eventually(t, "the policy is in use", func() bool { return s.Engine.Generation() == 2 })
	refusedAs(t, run("EXECUTE p"), "42501", "secrets are secret")
	refusedAs(t, run("FETCH c"), "42501", "secrets are secret")
	refusedAs(t, run("EXECUTE q"), "0A000", "what policy hides has changed")
	refusedAs(t, run("FETCH d"), "0A000", "what policy hides has changed")
	refusedAs(t, run("PREPARE r AS SELECT word FROM secrets"), "42501", "secrets are secret")
	must(t, run("DEALLOCATE q"))
	must(t, run("PREPARE q AS SELECT email FROM people"))
	must(t, run("EXECUTE q"))
}

// A name stands for what the server has under it, whoever gave it.
func TestNamesAreNotTakenForOthers(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: peopleSQL, Policies: maskedEmails()})
	conn := pgtest.Connect(t, s.DSN("support-agent", "default_query_exec_mode", "simple_protocol"))
	run := func(sql string) error { _, err := conn.Exec(t.Context(), sql); return err }
	refusedAs(t, run("EXECUTE p"), "26000", "does not exist")
	refusedAs(t, run("FETCH c"), "34000", "does not exist")
	// What failed to be made leaves the name to what has it.
	must(t, run("PREPARE p AS SELECT id::text FROM people ORDER BY id"))
	if err := run("PREPARE p AS SELECT email FROM people"); err == nil {
		t.Fatal("prepared twice")
	}
	got, err := collected(t, conn, "EXECUTE p")
	must(t, err)
	if strings.Join(got, " ") != "1 2" {
		t.Errorf("EXECUTE gives %q", got)
	}
	// The protocol's own names share the server's name space.
	fe := conn.PgConn().Frontend()
	fe.Send(&pgproto3.Parse{Name: "p", Query: "SELECT email FROM people"})
	fe.Send(&pgproto3.Sync{})
	must(t, fe.Flush())
	if e := firstError(t, fe); e == nil || e.Code != "42P05" {
		t.Errorf("Parse says %+v", e)
	}
	must(t, run("DECLARE c CURSOR WITH HOLD FOR SELECT id FROM people"))
	fe.Send(&pgproto3.Parse{Query: "SELECT email FROM people"})
	fe.Send(&pgproto3.Bind{DestinationPortal: "c"})
	fe.Send(&pgproto3.Sync{})
	must(t, fe.Flush())
	if e := firstError(t, fe); e == nil || e.Code != "42P03" {
		t.Errorf("Bind says %+v", e)
	}
	// Closed by the protocol, it is forgotten, and may come to mean something else.
	fe.Send(&pgproto3.Close{ObjectType: 'S', Name: "p"})
	fe.Send(&pgproto3.Parse{Name: "p", Query: "SELECT 'other'"})
	fe.Send(&pgproto3.Sync{})
	must(t, fe.Flush())
	if e := firstError(t, fe); e != nil {
		t.Errorf("closing says %+v", e)
	}
	refusedAs(t, run("EXECUTE p"), "26000", "does not exist")
}

func firstError(t testing.TB, fe *pgproto3.Frontend) (first *pgproto3.ErrorResponse) {
	t.Helper()
	for {
		m, err := fe.Receive()
		must(t, err)
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			if first == nil {
				kept := *m
				first = &kept
			}
		case *pgproto3.ReadyForQuery:
			return first
		}
	}
}

// The limit of rows is for the cursor, however it is fetched from.
func TestCursorsShareTheirLimit(t *testing.T) {
	s := startSidecar(t, sidecarOptions{Policies: map[string]string{
		"policy/open_door/open_door.rego": openDoor + "\nstatement.limits.rows := 5\n", "bindings/open-door/data.yaml": openDoorBinding}})
	conn := pgtest.Connect(t, s.DSN("support-agent", "default_query_exec_mode", "simple_protocol"))
	_, err := conn.Exec(t.Context(), "BEGIN; DECLARE c CURSOR FOR SELECT generate_series(1, 100)::text; FETCH 2 FROM c")
	must(t, err)
	_, err = conn.Exec(t.Context(), "FETCH 3 FROM c")
	must(t, err)
	_, err = conn.Exec(t.Context(), "FETCH 1 FROM c")
	refusedAs(t, err, "53300", "policy allows 5 rows")
}

// A person is asked when a prepared statement is executed, and is shown what it is.
func TestPreparedStatementsAreApprovedWhenExecuted(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: peopleSQL, Policies: map[string]string{
		"policy/open_door/open_door.rego": openDoor + `
statement.require_approval contains {"message": "changes", "approvers": ["group:support-leads"]} if {
	input.statement.class == "write"
}
`, "bindings/open-door/data.yaml": openDoorBinding}})
	c := s.agent()
	c.send(&pgproto3.Query{String: "PREPARE p (text) AS UPDATE people SET name = $1 WHERE id = 1"})
	if _, e := c.until("ReadyForQuery"); e != nil {
		t.Fatalf("%+v", e)
	}
	c.send(&pgproto3.Query{String: "EXECUTE p('eve')"})
	id := c.held()
	asked, err := s.Approvals.Get(t.Context(), id)
	must(t, err)
	if !strings.Contains(asked.Statement, "EXECUTE p('eve')") || !strings.Contains(asked.Statement, "UPDATE people SET name = $1") {
		t.Errorf("the approver sees %q", asked.Statement)
	}
	_, err = s.Approvals.Decide(t.Context(), id, s.Principal("bob"), true, "")
	must(t, err)
	if _, e := c.until("ReadyForQuery"); e != nil {
		t.Fatalf("%+v", e)
	}
	if got := one[string](t, s.Database.Connect(t), "SELECT name FROM people WHERE id = 1"); got != "eve" {
		t.Errorf("the name is %s", got)
	}
}
