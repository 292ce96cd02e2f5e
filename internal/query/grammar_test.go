package query

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pg_query "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/sqlgen"
)

var (
	grammarSeed       = flag.Uint64("grammar.seed", 2026, "which statements TestGrammar tries")
	grammarStatements = flag.Uint64("grammar.statements", 10000, "how many of them")
	grammarList       = flag.String("grammar.list", "", "file to write what did not parse to")
)

// grammarNames are of testdata/query/schema.sql.
var grammarNames = sqlgen.Names{
	"table":    {"customers", "app.orders", "app.customers", `app."select"`, "hr.salaries", "public.customers", "app.events", "app.contacts", "app.mat", "app.child", "order_lines", `U&"ord\0065rs"`, "CUSTOMERS"},
	"column":   {"name", "total", "c.name", "customer_id", "amount", "t.total", "email", "c.home", "tags", "o.placed", "customers.id"},
	"function": {"app.shout", "app.pairs", "app.label", "app.many", "app.over", "length", "app.with_defaults"},
	"type":     {"app.mood", "app.address", "app.plain_domain", "ext.money_pair"}, "typename": {"app.mood", "app.address", "app.checked_domain"},
	"schema": {"hr", "ext", `"Odd Schema"`}, "aggregate": {"app.first_of", "array_agg"},
}

// TestGrammar analyses statements of every kind that PostgreSQL's grammar has: none
// makes it fail or hang, and none passes of which a name was not looked up.
func TestGrammar(t *testing.T) {
	snapshot := testSnapshot(t)
	analyzer := NewAnalyzer(snapshot)
	grammar := sqlgen.NewGrammar(grammarNames)
	seen := &produced{messages: map[string]bool{}, values: map[string]bool{}}
	var parsed, complete int
	var list strings.Builder
	passed, samples := map[string]int{}, map[string]string{}
	slowest, slow := time.Duration(0), ""
	for n := range *grammarStatements {
		sql := grammar.Statement(sqlgen.Random(*grammarSeed, n))
		start := time.Now()
		statements, err := Parse(sql, Limits{})
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Code == "" || e.Message == "" {
				t.Errorf("an error without code or message: %#v", err)
			}
			fmt.Fprintf(&list, "%v\n\t%s\n", err, sql)
			continue
		}
		parsed++
		for _, st := range statements {
			seen.walk(st.Node.ProtoReflect())
			a := analyzer.Analyze(st, testEnv)
			s := &a.Shape
			checkAnalysis(t, a)
			if a.Shape.Complete && a.Refusal == nil {
				complete++
				for _, wrong := range unlooked(snapshot, a) {
					passed[wrong+" in "+s.Kind]++
					samples[wrong+" in "+s.Kind] = st.Text
				}
			}
		}
		if took := time.Since(start); took > slowest {
			slowest, slow = took, sql
		}
		if t.Failed() {
			t.Fatalf("at %s", sql)
		}
	}
	if *grammarList != "" {
		if err := os.WriteFile(*grammarList, []byte(list.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d statements, %d parse, %d complete; the slowest took %s: %.200s", *grammarStatements, parsed, complete, slowest, slow)
	if slowest > 2*time.Second {
		t.Errorf("%s took %s", slow, slowest)
	}
	for what, times := range passed {
		t.Errorf("%d complete statements have an unknown %s, such as\n%s", times, what, samples[what])
	}
	if *grammarSeed == 2026 && *grammarStatements == 10000 {
		checkReach(t, seen.missing())
	}
}

// FuzzGrammar analyses what the grammar makes of a fuzzer's choices: nothing passes of
// which a name was not looked up.
func FuzzGrammar(f *testing.F) {
	grammar := sqlgen.NewGrammar(grammarNames)
	for n := range uint64(100) {
		c := sqlgen.Random(4, n)
		grammar.Statement(c)
		f.Add(c.Bytes())
	}
	snapshot := testSnapshot(f)
	analyzer := NewAnalyzer(snapshot)
	f.Fuzz(func(t *testing.T, input []byte) {
		sql := grammar.Statement(sqlgen.FromBytes(input))
		statements, err := Parse(sql, Limits{})
		if err != nil {
			return
		}
		for _, st := range statements {
			a := analyzer.Analyze(st, testEnv)
			checkAnalysis(t, a)
			if a.Shape.Complete && a.Refusal == nil {
				for _, wrong := range unlooked(snapshot, a) {
					t.Errorf("complete with an unknown %s: %s", wrong, sql)
				}
			}
		}
	})
}

// checkReach compares the nodes and words of the parser's trees that no statement has
// with those that are known to be made by later stages of PostgreSQL only.
func checkReach(t *testing.T, missing []string) {
	t.Helper()
	file := filepath.Join(casesDir, "unreached.list")
	got := strings.Join(missing, "\n") + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	known := strings.Fields(string(want))
	for _, name := range missing {
		if !slices.Contains(known, name) {
			t.Errorf("no statement has a %s", name)
		}
	}
}

// produced is what of the parser's trees was seen.
type produced struct{ messages, values map[string]bool }

func (r *produced) walk(m protoreflect.Message) {
	r.messages[string(m.Descriptor().Name())] = true
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		each := func(v protoreflect.Value) {
			if f.Message() != nil {
				r.walk(v.Message())
			} else if f.Enum() != nil {
				if value := f.Enum().Values().ByNumber(v.Enum()); value != nil {
					r.values[string(value.Name())] = true
				}
			}
		}
		if f.IsList() {
			for i := range v.List().Len() {
				each(v.List().Get(i))
			}
		} else {
			each(v)
		}
		return true
	})
}

