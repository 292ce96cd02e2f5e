package query

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/pgtest"
)

const resolveDir = casesDir + "/resolve"

// resolvePaths are the search paths in which every statement is resolved.
var resolvePaths = [][]string{
	{"one", "two"}, {"two", "one"}, {"one", "pg_catalog", "two"}, {"pg_catalog", "two"},
}

func resolveFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(resolveDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func resolveStatements(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, line := range resolveLines(t, "expressions.txt") {
		all = append(all, "SELECT "+line+" FROM one.t WINDOW w AS ()")
	}
	return append(all, resolveLines(t, "selects.txt")...)
}

func resolveLines(t *testing.T, name string) []string {
	t.Helper()
	return strings.Split(strings.TrimSpace(resolveFile(t, name)), "\n")
}

// TestResolvesAsTheServer makes a view of every statement of testdata/query/resolve,
// in several search paths, and reads from the server's own tree which functions,
// operators and casts it has taken. What users have made must be listed exactly, but
// for what only the planner or the data decide about: comparisons, constraints of
// domains, casts inside functions that make JSON.
func TestResolvesAsTheServer(t *testing.T) {
	db := pgtest.NewDatabase(t, resolveFile(t, "schema.sql"))
	source, err := catalog.Open(t.Context(), catalog.Config{DSN: db.DSN()})
	if err != nil {
		t.Fatal(err)
	}
	source.Close()
	r := &resolver{t: t, snapshot: source.Snapshot(), conn: db.Connect(t), operators: map[catalog.OID]catalog.OID{}, late: map[catalog.OID]bool{}}
	r.load()
	for _, path := range resolvePaths {
		r.path = path
		r.exec("SET search_path = " + strings.Join(path, ", "))
		for _, sql := range append(resolveStatements(t), resolveLines(t, "writes.txt")...) {
			r.check(sql)
		}
	}
	t.Logf("%d compared, %d not taken by the server, %d of %d output types not known", r.compared, r.refused, r.unknown, r.outputs)
	if r.compared < 3000 || r.unknown*20 > r.outputs {
		t.Error("too few could be compared, or too few types are known")
	}
}

type resolver struct {
	t         *testing.T
	snapshot  *catalog.Snapshot
	conn      *pgx.Conn
	path      []string
	operators map[catalog.OID]catalog.OID // to their functions
	late      map[catalog.OID]bool        // functions that run without standing in the tree

	forgetful bool // types are forgotten: more may be listed
	forgotten []catalog.OID

	compared, refused, outputs, unknown int
}

func (r *resolver) exec(sql string) {
	r.t.Helper()
	if _, err := r.conn.Exec(r.t.Context(), sql); err != nil {
		r.t.Fatalf("%s: %v", sql, err)
	}
}

func (r *resolver) load() {
	rows, err := r.conn.Query(r.t.Context(), "SELECT oid::int8, oprcode::oid::int8 FROM pg_operator")
	if err != nil {
		r.t.Fatal(err)
	}
	var operator, function int64
	if _, err := pgx.ForEachRow(rows, []any{&operator, &function}, func() error {
		r.operators[catalog.OID(operator)] = catalog.OID(function)
		return nil
	}); err != nil {
		r.t.Fatal(err)
	}
	for _, typ := range r.snapshot.ComparedTypes() {
		for _, f := range r.snapshot.Compares(typ) {
			r.late[f] = true
		}
	}
	r.late[r.snapshot.Functions("one", "is_even")[0].OID] = true
	r.late[r.snapshot.Functions("one", "money_json")[0].OID] = true
}

var (
	treeCall     = regexp.MustCompile(`\{FUNCEXPR :funcid (\d+).*?:funcformat (\d)`)
	treeAgg      = regexp.MustCompile(`:(?:aggfnoid|winfnoid) (\d+)`)
	treeOperator = regexp.MustCompile(`:(?:opno|eqop|sortop) (\d+)`)
	treeRowOps   = regexp.MustCompile(`:opnos \(o ([\d ]+)\)`)
)

// taken are the functions in the server's tree: called, and of users' operators and
// casts.
func (r *resolver) taken(tree string) map[catalog.OID]bool {
	taken := map[catalog.OID]bool{}
	oid := func(s string) catalog.OID {
		n, _ := strconv.ParseUint(s, 10, 32)
		return catalog.OID(n)
	}
	for _, m := range treeCall.FindAllStringSubmatch(tree, -1) {
		if f := oid(m[1]); f.User() || m[2] == "0" || m[2] == "3" {
			taken[f] = true
		}
	}
	for _, m := range treeAgg.FindAllStringSubmatch(tree, -1) {
		taken[oid(m[1])] = true
	}
	var operators []string
	for _, m := range treeOperator.FindAllStringSubmatch(tree, -1) {
		operators = append(operators, m[1])
	}
	for _, m := range treeRowOps.FindAllStringSubmatch(tree, -1) {
		operators = append(operators, strings.Fields(m[1])...)
	}
	for _, o := range operators {
		if f := r.operators[oid(o)]; f.User() {
			taken[f] = true
		}
	}
	return taken
}

// rule gives the server's tree of a write.
func (r *resolver) rule(sql string) (tree string, types []catalog.OID, ok bool) {
	r.exec("BEGIN")
	defer r.exec("ROLLBACK")
	if _, err := r.conn.Exec(context.Background(), "CREATE RULE made_by_test AS ON UPDATE TO one.ruled DO INSTEAD "+sql); err != nil {
		return "", nil, false
	}
	err := r.conn.QueryRow(context.Background(), "SELECT ev_action::text FROM pg_rewrite WHERE rulename = 'made_by_test'").Scan(&tree)
	if err != nil {
		r.t.Fatal(err)
	}
	return tree, nil, true
}

// view gives the server's tree of a SELECT, and the types of its output; ok is false
// if the server does not take it.
func (r *resolver) view(sql string) (tree string, types []catalog.OID, ok bool) {
	ctx := context.Background()
	r.exec("BEGIN")
	defer r.exec("ROLLBACK")
	if _, err := r.conn.Exec(ctx, "CREATE VIEW one.made_by_test AS "+sql); err != nil {
		if _, err := r.conn.Exec(ctx, "ROLLBACK; BEGIN; CREATE VIEW one.made_by_test(made_a, made_b) AS "+sql); err != nil {
			return "", nil, false
		}
	}
	err := r.conn.QueryRow(ctx, "SELECT ev_action::text FROM pg_rewrite WHERE ev_class = 'one.made_by_test'::regclass").Scan(&tree)
	if err != nil {
		r.t.Fatal(err)
	}
	rows, err := r.conn.Query(ctx, "SELECT atttypid::int8 FROM pg_attribute WHERE attrelid = 'one.made_by_test'::regclass AND attnum > 0 ORDER BY attnum")
	if err != nil {
		r.t.Fatal(err)
	}
	var typ int64
	if _, err := pgx.ForEachRow(rows, []any{&typ}, func() error {
		types = append(types, catalog.OID(typ))
		return nil
	}); err != nil {
		r.t.Fatal(err)
	}
	return tree, types, true
}

func (r *resolver) check(sql string) {
	statements, err := Parse(sql, Limits{})
	if err != nil {
		r.t.Errorf("%s: %v", sql, err)
		return
	}
	s := NewAnalyzer(r.snapshot).newState(statements[0], Env{SearchPath: r.path, User: "agent"})
	for _, typ := range r.forgotten {
		s.seenType(typ) // they take part
	}
	var outputs []output
	ask := r.view
	if sel := statements[0].Node.GetSelectStmt(); sel != nil && !strings.Contains(sql, "INSERT") {
		outputs = s.settle(s.topSelect(sel))
	} else {
		s.statement(statements[0].Node)
		ask = r.rule
	}
	s.finish()
	tree, types, ok := ask(sql)
	if !ok {
		r.refused++
		return
	}
	r.compared++
	if len(s.missing) > 0 {
		if r.forgetful {
			return
		}
		r.t.Errorf("%v: %s: unresolved: %v", r.path, sql, s.unresolvedList())
	}
	taken, listed := r.taken(tree), map[catalog.OID]bool{}
	for f := range s.functions {
		listed[f.function.OID] = true
	}
	for f := range taken {
		if !listed[f] {
			r.t.Errorf("%v: %s: the server takes %s, which is not listed", r.path, sql, r.signature(f))
		}
	}
	for f := range listed {
		if r.forgetful {
			break
		}
		if !taken[f] && !r.late[f] && !strings.Contains(sql, "RANGE BETWEEN") { // whose offset the operator class says
			r.t.Errorf("%v: %s: %s is listed, the server does not take it", r.path, sql, r.signature(f))
		}
	}
	r.checkTypes(sql, types, outputs)
}

func (r *resolver) checkTypes(sql string, types []catalog.OID, outputs []output) {
	if len(types) != len(outputs) {
		r.t.Errorf("%v: %s: %d columns, the server has %d", r.path, sql, len(outputs), len(types))
		return
	}
	for i, o := range outputs {
		r.outputs++
		switch {
		case o.value.typ == 0:
			if r.unknown++; r.forgetful {
				break
			}
			r.t.Logf("%v: %s: the type of column %d is not known", r.path, sql, i+1)
		case o.value.typ != types[i]:
			r.t.Errorf("%v: %s: column %d has type %d, the server says %d", r.path, sql, i+1, o.value.typ, types[i])
		}
	}
}

// TestTypesNotKnown: where types are not known, everything that the server could take
// is listed. It is tried by forgetting the types of some columns.
func TestTypesNotKnown(t *testing.T) {
	db := pgtest.NewDatabase(t, resolveFile(t, "schema.sql"))
	for round := range 2 {
		source, err := catalog.Open(t.Context(), catalog.Config{DSN: db.DSN()})
		if err != nil {
			t.Fatal(err)
		}
		source.Close()
		r := &resolver{t: t, snapshot: source.Snapshot(), conn: db.Connect(t), operators: map[catalog.OID]catalog.OID{}, late: map[catalog.OID]bool{}}
		r.load()
		for i, c := range r.snapshot.Relation("one", "t").Columns {
			if round == 1 || i%2 == 0 {
				r.forgotten = append(r.forgotten, c.Type)
				c.Type = 0
			}
		}
		r.forgetful, r.path = true, []string{"one", "two"}
		r.exec("SET search_path = one, two")
		for _, sql := range append(resolveStatements(t), resolveLines(t, "writes.txt")...) {
			r.check(sql)
		}
	}
}

// TestParametersAsTheServer: parameters have the types that the server infers.
func TestParametersAsTheServer(t *testing.T) {
	db := pgtest.NewDatabase(t, resolveFile(t, "schema.sql"))
	source, err := catalog.Open(t.Context(), catalog.Config{DSN: db.DSN()})
	if err != nil {
		t.Fatal(err)
	}
	source.Close()
	conn := db.Connect(t).PgConn()
	compared := 0
	for _, path := range resolvePaths {
		if _, err := conn.Exec(t.Context(), "SET search_path = "+strings.Join(path, ", ")).ReadAll(); err != nil {
			t.Fatal(err)
		}
		for _, sql := range resolveLines(t, "parameters.txt") {
			statements, err := Parse(sql, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			described, err := conn.Prepare(t.Context(), "", sql, nil)
			if err != nil {
				t.Logf("%v: %s: %v", path, sql, err)
				continue
			}
			a := NewAnalyzer(source.Snapshot()).Analyze(statements[0], Env{SearchPath: path, User: "agent"})
			s := &state{snapshot: source.Snapshot()}
			for i, p := range a.Shape.Parameters {
				compared++
				if want := s.typeName(catalog.OID(described.ParamOIDs[i])); p.Type != want {
					t.Errorf("%v: %s: $%d is %q, the server says %s", path, sql, i+1, p.Type, want)
				}
			}
		}
	}
	if compared < 250 {
		t.Errorf("only %d compared", compared)
	}
}

func (r *resolver) signature(oid catalog.OID) string {
	f := r.snapshot.FunctionByOID(oid)
	if f == nil {
		return strconv.Itoa(int(oid))
	}
	args := make([]string, len(f.Args))
	for i, typ := range f.Args {
		args[i] = r.snapshot.TypeByOID(typ).Name
	}
	return f.ID() + "(" + strings.Join(slices.Clip(args), ", ") + ")"
}
