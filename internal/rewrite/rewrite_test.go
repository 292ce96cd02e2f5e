package rewrite

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/query"
	"github.com/sallyport/sallyport/internal/sqlgen"
)

// made rewrites a statement of the cases' database under the masks of a set.
func (d *database) made(t testing.TB, sql string, masks map[string]Mask) (*Result, error) {
	t.Helper()
	return Statement(Request{Analysis: d.analyze(t, sql), Snapshot: d.snapshot, Masks: masks})
}

// TestVerificationCatchesTampering bends the edits of a right statement in many ways:
// none may get through.
func TestVerificationCatchesTampering(t *testing.T) {
	d := newDatabase(t)
	masks := readMasks(t, "texts")
	sql := "SELECT c.email, o.id FROM customers c TABLESAMPLE bernoulli (50) JOIN orders o ON o.email = c.email WHERE app.events.id = 1 AND 'x' = $1"
	sql = strings.ReplaceAll(sql, " WHERE app.events.id = 1 AND", " JOIN app.events ON app.events.secret = c.ssn WHERE")
	r := Request{Analysis: d.analyze(t, sql), Snapshot: d.snapshot, Masks: masks}
	make := func(bend func(w *writer)) error {
		scans, refs, err := spread(masks, d.snapshot).plan(r)
		if err != nil {
			t.Fatal(err)
		}
		w, err := newWriter(r, scans)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.write(scans, refs); err != nil {
			t.Fatal(err)
		}
		bend(w)
		_, err = w.verified()
		return err
	}
	if err := make(func(*writer) {}); err != nil {
		t.Fatal(err)
	}
	for name, bend := range map[string]func(w *writer){
		"an edit lost":        func(w *writer) { w.edits = w.edits[1:] },
		"an edit twice":       func(w *writer) { w.edits = append(w.edits, w.edits[len(w.edits)-1]) },
		"an alias lost":       func(w *writer) { w.edits[0].end += len(" c") },
		"one byte less":       func(w *writer) { w.edits[0].end-- },
		"a mask lost":         func(w *writer) { w.edits[0].text = `(SELECT t."email", t."ssn" FROM app.customers AS t)` },
		"another relation":    func(w *writer) { w.edits[0].text = strings.ReplaceAll(w.edits[0].text, "app", "other") },
		"a function replaced": func(w *writer) { w.edits[0].text = strings.ReplaceAll(w.edits[0].text, "split_part", "concat") },
		"another column":      func(w *writer) { w.edits[0].text = strings.ReplaceAll(w.edits[0].text, `"email"`, `"name"`) },
		"a second statement":  func(w *writer) { w.edits = append(w.edits, edit{start: len(sql), end: len(sql), text: "; SELECT 1"}) },
		"a condition lost":    func(w *writer) { w.edits = append(w.edits, edit{start: strings.Index(sql, " WHERE"), end: len(sql)}) },
		"a comment opened":    func(w *writer) { w.edits = append(w.edits, edit{start: len(sql) - 5, end: len(sql) - 5, text: "--"}) },
		"a parameter changed": func(w *writer) { w.edits = append(w.edits, edit{start: len(sql) - 2, end: len(sql), text: "$2"}) },
		"a constant changed": func(w *writer) {
			i := strings.Index(sql, "'x'")
			w.edits = append(w.edits, edit{start: i, end: i + 3, text: "'y'"})
		},
	} {
		if err := make(bend); err == nil {
			t.Errorf("%s: not noticed", name)
		} else if !strings.HasPrefix(err.Error(), "the statement that would run could not be made: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestJudgedIsWhatIsWritten gives a text that is not that of the judged tree.
func TestJudgedIsWhatIsWritten(t *testing.T) {
	d := newDatabase(t)
	a := *d.analyze(t, "SELECT email FROM customers WHERE id = 1")
	st := *a.Statement
	st.Text = "SELECT email FROM customers WHERE id = 2"
	a.Statement = &st
	_, err := Statement(Request{Analysis: &a, Snapshot: d.snapshot, Masks: readMasks(t, "texts")})
	if err == nil || !strings.Contains(err.Error(), "it would not be what was meant") {
		t.Errorf("got %v", err)
	}
}

func TestZeroRefuses(t *testing.T) {
	d := newDatabase(t)
	a := d.analyze(t, "SELECT email FROM customers")
	refused := *a
	refused.Refusal = &query.Error{Code: "0A000", Message: "no"}
	for name, r := range map[string]Request{
		"nothing":          {},
		"no snapshot":      {Analysis: a},
		"no statement":     {Analysis: &query.Analysis{}, Snapshot: d.snapshot},
		"refused":          {Analysis: &refused, Snapshot: d.snapshot},
		"no mask function": {Analysis: a, Snapshot: d.snapshot, Masks: map[string]Mask{"app.customers.email": {}}},
	} {
		if result, err := Statement(r); err == nil || result != nil {
			t.Errorf("%s: got %v, %v", name, result, err)
		}
	}
}

// TestUncovered gives analyses that do not account for a masked column.
func TestUncovered(t *testing.T) {
	d := newDatabase(t)
	masks := readMasks(t, "texts")
	for name, bend := range map[string]func(a *query.Analysis){
		"no scan":             func(a *query.Analysis) { a.Scans = nil },
		"a scan without it":   func(a *query.Analysis) { s := *a.Scans[0]; s.Columns = nil; a.Scans = []*query.Scan{&s} },
		"a scan of elsewhere": func(a *query.Analysis) { s := *a.Scans[0]; s.Node = &pg_query.RangeVar{}; a.Scans = []*query.Scan{&s} },
	} {
		a := *d.analyze(t, "SELECT email FROM customers")
		bend(&a)
		if result, err := Statement(Request{Analysis: &a, Snapshot: d.snapshot, Masks: masks}); err == nil {
			t.Errorf("%s: made %s", name, result.SQL)
		}
	}
}

func TestFence(t *testing.T) {
	d := newDatabase(t)
	result, err := d.made(t, "SELECT * FROM contacts2", map[string]Mask{
		"app.customers.email": {Function: "null"}, "app.events.secret": {Function: "null"}, "no.such.column": {Function: "null"}, "nonsense": {},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range result.Fence {
		r := d.snapshot.RelationByOID(f.Relation)
		if i := slices.IndexFunc(r.Columns, func(c *catalog.Column) bool { return c.Number == f.Number }); i < 0 || columnID(r, r.Columns[i]) != f.ID {
			t.Errorf("%+v is not a column of %s", f, r.ID())
		}
		got = append(got, f.ID)
	}
	slices.Sort(got)
	want := []string{"app.contacts2.mail", "app.customers.email", "app.events.secret", "app.events_2023.secret", "app.events_2024.secret"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestClientPosition takes places that the server tells of the statement that runs
// back to the client's statement.
func TestClientPosition(t *testing.T) {
	d := newDatabase(t)
	const sql = "SELECT 'é✓', app.customers.email, nope1 FROM app.customers JOIN customers é ON app.customers.ssn = é.ssn WHERE nope2 = 'é' AND nope3"
	r := Request{Analysis: d.analyze(t, strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(sql, "nope1", "1::int"), "nope2", "'abc'"), "nope3", "true ")), Snapshot: d.snapshot, Masks: readMasks(t, "texts")}
	result, err := Statement(r)
	if err != nil {
		t.Fatal(err)
	}
	client := r.Analysis.Statement.Text
	for _, word := range []string{"SELECT", "'é✓'", "1::int", "JOIN", "é ON", "WHERE", "'abc'", "true"} {
		at, want := position(result.SQL, word), position(client, word)
		if got := result.ClientPosition(at); got != want {
			t.Errorf("%s is at %d, got %d, want %d", word, at, got, want)
		}
	}
	inside := position(result.SQL, "pg_catalog.split_part")
	if got, want := result.ClientPosition(inside), position(client, "app.customers JOIN"); got != want {
		t.Errorf("inside a mask got %d, want %d, the relation", got, want)
	}
	if got := (&Result{}).ClientPosition(7); got != 7 {
		t.Errorf("without edits got %d", got)
	}
}

// position is where a word first stands, in characters from 1.
func position(sql, word string) int {
	return utf8.RuneCountInString(sql[:strings.Index(sql, word)]) + 1
}

func TestQualify(t *testing.T) {
	d := newDatabase(t)
	for _, c := range []struct{ sql, want string }{
		{"SELECT name FROM customers", "SELECT name FROM app.customers"},
		{"SELECT name FROM(customers c JOIN app.orders o ON true)", "SELECT name FROM(app.customers c JOIN app.orders o ON true)"},
		{`SELECT name FROM"customers"`, `SELECT name FROM app."customers"`},
		{"SELECT name FROM ONLY(customers) FOR UPDATE OF customers", "SELECT name FROM ONLY(app.customers) FOR UPDATE OF customers"},
		{"SELECT email FROM orders", "SELECT email FROM app.orders"},
		{"WITH orders AS (SELECT id FROM orders) SELECT id FROM orders", "WITH orders AS (SELECT id FROM app.orders) SELECT id FROM orders"},
		{"TABLE events_2023", `SELECT * FROM (SELECT t."id", t."kind", CAST(CASE WHEN t."secret" IS NOT NULL THEN '[redacted]'::pg_catalog.text END AS pg_catalog.text) COLLATE pg_catalog."default" AS "secret", t."at" FROM "app"."events_2023" AS t) AS "events_2023"`},
		{"UPDATE customers SET name = 'x' WHERE id = 1", "UPDATE app.customers SET name = 'x' WHERE id = 1"},
		{"DELETE FROM ONLY orders USING customers c WHERE c.id = orders.id", "DELETE FROM ONLY app.orders USING app.customers c WHERE c.id = orders.id"},
		{"INSERT INTO orders (id) SELECT id FROM customers", "INSERT INTO app.orders (id) SELECT id FROM app.customers"},
		{"WITH orders AS (SELECT 1 AS id) DELETE FROM orders", "WITH orders AS (SELECT 1 AS id) DELETE FROM app.orders"},
		{"LOCK TABLE customers, app.orders", "LOCK TABLE app.customers, app.orders"},
		{"TRUNCATE orders", "TRUNCATE app.orders"},
		{"COPY orders TO STDOUT", "COPY app.orders TO STDOUT"},
		{"SELECT 1", "SELECT 1"},
		{"SHOW work_mem", "SHOW work_mem"},
		{"ALTER TABLE customers ADD x int", "! the relations of this statement may mean something else to the server than to sallyport"},
	} {
		result, err := Statement(Request{Analysis: d.analyze(t, c.sql), Snapshot: d.snapshot, Masks: readMasks(t, "texts"), Qualify: true})
		got := ""
		if err != nil {
			got = "! " + err.Error()
		} else {
			got = result.SQL
		}
		if got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.sql, got, c.want)
		}
		if err == nil && result.Changed != (result.SQL != c.sql) {
			t.Errorf("%s: Changed is %v", c.sql, result.Changed)
		}
	}
}

// TestIndexesStayUsable compares plans of statements without a mask on what they
// search by: masked and not, they must be the same.
func TestIndexesStayUsable(t *testing.T) {
	d := newDatabase(t)
	d.Exec(t, `ALTER TABLE app.orders DROP CONSTRAINT orders_customer_id_fkey; TRUNCATE app.orders, app.customers;
		INSERT INTO app.customers (id, name, email, address) SELECT i, 'n' || i, 'e' || i || '@x', 'a@b' FROM generate_series(1, 20000) i;
		INSERT INTO app.orders SELECT i, i % 20000 + 1, 'e' || i || '@x', 1, '2024-01-01' FROM generate_series(1, 20000) i;
		ANALYZE`)
	masks := readMasks(t, "texts")
	conn := connect(t, d.Database)
	for _, sql := range []string{
		"SELECT id, email FROM customers WHERE id = 77",
		"SELECT * FROM customers WHERE id BETWEEN 10 AND 20",
		"SELECT email FROM customers WHERE name = 'n5'",
		"SELECT c.email, o.total FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.id = 5",
		"SELECT c.email, o.total FROM orders o JOIN customers c ON o.customer_id = c.id WHERE o.id IN (1, 2, 3)",
		"SELECT o.id, c.email FROM orders o LEFT JOIN customers c ON c.id = o.customer_id WHERE o.id = 9",
		"SELECT email FROM customers ORDER BY id LIMIT 5",
		"SELECT email FROM customers WHERE id = (SELECT max(customer_id) FROM orders WHERE id < 10)",
		"SELECT o.id, (SELECT c.email FROM customers c WHERE c.id = o.customer_id) FROM orders o WHERE o.id < 5",
		"SELECT email FROM customers WHERE id = 5 FOR UPDATE",
	} {
		result, err := d.made(t, sql, masks)
		if err != nil || !result.Changed {
			t.Errorf("%s: %v, %v", sql, result, err)
			continue
		}
		plan := func(sql string) string {
			return strings.Join(ask(t, conn, "EXPLAIN (COSTS OFF) "+sql, nil, true).rows, "\n")
		}
		got, want := plan(result.SQL), plan(sql)
		got = strings.ReplaceAll(got, " t_1", " c") // the alias inside the subquery
		if shape(got) != shape(want) || !strings.Contains(got, "Index") {
			t.Errorf("%s\nmasked:\n%s\ndirect:\n%s", sql, got, want)
		}
	}
}

// shape is a plan without the names of relations.
func shape(plan string) string {
	var nodes []string
	for _, line := range strings.Split(plan, "\n") {
		if i := strings.Index(line, " on "); i >= 0 {
			line = line[:i]
		}
		if !strings.Contains(line, "Cond:") && !strings.Contains(line, "Key:") {
			nodes = append(nodes, strings.Trim(line, `"`))
		}
	}
	return strings.Join(nodes, "\n")
}

// TestConcurrentUse shares an analysis, as sessions that run one text do.
func TestConcurrentUse(t *testing.T) {
	d := newDatabase(t)
	r := Request{Analysis: d.analyze(t, "SELECT app.customers.email FROM app.customers TABLESAMPLE bernoulli (1), orders"),
		Snapshot: d.snapshot, Masks: readMasks(t, "texts"), Qualify: true}
	want, err := Statement(r)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				if got, err := Statement(r); err != nil || got.SQL != want.SQL {
					t.Errorf("got %v, %v", got, err)
				}
			}
		})
	}
	all.Wait()
}

