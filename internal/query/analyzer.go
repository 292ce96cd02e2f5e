package query

import (
	"sort"
	"strings"
	"sync"
	"unicode/utf8"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// Analyzer analyses statements against one snapshot. It is safe for concurrent use.
type Analyzer struct {
	snapshot *catalog.Snapshot
	views    sync.Map // catalog.OID to *viewSummary
	lineages sync.Map // catalog.OID to map[string]Lineage
	defined  sync.Map // catalog.OID to *Analysis, of views' definitions
	bodies   sync.Map // bodyKey to *bodySummary
}

// NewAnalyzer returns an analyzer. It is cheap; what it learns of views it keeps.
func NewAnalyzer(s *catalog.Snapshot) *Analyzer { return &Analyzer{snapshot: s} }

// Analyze says what a statement does. What it does not understand is listed as
// unresolved, or refused.
func (a *Analyzer) Analyze(st *Statement, env Env) *Analysis {
	s := a.newState(st, env)
	s.refuseTemporarySchema(st)
	s.disorder(st)
	s.statement(st.Node)
	s.finish()
	return s.out
}

// state is the work on one statement, or on one view's definition.
type state struct {
	analyzer *Analyzer
	snapshot *catalog.Snapshot
	env      Env
	path     []string
	out      *Analysis

	via   string // id of the view whose definition this is
	depth int    // of views in views

	cells  []*cell
	queue  []*cell
	leaves map[leafKey]*cell

	tables     []*Table
	tableIndex map[tableKey]*Table
	functions  map[calledFunction]bool
	missing    map[string]bool
	relations  map[catalog.OID]bool
	types      map[catalog.OID]bool
	kinOf      map[catalog.OID][]*catalog.Relation
	parameters map[int]string
	given      map[int]catalog.OID // the first type that each parameter was given

	constrained    map[catalog.OID]bool       // domains whose constraints are listed
	unsure         bool                       // a cast may run that is not known
	unsureCompares bool                       // and functions that compare
	calling        bool                       // inside CALL
	storing        bool                       // in a column of a table
	transparent    map[*catalog.Function]bool // what has been looked at, and can be seen through
	inside         *parameterNames            // of the function whose body this is
	together       value                      // what SET (a, b) = … assigns
	unordered      map[int]bool               // parameters whose type is not known, as the server sees them in another order
	inserting      *pg_query.SelectStmt       // the VALUES that an INSERT gives

	aggregates int                 // nesting of aggregates around what is being looked at
	how        string              // in words, where columns of a DML target are being read
	ref        *pg_query.ColumnRef // the reference that is being looked at, nil for what is none
	listed     *TargetRef          // the star of a list that is being expanded
	inferring  bool                // in the conflict target of INSERT
	changes    bool                // data-modifying somewhere
	unfiltered bool                // an UPDATE or DELETE without WHERE
	into       bool                // SELECT … INTO
	rows       bool                // what a statement about objects names is listed with all its columns
	added      []string            // columns that ALTER TABLE adds
	operations int                 // operators looked up
	leaks      int                 // of these, those that are not leakproof
	nested     bool                // inside EXPLAIN, COPY or CREATE: not a statement by itself
	temporary  bool                // the temporary schema is named, or where new objects may go
}

type tableKey struct{ id, via string }

func (a *Analyzer) newState(st *Statement, env Env) *state {
	return &state{
		analyzer: a, snapshot: a.snapshot, env: env, path: effectivePath(a.snapshot, env),
		out:    &Analysis{Statement: st, User: env.User},
		leaves: map[leafKey]*cell{}, tableIndex: map[tableKey]*Table{}, functions: map[calledFunction]bool{},
		missing: map[string]bool{}, relations: map[catalog.OID]bool{},
		parameters: map[int]string{},
	}
}

// disorder finds the parameters that a write refers to more than once and the client
// has given no type: the server gives them one where it first meets them, and takes
// the clauses of a write in an order of its own.
func (s *state) disorder(st *Statement) {
	if !repeatsParameter(st.Text) {
		return
	}
	seen, write := map[int]int{}, false
	Walk(st.Node, func(message any) {
		switch n := message.(type) {
		case *pg_query.ParamRef:
			seen[int(n.Number)]++
		case *pg_query.InsertStmt, *pg_query.UpdateStmt, *pg_query.DeleteStmt, *pg_query.MergeStmt:
			write = true
		}
	})
	for n, times := range seen {
		if write && times > 1 && (n < 1 || n > len(s.env.ParamTypes) || s.env.ParamTypes[n-1] == 0) {
			if s.unordered == nil {
				s.unordered = map[int]bool{}
			}
			s.unordered[n] = true
		}
	}
}

// repeatsParameter reports whether a text may refer to a parameter more than once.
func repeatsParameter(text string) bool {
	seen := map[string]bool{}
	for {
		i := strings.IndexByte(text, '$')
		if i < 0 {
			return false
		}
		text = text[i+1:]
		n := len(text) - len(strings.TrimLeft(text, "0123456789"))
		if n > 0 && seen[strings.TrimLeft(text[:n], "0")] {
			return true
		}
		seen[strings.TrimLeft(text[:n], "0")] = n > 0
	}
}

func (s *state) unresolved(what string) { s.missing[what] = true }

// unresolvedAt is unresolved of a name in the client's text.
func (s *state) unresolvedAt(location int32, what string) {
	s.unresolved(what)
	if s.via != "" || s.inside != nil {
		return // in another text
	}
	if s.out.Positions == nil {
		s.out.Positions = map[string]int{}
	}
	source := s.out.Statement.Source
	if _, known := s.out.Positions[what]; !known && location > 0 && int(location) <= len(source) {
		s.out.Positions[what] = utf8.RuneCountInString(source[:location]) + 1
	}
}

// refuse keeps the first reason.
func (s *state) refuse(e *Error) {
	if s.out.Refusal == nil {
		s.out.Refusal = e
	}
}

// touch lists a relation with an access, the relations that share rows with it, and
// what is beneath it if it is a view.
func (s *state) touch(r *catalog.Relation, access ...string) { s.touchRows(r, false, access...) }

// touchRows is touch of what may stand under ONLY.
func (s *state) touchRows(r *catalog.Relation, only bool, access ...string) {
	s.addTable(Table{ID: r.ID(), Schema: r.Schema, Name: r.Name, Kind: r.Kind, Access: access, Via: s.via})
	s.relation(r.OID)
	for _, k := range s.kin(r, only) {
		s.addTable(Table{ID: k.ID(), Schema: k.Schema, Name: k.Name, Kind: k.Kind, Access: access, Via: r.ID()})
		s.relation(k.OID)
	}
	summary := s.viewOf(r)
	if summary == nil || isOnly(access, "ddl") {
		return
	}
	for _, t := range summary.tables {
		var through []string
		if r.Kind == catalog.View {
			through = writes(access)
		}
		if !isOnly(access, "insert") { // INSERT reads nothing of the view
			through = append(through, t.Access...)
		}
		t.Access = through
		s.addTable(t)
	}
	for _, oid := range summary.relations {
		s.relation(oid)
	}
	for _, f := range summary.functions {
		s.addFunctionVia(f.function, f.via)
	}
	for _, what := range summary.unresolved {
		s.unresolved(what)
	}
	for i := range summary.columns {
		if c := &summary.columns[i]; c.uses != 0 {
			s.mark(s.leafCell(c.leaf), c.uses)
		}
	}
}

// kin are the relations whose rows a relation shows and that show its rows: under
// ONLY those it descends from, which show what it holds by itself.
func (s *state) kin(r *catalog.Relation, only bool) []*catalog.Relation {
	if only {
		return s.snapshot.Ancestors(r)
	}
	if k, known := s.kinOf[r.OID]; known {
		return k
	}
	k := s.snapshot.Kin(r)
	if s.kinOf == nil {
		s.kinOf = map[catalog.OID][]*catalog.Relation{}
	}
	s.kinOf[r.OID] = k
	return k
}

func isOnly(list []string, s string) bool { return len(list) == 1 && list[0] == s }

// writes are the accesses to a view that reach the tables beneath.
func writes(access []string) []string {
	var through []string
	for _, a := range access {
		switch a {
		case "insert", "update", "delete", "lock":
			through = append(through, a)
		}
	}
	return through
}

func (s *state) relation(oid catalog.OID) {
	if !s.relations[oid] {
		s.relations[oid] = true
		s.out.Relations = append(s.out.Relations, oid)
	}
}

func (s *state) addTable(t Table) {
	key := tableKey{t.ID, t.Via}
	known := s.tableIndex[key]
	if known == nil {
		known = &t
		s.tableIndex[key] = known
		s.tables = append(s.tables, known)
		known.Access = unique(append([]string(nil), t.Access...))
		return
	}
	known.Access = unique(append(known.Access, t.Access...))
}

func unique(list []string) []string {
	sort.Strings(list)
	kept := list[:0]
	for i, x := range list {
		if i == 0 || x != list[i-1] {
			kept = append(kept, x)
		}
	}
	return kept
}

func (s *state) tableList() []Table {
	list := make([]Table, 0, len(s.tables))
	for _, t := range s.tables {
		list = append(list, *t)
	}
	return list
}

func (s *state) unresolvedList() []string {
	list := make([]string, 0, len(s.missing))
	for what := range s.missing {
		list = append(list, what)
	}
	sort.Strings(list)
	return list
}

func (s *state) addRead(id, how string) {
	for _, r := range s.out.Reads {
		if r.Column == id && r.How == how {
			return
		}
	}
	s.out.Reads = append(s.out.Reads, &Read{Column: id, How: how})
}

func columnIndex(r *catalog.Relation, c *catalog.Column) int {
	for i, known := range r.Columns {
		if known == c {
			return i
		}
	}
	return -1
}

// finish writes down what was found.
func (s *state) finish() {
	s.impliedCasts()
	s.seeThrough()
	for called := range s.functions { // it may do anything
		if !s.transparent[called.function] && called.function.Volatility == "volatile" && called.function.OID.User() {
			s.out.Schema = true
		}
	}
	s.out.Temporary = s.out.Temporary || s.temporary && s.out.Schema
	s.effects() // after the above: triggers and defaults are taken not to change the schema
	s.seeThrough()
	s.propagate()
	// What nothing uses was still read: as far as is known, something was made of it.
	for _, c := range s.cells {
		if c.leaf != nil && c.uses == 0 {
			s.mark(c, derived)
		}
	}
	s.propagate()
	s.checkArguments()
	s.out.Shape.Tables = s.tableList()
	s.out.Shape.Columns = s.columnList()
	s.out.Shape.Functions = s.functionShapes()
	s.out.Shape.Unresolved = s.unresolvedList()
	s.out.Shape.Complete = len(s.missing) == 0
	for _, scan := range s.out.Scans {
		scan.settle()
	}
	s.describe()
}

// settle turns the set of columns referred to into a list in column order.
func (scan *Scan) settle() {
	for _, c := range scan.Relation.Columns {
		if scan.All || scan.columns[c] {
			scan.Columns = append(scan.Columns, c)
		}
	}
	sort.Strings(scan.System)
}

// columnList lists the columns that take part.
func (s *state) columnList() []Column {
	list := []Column{}
	for _, c := range s.cells {
		if c.leaf == nil {
			continue
		}
		list = append(list, Column{ID: c.leaf.id, Table: c.leaf.table, Name: c.leaf.name, Uses: c.uses.names(), Via: c.leaf.via})
	}
	sort.SliceStable(list, func(i, j int) bool {
		if list[i].ID != list[j].ID {
			return list[i].ID < list[j].ID
		}
		return list[i].Via < list[j].Via
	})
	return list
}

// describe fills in what the parse tree says by itself.
func (s *state) describe() {
	shape, st := &s.out.Shape, s.out.Statement
	shape.Index, shape.Count = st.Index, st.Count
	numbers := make([]int, 0, len(s.parameters))
	for n := range s.parameters {
		numbers = append(numbers, n)
	}
	sort.Ints(numbers)
	for _, n := range numbers {
		shape.Parameters = append(shape.Parameters, Parameter{Index: n, Type: s.parameters[n]})
	}
}
