package rewrite

import (
	"slices"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/query"
)

// alias is the name that the subquery of a scan without an alias goes by: that of the
// relation. Relations of one name in two schemas may stand side by side, though, and
// subqueries may not.
func (w *writer) alias(scan *maskedScan) (string, error) {
	r := scan.Relation
	if !w.otherItem(r) {
		return r.Name, nil
	}
	name := r.Schema + "." + r.Name
	// How columns and rows of what is named so are referred to.
	byTable, bySchema, locked := false, false, false
	walkMessages(w.r.Analysis.Statement.Node, func(m any) {
		switch m := m.(type) {
		case *pg_query.Alias:
			byTable = byTable || m.Aliasname == name
		case *pg_query.ColumnRef:
			byTable = byTable || len(m.Fields) == 2 && m.Fields[0].GetString_().GetSval() == r.Name
			bySchema = bySchema || len(m.Fields) > 2 && m.Fields[len(m.Fields)-2].GetString_().GetSval() == r.Name
		case *pg_query.LockingClause:
			locked = locked || slices.ContainsFunc(m.LockedRels, func(n *pg_query.Node) bool { return n.GetRangeVar().GetRelname() == r.Name })
		}
	})
	switch {
	case !byTable && !locked && !w.readBare(r):
		return name, nil
	case !bySchema && !locked:
		return r.Name, nil // names hide each other as before; side by side, the server complains
	default: // it would take scopes to know which reference is to which
		return "", refusal(scan.first, "is in a table whose name, without its schema, stands for something else in the statement too",
			"Give the tables aliases and refer to their columns by them.")
	}
}

// readBare reports whether the relation is read without an alias where no subquery
// takes its place.
func (w *writer) readBare(r *catalog.Relation) bool {
	return slices.ContainsFunc(w.r.Analysis.Scans, func(s *query.Scan) bool {
		return s.Relation.OID == r.OID && s.Node.Alias == nil && w.aliases[s.Node] == nil
	})
}

// otherItem reports whether a name in a FROM clause is that of the relation without
// being the relation.
func (w *writer) otherItem(r *catalog.Relation) bool {
	own := map[*pg_query.RangeVar]bool{}
	for _, scan := range w.r.Analysis.Scans {
		if scan.Relation.OID == r.OID && scan.Node.Alias == nil {
			own[scan.Node] = true
		}
	}
	other := false
	walkMessages(w.r.Analysis.Statement.Node, func(m any) {
		switch m := m.(type) {
		case *pg_query.Alias:
			other = other || m.Aliasname == r.Name
		case *pg_query.FuncCall: // in FROM it goes by its name
			other = other || m.Funcname[len(m.Funcname)-1].GetString_().GetSval() == r.Name
		case *pg_query.LockingClause:
			for _, n := range m.LockedRels { // FOR UPDATE OF alias
				own[n.GetRangeVar()] = true
			}
		case *pg_query.RangeVar:
			other = other || m.Alias == nil && m.Relname == r.Name && !own[m]
		}
	})
	return other
}

