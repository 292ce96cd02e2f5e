package proxy_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/sallyport/sallyport/internal/pgtest"
)

// What a red team got through once, each with the law it broke.

const peopleSQL = `create table people (id int primary key, name text not null, email text unique, boss int references people);
	insert into people values (1, 'ada', 'ada@secret.example', null), (2, 'bob', 'bob@secret.example', 1)`

func maskedEmails() map[string]string {
	return map[string]string{
		"policy/open_door/open_door.rego": openDoor + `
statement.mask contains {"column": "public.people.email", "with": "redact"} if {
	some column in input.statement.columns
	column.id == "public.people.email"
}
`,
		"bindings/open-door/data.yaml": openDoorBinding,
	}
}

// Law 3: a violated constraint quotes the whole row, also columns that the
// statement does not touch.
func TestViolationsDoNotQuoteMaskedColumns(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: peopleSQL, Policies: maskedEmails()})
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	for _, sql := range []string{
		"update people set name = null where id = 1",
		"update people set name = $1 where id = 1",
		"delete from people where id = 1",
		"insert into people (id, name) values (1, 'eve')",
	} {
		args := []any{}
		if strings.Contains(sql, "$1") {
			args = append(args, nil)
		}
		_, err := conn.Exec(t.Context(), sql, args...)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code[:2] != "23" {
			t.Fatalf("%s: %v", sql, err)
		}
		if pg.Detail != "" || strings.Contains(pg.Error()+pg.Hint+pg.Where, "secret.example") {
			t.Errorf("%s tells %+v", sql, pg)
		}
	}
	// Also where the write only sets off what fails.
	s.Database.Exec(t, `create table logs (person int references people on delete set null check (person is not null), email text);
		insert into people values (3, 'cyd', null, null); insert into logs values (3, 'cyd@secret.example')`)
	s.WritePolicy("policy/open_door/more.rego", `package policy.open_door

statement.mask contains {"column": "public.logs.email", "with": "redact"} if {
	some column in input.statement.columns
	column.id == "public.logs.email"
}
`)
	eventually(t, "the policy is in use", func() bool { return s.Engine.Generation() == 2 })
	_, err := conn.Exec(t.Context(), "delete from people where id = 3")
	var cascaded *pgconn.PgError
	if !errors.As(err, &cascaded) || cascaded.Code != "23514" || strings.Contains(cascaded.Detail+cascaded.Where, "secret.example") {
		t.Errorf("a cascade tells %+v", cascaded)
	}
	// Without a masked column the server's own words reach the client.
	open := startSidecar(t, sidecarOptions{SQL: peopleSQL})
	_, err = pgtest.Connect(t, open.DSN("support-agent")).Exec(t.Context(), "update people set name = null where id = 1")
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || !strings.Contains(pg.Detail, "secret.example") {
		t.Errorf("scrubbed for nothing: %+v", pg)
	}
}