// missing lists the nodes that the grammar makes, and values of enums in them, that
// were not seen.
func (r *produced) missing() []string {
	var missing []string
	enums := map[string]protoreflect.EnumDescriptor{}
	fields := (&pg_query.Node{}).ProtoReflect().Descriptor().Oneofs().Get(0).Fields()
	for i := range fields.Len() {
		m := fields.Get(i).Message()
		if !r.messages[string(m.Name())] {
			missing = append(missing, string(m.Name()))
			continue
		}
		for j := range m.Fields().Len() {
			if e := m.Fields().Get(j).Enum(); e != nil {
				enums[string(e.Name())] = e
			}
		}
	}
	for _, e := range enums {
		for i := range e.Values().Len() {
			if v := e.Values().Get(i); v.Number() != 0 && !r.values[string(v.Name())] {
				missing = append(missing, string(v.Name()))
			}
		}
	}
	slices.Sort(missing)
	return missing
}

// walker goes through a statement's tree by itself and knows nothing of how it was
// analysed: it looks for names that the analysis should have refused.
type walker struct {
	snapshot *catalog.Snapshot
	a        *Analysis
	given    map[string]bool // names that the statement itself gives to something
	wrong    []string
}

// unlooked lists the names of a complete statement that mean nothing.
func unlooked(snapshot *catalog.Snapshot, a *Analysis) []string {
	w := &walker{snapshot: snapshot, a: a, given: map[string]bool{}}
	each(a.Statement.Node.ProtoReflect(), w.names)
	each(a.Statement.Node.ProtoReflect(), w.check)
	return w.wrong
}

// each visits the messages of a tree, and goes into those for which visit returns true.
func each(m protoreflect.Message, visit func(protoreflect.ProtoMessage) bool) {
	if !visit(m.Interface()) {
		return
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() != protoreflect.MessageKind:
		case f.IsList():
			for i := range v.List().Len() {
				each(v.List().Get(i).Message(), visit)
			}
		default:
			each(v.Message(), visit)
		}
		return true
	})
}

