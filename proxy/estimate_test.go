package proxy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport/sallyport/internal/pgtest"
)

const estimateSQL = `
CREATE TABLE big (id int PRIMARY KEY, kind text, email text);
INSERT INTO big SELECT i, CASE WHEN i % 1000 = 0 THEN 'rare' ELSE 'common' END, 'user' || i || '@example.org' FROM generate_series(1, 20000) i;
CREATE FUNCTION pick(int) RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN $1; END';
ANALYZE big`

const fewRows = `package policy.open_door

session.allow := true

statement.allow := true

statement.deny contains {
	"message": $"the statement would touch about {input.statement.estimate.rows} rows",
	"hint": "narrow it to 1000 rows",
	"rule": "open-door/few-rows",
} if {
	input.statement.estimate.rows > 1000
}
`

var estimating = map[string]string{"policy/open_door/open_door.rego": fewRows, "bindings/open-door/data.yaml": openDoorBinding}

// plannersOf counts the connections that were opened to ask for estimates.
func plannersOf(s *sidecar) int {
	conn, err := pgx.Connect(context.Background(), s.Database.DSN())
	must(s.t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	return one[int](s.t, conn, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sallyport estimate'")
}

func TestEstimates(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: estimateSQL, Policies: estimating})
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	ctx := t.Context()
	const much = "would touch about"
	for _, c := range []struct{ sql, refused string }{
		{"SELECT * FROM big WHERE id = 7", ""},
		{"SELECT count(*) FROM big", ""}, // one row comes back; what it costs is another field
		{"SELECT * FROM big LIMIT 1000", ""},
		{"SELECT * FROM big WHERE kind = 'rare'", ""},
		{"SELECT * FROM big WHERE kind = 'common'", much},
		{"SELECT * FROM big", "about 20000 rows"},
		{"UPDATE big SET kind = 'x' WHERE id = 7", ""},
		{"UPDATE big SET kind = 'x'", "about 20000 rows"},
		{"DELETE FROM big WHERE id > 7 RETURNING id", much},
		{"INSERT INTO big SELECT id + 100000, kind, email FROM big", "about 20000 rows"},
		{"WITH gone AS (DELETE FROM big RETURNING *) SELECT count(*) FROM gone", "about 20000 rows"},
		{"COPY (SELECT * FROM big) TO STDOUT", "about 20000 rows"},
		{"SELECT pick(1); SELECT * FROM big", "planning it may run public.pick"},
		{"SELECT * FROM big WHERE id = 1; SELECT * FROM big", much},
		{"CREATE TABLE other (a int)", "CREATE TABLE has no plan"},
		{"BEGIN", ""}, {"SHOW search_path", ""}, {"ROLLBACK", ""},
		{"SELECT 1", ""},
	} {
		mrr := conn.PgConn().Exec(ctx, c.sql)
		_, err := mrr.ReadAll()
		switch {
		case c.refused == "" && err != nil:
			t.Errorf("%s: %v", c.sql, err)
		case c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)) && !strings.Contains(c.sql, "pick"):
			t.Errorf("%s: %v, want %q", c.sql, err, c.refused)
		case strings.Contains(c.sql, "pick") && err == nil:
			t.Errorf("%s was let through", c.sql)
		}
	}
	if got := s.Records(); !strings.Contains(got, `"estimate":{"rows":20000,"cost":`) {
		t.Error("the record does not tell the estimate")
	}
	if n := plannersOf(s); n != 1 {
		t.Errorf("%d connections to plan on", n)
	}
}

// The values count, not the shape: a prepared statement is asked about each time it
// is bound.
func TestEstimatesOfPreparedStatements(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: estimateSQL, Policies: estimating})
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	ctx := t.Context()
	_, err := conn.Prepare(ctx, "p", "SELECT id FROM big WHERE kind = $1")
	must(t, err)
	for range 2 {
		rows, err := conn.Query(ctx, "p", "rare")
		must(t, err)
		ids, err := pgx.CollectRows(rows, pgx.RowTo[int])
		if err != nil || len(ids) != 20 {
			t.Errorf("%d rows, %v", len(ids), err)
		}
		_, err = conn.Exec(ctx, "p", "common")
		refusedAs(t, err, "42501", "would touch about")
	}
	_, err = conn.Prepare(ctx, "q", "SELECT id FROM big")
	refusedAs(t, err, "42501", "about 20000 rows")
	_, err = conn.Prepare(ctx, "r", "SELECT id FROM big WHERE id = 7")
	must(t, err)
	if got := one[int](t, conn, "r"); got != 7 {
		t.Errorf("got %d", got)
	}
	if got := one[int](t, conn, "SELECT id FROM big WHERE id BETWEEN $1 AND $2", 8, 8); got != 8 { // binary
		t.Errorf("got %d", got)
	}
	_, err = conn.Exec(ctx, "SELECT id FROM big WHERE id BETWEEN $1 AND $2", 1, 15000)
	refusedAs(t, err, "42501", "would touch about")
}

