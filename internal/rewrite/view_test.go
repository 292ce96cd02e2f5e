package rewrite

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/query"
)

// as reads the catalog and opens a session as another role.
func (d *database) as(t *testing.T, role string) *pgconn.PgConn {
	t.Helper()
	dsn := d.DSNFor(role, "p")
	source, err := catalog.Open(context.Background(), catalog.Config{DSN: dsn, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	d.snapshot = source.Snapshot()
	d.analyzer = query.NewAnalyzer(d.snapshot)
	source.Close()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn.PgConn()
}

func (d *database) madeAs(t *testing.T, role, sql string, masks map[string]Mask) (*Result, error) {
	t.Helper()
	statements, err := query.Parse(sql, query.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	a := d.analyzer.Analyze(statements[0], query.Env{SearchPath: []string{"app"}, User: role})
	return Statement(Request{Analysis: a, Snapshot: d.snapshot, Masks: told(masks, a)})
}

// TestSeenThroughAsWhom reads views as roles that may read what is beneath them, or
// may not. A view that stays is masked at what it shows, or refused.
func TestSeenThroughAsWhom(t *testing.T) {
	d := newDatabase(t)
	masks := readMasks(t, "texts")
	d.Exec(t, `DROP ROLE IF EXISTS view_reader; DROP ROLE IF EXISTS view_owner; CREATE ROLE view_reader LOGIN PASSWORD 'p'; CREATE ROLE view_owner;
		GRANT USAGE ON SCHEMA app TO view_reader; GRANT USAGE, CREATE ON SCHEMA app TO view_reader, view_owner`)
	t.Cleanup(func() { d.Exec(t, "DROP OWNED BY view_reader, view_owner CASCADE") })
	const undo = `REVOKE ALL ON ALL TABLES IN SCHEMA app FROM view_reader; ALTER VIEW app.contacts OWNER TO CURRENT_USER; ALTER VIEW app.contacts RESET (security_invoker);
		DROP POLICY IF EXISTS p ON app.customers; ALTER TABLE app.customers DISABLE ROW LEVEL SECURITY;
		DROP OPERATOR IF EXISTS app.= (varchar, varchar); DROP OPERATOR IF EXISTS app.~~ (text, text);
		DROP FUNCTION IF EXISTS app.never; DROP FUNCTION IF EXISTS app.always; DROP FUNCTION IF EXISTS app.upper`
	for _, c := range []struct {
		title, setup, sql string
		through           bool
		other             bool   // the session's role is not the catalog's
		fails             string // in the refusal or the server's error
		rows              string
	}{
		{title: "both may be read", setup: "GRANT SELECT ON app.contacts, app.customers TO view_reader",
			sql: "SELECT loud FROM app.contacts WHERE id = 1", through: true, rows: `"[REDACTED]"`},
		{title: "only the view", setup: "GRANT SELECT ON app.contacts TO view_reader",
			sql: "SELECT loud FROM app.contacts WHERE id = 1", rows: "NULL"},
		{title: "only the view, which chooses by it", setup: "GRANT SELECT ON app.by_email TO view_reader",
			sql: "SELECT id FROM app.by_email", fails: "uses it otherwise than to show it"},
		{title: "only the table", setup: "GRANT SELECT ON app.customers TO view_reader",
			sql: "SELECT loud FROM app.contacts", fails: "permission denied for view contacts"},
		{title: "some columns of the view", setup: "GRANT SELECT ON app.customers TO view_reader; GRANT SELECT (id, loud) ON app.contacts TO view_reader",
			sql: "SELECT loud FROM app.contacts WHERE id = 1", through: true, rows: `"[REDACTED]"`},
		{title: "other columns of the view", setup: "GRANT SELECT ON app.customers TO view_reader; GRANT SELECT (id, email) ON app.contacts TO view_reader",
			sql: "SELECT name, loud FROM app.contacts WHERE id = 1", fails: "permission denied for view contacts"},
		{title: "the table by columns", setup: "GRANT SELECT ON app.contacts TO view_reader; GRANT SELECT (id, name, email, ssn, phone) ON app.customers TO view_reader",
			sql: "SELECT loud FROM app.contacts WHERE id = 1", through: true, rows: `"[REDACTED]"`},
		{title: "the table by too few columns", setup: "GRANT SELECT ON app.contacts TO view_reader; GRANT SELECT (id, name, email, ssn) ON app.customers TO view_reader",
			sql: "SELECT loud FROM app.contacts WHERE id = 1", rows: "NULL"},
		{title: "another role's session", setup: "GRANT SELECT ON app.contacts, app.customers TO view_reader",
			sql: "SELECT loud FROM app.contacts WHERE id = 1", other: true, rows: "NULL"},
		{title: "its owner may not", setup: "GRANT SELECT ON app.contacts, app.customers TO view_reader; ALTER VIEW app.contacts OWNER TO view_owner",
			sql: "SELECT loud FROM app.contacts WHERE id = 1", fails: "permission denied for table customers"},
		{title: "row level security", setup: `GRANT SELECT ON app.contacts, app.customers TO view_reader; ALTER TABLE app.customers ENABLE ROW LEVEL SECURITY;
			CREATE POLICY p ON app.customers USING (id < 3)`,
			sql: "SELECT loud FROM app.contacts WHERE id = 5", rows: "NULL"},
		{title: "row level security of the reader", setup: `GRANT SELECT ON app.contacts, app.customers TO view_reader; ALTER TABLE app.customers ENABLE ROW LEVEL SECURITY;
			CREATE POLICY p ON app.customers USING (id < 3); ALTER VIEW app.contacts SET (security_invoker = yes)`,
			sql: "SELECT id, loud FROM app.contacts", through: true, rows: `"1" "[REDACTED]", "2" "[REDACTED]"`},
		{title: "a view of one's own", setup: `GRANT SELECT ON app.customers TO view_reader; ALTER VIEW app.contacts OWNER TO view_reader;
			ALTER TABLE app.customers ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON app.customers USING (id < 2)`,
			sql: "SELECT id, loud FROM app.contacts", through: true, rows: `"1" "[REDACTED]"`},
		{title: "a view over a view that stays", setup: "GRANT SELECT ON app.contacts2, app.customers TO view_reader",
			sql: "SELECT mail FROM app.contacts2 WHERE id = 1", rows: `"a***@example.com"`},
		{title: "may be locked", setup: "GRANT SELECT, UPDATE ON app.contacts, app.customers TO view_reader",
			sql: "SELECT loud FROM app.contacts WHERE id = 1 FOR UPDATE", through: true, rows: `"[REDACTED]"`},
		{title: "may be locked by the view only", setup: "GRANT SELECT, UPDATE ON app.contacts TO view_reader; GRANT SELECT ON app.customers TO view_reader",
			sql: "SELECT loud FROM app.contacts WHERE id = 1 FOR UPDATE", rows: "NULL"},
		{title: "an operator of a user's making that is not written", setup: `GRANT SELECT ON app.shared_mail, app.customers, app.orders TO view_reader;
			CREATE FUNCTION app.never(varchar, varchar) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT false'; CREATE OPERATOR app.= (FUNCTION = app.never, LEFTARG = varchar, RIGHTARG = varchar)`,
			sql: "SELECT id FROM app.shared_mail", fails: "uses it otherwise than to show it"},
		{title: "operators and functions of a user's making", setup: `GRANT SELECT ON app.by_email, app.contacts, app.customers TO view_reader;
			CREATE FUNCTION app.always(text, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true'; CREATE OPERATOR app.~~ (FUNCTION = app.always, LEFTARG = text, RIGHTARG = text);
			CREATE FUNCTION app.upper(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''mine''::text'`,
			sql: "SELECT b.id, c.loud FROM app.by_email b NATURAL JOIN app.contacts c WHERE c.id < 5", through: true, rows: `"1" "[REDACTED]", "2" "[REDACTED]"`},
	} {
		t.Run(c.title, func(t *testing.T) {
			d.Exec(t, c.setup)
			t.Cleanup(func() { d.Exec(t, undo) })
			conn := d.as(t, "view_reader")
			if _, err := conn.Exec(t.Context(), "SET search_path = app, pg_catalog").ReadAll(); err != nil {
				t.Fatal(err)
			}
			role := "view_reader"
			if c.other {
				role = "somebody"
			}
			result, err := d.madeAs(t, role, c.sql, masks)
			if err != nil {
				if c.fails == "" || !strings.Contains(err.Error(), c.fails) {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if through := strings.Contains(result.SQL, `FROM "app"."customers"`); through != c.through {
				t.Errorf("seen through: %v, made %s", through, result.SQL)
			}
			got := ask(t, conn, result.SQL, nil, false)
			if c.fails != "" {
				if !strings.Contains(got.err, c.fails) {
					t.Errorf("answers %s\nmade %s", got, result.SQL)
				}
				return
			}
			if rows := strings.Join(got.rows, ", "); got.err != "" || rows != c.rows {
				t.Errorf("answers %s\nmade %s", got, result.SQL)
			}
		})
	}
}

// TestBarrier runs a function that tells of its arguments over a view with
// security_barrier: it must not see what the view leaves out.
func TestBarrier(t *testing.T) {
	d := newDatabase(t)
	d.Exec(t, `CREATE TABLE app.seen (what text);
		CREATE FUNCTION app.tell(text) RETURNS bool LANGUAGE plpgsql COST 0.000001 AS $$ BEGIN INSERT INTO app.seen VALUES ($1); RETURN true; END $$`)
	d.load(t)
	result, err := d.made(t, "SELECT email FROM guarded WHERE app.tell(name)", readMasks(t, "texts"))
	if err != nil || !strings.Contains(result.SQL, `FROM "app"."customers"`) {
		t.Fatalf("made %+v, %v", result, err)
	}
	conn := connect(t, d.Database)
	if got := ask(t, conn, result.SQL, nil, false); got.err != "" {
		t.Fatal(got.err)
	}
	if got := ask(t, conn, "SELECT string_agg(what, ' ' ORDER BY what) FROM app.seen", nil, false); got.rows[0] != `"Ada Bob Cyd Dan"` {
		t.Errorf("the function saw %s", got.rows)
	}
}