// names collects what the statement names by itself.
func (w *walker) names(m protoreflect.ProtoMessage) bool {
	switch n := m.(type) {
	case *pg_query.Alias:
		w.given[n.Aliasname] = true
		for _, c := range n.Colnames {
			w.given[c.GetString_().GetSval()] = true
		}
	case *pg_query.CommonTableExpr:
		w.given[n.Ctename] = true
		for _, c := range n.Aliascolnames {
			w.given[c.GetString_().GetSval()] = true
		}
		if n.SearchClause != nil {
			w.given[n.SearchClause.SearchSeqColumn] = true
		}
		if n.CycleClause != nil {
			w.given[n.CycleClause.CycleMarkColumn], w.given[n.CycleClause.CyclePathColumn] = true, true
		}
	case *pg_query.ResTarget:
		w.given[n.Name] = true
	case *pg_query.ColumnDef:
		w.given[n.Colname] = true
	case *pg_query.RangeTableFuncCol:
		w.given[n.Colname] = true
	case *pg_query.FuncCall: // a function in FROM names its column
		w.given[last(n.Funcname)] = true
	case *pg_query.FunctionParameter:
		w.given[n.Name] = true
	}
	return true
}

func last(names []*pg_query.Node) string {
	if len(names) == 0 {
		return ""
	}
	return names[len(names)-1].GetString_().GetSval()
}

// rowless are the nodes in which a column's name means none that is there already.
func (w *walker) rowless() bool {
	switch w.a.Shape.Kind {
	case "create_table", "create_foreign_table", "create_function", "create_procedure", "create_domain", "alter_domain":
		return true
	default:
		return false
	}
}

// check notes a name that means nothing. It does not look where names are those of
// other things, or need not mean anything.
func (w *walker) check(m protoreflect.ProtoMessage) bool {
	switch n := m.(type) {
	case *pg_query.ConstraintsSetStmt, *pg_query.DefineStmt:
		return false
	case *pg_query.DropStmt:
		return !n.MissingOk
	case *pg_query.AlterTableStmt:
		return !n.MissingOk
	case *pg_query.PartitionBoundSpec: // MINVALUE and MAXVALUE are columns to the parser
		return false
	case *pg_query.RangeVar:
		if !w.relation(n) {
			w.wrong = append(w.wrong, "relation "+n.Schemaname+"."+n.Relname)
		}
	case *pg_query.ColumnRef:
		// c.lower is lower(c) where c has no such column.
		if name := last(n.Fields); name != "" && !w.rowless() && !w.column(name) && !w.function(name) {
			w.wrong = append(w.wrong, "column "+name)
		}
	case *pg_query.FuncCall:
		name := last(n.Funcname)
		if !w.function(name) && !w.column(name) {
			w.wrong = append(w.wrong, "function "+name)
		}
	case *pg_query.TypeName:
		name := last(n.Names)
		schemas := []string{"app", "public", "pg_catalog", "ext", "hr"}
		if name != "" && !slices.ContainsFunc(schemas, func(schema string) bool { return w.snapshot.Type(schema, name) != nil }) {
			w.wrong = append(w.wrong, "type "+name)
		}
	}
	return true
}

func (w *walker) relation(n *pg_query.RangeVar) bool {
	if n.Schemaname == "" && w.given[n.Relname] || n.Relname == "brand_new" {
		return true
	}
	return slices.ContainsFunc(w.a.Shape.Tables, func(t Table) bool {
		return t.Name == n.Relname && (n.Schemaname == "" || n.Schemaname == t.Schema)
	})
}

func (w *walker) function(name string) bool {
	return slices.ContainsFunc(w.a.Shape.Functions, func(f Function) bool { return f.Name == name })
}

func (w *walker) column(name string) bool {
	if w.given[name] || slices.Contains([]string{"ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"}, name) {
		return true
	}
	return slices.ContainsFunc(w.a.Shape.Tables, func(t Table) bool {
		r := w.snapshot.Relation(t.Schema, t.Name)
		return t.Name == name || r != nil && r.Column(name) != nil
	})
}