// Law 5: what was executed and not yet committed when the window closed is not
// committed by a Sync that comes late.
func TestLateSyncCommitsNothing(t *testing.T) {
	for _, how := range []string{"told at once", "found out at Sync"} {
		t.Run(how, func(t *testing.T) {
			clock := newClock()
			s := startSidecar(t, sidecarOptions{SQL: windowSQL, Policies: onRequest("30m"), Now: clock.Now})
			c := s.raw()
			if e := c.login(protocol30, s.Token("support-agent"), "options", `-c sallyport.reason=to\ test`); e != nil {
				t.Fatalf("%+v", e)
			}
			c.send(&pgproto3.Parse{Query: "INSERT INTO items VALUES (100)"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Flush{})
			c.until("CommandComplete")
			clock.Advance(31 * time.Minute)
			if how == "told at once" {
				must(t, s.Grants.ExpireDue(t.Context()))
			}
			c.send(&pgproto3.Sync{})
			_, e := c.until("ReadyForQuery")
			if e == nil || e.Code != "57014" || !strings.Contains(e.Message, "closed at") {
				t.Errorf("the client was told %+v", e)
			}
			if n := one[int](t, s.Database.Connect(t), "SELECT count(*) FROM items WHERE id = 100"); n != 0 {
				t.Error("it was committed all the same")
			}
		})
	}
}

// Law 5: notifications end with the window.
func TestNotificationsEndWithTheWindow(t *testing.T) {
	clock := newClock()
	s := startSidecar(t, sidecarOptions{SQL: windowSQL, Policies: onRequest("30m"), Now: clock.Now})
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	openWindow(t, conn)
	_, err := conn.Exec(t.Context(), "LISTEN w")
	must(t, err)
	other := s.Database.Connect(t)
	heard := func(payload string) bool {
		_, err := other.Exec(t.Context(), "SELECT pg_notify('w', $1)", payload)
		must(t, err)
		_, err = conn.Exec(t.Context(), "SHOW application_name") // notifications come before its answer
		must(t, err)
		now, stop := context.WithCancel(t.Context())
		stop() // only what has come already
		n, err := conn.WaitForNotification(now)
		return err == nil && n.Payload == payload
	}
	if !heard("inside") {
		t.Fatal("nothing is heard inside of the window")
	}
	clock.Advance(31 * time.Minute)
	must(t, s.Grants.ExpireDue(t.Context()))
	eventually(t, "the session is told", func() bool { return len(s.audited("grant.expired")) == 1 })
	if heard("after") {
		t.Error("a notification came after the window had closed")
	}
}

// Law 2: a transaction that has changed the schema may have changed what any name
// means.
func TestNothingIsJudgedBehindOpenDDL(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: windowSQL})
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	for _, sql := range []string{"BEGIN", "CREATE TABLE mine (id int)"} {
		_, err := conn.Exec(t.Context(), sql)
		must(t, err)
	}
	if got := one[string](t, conn, "SELECT lower('A')"); got != "a" { // by the catalog as the session sees it
		t.Error(got)
	}
	// What a pipeline makes is not known before it has.
	batch := &pgx.Batch{}
	batch.Queue("CREATE TABLE more (id int)")
	batch.Queue("SELECT id FROM more")
	err := conn.SendBatch(t.Context(), batch).Close()
	refusedAs(t, err, "42703", "more")
	_, err = conn.Exec(t.Context(), "ROLLBACK")
	must(t, err)
	if got := one[string](t, conn, "SELECT lower('A')"); got != "a" {
		t.Error(got)
	}
}

// Law 2: DDL of one session is known to the next statement of every other.
func TestDDLIsKnownToOtherSessions(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: "create table public.t (v text); create schema app; create table app.s (v text)", Policies: map[string]string{
		"policy/open_door/open_door.rego": openDoor + `
statement.deny contains "app is off limits" if {
	some table in input.statement.tables
	table.schema == "app"
	"read" in table.access
}
`,
		"bindings/open-door/data.yaml": openDoorBinding,
	}})
	a, b := pgtest.Connect(t, s.DSN("support-agent")), pgtest.Connect(t, s.DSN("support-agent", "search_path", "app,public"))
	_, err := b.Exec(t.Context(), "SELECT v FROM t")
	must(t, err)
	_, err = a.Exec(t.Context(), "CREATE TABLE app.t (v text)")
	must(t, err)
	_, err = b.Exec(t.Context(), "SELECT v FROM t")
	refusedAs(t, err, "42501", "app is off limits")
}

// The text that runs tells how masks are made, with their salt.
func TestTheRewrittenTextIsNotTold(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: peopleSQL, Policies: maskedEmails()})
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	for _, sql := range []string{"select current_query(), email from people", "select * from pg_prepared_statements", "select * from pg_cursors"} {
		_, err := conn.Exec(t.Context(), sql)
		refusedAs(t, err, "42501", "tells how masks are made")
	}
}

