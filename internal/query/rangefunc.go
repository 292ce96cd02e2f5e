package query

import (
	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// rangeFunction analyses functions in FROM. They see the items before them,
// LATERAL or not. Their arguments decide how many rows come, so they are derived
// from whether or not the result is used.
func (s *state) rangeFunction(rf *pg_query.RangeFunction, sc *scope) fromItem {
	e := &rangeEntry{}
	alias := ""
	if rf.Alias != nil {
		alias = rf.Alias.Aliasname
	}
	name := ""
	for _, node := range rf.Functions {
		items := node.GetList().GetItems()
		if len(items) == 0 {
			s.unknownNode(node)
			continue
		}
		v := s.expression(items[0], sc)
		s.use(v, derived)
		name = OutputName(items[0])
		definitions := rf.Coldeflist
		if len(items) > 1 && items[1].GetList() != nil {
			definitions = items[1].GetList().Items
		}
		scalar := name
		if alias != "" && len(rf.Functions) == 1 {
			scalar = alias
		}
		e.columns = append(e.columns, s.functionColumns(v, definitions, scalar)...)
	}
	if rf.Ordinality {
		e.columns = append(e.columns, entryColumn{name: "ordinality", typ: int8OID, cell: s.newCell(value{})})
	}
	return whole(s.aliased(e, name, rf.Alias))
}

// functionColumns are the columns a function in FROM shows.
func (s *state) functionColumns(v value, definitions []*pg_query.Node, scalar string) []entryColumn {
	made := func(name string, typ catalog.OID) entryColumn {
		return entryColumn{name: name, typ: typ, cell: s.newCell(value{edges: v.inside()})}
	}
	var columns []entryColumn
	if len(definitions) > 0 {
		for _, node := range definitions {
			d := node.GetColumnDef()
			if d == nil {
				s.unknownNode(node)
				continue
			}
			columns = append(columns, made(d.Colname, s.findType(d.TypeName)))
		}
		return columns
	}
	if fields := s.fieldsOf(v); fields != nil {
		for _, f := range fields {
			columns = append(columns, made(f.name, f.typ))
		}
		return columns
	}
	if v.call != nil && v.call.Result == recordOID {
		s.unresolved("columns of function " + quoted(v.call.Schema, v.call.Name))
		return nil
	}
	return []entryColumn{made(scalar, v.typ)}
}

// A field is one of a composite value.
type field struct {
	name string
	typ  catalog.OID
}

// fieldsOf returns the fields of a value of a composite type, or nil.
func (s *state) fieldsOf(v value) []field {
	var fields []field
	if v.row != nil {
		for _, c := range v.row.columns {
			fields = append(fields, field{c.name, c.typ})
		}
		return fields
	}
	if f := v.call; f != nil && len(f.OutColumns) > 1 || f != nil && len(f.OutColumns) == 1 && f.Result == recordOID {
		for i, name := range f.OutColumns {
			fields = append(fields, field{name, f.OutTypes[i]})
		}
		return fields
	}
	if f := v.call; f != nil && len(f.OutColumns) == 1 {
		return []field{{f.OutColumns[0], f.OutTypes[0]}}
	}
	typ := s.snapshot.TypeByOID(v.typ)
	for typ != nil && typ.Kind == 'd' {
		typ = s.snapshot.TypeByOID(typ.Base)
	}
	if typ == nil || typ.Kind != 'c' {
		return nil
	}
	if r := s.snapshot.RelationByOID(typ.Relation); r != nil {
		for _, c := range r.Columns {
			fields = append(fields, field{c.Name, c.Type})
		}
	}
	return fields
}

// rangeTableFunc analyses XMLTABLE.
func (s *state) rangeTableFunc(t *pg_query.RangeTableFunc, sc *scope) fromItem {
	var all value
	add := func(node *pg_query.Node) {
		if node != nil {
			v := s.expression(node, sc)
			s.use(v, derived)
			all.edges = append(all.edges, v.inside()...)
		}
	}
	add(t.Docexpr)
	add(t.Rowexpr)
	for _, ns := range t.Namespaces {
		add(ns.GetResTarget().GetVal())
	}
	e := &rangeEntry{}
	for _, node := range t.Columns {
		c := node.GetRangeTableFuncCol()
		if c == nil {
			s.unknownNode(node)
			continue
		}
		add(c.Colexpr)
		add(c.Coldefexpr)
		typ := int4OID
		if !c.ForOrdinality {
			typ = s.findType(c.TypeName)
			s.castTo(typ)
		}
		e.columns = append(e.columns, entryColumn{name: c.Colname, typ: typ})
	}
	for i := range e.columns {
		e.columns[i].cell = s.newCell(all)
	}
	return whole(s.aliased(e, "xmltable", t.Alias))
}
