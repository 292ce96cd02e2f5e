package query

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/pgtest"
	"github.com/sallyport/sallyport/internal/sqlgen"
)

// dependsQuery lists the columns that a view depends on, and relations of which no
// column matters.
const dependsQuery = `
SELECT DISTINCT quote_ident(n.nspname) || '.' || quote_ident(c.relname), coalesce(quote_ident(a.attname), '')
FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
JOIN pg_class c ON c.oid = d.refobjid AND c.oid <> r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid AND d.refobjsubid > 0
WHERE r.ev_class = 'public.depends'::regclass`

// TestDependencies compares what the analysis of random statements lists with what
// the server says that a view of the same statement depends on: no relation and no
// column may be left out, and no relation may be listed that is not read.
func TestDependencies(t *testing.T) {
	schema, err := os.ReadFile("../../testdata/twin/schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	db := pgtest.NewDatabase(t, string(schema))
	source, err := catalog.Open(t.Context(), catalog.Config{DSN: db.DSN()})
	if err != nil {
		t.Fatal(err)
	}
	source.Close()
	analyzer := NewAnalyzer(source.Snapshot())
	conn := db.Connect(t)
	if _, err := conn.Exec(t.Context(), "SET search_path = app, public"); err != nil {
		t.Fatal(err)
	}
	model, err := sqlgen.Read(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for n := range uint64(300) {
		sql := sqlgen.New(model, sqlgen.Random(7, n), false).Query().SQL
		depends, ok := dependencies(t, conn, sql)
		if !ok {
			continue
		}
		statements, err := Parse(sql, Limits{})
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		compared++
		a := analyzer.Analyze(statements[0], Env{SearchPath: []string{"app", "public"}, User: "postgres"})
		compareDependencies(t, a, depends)
		if t.Failed() {
			t.Fatalf("at %s", sql)
		}
	}
	if compared < 225 {
		t.Errorf("only %d statements make a view", compared)
	}
}

func compareDependencies(t *testing.T, a *Analysis, depends map[string][]string) {
	t.Helper()
	if !a.Shape.Complete {
		t.Errorf("unresolved: %v", a.Shape.Unresolved)
	}
	for _, table := range a.Shape.Tables {
		if _, known := depends[table.ID]; table.Via == "" && !known {
			t.Errorf("%s is listed", table.ID)
		}
	}
	for table, columns := range depends {
		if !slices.ContainsFunc(a.Shape.Tables, func(known Table) bool { return known.ID == table && known.Via == "" }) {
			t.Errorf("%s is not listed", table)
		}
		for _, column := range columns {
			id := table + "." + column
			if !slices.ContainsFunc(a.Shape.Columns, func(c Column) bool { return c.ID == id }) {
				t.Errorf("%s is not listed", id)
			}
		}
	}
}

// dependencies makes a view of a statement and asks what it depends on: columns by
// relation. It is false of statements that make no view.
func dependencies(t *testing.T, conn *pgx.Conn, sql string) (map[string][]string, bool) {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), "CREATE VIEW public.depends AS SELECT 1 AS one FROM ("+strings.TrimSuffix(sql, ";")+") AS q"); err != nil {
		return nil, false
	}
	rows, err := tx.Query(t.Context(), dependsQuery)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	depends := map[string][]string{}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			t.Fatal(err)
		}
		if column != "" {
			depends[table] = append(depends[table], column)
		} else if depends[table] == nil {
			depends[table] = []string{}
		}
	}
	return depends, rows.Err() == nil
}
