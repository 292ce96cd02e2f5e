package query

import (
	"sort"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// call analyses a call of a function, aggregate or window function.
func (s *state) call(fc *pg_query.FuncCall, sc *scope) value {
	parts, ok := names(fc.Funcname)
	database, schema, name, split := splitName(parts)
	if !ok || !split || database != "" && database != s.snapshot.Database {
		s.unresolved("function " + quoted(parts...))
		return value{}
	}
	if schema == ownSchema {
		s.refuse(misplacedCall(name))
		return value{}
	}
	count := len(fc.Args)
	if fc.AggWithinGroup {
		count += len(fc.AggOrder)
	}
	procedure := s.calling
	s.calling = false // what it is given is made by functions
	aggregate := false
	for _, f := range s.candidates(schema, name, count) {
		aggregate = aggregate || f.Kind == "aggregate"
	}
	if aggregate {
		s.aggregates++
	}
	args, named := s.arguments(fc, sc)
	if aggregate {
		s.aggregates--
	}
	if fc.Over != nil {
		s.window(fc.Over, sc)
	}
	c := &callee{schema: schema, name: name, args: args, names: named, spread: fc.FuncVariadic, procedure: procedure}
	v, found := s.called(c)
	if !found {
		return s.notAFunction(schema, name, fc, args)
	}
	if fc.AggDistinct {
		for _, a := range args {
			s.compares(a)
		}
	}
	if aggregate {
		for _, e := range v.edges {
			s.mark(e.to, aggregated)
		}
		if fc.Over == nil {
			for i := range v.edges {
				v.edges[i].agg = true
			}
		}
	}
	return v
}

// arguments analyses what stands between the parentheses, and FILTER.
func (s *state) arguments(fc *pg_query.FuncCall, sc *scope) (args []value, named []string) {
	args = make([]value, 0, len(fc.Args))
	for _, node := range fc.Args {
		if n := node.GetNamedArgExpr(); n != nil {
			named = append(named, n.Name)
			node = n.Arg
		}
		if expanded, ok := s.expandStar(node, sc); ok { // f(t.*) is f(t)
			args = append(args, s.rowOf(node, expanded, sc))
			continue
		}
		args = append(args, s.expression(node, sc))
	}
	for _, node := range fc.AggOrder {
		sort := node.GetSortBy()
		if sort == nil {
			s.unknownNode(node)
			continue
		}
		v := s.expression(sort.Node, sc)
		s.use(v, ordered)
		s.sortOperator(sort, v)
		if fc.AggWithinGroup {
			args = append(args, v)
		}
	}
	if fc.AggFilter != nil {
		s.use(s.condition(s.expression(fc.AggFilter, sc)), filtered)
	}
	return args, named
}

func (s *state) rowOf(node *pg_query.Node, expanded []output, sc *scope) value {
	if ref := node.GetColumnRef(); ref != nil && len(ref.Fields) > 1 {
		if parts, ok := names(ref.Fields[:len(ref.Fields)-1]); ok {
			if e := s.entryNamed(parts, sc); e != nil {
				return s.rowAt(node, s.wholeRow(e))
			}
		}
	}
	var v value
	for _, o := range expanded {
		v.edges = append(v.edges, o.value.inside()...)
	}
	return v
}

// notAFunction is what a call means when no function has that name: a cast, or
// the column of a row.
func (s *state) notAFunction(schema, name string, fc *pg_query.FuncCall, args []value) value {
	if len(args) == 1 && len(fc.AggOrder) == 0 && fc.AggFilter == nil && fc.Over == nil {
		if schema == "" {
			if args[0].row != nil && args[0].row.find(name) >= 0 {
				return s.selectField(args[0], name)
			}
			for _, f := range s.fieldsOf(args[0]) {
				if f.name == name {
					return s.selectField(args[0], name)
				}
			}
		}
		if t := s.lookupType(schema, name); t != nil {
			s.coerce(&args[0], t.OID, explicit)
			return value{edges: args[0].inside(), typ: t.OID}
		}
	}
	s.unresolvedAt(fc.Location, "function "+quoted(schema, name))
	return value{}
}

// castByName lists what runs if name(x) turns out to be a cast, and reports whether
// it may.
func (s *state) castByName(c *callee) bool {
	t := s.lookupType(c.schema, c.name)
	if t == nil {
		return false
	}
	if t.OID.User() {
		s.castTo(t.OID)
	}
	return true
}

// candidates are the functions of that name, visible, that take so many arguments.
func (s *state) candidates(schema, name string, count int) []*catalog.Function {
	var list []*catalog.Function
	if name == "json_object" && schema == "pg_catalog" && s.snapshot.ServerVersion < sqlJSONVersion {
		list = s.candidates("", name, count) // the grammar of 16 has given it the schema
		if s.visible("", schema) {
			return list
		}
	}
	if schema != "" {
		list = accepting(s.snapshot.Functions(schema, name), count, list)
	} else {
		for _, schema := range s.path {
			list = accepting(s.snapshot.Functions(schema, name), count, list)
		}
	}
	return list
}

func accepting(functions []*catalog.Function, count int, list []*catalog.Function) []*catalog.Function {
	for _, f := range functions {
		most, least := len(f.Args), len(f.Args)-f.Defaults
		if f.Kind == "procedure" { // CALL gives something for OUT parameters as well
			most += len(f.OutColumns)
		}
		if count >= least && (count <= most || f.Variadic) || f.Variadic && count >= most-1 {
			list = append(list, f)
		}
	}
	return list
}

// called lists the functions a call may mean and gives its value; found is false
// when there is none.
func (s *state) called(c *callee) (out value, found bool) {
	for i := range c.args {
		out.edges = append(out.edges, c.args[i].inside()...)
	}
	r := s.resolve(c)
	if r.cast != 0 {
		s.coerce(&c.args[0], r.cast, explicit)
		out.typ = r.cast
		return out, true
	}
	if r.refused && s.projects(c) {
		return s.selectField(c.args[0], c.name), true
	}
	if len(r.candidates) == 0 {
		return value{}, false
	}
	if !r.certain {
		s.unsure = true
	}
	types := inputs(c.args)
	for i, candidate := range r.candidates {
		s.runs(candidate.function)
		if candidate.function.ReturnsSet { // the rows that it makes tell of its arguments, used or not
			s.use(value{edges: out.edges}, derived)
		}
		g, _ := s.rules().gather(types, candidate.args)
		s.rules().settle(&g)
		s.argumentsRun(c, candidate, &g, r.certain)
		result := s.rules().stands(&g, candidate.result)
		if i == 0 {
			out.typ, out.call = result, candidate.function
			for _, typ := range candidate.function.OutTypes {
				out.outs = append(out.outs, s.rules().stands(&g, typ))
			}
			continue
		}
		if result != out.typ {
			out.typ = 0
		}
		if first := out.call; first != nil && (candidate.function.Result != first.Result ||
			len(candidate.function.OutColumns) != 0 || len(first.OutColumns) != 0) {
			out.call, out.outs = nil, nil
		}
	}
	if out.typ == anyOID || polymorphic(out.typ) {
		out.typ = 0
	}
	if !r.certain && len(c.args) == 1 && !r.refused && s.castByName(c) {
		out.typ, out.call, out.outs = 0, nil, nil
	}
	return out, true
}

// projects reports whether a call of one argument that no function takes is a
// field of it.
func (s *state) projects(c *callee) bool {
	if len(c.args) != 1 || c.schema != "" || len(c.names) > 0 || c.procedure {
		return false
	}
	for _, f := range s.fieldsOf(c.args[0]) {
		if f.name == c.name {
			return true
		}
	}
	return false
}

// runs lists a function with the types that it brings along.
func (s *state) runs(f *catalog.Function) {
	s.addFunction(f)
	if f.Schema == "pg_catalog" && f.Name == "set_config" {
		s.refuse(unsupported("set_config is only supported as SELECT set_config('name', 'value', false) by itself",
			"Use SET name = value."))
	}
	for _, typ := range f.Args {
		s.seenType(typ)
	}
	for _, typ := range f.OutTypes {
		s.seenType(typ)
	}
	s.seenType(f.Result)
}

// argumentsRun lists what runs for the arguments of a call.
func (s *state) argumentsRun(c *callee, chosen *candidate, g *generics, certain bool) {
	for i, declared := range chosen.args {
		if certain {
			s.coerce(&c.args[i], s.rules().stands(g, declared), implicit)
		}
		if chosen.function.Schema != "pg_catalog" {
			continue
		}
		if polymorphic(declared) || declared == recordOID || declared == anyOID {
			s.compares(c.args[i])
		}
		if strings.Contains(chosen.function.Name, "json") {
			s.jsonCasts(c.args[i])
		}
	}
}

// calledFunction is a function with the view whose definition calls it.
type calledFunction struct {
	function *catalog.Function
	via      string
}

func (s *state) addFunction(f *catalog.Function) { s.addFunctionVia(f, s.via) }

func (s *state) addFunctionVia(f *catalog.Function, via string) {
	if f == nil {
		s.unresolved("function of an operator or cast")
		return
	}
	s.functions[calledFunction{f, via}] = true
}

func (s *state) functionList() []calledFunction {
	list := make([]calledFunction, 0, len(s.functions))
	for f := range s.functions {
		list = append(list, f)
	}
	return list
}

// functionShapes lists the functions, those of one name together by the worst
// that can be said of each.
func (s *state) functionShapes() []Function {
	byName := map[leafKey]*Function{}
	for called := range s.functions {
		f := called.function
		key := leafKey{f.ID(), called.via}
		known := byName[key]
		if known == nil {
			byName[key] = &Function{ID: key.id, Schema: f.Schema, Name: f.Name, Kind: f.Kind, Volatility: volatility(f),
				Language: f.Language, Leakproof: f.Leakproof, SecurityDefiner: f.SecurityDefiner, Via: called.via,
				Transparent: s.transparent[f]}
			continue
		}
		if worse(volatility(f), known.Volatility) {
			known.Volatility = f.Volatility
		}
		known.SecurityDefiner = known.SecurityDefiner || f.SecurityDefiner
		known.Transparent = known.Transparent && s.transparent[f]
		known.Leakproof = known.Leakproof && f.Leakproof
		known.Kind = max(known.Kind, f.Kind)
		known.Language = worseLanguage(known.Language, f.Language)
	}
	list := make([]Function, 0, len(byName))
	for _, f := range byName {
		list = append(list, *f)
	}
	sort.Slice(list, func(i, j int) bool {
		if list[i].ID != list[j].ID {
			return list[i].ID < list[j].ID
		}
		return list[i].Via < list[j].Via
	})
	return list
}

func volatility(f *catalog.Function) string {
	if f.Volatility == "" {
		return "unknown"
	}
	return f.Volatility
}

var badness = map[string]int{"immutable": 1, "stable": 2, "volatile": 3, "unknown": 4}

func worse(a, b string) bool { return badness[a] > badness[b] }

// worseLanguage prefers a language other than those PostgreSQL's own functions
// are written in.
func worseLanguage(a, b string) string {
	if a == "internal" || a == "sql" && b != "internal" {
		return b
	}
	return a
}
