package proxy_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/pgtest"
)

// filteredItems shows each agent the rows of its own, named by a claim.
const filteredItems = `
statement.filter contains {"table": "public.items", "where": "data.policy.open_door.rows.items"}

rows.items if input.row.owner == input.identity.claims.azp
`

const ownedSQL = `CREATE TABLE items (id int PRIMARY KEY, owner text, price int);
INSERT INTO items SELECT i, CASE WHEN i % 2 = 0 THEN 'support-agent' ELSE 'data-fixer' END, i FROM generate_series(0, 9) i`

func TestRowFilters(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: ownedSQL, Policies: map[string]string{
		"policy/open_door/open_door.rego": openDoor + filteredItems, "bindings/open-door/data.yaml": openDoorBinding,
	}})
	azp := s.Principal("support-agent").Claims["azp"]
	owner := s.Database.Connect(t)
	_, err := owner.Exec(t.Context(), "UPDATE items SET owner = $1 WHERE owner = 'support-agent'", azp)
	must(t, err)
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	ctx := t.Context()

	if got := one[int](t, conn, "SELECT count(*) FROM items"); got != 5 {
		t.Errorf("%d rows are shown, want 5", got)
	}
	if got := one[int](t, conn, "SELECT sum(price) FROM items WHERE id < $1", 7); got != 12 {
		t.Errorf("the sum is %d, want 12", got)
	}
	for _, sql := range []string{
		"SELECT id FROM items WHERE 1 / (price - 3) < 5",
		"SELECT id FROM items WHERE id = 3 AND (owner || 'x')::int = 0",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Errorf("%s tells of a hidden row: %v", sql, err)
		}
	}
	_, err = conn.Exec(ctx, "INSERT INTO items VALUES (3, 'me', 0)")
	refusedAs(t, err, "42501", "table public.items is shown in part")
	_, err = conn.Exec(ctx, "EXPLAIN SELECT * FROM items")
	refusedAs(t, err, "42501", "table public.items is shown in part")
	if log := s.Records(); !strings.Contains(log, `"filters":["public.items"]`) {
		t.Error("the record does not tell which tables were shown in part")
	}

	// Another agent, another filter; and a filter that cannot be made refuses.
	if got := one[int](t, pgtest.Connect(t, s.DSN("schema-agent")), "SELECT count(*) FROM items"); got != 0 {
		t.Errorf("%d rows are shown to who has none", got)
	}
	_, err = conn.Prepare(ctx, "p", "SELECT count(*) FROM items")
	must(t, err)
	s.change(openDoor + strings.ReplaceAll(filteredItems, "input.row.owner ==", "input.row.gone =="))
	_, err = conn.Exec(ctx, "p")
	refusedAs(t, err, "42501", "there is no column gone")
	s.change(openDoor + strings.ReplaceAll(filteredItems, "input.row.owner ==", "lower(input.row.owner) =="))
	_, err = conn.Exec(ctx, "SELECT count(*) FROM items")
	refusedAs(t, err, "42501", "the policies could not decide")
	s.change(openDoor + strings.ReplaceAll(filteredItems, "input.row.owner ==", "input.row.price > 6 #"))
	_, err = conn.Exec(ctx, "p")
	refusedAs(t, err, "0A000", "cached plan must not change result type")
}
