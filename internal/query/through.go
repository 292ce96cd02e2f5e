package query

import (
	"slices"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// Functions in SQL whose body is one SELECT are seen through: what the body reads is
// what the statement reads. Nothing inside can be rewritten, so that reads of columns
// are listed as reads that no mask can be put into.

// A bodySummary is what running a function's body does.
type bodySummary struct {
	tables    []Table
	columns   []summaryColumn
	functions []*catalog.Function
	relations []catalog.OID
	reads     []string // ids of columns
}

// parameterNames are by what names a function's body refers to its arguments.
type parameterNames struct {
	function string
	names    []string
	types    []catalog.OID
}

// seeThrough lists what the bodies of the functions called so far do, and of those
// that these call.
func (s *state) seeThrough() {
	for {
		var next []*catalog.Function
		for called := range s.functions {
			if _, seen := s.transparent[called.function]; !seen && called.function.OID.User() {
				next = append(next, called.function)
			}
		}
		if len(next) == 0 {
			return
		}
		slices.SortFunc(next, func(a, b *catalog.Function) int { return int(a.OID) - int(b.OID) })
		for _, f := range slices.Compact(next) {
			if s.transparent == nil {
				s.transparent = map[*catalog.Function]bool{}
			}
			body := s.body(f)
			s.transparent[f] = body != nil
			if body != nil {
				s.runBody(f, body)
			}
		}
	}
}

// throughID is how what a function's body does is told from what a view does.
func throughID(f *catalog.Function) string { return f.ID() + "()" }

// runBody makes what a body does part of the statement.
func (s *state) runBody(f *catalog.Function, body *bodySummary) {
	via := throughID(f)
	for _, t := range body.tables {
		t.Via = via
		s.addTable(t)
	}
	for _, oid := range body.relations {
		s.relation(oid)
	}
	for _, called := range body.functions {
		s.addFunctionVia(called, via)
	}
	for _, c := range body.columns {
		c.via = via
		s.mark(s.leafCell(c.leaf), c.uses)
		s.addRead(c.leaf.id, "the body of the function "+f.ID()) // also what only a view in it decides by
	}
	for _, id := range body.reads {
		s.addRead(id, "the body of the function "+f.ID())
	}
}

// body returns what the function's body does, nil when it cannot be seen through.
func (s *state) body(f *catalog.Function) *bodySummary {
	if !candidateBody(f) || s.env.Opaque && f.StandardBody == "" {
		return nil
	}
	env := Env{}
	if f.StandardBody == "" {
		env = Env{SearchPath: s.env.SearchPath, User: s.env.User, Unusable: s.env.Unusable}
	}
	key := bodyKey{f.OID, strings.Join(append([]string{env.User}, append(env.SearchPath, env.Unusable...)...), "\x00")}
	if known, ok := s.analyzer.bodies.Load(key); ok {
		return known.(*bodySummary) //nolint:forcetypeassert // stored below
	}
	summary := s.analyzer.summarizeBody(f, env)
	s.analyzer.bodies.Store(key, summary)
	return summary
}

type bodyKey struct {
	function catalog.OID
	path     string
}

func candidateBody(f *catalog.Function) bool {
	return f.OID.User() && !catalog.SystemSchema(f.Schema) && f.Language == "sql" && f.Kind == "function" &&
		!f.SecurityDefiner && !f.Configured
}

func (a *Analyzer) summarizeBody(f *catalog.Function, env Env) *bodySummary {
	sel := bodyOf(f)
	if sel == nil {
		return nil
	}
	summary := &bodySummary{}
	st := &Statement{Node: &pg_query.Node{Node: &pg_query.Node_SelectStmt{SelectStmt: sel}}}
	if !a.bodyPart(f, st, env, summary) {
		return nil
	}
	if f.Defaults == 0 {
		return summary
	}
	defaults, err := Parse("SELECT "+f.DefaultArgs, Limits{})
	if f.DefaultArgs == "" || err != nil || len(defaults) != 1 || !a.bodyPart(f, defaults[0], Env{}, summary) {
		return nil
	}
	return summary
}

// bodyOf parses a body, and returns nil unless it is one SELECT.
func bodyOf(f *catalog.Function) *pg_query.SelectStmt {
	text := f.Body
	if standard := strings.TrimSpace(f.StandardBody); standard != "" {
		text = standard
		if rest, ok := strings.CutPrefix(standard, "RETURN "); ok {
			text = "SELECT " + rest
		} else if rest, ok := strings.CutPrefix(standard, "BEGIN ATOMIC"); ok {
			text = strings.TrimSuffix(strings.TrimSpace(rest), "END")
		}
	}
	statements, err := Parse(text, Limits{})
	if err != nil || len(statements) != 1 {
		return nil
	}
	return statements[0].Node.GetSelectStmt()
}

// bodyPart adds what a SELECT of a body does; ok is false when not all of it is
// understood, or it does more than read.
func (a *Analyzer) bodyPart(f *catalog.Function, st *Statement, env Env, summary *bodySummary) (ok bool) {
	s := a.newState(st, env)
	s.via = throughID(f)
	s.env.ParamTypes = f.Args
	s.inside = &parameterNames{function: f.Name, names: f.ArgNames, types: f.Args}
	s.how = "the body"
	outputs := s.selectStatement(st.Node.GetSelectStmt(), nil, nil)
	for _, o := range outputs {
		s.use(o.value, derived)
		s.unsure = s.unsure || o.value.typ != f.Result // it is made what the function gives
	}
	s.impliedCasts()
	s.propagate()
	for _, scan := range s.out.Scans {
		scan.settle()
		for _, c := range scan.Columns {
			s.readWhole(scan.Relation, c, !scan.Node.Inh)
		}
	}
	if len(s.missing) > 0 || s.out.Refusal != nil || s.changes || s.into || len(s.out.Shape.Locks) > 0 || len(s.out.Targets) > 0 {
		return false
	}
	for called := range s.functions {
		if called.function == f {
			return false // what calls itself ends when the data says so
		}
		summary.functions = append(summary.functions, called.function)
	}
	for _, c := range s.cells {
		if c.leaf != nil {
			summary.columns = append(summary.columns, summaryColumn{leaf: *c.leaf, uses: c.uses | derived})
		}
	}
	for _, r := range s.out.Reads {
		summary.reads = append(summary.reads, r.Column)
	}
	summary.tables = append(summary.tables, s.tableList()...)
	summary.relations = append(summary.relations, s.out.Relations...)
	return true
}

// bodyArgument is the argument of a function's body that a name means, with or without
// the function's name before it.
func (s *state) bodyArgument(parts []string) (value, bool) {
	if s.inside == nil || len(parts) == 0 {
		return value{}, false
	}
	if len(parts) > 1 && parts[0] == s.inside.function {
		if v, ok := s.argumentNamed(parts[1]); ok {
			return s.fieldsFrom(v, parts[2:]), true
		}
	}
	if v, ok := s.argumentNamed(parts[0]); ok {
		return s.fieldsFrom(v, parts[1:]), true
	}
	return value{}, false
}

func (s *state) argumentNamed(name string) (value, bool) {
	for i, known := range s.inside.names {
		if known == name && name != "" && i < len(s.inside.types) {
			return s.parameter(i+1, 0), true
		}
	}
	return value{}, false
}

func (s *state) fieldsFrom(v value, names []string) value {
	for _, name := range names {
		v = s.selectField(v, name)
	}
	return v
}