// Law 2: the search path is known whatever becomes of the implicit transaction it
// was changed in.
func TestSearchPathIsNeverLostTrackOf(t *testing.T) {
	s := startSidecar(t, sidecarOptions{
		SQL: "create table public.secrets (v text); insert into secrets values ('harmless'); create schema app; create table app.secrets (v text); insert into app.secrets values ('denied')",
		Policies: map[string]string{
			"policy/open_door/open_door.rego": openDoor + `
statement.deny contains "app is off limits" if {
	some table in input.statement.tables
	table.schema == "app"
}
`,
			"bindings/open-door/data.yaml": openDoorBinding,
		},
	})
	e := func(sql string) []pgproto3.FrontendMessage {
		return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: sql}, &pgproto3.Bind{}, &pgproto3.Execute{}}
	}
	sync, flush := &pgproto3.Sync{}, &pgproto3.Flush{}
	query := func(sql string) pgproto3.FrontendMessage { return &pgproto3.Query{String: sql} }
	for name, c := range map[string]struct {
		path  string
		sends [][]pgproto3.FrontendMessage
	}{
		"commit, then an error":   {"public", [][]pgproto3.FrontendMessage{append(append(append(e("SET search_path = app"), e("COMMIT")...), e("SELECT 1/0")...), sync)}},
		"rollback":                {"app", [][]pgproto3.FrontendMessage{append(append(e("SET search_path = public"), e("ROLLBACK")...), sync)}},
		"begin, then rollback":    {"app", [][]pgproto3.FrontendMessage{append(append(e("SET search_path = public"), e("BEGIN")...), sync), {query("ROLLBACK")}}},
		"a Query that fails":      {"app", [][]pgproto3.FrontendMessage{append(e("SET search_path = public"), flush, query("SELECT 1/0"))}},
		"a Query pipelined":       {"public", [][]pgproto3.FrontendMessage{{query("SET search_path = app"), query("SELECT v FROM secrets")}}},
		"an error after it":       {"app", [][]pgproto3.FrontendMessage{append(append(e("SET search_path = public"), e("SELECT 1/0")...), sync)}},
		"plain, and it stays":     {"app", [][]pgproto3.FrontendMessage{append(e("SET search_path = app"), sync)}},
		"reset":                   {"app", [][]pgproto3.FrontendMessage{append(e("RESET search_path"), sync)}},
		"discard all, then error": {"app", [][]pgproto3.FrontendMessage{append(append(e("DISCARD ALL"), e("SELECT 1/0")...), sync)}},
	} {
		t.Run(name, func(t *testing.T) {
			raw := s.raw()
			if e := raw.login(protocol30, s.Token("support-agent"), "search_path", c.path); e != nil {
				t.Fatalf("%+v", e)
			}
			for _, messages := range c.sends {
				raw.send(messages...)
				for _, m := range messages {
					switch m.(type) {
					case *pgproto3.Sync, *pgproto3.Query:
						raw.until("ReadyForQuery")
					}
				}
			}
			raw.send(query("ROLLBACK"))
			raw.until("ReadyForQuery")
			raw.send(query("SELECT v FROM secrets"))
			heard, refused := raw.until("ReadyForQuery")
			if text := strings.Join(heard, " "); strings.Contains(text, "denied") && refused == nil {
				t.Errorf("the denied table was read: %s", text)
			}
		})
	}
}

// An approval is for what the names of the statement meant when it was asked for.
func TestApprovalIsBoundToWhatNamesMean(t *testing.T) {
	s := startSidecar(t, sidecarOptions{
		SQL: "create table junk (id int); create table precious (id int); insert into precious values (1), (2)",
		Policies: map[string]string{
			"policy/open_door/open_door.rego": openDoor + `
statement.require_approval contains {"message": "deletes", "approvers": ["group:support-leads"]} if input.statement.kind == "delete"
`,
			"bindings/open-door/data.yaml": openDoorBinding,
		},
	})
	agent, other := pgtest.Connect(t, s.DSN("support-agent")), pgtest.Connect(t, s.DSN("support-agent"))
	ended := make(chan error, 1)
	go func() {
		_, err := agent.Exec(t.Context(), "DELETE FROM junk WHERE id > 0")
		ended <- err
	}()
	eventually(t, "the statement is held", func() bool { return len(s.audited("approval.requested")) == 1 })
	for _, sql := range []string{"ALTER TABLE junk RENAME TO gone", "ALTER TABLE precious RENAME TO junk"} {
		_, err := other.Exec(t.Context(), sql)
		must(t, err)
	}
	id, _ := s.audited("approval.requested")[0]["approval"].(string)
	_, err := s.Approvals.Decide(t.Context(), id, s.Principal("alice"), true, "")
	must(t, err)
	refusedAs(t, <-ended, "42501", "has changed meanwhile")
	if n := one[int](t, s.Database.Connect(t), "SELECT count(*) FROM junk"); n != 2 {
		t.Errorf("%d rows are left", n)
	}
}

// extendedQuery is a statement as drivers send it: all in one write.
func extendedQuery(sql string) []pgproto3.FrontendMessage {
	return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: sql}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}}
}

