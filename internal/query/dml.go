package query

import (
	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// target makes the entry of the relation a DML statement changes.
func (s *state) target(st any, rv *pg_query.RangeVar, access string) *rangeEntry {
	s.changes = true
	r := s.findRelation(rv.GetCatalogname(), rv.GetSchemaname(), rv.GetRelname())
	if r == nil || r.Kind == catalog.Unknown {
		s.unresolved("relation " + quoted(rv.GetCatalogname(), rv.GetSchemaname(), rv.GetRelname()))
		return &rangeEntry{alias: rv.GetRelname()}
	}
	if r.System() { // rules on pg_settings set parameters, and nothing else there is an agent's to write
		s.refuse(unsupported("writing to relations of PostgreSQL itself is not supported", "Use SET for parameters."))
	}
	s.touchRows(r, !rv.Inh, access)
	e := &rangeEntry{base: r, target: true, only: !rv.Inh, columns: relationColumns(r),
		dml: &Target{Node: rv, Relation: r, Statement: st, Lineage: s.lineage(r), Inserts: access == "insert", Deletes: access == "delete"}}
	s.out.Targets = append(s.out.Targets, e.dml)
	if rv.Alias == nil {
		e.schema = r.Schema
	}
	return s.aliased(e, rv.Relname, rv.Alias)
}

// write marks a column of the target as written, without reading it.
func (s *state) write(e *rangeEntry, name string) {
	if i := e.find(name); i >= 0 {
		e.dml.assign(e.columns[i].col)
	}
	s.writeBack(e, name)
}

// writeBack is write of what the column had before.
func (s *state) writeBack(e *rangeEntry, name string) {
	i := e.find(name)
	if i < 0 || e.base == nil {
		s.unresolved("column " + quoted(name) + " of " + quoted(e.alias))
		return
	}
	if e.columns[i].cell == nil {
		e.columns[i].cell = s.relationCell(e.base, e.columns[i].col, e.only)
	}
	s.mark(e.columns[i].cell, written)
	s.seenType(e.columns[i].typ) // to which values are cast
}

// reading says, for the time of do, where columns of the target are read.
func (s *state) reading(how string, do func()) {
	before := s.how
	s.how = how
	do()
	s.how = before
}

func (s *state) insert(st *pg_query.InsertStmt, outer *scope, ctes *cteScope) []output {
	ctes = s.with(st.WithClause, outer, ctes)
	target := s.target(st, st.Relation, "insert")
	var source []output
	if st.SelectStmt != nil {
		s.inserting = st.SelectStmt.GetSelectStmt()
		source = s.query(st.SelectStmt, outer, ctes)
		for _, o := range source {
			s.use(o.value, projected)
		}
	}
	columns := s.inserted(st, target, len(source))
	for i, name := range columns {
		if nothing(st.SelectStmt, i) {
			s.writeBack(target, name)
		} else {
			s.write(target, name)
		}
		if i < len(source) {
			s.assign(target, name, indirection(st.Cols, i), source[i].value)
		}
	}
	sc := &scope{parent: outer, ctes: ctes}
	sc.add(whole(target))
	if st.OnConflictClause != nil {
		s.onConflict(st.OnConflictClause, target, sc, columns, source)
	}
	return s.returning(st.ReturningList, sc, "RETURNING of INSERT")
}

// nothing reports whether all rows of a VALUES list give the i-th column NULL, or none.
func nothing(source *pg_query.Node, i int) bool {
	lists := source.GetSelectStmt().GetValuesLists()
	for _, node := range lists {
		items := node.GetList().GetItems()
		if i >= len(items) || !items[i].GetAConst().GetIsnull() && items[i].GetSetToDefault() == nil {
			return false
		}
	}
	return len(lists) > 0
}

// inserted lists the columns an INSERT gives values: those named, else the first
// ones, and all by DEFAULT VALUES.
func (s *state) inserted(st *pg_query.InsertStmt, target *rangeEntry, given int) []string {
	var columns []string
	for _, node := range st.Cols {
		c := node.GetResTarget()
		if c == nil {
			s.unknownNode(node)
			continue
		}
		s.subscripts(target.typeOf(c.Name), c.Indirection, nil)
		columns = append(columns, c.Name)
	}
	if len(st.Cols) > 0 {
		return columns
	}
	if st.SelectStmt == nil {
		given = len(target.columns)
	}
	for i := 0; i < min(given, len(target.columns)); i++ {
		columns = append(columns, target.columns[i].name)
	}
	return columns
}

// subscripts analyses what stands in a[…] of an assignment.
func (s *state) subscripts(typ catalog.OID, steps []*pg_query.Node, sc *scope) {
	for i, node := range steps {
		if node.GetAIndices() != nil {
			s.use(s.indirect(value{typ: s.assigned(typ, steps[:i])}, []*pg_query.Node{node}, sc), derived)
		} else if node.GetString_() == nil {
			s.unknownNode(node)
		}
	}
}

func (s *state) onConflict(clause *pg_query.OnConflictClause, target *rangeEntry, sc *scope, columns []string, source []output) {
	if infer := clause.Infer; infer != nil {
		s.reading("the conflict target of INSERT", func() {
			s.inferring = true
			for _, node := range infer.IndexElems {
				s.indexElement(node.GetIndexElem(), sc, filtered)
			}
			if infer.WhereClause != nil {
				s.use(s.expression(infer.WhereClause, sc), filtered)
			}
			s.inferring = false
		})
	}
	if clause.Action != pg_query.OnConflictAction_ONCONFLICT_UPDATE {
		return
	}
	if target.base != nil {
		s.touchRows(target.base, target.only, "update")
	}
	both := &scope{parent: sc.parent, ctes: sc.ctes}
	both.add(whole(target))
	both.entries = append(both.entries, s.excluded(target, columns, source))
	s.reading("the right side of SET in ON CONFLICT", func() { s.set(clause.TargetList, target, both) })
	if clause.WhereClause != nil {
		s.reading("the WHERE clause of ON CONFLICT", func() {
			s.use(s.condition(s.expression(clause.WhereClause, both)), filtered)
		})
	}
}

// excluded is the row that was to be inserted: made of what the source gives.
func (s *state) excluded(target *rangeEntry, columns []string, source []output) *rangeEntry {
	e := &rangeEntry{alias: "excluded", base: target.base, target: true, quiet: true}
	for _, c := range target.columns {
		var v value
		for i, name := range columns {
			if name == c.name && i < len(source) {
				v = source[i].value
			}
		}
		e.columns = append(e.columns, entryColumn{name: c.name, typ: c.typ, cell: s.newCell(v)})
	}
	return e
}

func (s *state) indexElement(elem *pg_query.IndexElem, sc *scope, u uses) {
	switch {
	case elem == nil:
		s.unresolved("index element")
	case elem.Expr != nil:
		s.use(s.expression(elem.Expr, sc), u)
	default:
		s.use(s.bareName(elem.Name, sc), u)
	}
}

// set analyses SET column = expression.
func (s *state) set(list []*pg_query.Node, target *rangeEntry, sc *scope) {
	if target.dml != nil {
		target.dml.set = &Set{}
		target.dml.Sets = append(target.dml.Sets, target.dml.set)
		defer func() { target.dml.set = nil }()
	}
	for _, node := range list {
		t := node.GetResTarget()
		if t == nil {
			s.unknownNode(node)
			continue
		}
		s.setColumn(t, target, sc)
	}
}

func (s *state) setColumn(t *pg_query.ResTarget, target *rangeEntry, sc *scope) {
	var column *catalog.Column
	if i := target.find(t.Name); i >= 0 {
		column = target.columns[i].col
	}
	if len(t.Indirection) > 0 && column != nil { // a part of it is put into the rest
		s.reading("an assignment to a part of it", func() { s.readWhole(target.base, column, target.only) })
	}
	s.subscripts(target.typeOf(t.Name), t.Indirection, sc)
	m := t.Val.GetMultiAssignRef()
	if t.Val == nil || m != nil && m.Colno > 1 { // the same source as the first column's
		s.assignTogether(target, t, s.together)
		s.write(target, t.Name)
		return
	}
	before := 0
	if target.dml != nil {
		before = len(target.dml.Refs)
	}
	v := s.expression(t.Val, sc)
	s.use(v, derived)
	if m == nil {
		s.assign(target, t.Name, t.Indirection, v)
	} else {
		s.together = v
		s.assignTogether(target, t, v)
	}
	if column == nil || target.dml == nil || len(t.Indirection) > 0 || !s.keep(target, column, t.Val, v, target.dml.Refs[before:]) {
		s.write(target, t.Name)
		if column != nil && target.dml != nil && t.Val.GetAConst().GetIsnull() {
			target.dml.set.Null = append(target.dml.set.Null, column)
		}
		return
	}
	s.writeBack(target, t.Name)
}

func (s *state) update(st *pg_query.UpdateStmt, outer *scope, ctes *cteScope) []output {
	ctes = s.with(st.WithClause, outer, ctes)
	target := s.target(st, st.Relation, "update")
	sc := s.beside(target, st.FromClause, outer, ctes)
	s.reading("the right side of SET", func() { s.set(st.TargetList, target, sc) })
	s.where(st.WhereClause, sc, "the WHERE clause of UPDATE")
	return s.returning(st.ReturningList, sc, "RETURNING of UPDATE")
}

func (s *state) delete(st *pg_query.DeleteStmt, outer *scope, ctes *cteScope) []output {
	ctes = s.with(st.WithClause, outer, ctes)
	target := s.target(st, st.Relation, "delete")
	sc := s.beside(target, st.UsingClause, outer, ctes)
	s.where(st.WhereClause, sc, "the WHERE clause of DELETE")
	return s.returning(st.ReturningList, sc, "RETURNING of DELETE")
}

// beside makes the scope of a target and of what FROM or USING adds, which does
// not see the target.
func (s *state) beside(target *rangeEntry, from []*pg_query.Node, outer *scope, ctes *cteScope) *scope {
	items := &scope{parent: outer, ctes: ctes}
	s.from(from, items)
	if len(from) > 0 {
		s.out.Shape.Joins++
	}
	sc := &scope{parent: outer, ctes: ctes}
	sc.add(whole(target))
	sc.add(fromItem{entries: items.entries, columns: items.columns})
	return sc
}

func (s *state) where(clause *pg_query.Node, sc *scope, how string) {
	if clause == nil {
		s.unfiltered = true
		return
	}
	s.reading(how, func() { s.use(s.condition(s.expression(clause, sc)), filtered) })
}

func (s *state) returning(list []*pg_query.Node, sc *scope, how string) []output {
	var outputs []output
	s.reading(how, func() { outputs = s.targets(list, sc) })
	for _, o := range outputs {
		s.use(o.value, returned)
	}
	return outputs
}

func (s *state) merge(st *pg_query.MergeStmt, outer *scope, ctes *cteScope) []output {
	ctes = s.with(st.WithClause, outer, ctes)
	var access []string
	for _, node := range st.MergeWhenClauses {
		switch node.GetMergeWhenClause().GetCommandType() {
		case pg_query.CmdType_CMD_INSERT:
			access = append(access, "insert")
		case pg_query.CmdType_CMD_UPDATE:
			access = append(access, "update")
		case pg_query.CmdType_CMD_DELETE:
			access = append(access, "delete")
		case pg_query.CmdType_CMD_NOTHING:
		default:
			s.unresolved("action of MERGE")
		}
	}
	target := s.target(st, st.Relation, "read")
	if target.dml != nil {
		target.dml.Inserts, target.dml.Deletes = contains(access, "insert"), contains(access, "delete")
		s.touchRows(target.base, target.only, access...)
	}
	sc := s.beside(target, []*pg_query.Node{st.SourceRelation}, outer, ctes)
	s.reading("the ON condition of MERGE", func() { s.use(s.condition(s.expression(st.JoinCondition, sc)), joined) })
	for _, node := range st.MergeWhenClauses {
		s.mergeAction(node.GetMergeWhenClause(), target, sc)
	}
	return nil
}

func (s *state) mergeAction(when *pg_query.MergeWhenClause, target *rangeEntry, sc *scope) {
	if when == nil {
		return // listed as unresolved before
	}
	if when.Condition != nil {
		s.reading("a WHEN condition of MERGE", func() { s.use(s.condition(s.expression(when.Condition, sc)), filtered) })
	}
	switch when.CommandType {
	case pg_query.CmdType_CMD_UPDATE:
		s.reading("the right side of SET in MERGE", func() { s.set(when.TargetList, target, sc) })
	case pg_query.CmdType_CMD_INSERT:
		for _, node := range when.TargetList {
			s.write(target, node.GetResTarget().GetName())
		}
		s.reading("the values of INSERT in MERGE", func() {
			for i, node := range when.Values {
				if len(when.TargetList) == 0 && i < len(target.columns) {
					s.write(target, target.columns[i].name)
				}
				v := s.expression(node, sc)
				s.use(v, derived)
				if i < len(when.TargetList) {
					into := when.TargetList[i].GetResTarget()
					s.assign(target, into.GetName(), into.GetIndirection(), v)
				} else if i < len(target.columns) {
					s.assign(target, target.columns[i].name, nil, v)
				}
			}
		})
	case pg_query.CmdType_CMD_DELETE, pg_query.CmdType_CMD_NOTHING:
	default:
		s.unresolved("MERGE action " + when.CommandType.String())
	}
}
