package query

import (
	pg_query "github.com/pganalyze/pg_query_go/v5"
)

// columnRef gives the value of x, t.x, schema.t.x or a whole row.
func (s *state) columnRef(ref *pg_query.ColumnRef, sc *scope) value {
	parts, ok := names(ref.Fields)
	if !ok || len(parts) == 0 {
		s.unresolved("column reference")
		return value{}
	}
	if len(parts) == 1 {
		return s.bareRef(parts[0], ref, sc)
	}
	qualifier, name := parts[:len(parts)-1], parts[len(parts)-1]
	e := s.entryNamed(qualifier, sc)
	if e == nil {
		s.unresolved("column " + quoted(parts...))
		return value{}
	}
	if i := e.find(name); i >= 0 {
		defer s.at(ref)()
		return s.entryColumnValue(e, i)
	}
	if typ, system := systemColumns[name]; system && e.hasSystem() {
		s.referSystem(e, name)
		return value{typ: typ}
	}
	return s.functionNotation(name, s.wholeRow(e), quoted(parts...))
}

func (s *state) entryColumnValue(e *rangeEntry, i int) value {
	return value{edges: []edge{{to: s.column(e, i), plain: true}}, typ: e.columns[i].typ}
}

// at notes which reference is looked at, until what it returns is called.
func (s *state) at(ref *pg_query.ColumnRef) func() {
	before := s.ref
	s.ref = ref
	return func() { s.ref = before }
}

// bareName is a column, or else the whole row of an item of FROM.
func (s *state) bareName(name string, sc *scope) value { return s.bareRef(name, nil, sc) }

func (s *state) bareRef(name string, ref *pg_query.ColumnRef, sc *scope) value {
	column, ambiguous := sc.findColumn(name)
	switch {
	case ambiguous:
		s.unresolved("column " + quoted(name) + ", which is ambiguous")
		return value{}
	case column != nil:
		defer s.at(ref)()
		return s.refer(column)
	}
	if e := sc.findEntry("", name); e != nil {
		if len(e.columns) == 1 && e.base == nil && e.columns[0].name == name {
			return s.entryColumnValue(e, 0)
		}
		return s.wholeRow(e)
	}
	s.unresolved("column " + quoted(name))
	return value{}
}

// functionNotation is t.f where f is no column of t: a function of its row.
func (s *state) functionNotation(name string, row value, written string) value {
	candidates := s.candidates("", name, 1)
	if len(candidates) == 0 {
		s.unresolved("column " + written)
		return value{}
	}
	return s.called(candidates, []value{row})
}

// meant returns the column a reference means at this level, without noting it.
func (s *state) meant(ref *pg_query.ColumnRef, sc *scope) *visibleColumn {
	parts, ok := names(ref.Fields)
	if !ok || len(parts) == 0 {
		return nil
	}
	if len(parts) == 1 {
		column, _ := sc.findColumn(parts[0])
		return column
	}
	e := s.entryNamed(parts[:len(parts)-1], sc)
	if e == nil {
		return nil
	}
	if i := e.find(parts[len(parts)-1]); i >= 0 {
		return &visibleColumn{parts: []columnPart{{e, i}}}
	}
	return nil
}

// indirect follows .field and [subscript].
func (s *state) indirect(v value, steps []*pg_query.Node, sc *scope) value {
	for _, node := range steps {
		switch step := node.Node.(type) {
		case *pg_query.Node_String_:
			v = s.selectField(v, step.String_.Sval)
		case *pg_query.Node_AIndices:
			for _, bound := range []*pg_query.Node{step.AIndices.Lidx, step.AIndices.Uidx} {
				if bound != nil {
					b := s.expression(bound, sc)
					v.edges = append(v.inside()[:len(v.edges):len(v.edges)], b.inside()...)
				}
			}
			v = s.subscripted(v, step.AIndices.IsSlice)
		default:
			s.unknownNode(node)
			return value{}
		}
	}
	return v
}

func (s *state) subscripted(v value, slice bool) value {
	out := value{edges: v.inside()}
	if slice {
		out.typ = v.typ
	} else if t := s.snapshot.TypeByOID(v.typ); t != nil && t.Category == 'A' {
		out.typ = t.Elem
	}
	return out
}

// fieldOfRow is (t).column, which is no more than t.column.
func (s *state) fieldOfRow(n *pg_query.A_Indirection, sc *scope) (value, bool) {
	fields := n.Arg.GetColumnRef().GetFields()
	name := n.Indirection[0].GetString_()
	if len(fields) != 1 || fields[0].GetString_() == nil || name == nil {
		return value{}, false
	}
	row := fields[0].GetString_().Sval
	if column, ambiguous := sc.findColumn(row); column != nil || ambiguous {
		return value{}, false
	}
	e := sc.findEntry("", row)
	if e == nil || e.find(name.Sval) < 0 {
		return value{}, false
	}
	if e.scan != nil {
		e.scan.WholeRow = true // a subquery's row has no type to select from
	}
	return s.indirect(s.entryColumnValue(e, e.find(name.Sval)), n.Indirection[1:], sc), true
}

// selectField is (v).name: a field, or else a function of it.
func (s *state) selectField(v value, name string) value {
	if v.row != nil {
		if i := v.row.find(name); i >= 0 {
			return s.entryColumnValue(v.row, i)
		}
	}
	for _, f := range s.fieldsOf(v) {
		if f.name == name {
			return value{edges: v.inside(), typ: f.typ}
		}
	}
	return s.functionNotation(name, v, quoted(name)+" of a composite value")
}