// Law 5: what runs is cancelled in the extended protocol too, where the server
// keeps its first answers back until the end.
func TestExtendedStatementsAreCutOff(t *testing.T) {
	clock := newClock()
	s := startSidecar(t, sidecarOptions{SQL: windowSQL, Policies: onRequest("30m"), Now: clock.Now})
	c := s.raw()
	if e := c.login(protocol30, s.Token("support-agent"), "options", `-c sallyport.reason=to\ test`); e != nil {
		t.Fatalf("%+v", e)
	}
	c.send(extendedQuery("INSERT INTO items SELECT 300 FROM pg_sleep(60)")...)
	watch := s.Database.Connect(t)
	eventually(t, "the statement runs", func() bool {
		return one[int](t, watch, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT%pg_sleep%' AND state = 'active' AND pid <> pg_backend_pid()") == 1
	})
	clock.Advance(31 * time.Minute)
	must(t, s.Grants.ExpireDue(t.Context()))
	_, e := c.until("ReadyForQuery")
	if e == nil || e.Code != "57014" || !strings.Contains(e.Message, "closed at") {
		t.Errorf("the client was told %+v", e)
	}
}

// The duration that a policy allows holds in the extended protocol.
func TestExtendedStatementsHaveADuration(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: windowSQL, Policies: map[string]string{
		"policy/open_door/open_door.rego": openDoor + "\nstatement.limits.duration := \"300ms\"\n",
		"bindings/open-door/data.yaml":    openDoorBinding,
	}})
	c := s.raw()
	if e := c.login(protocol30, s.Token("support-agent")); e != nil {
		t.Fatalf("%+v", e)
	}
	c.send(extendedQuery("SELECT pg_sleep(60)")...)
	if _, e := c.until("ReadyForQuery"); e == nil || e.Code != "57014" || !strings.Contains(e.Message, "300ms at most") {
		t.Errorf("the client was told %+v", e)
	}
}

// Law 5: nothing that was pipelined behind the cut starts after it.
func TestNothingStartsBehindTheCut(t *testing.T) {
	clock := newClock()
	s := startSidecar(t, sidecarOptions{SQL: windowSQL, Policies: onRequest("30m"), Now: clock.Now})
	c := s.raw()
	if e := c.login(protocol30, s.Token("support-agent"), "options", `-c sallyport.reason=to\ test`); e != nil {
		t.Fatalf("%+v", e)
	}
	messages := extendedQuery("SELECT pg_sleep(60)")
	const behind = 20
	for range behind {
		messages = append(messages, extendedQuery("INSERT INTO items VALUES (400)")...)
	}
	c.send(messages...)
	watch := s.Database.Connect(t)
	eventually(t, "the statement runs", func() bool {
		return one[int](t, watch, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'") == 1
	})
	clock.Advance(31 * time.Minute)
	must(t, s.Grants.ExpireDue(t.Context()))
	for range behind + 1 {
		if _, e := c.until("ReadyForQuery"); e == nil {
			t.Error("a statement ran after the window had closed")
		}
	}
	if n := one[int](t, watch, "SELECT count(*) FROM items WHERE id = 400"); n != 0 {
		t.Errorf("%d rows were inserted", n)
	}
}

// Laws 2 and 4: the server tells names apart by their first 63 bytes only.
func TestLongNamesAreNotTakenForOthers(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: windowSQL})
	c := s.raw()
	if e := c.login(protocol30, s.Token("support-agent")); e != nil {
		t.Fatalf("%+v", e)
	}
	a, b := strings.Repeat("a", 63)+"b", strings.Repeat("a", 63)+"c"
	c.send(&pgproto3.Parse{Name: a, Query: "SELECT 1"}, &pgproto3.Close{ObjectType: 'S', Name: b}, &pgproto3.Parse{Name: b, Query: "DELETE FROM items"},
		&pgproto3.Bind{PreparedStatement: a}, &pgproto3.Execute{}, &pgproto3.Sync{})
	if _, e := c.until("ReadyForQuery"); e == nil || e.Code != "42622" {
		t.Errorf("the client was told %+v", e)
	}
	if n := one[int](t, s.Database.Connect(t), "SELECT count(*) FROM items"); n != 2 {
		t.Errorf("%d rows are left", n)
	}
	longest := strings.Repeat("ä", 31) + "x"
	c.send(&pgproto3.Parse{Name: longest, Query: "SELECT 1"}, &pgproto3.Bind{PreparedStatement: longest}, &pgproto3.Execute{}, &pgproto3.Sync{})
	if _, e := c.until("ReadyForQuery"); e != nil {
		t.Errorf("a name of 63 bytes is refused: %+v", e)
	}
}

