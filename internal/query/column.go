package query

import (
	pg_query "github.com/pganalyze/pg_query_go/v5"
)

// columnRef gives the value of x, t.x, schema.t.x or a whole row, and notes where it
// stands if it is none.
func (s *state) columnRef(ref *pg_query.ColumnRef, sc *scope) value {
	parts, ok := names(ref.Fields)
	before := len(s.missing)
	v := s.referred(ref, parts, ok, sc)
	if len(s.missing) == before {
		return v
	}
	if unknown := "column " + quoted(parts...); s.missing[unknown] {
		s.unresolvedAt(ref.Location, unknown)
	}
	return v
}

func (s *state) referred(ref *pg_query.ColumnRef, parts []string, ok bool, sc *scope) value {
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
		if v, ok := s.bodyArgument(parts); ok {
			return v
		}
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

// rowAt notes where the whole row of a scan is referred to.
func (s *state) rowAt(node *pg_query.Node, v value) value {
	if v.row != nil && v.row.scan != nil {
		columns := make([]string, len(v.row.columns))
		for i, c := range v.row.columns {
			columns[i] = c.name
		}
		v.row.scan.Rows = append(v.row.scan.Rows, RowRef{Node: node, Columns: columns})
	}
	return v
}

// starRow is t.* where it is one value: the whole row of t.
func (s *state) starRow(ref *pg_query.ColumnRef, sc *scope) (value, bool) {
	last := len(ref.Fields) - 1
	if last < 1 || ref.Fields[last].GetAStar() == nil {
		return value{}, false
	}
	parts, ok := names(ref.Fields[:last])
	e := s.entryNamed(parts, sc)
	if !ok || e == nil {
		return value{}, false
	}
	return s.wholeRow(e), true
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
		if len(e.columns) == 1 && e.base == nil && (e.scalar || e.columns[0].name == name) {
			return s.entryColumnValue(e, 0)
		}
		return s.wholeRow(e)
	}
	if v, ok := s.bodyArgument([]string{name}); ok {
		return v
	}
	s.unresolved("column " + quoted(name))
	return value{}
}

// functionNotation is t.f where f is no column of t: a function of its row.
func (s *state) functionNotation(name string, row value, written string) value {
	v, found := s.called(&callee{name: name, args: []value{row}})
	if !found {
		s.unresolved("column " + written)
	}
	return v
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

// indirect follows .field and [subscript]. Subscripts that stand together take one
// element.
func (s *state) indirect(v value, steps []*pg_query.Node, sc *scope) value {
	var subscripts []*pg_query.A_Indices
	for _, node := range steps {
		if step := node.GetAIndices(); step != nil {
			subscripts = append(subscripts, step)
			continue
		}
		name := node.GetString_()
		if name == nil {
			s.unknownNode(node)
			return value{}
		}
		v = s.selectField(s.subscripted(v, subscripts, sc), name.Sval)
		subscripts = nil
	}
	return s.subscripted(v, subscripts, sc)
}

// subscripted is the value of v[…]: an element or, if one is a slice, a part.
func (s *state) subscripted(v value, subscripts []*pg_query.A_Indices, sc *scope) value {
	if len(subscripts) == 0 {
		return v
	}
	container := s.rules().base(v.typ)
	element := s.rules().element(container)
	out := value{edges: v.inside(), typ: element}
	if t := s.snapshot.TypeByOID(container); t != nil && element == 0 {
		out.typ = t.Part
	}
	for _, subscript := range subscripts {
		if subscript.IsSlice && element != 0 || container == jsonbOID {
			out.typ = container
		}
		for _, bound := range []*pg_query.Node{subscript.Lidx, subscript.Uidx} {
			if bound == nil {
				continue
			}
			b := s.expression(bound, sc)
			switch {
			case container == jsonbOID && (b.known || b.typ != 0 && !s.rules().coercibleTo(b.typ, int4OID, implicit)):
				s.coerce(&b, textOID, implicit)
			case container == jsonbOID:
				s.coerce(&b, int4OID, implicit)
			case container != 0:
				s.coerce(&b, int4OID, assignment)
			default:
				s.unsure = true
			}
			out.edges = append(out.edges[:len(out.edges):len(out.edges)], b.inside()...)
		}
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
