package query

import (
	pg_query "github.com/pganalyze/pg_query_go/v5"
)

// A cteScope holds the CTEs of one WITH clause.
type cteScope struct {
	parent *cteScope
	list   []*cte
}

// A cte is one WITH query.
type cte struct {
	node    *pg_query.CommonTableExpr
	outer   *scope
	ctes    *cteScope
	columns []entryColumn
	state   cteState
}

type cteState int

const (
	ctePending cteState = iota // a later one of WITH RECURSIVE, not yet analysed
	cteRunning                 // being analysed, its columns not known
	cteKnown                   // its columns are known
)

func (c *cteScope) find(name string) *cte {
	for ; c != nil; c = c.parent {
		for _, candidate := range c.list {
			if candidate.node.Ctename == name {
				return candidate
			}
		}
	}
	return nil
}

// with analyses a WITH clause. Under RECURSIVE every query sees every name,
// otherwise those before it.
func (s *state) with(clause *pg_query.WithClause, outer *scope, parent *cteScope) *cteScope {
	if clause == nil {
		return parent
	}
	sc := &cteScope{parent: parent}
	for _, node := range clause.Ctes {
		n := node.GetCommonTableExpr()
		if n == nil {
			s.unknownNode(node)
			continue
		}
		s.out.Shape.CTEs++
		c := &cte{node: n, outer: outer, ctes: sc}
		if clause.Recursive {
			sc.list = append(sc.list, c)
			continue
		}
		s.analyzeCTE(c, false)
		sc = &cteScope{parent: sc, list: []*cte{c}}
	}
	for _, c := range sc.list {
		s.analyzeCTE(c, clause.Recursive)
	}
	return sc
}

func (s *state) analyzeCTE(c *cte, recursive bool) {
	if c.state != ctePending {
		return
	}
	c.state = cteRunning
	if sel := c.node.Ctequery.GetSelectStmt(); recursive && sel != nil && sel.Op == pg_query.SetOperation_SETOP_UNION {
		s.recursiveCTE(c, sel)
	} else {
		c.setOutputs(s, s.settle(s.query(c.node.Ctequery, c.outer, c.ctes)))
	}
	s.cycleColumns(c)
}

// recursiveCTE analyses left UNION right, where right may refer to the CTE: its
// columns are those of left, and what right makes flows into them.
func (s *state) recursiveCTE(c *cte, sel *pg_query.SelectStmt) {
	ctes := s.with(sel.WithClause, c.outer, c.ctes)
	s.setOperation(sel)
	c.setOutputs(s, s.settle(s.selectStatement(sel.Larg, c.outer, ctes)))
	right := s.selectStatement(sel.Rarg, c.outer, ctes)
	if len(right) != len(c.columns) {
		s.unresolved("columns of " + quoted(c.node.Ctename))
		return
	}
	for i, o := range right {
		to := c.columns[i].cell
		s.coerce(&right[i].value, c.columns[i].typ, implicit)
		if !sel.All {
			s.compares(value{typ: c.columns[i].typ})
		}
		to.from = append(append([]edge(nil), to.from...), o.value.edges...)
		if !sel.All {
			s.mark(to, grouped)
		}
	}
	outputs := make([]output, len(c.columns))
	for i, column := range c.columns {
		outputs[i] = output{name: column.name, value: value{edges: []edge{{to: column.cell, plain: true}}, typ: column.typ}}
	}
	s.tail(sel, &scope{parent: c.outer, ctes: ctes}, outputs)
}

func (c *cte) setOutputs(s *state, outputs []output) {
	c.columns = s.entryOf(outputs).columns
	c.state = cteKnown
	renamed, ok := names(c.node.Aliascolnames)
	if !ok || len(renamed) > len(c.columns) {
		s.unresolved("column names of " + quoted(c.node.Ctename))
		return
	}
	for i, name := range renamed {
		c.columns[i].name = name
	}
}

// cycleColumns adds the columns of SEARCH and CYCLE, made of the columns they
// list.
func (s *state) cycleColumns(c *cte) {
	add := func(keys []*pg_query.Node, made ...string) {
		var v value
		list, _ := names(keys)
		for _, key := range list {
			for _, column := range c.columns {
				if column.name == key {
					v.edges = append(v.edges, edge{to: column.cell})
				}
			}
		}
		for _, name := range made {
			if name != "" {
				c.columns = append(c.columns, entryColumn{name: name, cell: s.newCell(v)})
			}
		}
	}
	if search := c.node.SearchClause; search != nil {
		add(search.SearchColList, search.SearchSeqColumn)
	}
	if cycle := c.node.CycleClause; cycle != nil {
		for _, node := range []*pg_query.Node{cycle.CycleMarkValue, cycle.CycleMarkDefault} {
			if node != nil {
				s.use(s.expression(node, nil), derived)
			}
		}
		add(cycle.CycleColList, cycle.CycleMarkColumn, cycle.CyclePathColumn)
	}
}

// referCTE makes an item of FROM of a CTE.
func (s *state) referCTE(c *cte) *rangeEntry {
	s.analyzeCTE(c, true)
	if c.state != cteKnown {
		s.unresolved("recursive reference to " + quoted(c.node.Ctename))
	}
	return &rangeEntry{columns: append([]entryColumn(nil), c.columns...), row: recordOID}
}