func TestSplitID(t *testing.T) {
	for id, want := range map[string][]string{
		"a.b.c": {"a", "b", "c"}, `"a.b"."c""d".e`: {"a.b", `c"d`, "e"}, "a": {"a"}, "": {""},
		`"a`: nil, `"a"b.c`: nil, "a..c": {"a", "", "c"}, `a."b"`: {"a", "b"},
	} {
		if got := splitID(id); !slices.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("splitID(%s) = %q, want %q", id, got, want)
		}
	}
}

func TestStricter(t *testing.T) {
	order := append([]string{"rot13"}, strictness...)
	for i, a := range order {
		for j, b := range order {
			if got, want := stricter(Mask{Function: a}, Mask{Function: b}).Function, order[min(i, j)]; got != want {
				t.Errorf("stricter(%s, %s) = %s, want %s", a, b, got, want)
			}
		}
	}
}

func BenchmarkStatement(b *testing.B) {
	d := newDatabase(b)
	masks := readMasks(b, "texts")
	for name, sql := range map[string]string{
		"point": "SELECT id, email FROM customers WHERE id = $1",
		"join5": "SELECT c.email, o.total, e.kind, p.name, x.region FROM customers c JOIN orders o ON o.customer_id = c.id JOIN events e ON e.id = c.id JOIN people p ON p.id = c.id JOIN other.customers x ON x.id = c.id WHERE c.name LIKE 'a%' ORDER BY o.total LIMIT 10",
	} {
		r := Request{Analysis: d.analyze(b, sql), Snapshot: d.snapshot, Masks: masks}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Statement(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzStatement rewrites whatever parses, with every column of the database masked.
// What comes of it must parse, be about the same relations, and read them only inside
// the subqueries that mask.
func FuzzStatement(f *testing.F) {
	d := newDatabase(f)
	for _, sql := range generated(f, d, 200) {
		f.Add(sql)
	}
	for _, set := range []string{"texts", "numbers", "keys"} {
		for _, c := range readCases(f, set) {
			f.Add(c.sql)
		}
	}
	masks := map[string]Mask{}
	for _, name := range fuzzMasked {
		r := d.snapshot.Relation("app", name)
		for _, c := range r.Columns {
			masks[columnID(r, c)] = Mask{Function: "hash"}
		}
	}
	f.Fuzz(func(t *testing.T, sql string) {
		statements, err := query.Parse(sql, query.Limits{Bytes: 4096})
		if err != nil {
			return
		}
		for _, st := range statements {
			a := d.analyzer.Analyze(st, query.Env{SearchPath: []string{"app"}, User: "postgres"})
			result, err := Statement(Request{Analysis: a, Snapshot: d.snapshot, Masks: masks})
			if err != nil || !result.Changed {
				continue
			}
			if err := onlyMaskedReads(result.SQL, a); err != nil {
				t.Errorf("%v\nfrom %s\nmade %s", err, st.Text, result.SQL)
			}
			if err := d.sameRelations(result.SQL, a); err != nil {
				t.Errorf("%v\nfrom %s\nmade %s", err, st.Text, result.SQL)
			}
		}
	})
}

// fuzzMasked are the relations of which FuzzStatement masks every column.
var fuzzMasked = []string{"customers", "orders", "events", "people", "staff", "contacts", "snapshot"}

// generated are random statements of every kind about the cases' database.
func generated(t testing.TB, d *database, n uint64) []string {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), d.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(context.Background(), "SET search_path = app"); err != nil {
		t.Fatal(err)
	}
	schema, err := sqlgen.Read(context.Background(), conn)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for i := range n {
		sql := sqlgen.New(schema, sqlgen.Random(5, i), true).Statement().SQL
		if _, err := query.Parse(sql, query.Limits{}); err == nil {
			all = append(all, sql)
		}
	}
	return all
}

// TestGeneratedStatements rewrites random statements as FuzzStatement does, so that
// what it looks for is looked for without a fuzzer too.
func TestGeneratedStatements(t *testing.T) {
	d := newDatabase(t)
	masks := readMasks(t, "texts")
	changed := 0
	for _, sql := range generated(t, d, 600) {
		a := d.analyze(t, sql)
		result, err := Statement(Request{Analysis: a, Snapshot: d.snapshot, Masks: masks})
		if err != nil || !result.Changed {
			continue
		}
		changed++
		if err := d.sameRelations(result.SQL, a); err != nil {
			t.Errorf("%v\nfrom %s\nmade %s", err, sql, result.SQL)
		}
	}
	if changed < 200 {
		t.Errorf("only %d statements were changed", changed)
	}
}

// sameRelations analyses what was made anew: it is of the same kind, as complete as it
// was, and about the same relations.
func (d *database) sameRelations(sql string, a *query.Analysis) error {
	statements, err := query.Parse(sql, query.Limits{})
	if err != nil || len(statements) != 1 {
		return fmt.Errorf("%d statements: %w", len(statements), err)
	}
	made := d.analyzer.Analyze(statements[0], query.Env{SearchPath: []string{"app"}, User: "postgres"})
	if made.Shape.Kind != a.Shape.Kind || made.Shape.Complete != a.Shape.Complete || made.Refusal != nil {
		return fmt.Errorf("it is a %s, unresolved %q, refused: %t", made.Shape.Kind, made.Shape.Unresolved, made.Refusal != nil)
	}
	if was, is := tableList(a), tableList(made); !slices.Equal(was, is) {
		return fmt.Errorf("it is about %q, was about %q", is, was)
	}
	return nil
}

// tableList are the tables an analysis is about, by whatever views: these may have been
// put in as what they are made of.
func tableList(a *query.Analysis) []string {
	var list []string
	for _, t := range a.Shape.Tables {
		if t.Kind != catalog.View {
			list = append(list, t.ID)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func onlyMaskedReads(sql string, a *query.Analysis) error {
	n, err := parseOne(sql)
	if err != nil {
		return err
	}
	bare := targets(a.Statement.Node)
	for _, scan := range a.Scans {
		if len(exposed(scan)) == 0 {
			bare[scan.Relation.Name]++
		}
	}
	walk(n, func(n *pg_query.Node) {
		rv := n.GetRangeVar()
		if rv == nil || rv.Schemaname != "app" || rv.Alias.GetAliasname() == inner || !slices.Contains(fuzzMasked, rv.Relname) {
			return
		}
		if bare[rv.Relname]--; bare[rv.Relname] < 0 && slices.ContainsFunc(a.Scans, func(s *query.Scan) bool { return s.Relation.Name == rv.Relname }) {
			err = fmt.Errorf("%s is read bare", rv.Relname)
		}
	})
	return err
}

// targets counts the relations that a statement writes to, by their names.
func targets(n *pg_query.Node) map[string]int {
	count := map[string]int{}
	walk(n, func(n *pg_query.Node) {
		for _, rv := range []*pg_query.RangeVar{n.GetInsertStmt().GetRelation(), n.GetUpdateStmt().GetRelation(), n.GetDeleteStmt().GetRelation(), n.GetMergeStmt().GetRelation()} {
			if rv != nil {
				count[rv.Relname]++
			}
		}
	})
	return count
}

// TestCopyOfAQuery runs what no single query shows.
func TestCopyOfAQuery(t *testing.T) {
	d := newDatabase(t)
	result, err := d.made(t, "COPY (SELECT id, email FROM customers WHERE id < 3 ORDER BY id) TO STDOUT", readMasks(t, "texts"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if _, err := connect(t, d.Database).CopyTo(t.Context(), &out, result.SQL); err != nil {
		t.Error(err)
	}
	if out.String() != "1\ta***@example.com\n2\tb***@long-domain.example\n" {
		t.Errorf("copied %q", out.String())
	}
}

// TestOnly reads a parent without the child that is masked.
func TestOnly(t *testing.T) {
	d := newDatabase(t)
	masks := map[string]Mask{"app.staff.secret": {Function: "null"}}
	for sql, changed := range map[string]bool{
		"SELECT secret FROM people":      true,
		"SELECT secret FROM ONLY people": false,
		"SELECT secret FROM ONLY staff":  true,
	} {
		result, err := d.made(t, sql, told(masks, d.analyze(t, sql)))
		if err != nil || result.Changed != changed {
			t.Errorf("%s: made %v, %v", sql, result, err)
		}
	}
}
