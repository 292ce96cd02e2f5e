package rewrite

import (
	"slices"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/query"
)

// A filter hides rows only if nothing of the client's is evaluated on them first: an
// error in WHERE 1 / (secret - 5) > 0 would tell of a hidden row. PostgreSQL takes the
// conditions of a subquery and those around it together, and evaluates the cheaper ones
// first; only row security and security barrier views, which no statement can make,
// hold conditions back that are not leakproof.
//
// So where all conditions of a statement are leakproof, a filtered scan is a plain
// subquery, and any index serves. Otherwise it has OFFSET 0, which holds back what is
// outside of it: indexes serve the filter then, and the equalities that are repeated
// inside.

// fenced reports whether conditions of the statement may tell of the rows that they are
// evaluated on, otherwise than by choosing rows.
func fenced(a *query.Analysis) bool {
	for _, f := range a.Shape.Functions {
		if !strings.HasPrefix(f.ID, "pg_catalog.") {
			return true
		}
	}
	for _, t := range a.Shape.Tables {
		if t.Kind == "view" {
			return true // of its definition nothing is known here
		}
	}
	c := &conditions{leakproof: a.Leakproof}
	return !c.query(a.Statement.Node, true)
}

// conditions tells what may become a condition of a scan. Its methods report whether
// all of it is leakproof; what they do not know is not.
type conditions struct{ leakproof []*pg_query.A_Expr }

func (c *conditions) query(n *pg_query.Node, top bool) bool {
	switch n := n.GetNode().(type) {
	case *pg_query.Node_SelectStmt:
		return c.selected(n.SelectStmt, top)
	case *pg_query.Node_DeclareCursorStmt:
		return c.query(n.DeclareCursorStmt.Query, top)
	case *pg_query.Node_PrepareStmt:
		return c.query(n.PrepareStmt.Query, top)
	case *pg_query.Node_CopyStmt:
		return n.CopyStmt.Query != nil && c.query(n.CopyStmt.Query, top)
	default:
		return false
	}
}

func (c *conditions) selected(s *pg_query.SelectStmt, top bool) bool {
	if s == nil {
		return true
	}
	for _, cte := range s.WithClause.GetCtes() {
		if !c.query(cte.GetCommonTableExpr().GetCtequery(), false) {
			return false
		}
	}
	if s.Larg != nil || s.Rarg != nil {
		return c.selected(s.Larg, top) && c.selected(s.Rarg, top) && c.above(s.SortClause)
	}
	shown := c.all(s.TargetList)
	if top { // computed of the rows that are left
		shown = c.above(s.TargetList)
	}
	for _, list := range s.ValuesLists {
		shown = shown && c.expression(list)
	}
	return shown && c.all(s.FromClause) && c.expression(s.WhereClause) && c.expression(s.HavingClause) &&
		c.above(s.SortClause) && c.above(s.GroupClause) && c.above(s.DistinctClause) && c.above(s.WindowClause) &&
		c.above([]*pg_query.Node{s.LimitCount, s.LimitOffset})
}

// above reports whether subqueries in what is computed after the conditions are all
// right.
func (c *conditions) above(list []*pg_query.Node) bool {
	good := true
	for _, n := range list {
		walk(n, func(n *pg_query.Node) {
			if link := n.GetSubLink(); link != nil {
				good = good && c.query(link.Subselect, false)
			}
		})
	}
	return good
}

func (c *conditions) all(list []*pg_query.Node) bool {
	return !slices.ContainsFunc(list, func(n *pg_query.Node) bool { return !c.expression(n) })
}

func (c *conditions) expression(n *pg_query.Node) bool {
	switch n := n.GetNode().(type) {
	case nil:
		return true
	case *pg_query.Node_ColumnRef, *pg_query.Node_AConst, *pg_query.Node_ParamRef, *pg_query.Node_RangeVar:
		return true
	case *pg_query.Node_ResTarget:
		return c.expression(n.ResTarget.Val)
	case *pg_query.Node_List:
		return c.all(n.List.Items)
	case *pg_query.Node_AArrayExpr: // columns in it may be converted
		return !slices.ContainsFunc(n.AArrayExpr.Elements, func(e *pg_query.Node) bool { return e.GetAConst() == nil && e.GetParamRef() == nil })
	case *pg_query.Node_BoolExpr:
		return c.all(n.BoolExpr.Args)
	case *pg_query.Node_NullTest:
		return c.expression(n.NullTest.Arg)
	case *pg_query.Node_BooleanTest:
		return c.expression(n.BooleanTest.Arg)
	case *pg_query.Node_AExpr:
		return slices.Contains(c.leakproof, n.AExpr) && c.expression(n.AExpr.Lexpr) && c.expression(n.AExpr.Rexpr)
	case *pg_query.Node_TypeCast:
		return n.TypeCast.Arg.GetAConst() != nil // computed once, whatever rows there are
	case *pg_query.Node_SubLink:
		return n.SubLink.SubLinkType == pg_query.SubLinkType_EXISTS_SUBLINK && c.query(n.SubLink.Subselect, false)
	case *pg_query.Node_FuncCall:
		return aggregates[calledName(n.FuncCall)] && c.above(n.FuncCall.Args) && c.above([]*pg_query.Node{n.FuncCall.AggFilter})
	case *pg_query.Node_JoinExpr:
		j := n.JoinExpr
		return !j.IsNatural && len(j.UsingClause) == 0 && c.expression(j.Larg) && c.expression(j.Rarg) && c.expression(j.Quals)
	case *pg_query.Node_RangeSubselect:
		return c.query(n.RangeSubselect.Subquery, false)
	default:
		return false
	}
}

// aggregates of PostgreSQL's own are computed of the rows that are left, and so are
// their arguments. Whether a name means another function is told by Shape.Functions.
var aggregates = map[string]bool{
	"count": true, "sum": true, "min": true, "max": true, "avg": true, "bool_and": true, "bool_or": true, "every": true,
	"array_agg": true, "string_agg": true, "json_agg": true, "jsonb_agg": true,
}

func calledName(f *pg_query.FuncCall) string {
	if len(f.Funcname) == 2 && f.Funcname[0].GetString_().GetSval() != "pg_catalog" || len(f.Funcname) > 2 {
		return ""
	}
	return f.Funcname[len(f.Funcname)-1].GetString_().GetSval()
}