func TestEstimatesOfNames(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: estimateSQL, Policies: map[string]string{"bindings/open-door/data.yaml": openDoorBinding,
		"policy/open_door/open_door.rego": strings.ReplaceAll(fewRows, "statement.allow := true", "statement.allow if input.statement.estimate.rows >= 0")}})
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	for _, c := range []struct{ sql, refused string }{
		{"PREPARE p(text) AS SELECT id FROM big WHERE kind = $1", ""},
		{"EXECUTE p('rare')", ""},
		{"EXECUTE p('common')", "would touch about"},
		{"PREPARE q AS SELECT id FROM big; EXECUTE q", "about 20000 rows"},
		{"EXECUTE p(pg_sleep(1)::text)", "explaining EXECUTE may run pg_catalog.pg_sleep"},
		{"BEGIN; DECLARE c CURSOR FOR SELECT id FROM big WHERE kind = 'rare'; FETCH 5 FROM c", ""},
		{"FETCH 5 FROM c", ""},
		{"DECLARE d CURSOR FOR SELECT id FROM big", "about 20000 rows"},
		{"ROLLBACK", ""},
	} {
		_, err := conn.PgConn().Exec(t.Context(), c.sql).ReadAll()
		if c.refused == "" && err != nil || c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)) {
			t.Errorf("%s: %v, want %q", c.sql, err, c.refused)
		}
	}
}

// Nobody who binds no such policy pays for it.
func TestNoEstimateWithoutNeed(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: estimateSQL, Policies: map[string]string{
		"policy/open_door/open_door.rego": openDoor, "bindings/open-door/data.yaml": openDoorBinding,
		"policy/careful/careful.rego": strings.Replace(fewRows, "open_door", "careful", 1),
		"bindings/careful/data.yaml":  "policy: careful\nsubjects: [somebody-else]\n"}})
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	_, err := conn.Exec(t.Context(), "SELECT * FROM big")
	must(t, err)
	if n := plannersOf(s); n != 0 {
		t.Errorf("%d connections to plan on", n)
	}
	if got := s.Records(); strings.Contains(got, `"estimate"`) {
		t.Error("an estimate is on record")
	}
}

// What is explained is what would run: masked columns are masked in it. Masked to
// NULL, no address is like anything.
func TestMasksInTheExplainedStatement(t *testing.T) {
	masked := map[string]string{"bindings/open-door/data.yaml": openDoorBinding,
		"policy/open_door/open_door.rego": fewRows + "\nstatement.mask contains {\"column\": \"public.big.email\", \"with\": \"null\"}\n"}
	const sql = "SELECT id FROM big WHERE email LIKE 'user%'"
	plain := startSidecar(t, sidecarOptions{SQL: estimateSQL, Policies: estimating})
	_, err := pgtest.Connect(t, plain.DSN("support-agent")).Exec(t.Context(), sql)
	refusedAs(t, err, "42501", "would touch about")
	s := startSidecar(t, sidecarOptions{SQL: estimateSQL, Policies: masked})
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Error(err)
	}
	_, err = conn.Exec(t.Context(), "SELECT id, email FROM big")
	refusedAs(t, err, "42501", "about 20000 rows")

	s.change(fewRows + "\nstatement.mask contains {\"column\": \"public.big.email\", \"with\": \"null\"} if input.statement.estimate.rows > 1\n")
	_, err = conn.Exec(t.Context(), "SELECT id, email FROM big LIMIT 5")
	refusedAs(t, err, "42501", "what policy masks or filters depends on the estimate")
}

// What cannot be explained is not let through, and the client is not told what the
// planner said.
func TestFailingEstimates(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: estimateSQL, Policies: estimating})
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	ctx := t.Context()
	_, err := conn.Exec(ctx, "SELECT * FROM big WHERE id = 1/0")
	refusedAs(t, err, "42501", "EXPLAIN failed with SQLSTATE 22012")

	direct, err := pgx.Connect(ctx, s.Database.DSN())
	must(t, err)
	defer func() { _ = direct.Close(context.Background()) }()
	tx, err := direct.Begin(ctx)
	must(t, err)
	_, err = tx.Exec(ctx, "LOCK TABLE big IN ACCESS EXCLUSIVE MODE")
	must(t, err)
	started := time.Now()
	_, err = conn.Exec(ctx, "SELECT * FROM big WHERE id = 7")
	refusedAs(t, err, "42501", "a lock on one of its relations is held elsewhere")
	if took := time.Since(started); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	must(t, tx.Rollback(ctx))
	for range 2 { // the connection that plans is well again, and made anew when it is gone
		if got := one[int](t, conn, "SELECT id FROM big WHERE id = 7"); got != 7 {
			t.Errorf("got %d", got)
		}
		_, err = direct.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sallyport estimate'")
		must(t, err)
	}
}
