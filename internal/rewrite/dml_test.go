package rewrite

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sallyport/sallyport/internal/pgtest"
)

// TestDML is TestCases of statements that change rows. After each the tables read the
// same, masked, on the real database and on the twin; masks of values that are masked
// already change nothing there. [kept] in a title says that the real rows are not to
// change.
func TestDML(t *testing.T) {
	real := newDatabase(t)
	twin := pgtest.NewDatabase(t, read(t, "schema.sql"), read(t, "texts", "twin.sql"))
	masks := readMasks(t, "texts")
	delete(masks, "app.customers.nick") // its hash, hashed, is another
	delete(masks, "app.staff.secret")
	masks["app.people.secret"] = Mask{Function: "partial", Args: map[string]any{"keep_first": 1}}
	on, onTwin := connect(t, real.Database), connect(t, twin)
	exec(t, onTwin, "UPDATE app.customers SET nick = CASE id WHEN 1 THEN 'ada' WHEN 2 THEN 'Bob' WHEN 3 THEN 'éclair' WHEN 4 THEN 'ada' END")
	// Of a view that is changed, what is made of a masked column is NULL.
	exec(t, onTwin, "CREATE OR REPLACE VIEW app.contacts AS SELECT id, name, email, NULL::text AS loud, phone AS tel FROM app.customers")
	var plain, readMasked []string
	for _, table := range []string{"customers", "orders", "other.customers", "events", "people", "leads", "docs", `"Weird Schema"."Odd ""T"`} {
		result, err := real.made(t, "SELECT * FROM "+table, masks)
		if err != nil {
			t.Fatal(err)
		}
		plain, readMasked = append(plain, "SELECT * FROM "+table), append(readMasked, result.SQL)
	}
	cases := readCases(t, "dml")
	for _, c := range cases {
		t.Run(c.title, func(t *testing.T) {
			before := contents(t, on, plain)
			exec(t, on, "BEGIN")
			exec(t, onTwin, "BEGIN")
			defer exec(t, on, "ROLLBACK")
			defer exec(t, onTwin, "ROLLBACK")
			c.run(t, real, masks, on, onTwin)
			if t.Failed() || on.TxStatus() == 'E' || c.refused != "" {
				return
			}
			if got, want := contents(t, on, readMasked), contents(t, onTwin, readMasked); got != want {
				t.Errorf("leaves\n%s\nthe twin\n%s", got, want)
			}
			if after := contents(t, on, plain); strings.Contains(c.title, "[kept]") && after != before {
				t.Errorf("leaves\n%s\nafter\n%s", after, before)
			}
		})
	}
	if *update {
		writeCases(t, "dml", cases)
	}
}

func exec(t testing.TB, conn *pgconn.PgConn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatal(err)
	}
}

// contents are the rows that queries give, and those of a table that a case may make.
func contents(t *testing.T, conn *pgconn.PgConn, queries []string) string {
	t.Helper()
	var all []string
	for _, sql := range queries {
		all = append(all, ask(t, conn, sql, nil, false).String())
	}
	found := ask(t, conn, "SELECT 1 FROM pg_class WHERE relname = 'copied' AND relkind = 'r'", nil, false)
	if len(found.rows) > 0 {
		all = append(all, "copied", ask(t, conn, "SELECT * FROM copied", nil, false).String())
	}
	return strings.Join(all, "\n")
}
