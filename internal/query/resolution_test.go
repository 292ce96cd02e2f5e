package query

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/pgtest"
	"github.com/sallyport/sallyport/internal/sqlgen"
)

// Schemas that have some names in common, each object telling by its type where it is.
var (
	shadowSchemas = []string{"a", "b", "A", "ä", "se lect", "postgres", "public", "pg_catalog"}
	shadowNames   = []string{"t", "T", "ü t", "pg_class", "length", "a\"b", "text", "only_a"}
)

// shadowSchema makes in every schema but pg_catalog some of the names, as a table, a
// type and a function that takes a text.
func shadowSchema() string {
	var b strings.Builder
	for i, schema := range shadowSchemas[:len(shadowSchemas)-1] {
		s := catalog.QuoteIdent(schema)
		fmt.Fprintf(&b, "CREATE SCHEMA IF NOT EXISTS %s;\n", s)
		for j, name := range shadowNames {
			if (i+j)%3 == 0 || name == "only_a" && schema != "a" {
				continue
			}
			n := s + "." + catalog.QuoteIdent(name)
			fmt.Fprintf(&b, "CREATE TABLE %s (x%d_%d int);\n", n, i, j)
			fmt.Fprintf(&b, "CREATE FUNCTION %s(text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT %d';\n", n, i*100+j)
		}
	}
	return b.String()
}

// reference is a name in a statement, and what it should mean.
type reference struct {
	path         []string // search_path
	spelled      string
	schema, name string // as written; schema "" when there is none
}

// randomReference writes a name in some way under some search path.
func randomReference(c *sqlgen.Choices) *reference {
	pick := func(of []string) string { return of[c.Below(len(of))] }
	r := &reference{name: pick(shadowNames)}
	for range c.Below(4) {
		r.path = append(r.path, pick(append([]string{"$user", "nowhere"}, shadowSchemas...)))
	}
	if c.Below(3) == 2 {
		r.schema = pick(shadowSchemas)
		r.spelled, r.schema = spelled(c, r.schema)
		r.spelled += pick([]string{".", " . ", "./*x*/"})
	}
	text, name := spelled(c, r.name)
	r.spelled, r.name = r.spelled+text, name
	return r
}

// spelled writes an identifier in one of the ways there are, and says how it is read.
func spelled(c *sqlgen.Choices, name string) (text, read string) {
	quoted := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	plain := strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_äü") == ""
	switch c.Below(7) {
	case 1:
		if plain && name != "select" { // folded, ASCII letters only
			return name, asciiLower(name)
		}
	case 2:
		if plain {
			return strings.ToUpper(name), asciiLower(strings.ToUpper(name))
		}
	case 3:
		var b strings.Builder
		for _, r := range name {
			fmt.Fprintf(&b, `\%04x`, r)
		}
		return `U&"` + b.String() + `"`, name
	case 4:
		var b strings.Builder
		for _, r := range name {
			fmt.Fprintf(&b, `\+%06X`, r)
		}
		return `u&"` + b.String() + `"`, name
	case 5:
		return `U&"` + strings.ReplaceAll(name, `"`, `""`) + `"`, name
	}
	return quoted, name
}

// meant looks the reference up as PostgreSQL's manual says: in the schema that is
// named, else in pg_catalog unless the path has it, and along the path.
func (r *reference) meant(has func(schema, name string) bool) string {
	path := []string{r.schema}
	if r.schema == "" {
		path = nil
		for _, schema := range r.path {
			path = append(path, strings.ReplaceAll(schema, "$user", "postgres"))
		}
		if !slices.Contains(path, "pg_catalog") {
			path = append([]string{"pg_catalog"}, path...)
		}
	}
	for _, schema := range path {
		if has(schema, r.name) {
			return schema
		}
	}
	return ""
}

// shadows resolves references by analysis.
type shadows struct {
	snapshot *catalog.Snapshot
	analyzer *Analyzer
}

