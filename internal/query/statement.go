package query

import (
	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// statement analyses the statement by its kind. Kinds that move or change data
// come first, the rest is in utility.go.
func (s *state) statement(node *pg_query.Node) {
	shape := &s.out.Shape
	switch n := node.GetNode().(type) {
	case *pg_query.Node_SelectStmt:
		s.topSelect(n.SelectStmt)
	case *pg_query.Node_InsertStmt, *pg_query.Node_UpdateStmt, *pg_query.Node_DeleteStmt, *pg_query.Node_MergeStmt:
		s.kind(dmlKind(node), "write")
		s.query(node, nil, nil)
		shape.Where = !s.unfiltered
	default:
		s.utility(node)
	}
}

func (s *state) kind(kind, class string) { s.out.Shape.Kind, s.out.Shape.Class = kind, class }

func dmlKind(node *pg_query.Node) string {
	switch node.GetNode().(type) {
	case *pg_query.Node_InsertStmt:
		return "insert"
	case *pg_query.Node_UpdateStmt:
		return "update"
	case *pg_query.Node_DeleteStmt:
		return "delete"
	default:
		return "merge"
	}
}

// topSelect analyses a SELECT that is a statement, or is explained, copied or
// made a table of.
func (s *state) topSelect(st *pg_query.SelectStmt) []output {
	s.kind("select", "read")
	if !s.nested && (s.ownCall(st) || s.setConfig(st)) {
		return nil
	}
	outputs := s.settle(s.selectStatement(st, nil, nil))
	for _, o := range outputs {
		s.use(o.value, projected)
	}
	shape := &s.out.Shape
	shape.Limit = literalLimit(st)
	shape.Where = filteredSelect(st) && !s.unfiltered
	if s.changes {
		shape.Class = "write"
	}
	if s.into {
		s.kind("create_table", "schema")
		s.out.Schema = true
	}
	return outputs
}

// filteredSelect reports whether every SELECT of a set operation has a WHERE
// clause.
func filteredSelect(st *pg_query.SelectStmt) bool {
	if st == nil {
		return false
	}
	if st.Op == pg_query.SetOperation_SETOP_NONE || st.Op == pg_query.SetOperation_SET_OPERATION_UNDEFINED {
		return st.WhereClause != nil
	}
	return filteredSelect(st.Larg) && filteredSelect(st.Rarg)
}

// selectInto is SELECT … INTO: a CREATE TABLE AS.
func (s *state) selectInto(into *pg_query.IntoClause) {
	s.into = true
	s.creating(into.Rel, catalog.Table)
}

// created notes a temporary object, whose name may hide others, and lists the schema
// a new relation goes to where it does not exist.
func (s *state) created(rv *pg_query.RangeVar) {
	if rv == nil {
		return
	}
	if isTemporary(rv) {
		s.out.Temporary = true
		return
	}
	if rv.Schemaname != "" && !s.snapshot.HasSchema(rv.Schemaname) {
		s.unresolved("schema " + quoted(rv.Schemaname))
	}
}

func isTemporary(rv *pg_query.RangeVar) bool {
	return rv.Relpersistence == "t" || rv.Schemaname == catalog.TemporarySchema
}

func temporary() *Error {
	return unsupported("temporary schemas are not to be named by their number", "The session's own is pg_temp.")
}
