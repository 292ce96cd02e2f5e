package query

import (
	pg_query "github.com/pganalyze/pg_query_go/v5"
)

// An output is a column a query gives.
type output struct {
	name  string
	value value
	node  *pg_query.Node // the expression, when it was written
	parts []columnPart   // the one column it is, when * has listed it
}

// query analyses a query in parentheses or in a WITH clause.
func (s *state) query(node *pg_query.Node, outer *scope, ctes *cteScope) []output {
	defer func(aggregates int) { s.aggregates = aggregates }(s.aggregates)
	s.aggregates = 0
	if node == nil {
		s.unresolved("query")
		return nil
	}
	switch n := node.Node.(type) {
	case *pg_query.Node_SelectStmt:
		return s.selectStatement(n.SelectStmt, outer, ctes)
	case *pg_query.Node_InsertStmt:
		return s.insert(n.InsertStmt, outer, ctes)
	case *pg_query.Node_UpdateStmt:
		return s.update(n.UpdateStmt, outer, ctes)
	case *pg_query.Node_DeleteStmt:
		return s.delete(n.DeleteStmt, outer, ctes)
	case *pg_query.Node_MergeStmt:
		return s.merge(n.MergeStmt, outer, ctes)
	default:
		s.unknownNode(node)
		return nil
	}
}

func (s *state) selectStatement(st *pg_query.SelectStmt, outer *scope, ctes *cteScope) []output {
	ctes = s.with(st.WithClause, outer, ctes)
	if st.IntoClause != nil {
		s.selectInto(st.IntoClause)
	}
	sc := &scope{parent: outer, ctes: ctes}
	switch {
	case st.Op == pg_query.SetOperation_SETOP_NONE && len(st.ValuesLists) > 0:
		outputs := s.values(st.ValuesLists, sc, s.inserting == st)
		s.tail(st, sc, outputs)
		return outputs
	case st.Op == pg_query.SetOperation_SETOP_NONE:
		return s.plainSelect(st, sc)
	case st.Op == pg_query.SetOperation_SETOP_UNION, st.Op == pg_query.SetOperation_SETOP_INTERSECT,
		st.Op == pg_query.SetOperation_SETOP_EXCEPT:
		s.setOperation(st)
		outputs := s.combined(st, s.selectStatement(st.Larg, outer, ctes), s.selectStatement(st.Rarg, outer, ctes))
		s.tail(st, sc, outputs)
		return outputs
	default:
		s.unresolved("set operation " + st.Op.String())
		return nil
	}
}

// plainSelect takes the clauses in PostgreSQL's order, in which parameters get their
// types; GROUP BY comes last, as it needs to know what is not grouped by.
func (s *state) plainSelect(st *pg_query.SelectStmt, sc *scope) []output {
	s.from(st.FromClause, sc)
	for _, e := range sc.entries {
		e.refs, e.system = nil, nil
	}
	outputs := s.targets(st.TargetList, sc)
	if st.WhereClause != nil {
		s.use(s.unreferred(sc, func() value { return s.condition(s.expression(st.WhereClause, sc)) }), filtered)
	}
	if st.HavingClause != nil {
		s.use(s.condition(s.expression(st.HavingClause, sc)), filtered)
	}
	s.sorting(st, sc, outputs)
	s.distinct(st.DistinctClause, sc, outputs)
	s.limits(st, sc)
	for _, node := range st.WindowClause {
		s.window(node.GetWindowDef(), sc)
	}
	if len(st.GroupClause) > 0 {
		s.groupBy(st, sc, outputs)
	}
	return outputs
}

// unreferred analyses what needs no grouping: WHERE.
func (s *state) unreferred(sc *scope, analyse func() value) value {
	before := make([]rangeEntry, len(sc.entries))
	for i, e := range sc.entries {
		before[i] = rangeEntry{refs: e.refs, system: e.system}
		e.refs, e.system = nil, nil
	}
	v := analyse()
	for i, e := range sc.entries {
		e.refs, e.system = before[i].refs, before[i].system
	}
	return v
}

// settle makes text of what is still without a type in the output of a subquery.
func (s *state) settle(outputs []output) []output {
	for i := range outputs {
		v := &outputs[i].value
		if v.known {
			s.coerce(v, textOID, implicit)
			*v = v.settled()
		}
	}
	return outputs
}

// setOperation lists the operation.
func (s *state) setOperation(st *pg_query.SelectStmt) {
	name := map[pg_query.SetOperation]string{
		pg_query.SetOperation_SETOP_UNION: "union", pg_query.SetOperation_SETOP_INTERSECT: "intersect",
		pg_query.SetOperation_SETOP_EXCEPT: "except",
	}[st.Op]
	if st.All {
		name += " all"
	}
	if !contains(s.out.Shape.SetOperations, name) {
		s.out.Shape.SetOperations = append(s.out.Shape.SetOperations, name)
	}
}

// combined makes the outputs of a set operation, named as the left side's. Without
// ALL, or other than under UNION, rows are compared.
func (s *state) combined(st *pg_query.SelectStmt, left, right []output) []output {
	if len(left) != len(right) {
		s.unresolved("columns of a set operation")
		left = left[:min(len(left), len(right))]
	}
	outputs := make([]output, len(left))
	for i := range left {
		sides := []value{left[i].value, right[i].value}
		v := value{edges: append(append([]edge(nil), sides[0].edges...), sides[1].edges...), typ: s.common(sides)}
		if v.typ == 0 {
			s.unsure = true
		}
		s.coerceAll(sides, v.typ)
		if !st.All || st.Op != pg_query.SetOperation_SETOP_UNION {
			s.use(v, grouped)
			s.compares(v)
		}
		outputs[i] = output{name: left[i].name, value: v}
	}
	return outputs
}