func newShadows(t testing.TB) (*shadows, *pgtest.Database) {
	t.Helper()
	db := pgtest.NewDatabase(t, shadowSchema())
	source, err := catalog.Open(t.Context(), catalog.Config{DSN: db.DSN()})
	if err != nil {
		t.Fatal(err)
	}
	source.Close()
	return &shadows{source.Snapshot(), NewAnalyzer(source.Snapshot())}, db
}

func (s *shadows) analyze(t *testing.T, r *reference, sql string) *Analysis {
	t.Helper()
	statements, err := Parse(sql, Limits{})
	if err != nil || len(statements) != 1 {
		t.Fatalf("%s: %v", sql, err)
	}
	return s.analyzer.Analyze(statements[0], Env{SearchPath: r.path, User: "postgres"})
}

// check compares the analysis with what is meant, and returns the schema of the
// relation, "" when there is none.
func (s *shadows) check(t *testing.T, r *reference) string {
	t.Helper()
	want := r.meant(func(schema, name string) bool { return s.snapshot.Relation(schema, name) != nil })
	a := s.analyze(t, r, "SELECT * FROM "+r.spelled)
	got := ""
	for _, table := range a.Shape.Tables {
		if table.Via == "" {
			got = table.Schema
		}
	}
	if got != want || a.Shape.Complete != (want != "") {
		t.Errorf("path %q: relation %s is of %q to the analysis, should be of %q; unresolved %q", r.path, r.spelled, got, want, a.Shape.Unresolved)
	}
	f := s.analyze(t, r, "SELECT "+r.spelled+"('x'::text)")
	wantFunction := r.meant(func(schema, name string) bool {
		return slices.ContainsFunc(s.snapshot.Functions(schema, name), func(f *catalog.Function) bool { return len(f.Args) == 1 && f.Args[0] == 25 })
	})
	if wantFunction != "" && !slices.ContainsFunc(f.Shape.Functions, func(f Function) bool { return f.Schema == wantFunction && f.Name == r.name }) {
		t.Errorf("path %q: %s(text) of %q is not among %+v; unresolved %q", r.path, r.spelled, wantFunction, f.Shape.Functions, f.Shape.Unresolved)
	}
	return want
}

// TestResolution resolves names under random search paths as the server does.
func TestResolution(t *testing.T) {
	s, db := newShadows(t)
	conn := db.Connect(t)
	found := 0
	for n := range uint64(700) {
		r := randomReference(sqlgen.Random(11, n))
		want := s.check(t, r)
		if got := serverSchema(t, conn, s.snapshot, r); got != want {
			t.Errorf("path %q: %s is of %q to the server, %q to the analysis", r.path, r.spelled, got, want)
		}
		if want != "" {
			found++
		}
		if t.Failed() {
			return
		}
	}
	if found < 250 {
		t.Errorf("only %d names mean something", found)
	}
}

// serverSchema asks the server what a relation's name means.
func serverSchema(t *testing.T, conn *pgx.Conn, snapshot *catalog.Snapshot, r *reference) string {
	t.Helper()
	path := "''"
	if len(r.path) > 0 {
		var quoted []string
		for _, schema := range r.path {
			quoted = append(quoted, `"`+schema+`"`)
		}
		path = strings.Join(quoted, ", ")
	}
	if _, err := conn.Exec(t.Context(), "SET search_path = "+path); err != nil {
		t.Fatal(err)
	}
	described, err := conn.PgConn().Prepare(t.Context(), "", "SELECT * FROM "+r.spelled, nil)
	if err != nil {
		return ""
	}
	for _, f := range described.Fields {
		if relation := snapshot.RelationByOID(catalog.OID(f.TableOID)); relation != nil {
			return relation.Schema
		}
	}
	t.Fatalf("%s has no columns", r.spelled)
	return ""
}

// FuzzResolution does what TestResolution does, without the server.
func FuzzResolution(f *testing.F) {
	for n := range uint64(50) {
		c := sqlgen.Random(12, n)
		randomReference(c)
		f.Add(c.Bytes())
	}
	s, _ := newShadows(f)
	f.Fuzz(func(t *testing.T, input []byte) { s.check(t, randomReference(sqlgen.FromBytes(input))) })
}
