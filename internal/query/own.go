package query

import (
	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// ownSchema is the schema of the functions the proxy answers itself. It exists in
// no database.
const ownSchema = "sallyport"

var ownFunctions = map[string]int{ // to the largest number of arguments
	"request": 3,
	"status":  0,
	"end":     0,
}

func misplacedCall(name string) *Error {
	if _, ok := ownFunctions[name]; !ok {
		return unsupported("sallyport has no function "+quoted(name),
			"There are sallyport.request('reason'[, '30 minutes'[, 'binding']]), sallyport.status() and sallyport.\"end\"().")
	}
	return unsupported("sallyport's own functions must be the whole statement",
		"Write SELECT sallyport."+name+"(…) by itself, with literals or parameters as arguments.")
}

// ownCall recognises SELECT sallyport.f(…) and SELECT * FROM sallyport.f(…).
func (s *state) ownCall(st *pg_query.SelectStmt) bool {
	fc := wholeCall(st)
	if fc == nil {
		return false
	}
	parts, ok := names(fc.Funcname)
	if !ok || len(parts) != 2 || parts[0] != ownSchema {
		return false
	}
	name := parts[1]
	most, known := ownFunctions[name]
	if !known || !plainCall(fc) || len(fc.Args) > most || name == "request" && len(fc.Args) == 0 {
		s.refuse(misplacedCall(name))
		return true
	}
	call := &Call{Name: name}
	for _, node := range fc.Args {
		arg, ok := s.argument(node)
		if !ok {
			s.refuse(misplacedCall(name))
			return true
		}
		call.Args = append(call.Args, arg)
	}
	s.out.Call = call
	return true
}

// wholeCall returns the function call that is all a SELECT does.
func wholeCall(st *pg_query.SelectStmt) *pg_query.FuncCall {
	if st.Op > pg_query.SetOperation_SETOP_NONE || len(st.TargetList) != 1 || st.WhereClause != nil || len(st.GroupClause) > 0 ||
		st.HavingClause != nil || len(st.SortClause) > 0 || st.LimitCount != nil || st.LimitOffset != nil || st.WithClause != nil ||
		st.IntoClause != nil || len(st.DistinctClause) > 0 || len(st.LockingClause) > 0 || len(st.WindowClause) > 0 {
		return nil
	}
	target := st.TargetList[0].GetResTarget().GetVal()
	if len(st.FromClause) == 0 {
		return target.GetFuncCall()
	}
	fields := target.GetColumnRef().GetFields()
	rf := st.FromClause[0].GetRangeFunction()
	if len(st.FromClause) != 1 || len(fields) != 1 || fields[0].GetAStar() == nil || rf == nil || len(rf.Functions) != 1 ||
		rf.Ordinality || len(rf.Coldeflist) > 0 {
		return nil
	}
	return rf.Functions[0].GetList().GetItems()[0].GetFuncCall()
}

// plainCall reports whether there is nothing to the call but its arguments.
func plainCall(fc *pg_query.FuncCall) bool {
	return !fc.AggStar && !fc.AggDistinct && !fc.FuncVariadic && !fc.AggWithinGroup && fc.AggFilter == nil &&
		fc.Over == nil && len(fc.AggOrder) == 0
}

// argument reads a literal or a parameter, with or without casts.
func (s *state) argument(node *pg_query.Node) (Arg, bool) {
	var typ catalog.OID
	for node.GetTypeCast() != nil {
		typ = s.findType(node.GetTypeCast().TypeName)
		node = node.GetTypeCast().Arg
	}
	if p := node.GetParamRef(); p != nil {
		s.parameter(int(p.Number), typ)
		return Arg{Param: int(p.Number)}, true
	}
	c := node.GetAConst()
	if c == nil {
		return Arg{}, false
	}
	s.out.Shape.Literals++
	if c.Isnull {
		return Arg{Null: true}, true
	}
	text, ok := constantText(c)
	return Arg{Value: text}, ok
}