// Law 2: the server leaves schemas that the role may not use out of the path.
func TestUnusableSchemasAreNoPlaceToLook(t *testing.T) {
	s := startSidecar(t, sidecarOptions{
		SQL: `create schema archive; create table archive.people (email text); insert into archive.people values ('old');
			create schema app; create table app.people (email text); insert into app.people values ('new@secret.example');
			create role archivist_free login password 'x'; grant usage on schema app to archivist_free; grant select on app.people to archivist_free`,
		DSN: func(d *pgtest.Database) string { return d.DSNFor("archivist_free", "x") },
		Policies: map[string]string{
			"policy/open_door/open_door.rego": openDoor + `
statement.mask contains {"column": "app.people.email", "with": "redact"} if {
	some column in input.statement.columns
	column.id == "app.people.email"
}
`,
			"bindings/open-door/data.yaml": openDoorBinding,
		},
	})
	t.Cleanup(func() { s.Database.Exec(t, "drop owned by archivist_free; drop role archivist_free") })
	conn := pgtest.Connect(t, s.DSN("support-agent", "search_path", "archive,app"))
	if got := one[string](t, conn, "SELECT email FROM people"); got != "[redacted]" {
		t.Errorf("got %q", got)
	}
}

// Law 3: what a function's body reads through a view that chooses rows by a masked
// column counts those rows.
func TestFunctionsDoNotCountByMasks(t *testing.T) {
	s := startSidecar(t, sidecarOptions{Policies: maskedEmails(), SQL: peopleSQL + `;
		create view early as select id from people where email < 'b';
		create function how_many() returns bigint language sql stable as 'select count(*) from early'`})
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	_, err := conn.Exec(t.Context(), "select how_many()")
	refusedAs(t, err, "42501", "the body of the function public.how_many")
}

// Law 2: a name that a trusted function has given to a cursor of its own is not taken
// for the cursor that had it before.
func TestCursorsOfFunctionsAreNotFetched(t *testing.T) {
	policies := maskedEmails()
	policies["policy/open_door/open_door.rego"] += "\nstatement.trusted_functions contains \"public.open_emails\"\n"
	s := startSidecar(t, sidecarOptions{Policies: policies, SQL: peopleSQL + `;
		create function open_emails(c refcursor) returns refcursor language plpgsql as $$
			begin open c for select email from people order by id; return c; end $$`})
	conn := pgtest.Connect(t, s.DSN("support-agent", "default_query_exec_mode", "simple_protocol"))
	run := func(sql string) error { _, err := conn.Exec(t.Context(), sql); return err }
	for _, sql := range []string{"begin", "savepoint s", "declare c cursor for select 'harmless'", "rollback to s", "select open_emails('c')"} {
		must(t, run(sql))
	}
	refusedAs(t, run("fetch all from c"), "34000", "does not exist")
	must(t, run("rollback"))
	refusedAs(t, run("begin; savepoint s; declare c cursor for select 'harmless'; rollback to s; select open_emails('c'); fetch all from c"),
		"34000", "")
	// A cursor over a function of the kind is still fetched from.
	must(t, run("begin"))
	must(t, run("declare d cursor for select open_emails('e')"))
	must(t, run("fetch 1 from d"))
	must(t, run("fetch 1 from d"))
}

// A session's own impatience is not that of reading its catalog.
func TestOwnCatalogOutlastsTimeouts(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: peopleSQL})
	conn := pgtest.Connect(t, s.DSN("support-agent", "default_query_exec_mode", "simple_protocol"))
	for _, sql := range []string{"set statement_timeout = '25ms'", "create temp table mine (id int)", "select * from mine"} {
		_, err := conn.Exec(t.Context(), sql)
		must(t, err)
	}
	if got := one[string](t, conn, "select current_setting('statement_timeout')"); got != "25ms" {
		t.Errorf("the timeout is %s", got)
	}
}
