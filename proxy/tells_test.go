package proxy_test

import (
	"context"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/pgtest"
)

const tellsSQL = `
CREATE TABLE people (id int PRIMARY KEY, email text, city text);
INSERT INTO people SELECT i, md5(i::text), 'c' FROM generate_series(1, 20) i;
CREATE INDEX people_email ON people (email);
ALTER TABLE people ADD COLUMN code text DEFAULT 'kept in the catalog';
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_notify(''news'', row_to_json(NEW)::text); RETURN NEW; END';
CREATE TRIGGER shout AFTER UPDATE ON people FOR EACH ROW EXECUTE FUNCTION shout()`

const tellsMasks = `
statement.mask contains {"column": "public.people.email", "with": "redact"}
statement.trusted_functions contains "public.shout"
`

// What tells of masked columns without reading them, with a policy that allows
// everything: "" is let through.
func TestWhatElseTells(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: tellsSQL, Policies: map[string]string{
		"policy/open_door/open_door.rego": openDoor + tellsMasks, "bindings/open-door/data.yaml": openDoorBinding}})
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	const alike = "how alike old and new values are"
	for _, c := range []struct{ sql, refused string }{
		{"SELECT attmissingval FROM pg_attribute", "holds what rows have in a column that was added later"},
		{"SELECT * FROM pg_attribute", "attmissingval"},
		{"SELECT attname FROM pg_attribute", ""},
		{"SELECT * FROM information_schema.columns", ""},
		{"SELECT n_tup_hot_upd FROM pg_stat_user_tables", alike},
		{"SELECT relname, n_live_tup FROM pg_stat_user_tables", ""},
		{"SELECT pg_stat_get_xact_tuples_hot_updated('people'::regclass)", alike},
		{"SELECT * FROM pg_stat_xact_all_tables", alike},
		{"SELECT idx_blks_hit FROM pg_statio_user_indexes", alike},
		{"SELECT heap_blks_hit FROM pg_statio_user_tables", ""},
		{"SELECT pg_current_wal_insert_lsn()", alike},
		{"SELECT wal_bytes FROM pg_stat_wal", alike},
		{"EXPLAIN (ANALYZE, WAL) UPDATE people SET email = 'x' WHERE id = 1", "EXPLAIN (WAL) is not supported"},
		{"EXPLAIN (ANALYZE, BUFFERS) UPDATE people SET email = 'x' WHERE id = 1", "EXPLAIN ANALYZE of a change"},
		{"CLUSTER people USING people_email", "is masked"},
		{"SET debug_print_plan = on", "masks included"},
		{"SET log_min_duration_statement = 0", "masks included"},
		{"SELECT * FROM pg_backend_memory_contexts", "tells how masks are made"},
		{"SELECT * FROM information_schema.user_mapping_options", "passwords of other servers"},
		{"SELECT * FROM pg_stats", "tells what columns hold"},
		{"SELECT query_to_xml('SELECT email FROM people', true, true, '')", "reads other tables"},
		{"SELECT * FROM pg_toast.pg_toast_1", "does not exist"},
	} {
		_, err := conn.PgConn().Exec(t.Context(), c.sql).ReadAll()
		if c.refused == "" && err != nil || c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)) {
			t.Errorf("%s: %v, want %q", c.sql, err, c.refused)
		}
	}
}

// Triggers notify of whole rows, which no mask covers.
func TestPayloadsAreKeptBack(t *testing.T) {
	for masks, want := range map[string]string{tellsMasks: "", "statement.trusted_functions contains \"public.shout\"\n": `"email":"`} {
		s := startSidecar(t, sidecarOptions{SQL: tellsSQL, Policies: map[string]string{
			"policy/open_door/open_door.rego": openDoor + masks, "bindings/open-door/data.yaml": openDoorBinding}})
		conn := pgtest.Connect(t, s.DSN("support-agent"))
		for _, sql := range []string{"LISTEN news", "UPDATE people SET city = 'd' WHERE id = 1"} {
			_, err := conn.Exec(t.Context(), sql)
			must(t, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), conversationTime)
		n, err := conn.WaitForNotification(ctx)
		cancel()
		switch {
		case err != nil:
			t.Error(err)
		case n.Channel != "news" || n.Payload != want && (want == "" || !strings.Contains(n.Payload, want)):
			t.Errorf("heard %+v, want %q", n, want)
		}
	}
}
