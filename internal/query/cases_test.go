package query

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/pgtest"
)

var update = flag.Bool("update", false, "write what came out into testdata/query")

const casesDir = "../../testdata/query"

func TestMain(m *testing.M) { pgtest.Main(m) }

// testSnapshot is the catalog of testdata/query/schema.sql in a real server.
func testSnapshot(t testing.TB) *catalog.Snapshot {
	t.Helper()
	schema, err := os.ReadFile(filepath.Join(casesDir, "schema.sql"))
	if err != nil {
		t.Fatal(err)
	}
	db := pgtest.NewDatabase(t, string(schema))
	source, err := catalog.Open(t.Context(), catalog.Config{DSN: db.DSN()})
	if err != nil {
		t.Fatal(err)
	}
	source.Close()
	snapshot := *source.Snapshot()
	snapshot.Database = "test"
	return &snapshot
}

var testEnv = Env{SearchPath: []string{"$user", "app", "public"}, User: "agent"}

// TestCases analyses the statements of testdata/query/*.txt. A case is a statement,
// a line of dashes, and what the analysis says.
func TestCases(t *testing.T) {
	analyzer := NewAnalyzer(testSnapshot(t))
	files, err := filepath.Glob(filepath.Join(casesDir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			blocks := strings.Split(strings.TrimSpace(string(content)), "\n\n")
			for i, block := range blocks {
				sql, want, found := strings.Cut(block+"\n", "\n----\n")
				if !found {
					continue // a comment
				}
				got := tell(analyzer, sql)
				if *update {
					blocks[i] = strings.TrimSpace(sql + "\n----\n" + got)
				} else if got != want {
					t.Errorf("%s\ngot:\n%swant:\n%s", sql, got, want)
				}
			}
			if *update {
				if err := os.WriteFile(file, []byte(strings.Join(blocks, "\n\n")+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// tell writes an analysis down, leaving out what is empty.
func tell(analyzer *Analyzer, sql string) string {
	var b strings.Builder
	statements, err := Parse(sql, Limits{})
	if err != nil {
		var refused *Error
		if !errors.As(err, &refused) {
			return "error of another type: " + err.Error()
		}
		fmt.Fprintf(&b, "error: %s: %v\n", refused.Code, err)
		return b.String()
	}
	for _, st := range statements {
		if len(statements) > 1 {
			fmt.Fprintf(&b, "statement: %s\n", st.Text)
		}
		tellOne(&b, analyzer.Analyze(st, testEnv))
	}
	return b.String()
}

func tellOne(b *strings.Builder, a *Analysis) {
	line := func(name, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); strings.TrimSpace(text) != "" {
			fmt.Fprintf(b, "%s: %s\n", name, strings.TrimSpace(text))
		}
	}
	s := &a.Shape
	if a.Refusal != nil {
		line("refused", "%s %s", a.Refusal.Code, a.Refusal.Message)
	}
	line("kind", "%s %s", s.Kind, s.Class)
	for _, x := range s.Unresolved {
		line("unresolved", "%s", x)
	}
	if s.Complete != (len(s.Unresolved) == 0) {
		line("complete", "%v", s.Complete)
	}
	for _, x := range s.Tables {
		line("table", "%s %s %s%s", x.ID, x.Kind, strings.Join(x.Access, ","), via(x.Via))
	}
	for _, x := range s.Columns {
		line("column", "%s %s%s", x.ID, strings.Join(x.Uses, ","), via(x.Via))
	}
	for _, x := range s.Functions {
		flags := ""
		if x.SecurityDefiner {
			flags += " definer"
		}
		if x.Transparent {
			flags += " transparent"
		}
		line("function", "%s %s %s %s%s%s", x.ID, x.Kind, x.Volatility, x.Language, flags, via(x.Via))
	}
	counts := ""
	for _, n := range []struct {
		name string
		n    int
	}{{"joins", s.Joins}, {"subqueries", s.Subqueries}, {"ctes", s.CTEs}, {"literals", s.Literals}} {
		if n.n > 0 {
			counts += fmt.Sprintf(" %s=%d", n.name, n.n)
		}
	}
	if s.Where {
		counts += " where"
	}
	if s.Limit != nil {
		counts += fmt.Sprintf(" limit=%d", *s.Limit)
	}
	line("shape", "%s", counts)
	line("sets", "%s", strings.Join(s.SetOperations, ", "))
	line("locks", "%s", strings.Join(s.Locks, ", "))
	if s.Explain != nil {
		line("explain", "analyze=%v", s.Explain.Analyze)
	}
	for _, p := range s.Parameters {
		line("parameter", "$%d %s", p.Index, p.Type)
	}
	tellRest(a, line)
}

func tellRest(a *Analysis, line func(name, format string, args ...any)) {
	for _, scan := range a.Scans {
		flags := ""
		for _, f := range []struct {
			name string
			on   bool
		}{{"all", scan.All}, {"row", scan.WholeRow}, {"locked", scan.Locked}, {"sampled", scan.Sampled}, {"bykey", scan.GroupedByKey != nil}} {
			if f.on {
				flags += " " + f.name
			}
		}
		var columns []string
		for _, c := range scan.Columns {
			columns = append(columns, c.Name)
		}
		line("scan", "%s(%s)%s %s", scan.Relation.ID(), strings.Join(columns, " "), flags, strings.Join(scan.System, " "))
		if group := scan.GroupedByKey; group != nil {
			line("group", "%s needs%s", groupedColumn(group.Key), groupedColumns(group.Needed))
		}
		if scan.Lineage != nil {
			for _, name := range sortedKeys(scan.Lineage) {
				if l := scan.Lineage[name]; contains(columns, name) {
					line("lineage", "%s: %s plain=%v", name, strings.Join(l.Bases, " "), l.Plain)
				}
			}
		}
	}
	for _, target := range a.Targets {
		tellTarget(target, line)
	}
	for _, r := range a.Reads {
		line("reads", "%s in %s", r.Column, r.How)
	}
	line("transaction", "%s%s", a.Transaction, map[bool]string{true: " chain"}[a.Chain])
	if a.Setting != nil {
		line("setting", "%s %q local=%v reset=%v opaque=%v", a.Setting.Name, a.Setting.Values, a.Setting.Local, a.Setting.Reset, a.Setting.Opaque)
	}
	if a.Deallocate != nil {
		line("deallocate", "%q all=%v", a.Deallocate.Name, a.Deallocate.All)
	}
	if a.Named != nil {
		line("named", "%s %q hold=%v", a.Named.Command, a.Named.Name, a.Named.Hold)
	}
	line("discard", "%s", a.Discard)
	if a.Call != nil {
		line("call", "%s %+v", a.Call.Name, a.Call.Args)
	}
	if a.Copy != CopyNone {
		line("copy", "%s", map[CopyKind]string{CopyIn: "in", CopyOut: "out"}[a.Copy])
	}
	if a.Schema {
		line("schema", "may change")
	}
}

func groupedColumns(columns []GroupColumn) string {
	text := ""
	for _, c := range columns {
		text += " " + groupedColumn(c)
	}
	return text
}

func groupedColumn(c GroupColumn) string {
	if c.Qualifier != "" {
		return c.Qualifier + "." + c.Name
	}
	return c.Name
}

func tellTarget(t *Target, line func(name, format string, args ...any)) {
	columnNames := func(columns []*catalog.Column) string {
		var names []string
		for _, c := range columns {
			names = append(names, c.Name)
		}
		return strings.Join(names, " ")
	}
	inserts := ""
	if t.Inserts {
		inserts = " inserts (" + columnNames(t.Inserted) + ")"
	}
	line("target", "%s%s%s", t.Relation.ID(), inserts, map[bool]string{true: " deletes"}[t.Deletes])
	for _, set := range t.Sets {
		line("sets", "%s", columnNames(set.Columns))
		line("keeps", "%s", columnNames(set.Kept))
	}
	if len(t.Inferred) > 0 {
		line("inferred", "%s", columnNames(t.Inferred))
	}
	for _, ref := range t.Refs {
		if ref.Column != nil {
			line("refers", "%s in %s%s", ref.Column.Name, ref.How, map[bool]string{true: ", kept"}[ref.Kept])
			continue
		}
		var names []string
		for _, c := range ref.Star {
			name := strings.Join(append(append([]string(nil), c.Qualifier...), c.Name), ".")
			if c.Ambiguous {
				name += "?"
			}
			if c.Column == nil {
				name = "(" + name + ")"
			}
			names = append(names, name)
		}
		line("refers", "* %s in %s", strings.Join(names, " "), ref.How)
	}
}

func via(id string) string {
	if id == "" {
		return ""
	}
	return " via " + id
}

func sortedKeys(m map[string]Lineage) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
