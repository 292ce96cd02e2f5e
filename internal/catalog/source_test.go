package catalog

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/sallyport/sallyport/internal/pgtest"
)

func open(t *testing.T, dsn string, interval time.Duration) *Source {
	t.Helper()
	s, err := Open(t.Context(), Config{DSN: dsn, Interval: interval, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func testDatabase(t *testing.T) *pgtest.Database {
	t.Helper()
	schema, err := os.ReadFile(filepath.Join("..", "..", "testdata", "query", "schema.sql"))
	if err != nil {
		t.Fatal(err)
	}
	return pgtest.NewDatabase(t, string(schema))
}

func TestSnapshot(t *testing.T) {
	db := testDatabase(t)
	s := open(t, db.DSN(), time.Hour).Snapshot()

	if s.Database != db.Name || s.ServerVersion < 130000 || s.Generation != 1 {
		t.Errorf("%s, version %d, generation %d", s.Database, s.ServerVersion, s.Generation)
	}
	customers := s.Relation("app", "customers")
	if customers == nil || customers.Kind != Table || customers.ID() != "app.customers" || !slices.Equal(customers.PrimaryKey, []int16{1}) {
		t.Fatalf("customers: %+v", customers)
	}
	plan := customers.Column("plan")
	if plan == nil || plan.TypeName != "character varying(20)" || plan.Number != 4 || plan.NotNull || plan.Collation == 0 ||
		s.Collation(plan.Collation) != `pg_catalog."default"` {
		t.Errorf("plan: %+v", plan)
	}
	if home := customers.Column("home"); home == nil || home.TypeName != "app.address" {
		t.Errorf("home: %+v", home)
	}
	if customers.Column("ctid") != nil {
		t.Error("ctid is a column")
	}
	contacts := s.Relation("app", "contacts")
	if contacts.Kind != View || !strings.Contains(contacts.Definition, "FROM app.customers") {
		t.Errorf("contacts: %+v", contacts)
	}
	if s.Relation("app", "mat").Definition == "" || s.Relation("information_schema", "tables").Definition != "" {
		t.Error("definitions")
	}
	events, part := s.Relation("app", "events"), s.Relation("app", "events_2025")
	if !slices.Equal(part.Parents, []OID{events.OID}) || !slices.Equal(events.Children, []OID{part.OID}) || s.Ancestors(part)[0] != events {
		t.Errorf("partition: %+v of %+v", part, events)
	}
	if s.Relation("Odd Schema", "Odd Table").ID() != `"Odd Schema"."Odd Table"` {
		t.Error("odd names")
	}
	if index := s.Relation("app", "customers_pkey"); index.Kind != Unknown || !index.Index {
		t.Errorf("index: %+v", index)
	}
	if len(s.Operators("###")) != 1 || len(s.UserCasts()) != 1 || !s.HasSchema("hr") || s.HasSchema("nosuch") {
		t.Error("operators, casts, schemas")
	}
}

func TestFunctionsAndTypes(t *testing.T) {
	s := open(t, testDatabase(t).DSN(), time.Hour).Snapshot()
	sneak := s.Functions("app", "sneak")[0]
	if !sneak.SecurityDefiner || sneak.Volatility != "volatile" || sneak.Language != "plpgsql" || sneak.Kind != "function" {
		t.Errorf("sneak: %+v", sneak)
	}
	pairs := s.Functions("app", "pairs")[0]
	if !slices.Equal(pairs.OutColumns, []string{"a", "b"}) || !slices.Equal(pairs.OutTypes, []OID{23, 25}) || len(pairs.Args) != 1 || !pairs.ReturnsSet {
		t.Errorf("pairs: %+v", pairs)
	}
	if f := s.Functions("app", "with_defaults")[0]; f.Defaults != 2 {
		t.Errorf("with_defaults: %+v", f)
	}
	if f := s.Functions("app", "many")[0]; !f.Variadic {
		t.Errorf("many: %+v", f)
	}
	if s.Functions("app", "first_of")[0].Kind != "aggregate" || s.Functions("app", "do_it")[0].Kind != "procedure" {
		t.Error("kinds")
	}
	if !s.Type("app", "checked_domain").Checked || s.Type("app", "plain_domain").Checked {
		t.Error("domains")
	}
	text, varchar, int4, int8 := OID(25), OID(1043), OID(23), OID(20)
	for _, c := range []struct {
		from, to OID
		want     bool
	}{
		{int4, int8, true}, {int8, int4, false}, {varchar, text, true}, {text, int4, false},
		{s.Type("app", "plain_domain").OID, text, true}, {text, s.Type("app", "plain_domain").OID, true},
		{s.ArrayOf(int4), s.ArrayOf(int4), true}, {s.Type("app", "mood").OID, text, false},
		{text, s.Type("ext", "money_pair").OID, false},
	} {
		if got := s.Coercible(c.from, c.to); got != c.want {
			t.Errorf("%d to %d: %v", c.from, c.to, got)
		}
	}
}

// wait polls a condition that another session's commit will make true.
func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: never seen", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestFollowsChanges(t *testing.T) {
	db := testDatabase(t)
	s := open(t, db.DSN(), 20*time.Millisecond)
	first := s.Snapshot()

	db.Exec(t, `CREATE TABLE app.fresh (id int)`)
	wait(t, "a new table", func() bool { return s.Snapshot().Relation("app", "fresh") != nil })
	if first.Relation("app", "fresh") != nil {
		t.Error("a snapshot has changed")
	}
	db.Exec(t, `ALTER TABLE app.fresh ADD COLUMN secret text`)
	wait(t, "a new column", func() bool { return s.Snapshot().Relation("app", "fresh").Column("secret") != nil })
	db.Exec(t, `CREATE OR REPLACE VIEW app.contacts AS SELECT id, name, plan::text AS email FROM app.customers`)
	wait(t, "a changed view", func() bool { return strings.Contains(s.Snapshot().Relation("app", "contacts").Definition, "plan") })
	db.Exec(t, `ALTER FUNCTION app.shout(text) SECURITY DEFINER`)
	wait(t, "a changed function", func() bool { return s.Snapshot().Functions("app", "shout")[0].SecurityDefiner })
	db.Exec(t, `DROP TABLE app.fresh`)
	wait(t, "a dropped table", func() bool { return s.Snapshot().Relation("app", "fresh") == nil })
}

// TestRefresh: what was committed before the call is seen after it, and nothing is
// read when nothing has changed.
func TestRefresh(t *testing.T) {
	db := testDatabase(t)
	s := open(t, db.DSN(), time.Hour)
	db.Exec(t, `CREATE TABLE app.fresh (id int)`)
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := s.Snapshot()
	if seen.Relation("app", "fresh") == nil || seen.Generation != 2 {
		t.Errorf("generation %d", seen.Generation)
	}
	db.Exec(t, `INSERT INTO app.fresh VALUES (1)`)
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.Snapshot() != seen {
		t.Error("read again though the catalog is the same")
	}
}

// TestLostConnection: the last snapshot stays, and changes are followed again on a
// new connection.
func TestLostConnection(t *testing.T) {
	db := testDatabase(t)
	s := open(t, db.DSN(), 20*time.Millisecond)
	db.Exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sallyport catalog' AND datname = current_database()`)
	if s.Snapshot().Relation("app", "customers") == nil {
		t.Error("the snapshot is gone")
	}
	db.Exec(t, `CREATE TABLE app.fresh (id int)`)
	wait(t, "a table made after the connection was lost", func() bool { return s.Snapshot().Relation("app", "fresh") != nil })
}

// TestUnprivileged: a role that may only connect can read the catalog.
func TestUnprivileged(t *testing.T) {
	db := testDatabase(t)
	db.Exec(t, `DROP ROLE IF EXISTS catalog_reader; CREATE ROLE catalog_reader LOGIN PASSWORD 'reader'`)
	t.Cleanup(func() { db.Exec(t, `DROP ROLE catalog_reader`) })
	s, err := Open(t.Context(), Config{DSN: db.DSNFor("catalog_reader", "reader"), Interval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Snapshot().Relation("app", "contacts").Definition == "" || s.Snapshot().Relation("hr", "salaries") == nil {
		t.Error("not everything is seen")
	}
}

func TestOpenFails(t *testing.T) {
	for name, dsn := range map[string]string{
		"nonsense":   "postgres://user:hunter2@[bad",
		"no server":  "host=127.0.0.1 port=1 user=x password=hunter2 dbname=x connect_timeout=2",
		"no keyword": "password=hunter2 nonsense",
	} {
		_, err := Open(t.Context(), Config{DSN: dsn})
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error tells the password: %v", name, err)
		}
	}
}
