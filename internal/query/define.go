package query

import (
	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// functionParameters are those of CREATE AGGREGATE, OPERATOR, TYPE and TEXT SEARCH
// whose value is the name of a function. The grammar takes it for a type's.
var functionParameters = map[string]bool{
	"function": true, "procedure": true, "restrict": true, "join": true,
	"sfunc": true, "sfunc1": true, "sfunc2": true, "finalfunc": true, "combinefunc": true, "serialfunc": true,
	"deserialfunc": true, "msfunc": true, "minvfunc": true, "mfinalfunc": true,
	"input": true, "output": true, "receive": true, "send": true, "typmod_in": true, "typmod_out": true,
	"analyze": true, "subscript": true, "canonical": true, "subtype_diff": true,
	"start": true, "gettoken": true, "end": true, "headline": true, "lextypes": true, "init": true, "lexize": true,
}

// define lists what CREATE AGGREGATE, OPERATOR, TYPE… names.
func (s *state) define(st *pg_query.DefineStmt) {
	for _, node := range st.Args {
		s.walk(node.ProtoReflect(), nil, nil)
	}
	for _, node := range st.Definition {
		d := node.GetDefElem()
		if d == nil {
			s.unknownNode(node)
			continue
		}
		if name := asciiLower(d.Defname); d.Arg == nil || !functionParameters[name] {
			s.walk(node.ProtoReflect(), nil, nil)
			continue
		}
		parts, ok := functionName(d.Arg)
		if !ok {
			s.unresolved("function of " + quoted(d.Defname))
			continue
		}
		s.everyFunction(parts)
	}
}

func functionName(arg *pg_query.Node) ([]string, bool) {
	switch n := arg.GetNode().(type) {
	case *pg_query.Node_TypeName:
		if len(n.TypeName.Typmods) > 0 || len(n.TypeName.ArrayBounds) > 0 || n.TypeName.Setof || n.TypeName.PctType {
			return nil, false
		}
		return names(n.TypeName.Names)
	case *pg_query.Node_String_:
		return []string{n.String_.Sval}, true
	case *pg_query.Node_List:
		return names(n.List.Items)
	default:
		return nil, false
	}
}

// everyFunction lists all functions of the name, whatever they take.
func (s *state) everyFunction(parts []string) {
	database, schema, name, ok := splitName(parts)
	var found []*catalog.Function
	switch {
	case !ok || database != "" && database != s.snapshot.Database:
	case schema != "":
		found = s.snapshot.Functions(schema, name)
	default:
		for _, schema := range s.path {
			found = append(found, s.snapshot.Functions(schema, name)...)
		}
	}
	if len(found) == 0 {
		s.unresolved("function " + quoted(parts...))
	}
	for _, f := range found {
		s.addFunction(f)
	}
}