// values analyses VALUES lists: column1, column2…. Those an INSERT gives are not made
// one type, but each that of its column.
func (s *state) values(lists []*pg_query.Node, sc *scope, inserted bool) []output {
	var columns [][]value
	for i, node := range lists {
		for j, item := range node.GetList().GetItems() {
			v := s.expression(item, sc)
			if i == 0 {
				columns = append(columns, nil)
			}
			if j >= len(columns) {
				s.unresolved("VALUES lists of different lengths")
				break
			}
			columns[j] = append(columns[j], v)
		}
	}
	outputs := make([]output, len(columns))
	for j, each := range columns {
		outputs[j] = output{name: columnNumber(j), value: s.valuesColumn(each, inserted)}
	}
	return outputs
}

func (s *state) valuesColumn(each []value, inserted bool) value {
	if len(each) == 1 && inserted {
		return each[0]
	}
	if !inserted {
		if len(each) == 1 {
			return s.settle([]output{{value: each[0]}})[0].value
		}
		return s.unified(each)
	}
	out := value{each: each}
	for i := range each {
		out.edges = append(out.edges, each[i].inside()...)
	}
	return out
}

// targets analyses a SELECT or RETURNING list.
func (s *state) targets(list []*pg_query.Node, sc *scope) []output {
	outputs := make([]output, 0, len(list))
	for _, node := range list {
		target := node.GetResTarget()
		if target == nil || target.Val == nil {
			s.unknownNode(node)
			continue
		}
		if s.tooWide(len(outputs) + 1) {
			return nil
		}
		if expanded, ok := s.listStar(target.Val, sc); ok {
			outputs = append(outputs, expanded...)
			continue
		}
		name := target.Name
		if name == "" {
			name = OutputName(target.Val)
		}
		outputs = append(outputs, output{name: name, value: s.expression(target.Val, sc), node: target.Val})
	}
	if s.tooWide(len(outputs)) {
		return nil
	}
	return outputs
}

// maxColumns is PostgreSQL's MaxTupleAttributeNumber. Without it *, * in nested
// subqueries would double columns at each level.
const maxColumns = 1664

func (s *state) tooWide(n int) bool {
	if n <= maxColumns {
		return false
	}
	s.refuse(&Error{Code: "54011", Message: "target lists can have at most 1664 entries"})
	return true
}

// expandStar expands *, t.* and (expression).*.
func (s *state) expandStar(node *pg_query.Node, sc *scope) ([]output, bool) {
	switch n := node.Node.(type) {
	case *pg_query.Node_ColumnRef:
		fields := n.ColumnRef.Fields
		if len(fields) == 0 || fields[len(fields)-1].GetAStar() == nil {
			return nil, false
		}
		if len(fields) == 1 {
			return s.star(sc), true
		}
		return s.entryStar(fields[:len(fields)-1], sc), true
	case *pg_query.Node_AIndirection:
		steps := n.AIndirection.Indirection
		if len(steps) == 0 || steps[len(steps)-1].GetAStar() == nil {
			return nil, false
		}
		v := s.indirect(s.expression(n.AIndirection.Arg, sc), steps[:len(steps)-1], sc)
		return s.valueStar(v), true
	default:
		return nil, false
	}
}

func (s *state) star(sc *scope) []output {
	if sc == nil || len(sc.columns) == 0 && len(sc.entries) == 0 {
		s.unresolved("* without FROM")
		return nil
	}
	if s.tooWide(len(sc.columns)) {
		return nil
	}
	outputs := make([]output, 0, len(sc.columns))
	for i := range sc.columns {
		c := &sc.columns[i]
		for _, part := range c.parts {
			if part.entry.scan != nil {
				part.entry.scan.All = true
			}
		}
		s.starColumn(c, sc)
		o := output{name: c.name, value: s.refer(c)}
		if len(c.parts) == 1 {
			o.parts = c.parts
		}
		outputs = append(outputs, o)
	}
	return outputs
}

func (s *state) entryStar(qualifier []*pg_query.Node, sc *scope) []output {
	parts, ok := names(qualifier)
	e := s.entryNamed(parts, sc)
	if v, argument := s.bodyArgument(parts); ok && e == nil && argument {
		return s.valueStar(v)
	}
	if !ok || e == nil {
		s.unresolved("relation " + quoted(parts...) + " of *")
		return nil
	}
	if e.scan != nil {
		e.scan.All = true
	}
	outputs := make([]output, 0, len(e.columns))
	for i, c := range e.columns {
		if s.listed != nil {
			s.listed.Star = append(s.listed.Star, StarColumn{Name: c.name, Column: c.col})
		}
		outputs = append(outputs, output{name: c.name, parts: []columnPart{{e, i}},
			value: value{edges: []edge{{to: s.column(e, i), plain: true}}, typ: c.typ}})
	}
	return outputs
}

func (s *state) valueStar(v value) []output {
	fields := s.fieldsOf(v)
	if fields == nil {
		s.unresolved("columns of (…).*")
	}
	outputs := make([]output, 0, len(fields))
	for _, f := range fields {
		outputs = append(outputs, output{name: f.name, value: value{edges: v.inside(), typ: f.typ}})
	}
	return outputs
}

// entryNamed finds the item of FROM that [database.][schema.]name means.
func (s *state) entryNamed(parts []string, sc *scope) *rangeEntry {
	database, schema, name, ok := splitName(parts)
	if !ok || database != "" && database != s.snapshot.Database {
		return nil
	}
	return sc.findEntry(schema, name)
}
