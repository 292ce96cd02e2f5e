package query

import pg_query "github.com/pganalyze/pg_query_go/v5"

// Planned is what the server plans to run a statement: what may stand behind
// EXPLAIN. It is "" for statements that have no plan, and for COPY of what a client
// sends.
func Planned(sql string) string {
	tree, err := pg_query.Parse(sql)
	if err != nil || len(tree.Stmts) != 1 {
		return ""
	}
	return planned(tree.Stmts[0].Stmt, sql)
}

func planned(node *pg_query.Node, text string) string {
	switch n := node.GetNode().(type) {
	case *pg_query.Node_SelectStmt, *pg_query.Node_InsertStmt, *pg_query.Node_UpdateStmt, *pg_query.Node_DeleteStmt, *pg_query.Node_MergeStmt,
		*pg_query.Node_DeclareCursorStmt:
		return text
	case *pg_query.Node_CreateTableAsStmt:
		return plannedOf(n.CreateTableAsStmt.Query) // what is made may be there already
	case *pg_query.Node_ExplainStmt:
		return plannedOf(n.ExplainStmt.Query)
	case *pg_query.Node_CopyStmt:
		return plannedCopy(n.CopyStmt)
	default:
		return ""
	}
}

func plannedOf(node *pg_query.Node) string {
	if node == nil {
		return ""
	}
	text, err := pg_query.Deparse(&pg_query.ParseResult{Stmts: []*pg_query.RawStmt{{Stmt: node}}})
	if err != nil {
		return ""
	}
	return planned(node, text)
}

func plannedCopy(st *pg_query.CopyStmt) string {
	switch {
	case st.IsFrom:
		return ""
	case st.Query != nil:
		return plannedOf(st.Query)
	case st.Relation == nil:
		return ""
	}
	star := &pg_query.Node{Node: &pg_query.Node_AStar{AStar: &pg_query.A_Star{}}}
	all := pg_query.MakeResTargetNodeWithVal(pg_query.MakeColumnRefNode([]*pg_query.Node{star}, 0), 0)
	from := &pg_query.Node{Node: &pg_query.Node_RangeVar{RangeVar: st.Relation}}
	return plannedOf(&pg_query.Node{Node: &pg_query.Node_SelectStmt{SelectStmt: &pg_query.SelectStmt{
		TargetList: []*pg_query.Node{all}, FromClause: []*pg_query.Node{from},
		Op: pg_query.SetOperation_SETOP_NONE, LimitOption: pg_query.LimitOption_LIMIT_OPTION_DEFAULT,
	}}})
}
