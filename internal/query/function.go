package query

import (
	"sort"

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
	candidates := s.candidates(schema, name, count)
	aggregate := false
	for _, f := range candidates {
		aggregate = aggregate || f.Kind == "aggregate"
	}
	if aggregate {
		s.aggregates++
	}
	args := s.arguments(fc, sc)
	if aggregate {
		s.aggregates--
	}
	if fc.Over != nil {
		s.window(fc.Over, sc)
	}
	if len(candidates) == 0 {
		return s.notAFunction(schema, name, fc, args)
	}
	v := s.called(candidates, args)
	if len(args) == 1 && schema == "" {
		s.castByName(name)
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
func (s *state) arguments(fc *pg_query.FuncCall, sc *scope) []value {
	args := make([]value, 0, len(fc.Args))
	for _, node := range fc.Args {
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
		s.use(s.expression(fc.AggFilter, sc), filtered)
	}
	return args
}

func (s *state) rowOf(node *pg_query.Node, expanded []output, sc *scope) value {
	if ref := node.GetColumnRef(); ref != nil && len(ref.Fields) > 1 {
		if parts, ok := names(ref.Fields[:len(ref.Fields)-1]); ok {
			if e := s.entryNamed(parts, sc); e != nil {
				return s.wholeRow(e)
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
			s.castTo(t.OID)
			return value{edges: args[0].inside(), typ: t.OID}
		}
	}
	s.unresolved("function " + quoted(schema, name))
	return value{}
}

// castByName lists what runs if name(x) turns out to be a cast.
func (s *state) castByName(name string) {
	if t := s.lookupType("", name); t != nil && t.OID.User() {
		s.castTo(t.OID)
	}
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

// called lists the functions a call may mean and gives its value.
func (s *state) called(candidates []*catalog.Function, args []value) value {
	var out value
	for _, a := range args {
		out.edges = append(out.edges, a.inside()...)
	}
	feasible := s.feasible(candidates, args)
	out.typ, out.call = feasible[0].Result, feasible[0]
	for _, f := range feasible {
		if f.Result != out.typ {
			out.typ = 0
		}
		if f != out.call && (f.Result != out.call.Result || len(f.OutColumns) != 0 || len(out.call.OutColumns) != 0) {
			out.call = nil
			break
		}
	}
	for _, f := range feasible {
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
	if t := s.snapshot.TypeByOID(out.typ); t != nil && t.Kind == 'p' {
		out.typ = 0
	}
	return out
}

// feasible leaves out the candidates of pg_catalog that cannot take what is known
// of the arguments, and where one takes exactly that, all others of them. What
// users have made stays, whatever the types seem to be: a type seen wrongly here
// must not hide what the server runs.
func (s *state) feasible(candidates []*catalog.Function, args []value) []*catalog.Function {
	var feasible, made []*catalog.Function
	var exactly *catalog.Function
	certain := true // no default or VARIADIC lets another function take the same
	for _, f := range candidates {
		certain = certain && !f.Variadic && len(args) == len(f.Args)
		exact, fits := true, true
		for i := range args {
			typ := catalog.OID(0)
			if i < len(f.Args) {
				typ = f.Args[i]
			}
			if typ == 0 || f.Variadic && i >= len(f.Args)-1 {
				exact = false
				continue
			}
			exact = exact && args[i].typ == typ
			fits = fits && s.fits(&args[i], typ)
		}
		if exact && exactly == nil {
			exactly = f
		}
		if f.Schema != "pg_catalog" {
			made = append(made, f)
		}
		if fits || f.Schema != "pg_catalog" {
			feasible = append(feasible, f)
		}
	}
	if exactly != nil && certain {
		if exactly.Schema != "pg_catalog" {
			return made
		}
		return append([]*catalog.Function{exactly}, made...)
	}
	if len(feasible) == len(made) {
		return candidates // types are only known in part: it is the server's to refuse
	}
	return feasible
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
				Language: f.Language, Leakproof: f.Leakproof, SecurityDefiner: f.SecurityDefiner, Via: called.via}
			continue
		}
		if worse(volatility(f), known.Volatility) {
			known.Volatility = f.Volatility
		}
		known.SecurityDefiner = known.SecurityDefiner || f.SecurityDefiner
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