// dropSchemas turns schema.table.column into alias.column where the table has become
// a subquery, which has no schema.
func (w *writer) dropSchemas(scans []*maskedScan) error {
	ofTarget := map[int32]bool{} // which stays a table
	for _, target := range w.r.Analysis.Targets {
		for _, ref := range target.Refs {
			ofTarget[w.at(ref.Node)] = true
		}
	}
	for _, ref := range w.deep {
		if ofTarget[ref.Location] {
			continue
		}
		extra := len(ref.Fields) - 2
		if extra == 2 && ref.Fields[0].GetString_().GetSval() != w.r.Snapshot.Database {
			continue // the server refuses it
		}
		schema, table := ref.Fields[extra-1].GetString_().GetSval(), ref.Fields[extra].GetString_().GetSval()
		for _, scan := range scans {
			if scan.Relation.Schema == schema && scan.Relation.Name == table && scan.Node.Alias == nil {
				if err := w.dropSchema(ref, extra, scan); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

func (w *writer) dropSchema(ref *pg_query.ColumnRef, extra int, scan *maskedScan) error {
	first := w.tokens.at(ref.Location)
	last := w.tokens.dotted(first, extra+1)
	if first < 0 || last < 0 {
		return internal("a column reference was not found in its text")
	}
	alias := w.aliases[scan.Node]
	start := w.tokens.start(first)
	w.edit(start, w.tokens.end(last), w.spaceBefore(start)+catalog.QuoteIdent(alias.Aliasname))
	ref.Fields = append([]*pg_query.Node{pg_query.MakeStrNode(alias.Aliasname)}, ref.Fields[extra+1:]...)
	return nil
}

// qualify puts the schema, as resolved, in front of each relation named without one.
func (w *writer) qualify() error {
	a := w.r.Analysis
	if len(a.Shape.Tables) == 0 {
		return nil
	}
	if !qualifiable(a.Statement.Node) {
		return ambiguous("the relations of this statement")
	}
	schemas := map[*pg_query.RangeVar]string{}
	for _, scan := range a.Scans {
		schemas[scan.Node] = schemaOf(scan.Relation)
	}
	withs := map[string]bool{}
	walk(a.Statement.Node, func(n *pg_query.Node) {
		if cte := n.GetCommonTableExpr(); cte != nil {
			withs[cte.Ctename] = true
		}
		for _, rel := range n.GetLockingClause().GetLockedRels() {
			schemas[rel.GetRangeVar()] = "" // FOR UPDATE OF alias
		}
	})
	for judged, p := range w.places {
		schema, known := schemas[judged]
		switch {
		case judged.Schemaname != "" || known && schema == "" || p.rv.Schemaname != "":
			continue
		case !known && p.holder != nil && withs[judged.Relname]:
			continue // a reference to a WITH query
		case !known:
			if schema = schemaByName(a.Shape.Tables, judged.Relname); schema == "" {
				return ambiguous("relation " + catalog.QuoteIdent(judged.Relname))
			}
		}
		if w.replaced(p) {
			continue
		}
		if err := w.addSchema(p.rv, schema); err != nil {
			return err
		}
	}
	return nil
}

// replaced reports whether a subquery has taken the place, with its own names.
func (w *writer) replaced(p place) bool {
	return p.holder.GetRangeSubselect() != nil
}

// qualifiable reports whether a statement names its relations where they are found.
func qualifiable(n *pg_query.Node) bool {
	switch n.GetNode().(type) {
	case *pg_query.Node_SelectStmt, *pg_query.Node_InsertStmt, *pg_query.Node_UpdateStmt, *pg_query.Node_DeleteStmt,
		*pg_query.Node_MergeStmt, *pg_query.Node_CopyStmt, *pg_query.Node_ExplainStmt, *pg_query.Node_DeclareCursorStmt,
		*pg_query.Node_PrepareStmt, *pg_query.Node_TruncateStmt, *pg_query.Node_LockStmt:
		return true
	default:
		return false
	}
}

// schemaByName returns the one schema that a relation named by the statement is in,
// "" when there is none or more than one.
func schemaByName(tables []query.Table, name string) string {
	schema := ""
	for _, t := range tables {
		if t.Name != name || t.Via != "" {
			continue
		}
		if schema != "" && schema != t.Schema {
			return ""
		}
		schema = t.Schema
	}
	return schema
}

func ambiguous(what string) *query.Error {
	return &query.Error{
		Code:    insufficientPrivilege,
		Message: what + " may mean something else to the server than to sallyport",
		Hint:    "Write names of relations with their schema, as schema.name.",
	}
}

// addSchema qualifies one name.
func (w *writer) addSchema(rv *pg_query.RangeVar, schema string) error {
	i := w.tokens.at(rv.Location)
	if i < 0 {
		return internal("the name of " + rv.Relname + " was not found in its text")
	}
	rv.Schemaname = schema
	start := w.tokens.start(i)
	w.edit(start, start, w.spaceBefore(start)+catalog.QuoteIdent(schema)+".")
	return nil
}

// spaceBefore is a space where an unquoted name would run into what stands before it.
func (w *writer) spaceBefore(start int) string {
	if start == 0 || strings.ContainsRune(" \t\r\n\f\v(,:", rune(w.text[start-1])) {
		return ""
	}
	return " "
}

func schemaOf(r *catalog.Relation) string {
	if r.Temporary {
		return "pg_temp"
	}
	return r.Schema
}
