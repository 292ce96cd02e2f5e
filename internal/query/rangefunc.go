package query

import (
	"fmt"

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
	for _, node := range unnested(rf) {
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
		columns, composite := s.functionColumns(v, definitions, scalar)
		e.columns = append(e.columns, columns...)
		if e.row = v.typ; composite && v.typ == 0 || len(rf.Functions) > 1 || rf.Ordinality {
			e.row = recordOID
		}
		e.scalar = !composite && len(rf.Functions) == 1 && !rf.Ordinality
	}
	if rf.Ordinality {
		e.columns = append(e.columns, entryColumn{name: "ordinality", typ: int8OID, cell: s.newCell(value{})})
	}
	return whole(s.aliased(e, name, rf.Alias))
}

// unnested are the functions, of which unnest with several arguments is several.
func unnested(rf *pg_query.RangeFunction) []*pg_query.Node {
	var list []*pg_query.Node
	for _, node := range rf.Functions {
		items := node.GetList().GetItems()
		if len(items) == 0 {
			list = append(list, node)
			continue
		}
		fc := items[0].GetFuncCall()
		if name, ok := names(fc.GetFuncname()); !ok || len(name) != 1 || name[0] != "unnest" || len(fc.Args) < 2 || len(fc.AggOrder) > 0 ||
			fc.AggFilter != nil || fc.Over != nil || fc.AggDistinct || fc.FuncVariadic || len(items) > 1 && items[1].GetList() != nil || len(rf.Coldeflist) > 0 {
			list = append(list, node)
			continue
		}
		for _, arg := range fc.Args {
			one := &pg_query.FuncCall{Args: []*pg_query.Node{arg}, Funcname: []*pg_query.Node{
				pg_query.MakeStrNode("pg_catalog"), pg_query.MakeStrNode("unnest")}}
			list = append(list, pg_query.MakeListNode([]*pg_query.Node{{Node: &pg_query.Node_FuncCall{FuncCall: one}}}))
		}
	}
	return list
}

// functionColumns are the columns a function in FROM shows.
func (s *state) functionColumns(v value, definitions []*pg_query.Node, scalar string) (columns []entryColumn, composite bool) {
	made := func(name string, typ catalog.OID) entryColumn {
		return entryColumn{name: name, typ: typ, cell: s.newCell(value{edges: v.inside()})}
	}
	if len(definitions) > 0 {
		for _, node := range definitions {
			d := node.GetColumnDef()
			if d == nil {
				s.unknownNode(node)
				continue
			}
			columns = append(columns, made(d.Colname, s.findType(d.TypeName)))
		}
		return columns, true
	}
	if fields := s.fieldsOf(v); fields != nil {
		for _, f := range fields {
			columns = append(columns, made(f.name, f.typ))
		}
		return columns, v.row != nil || v.typ == 0 || v.typ == recordOID || s.rules().complex(v.typ)
	}
	if v.call != nil && v.call.Result == recordOID {
		s.unresolved("columns of function " + quoted(v.call.Schema, v.call.Name))
		return nil, true
	}
	return []entryColumn{made(scalar, v.settled().typ)}, false
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
			fields = append(fields, field{name, v.outs[i]})
		}
		return fields
	}
	if f := v.call; f != nil && len(f.OutColumns) == 1 && !s.rules().complex(v.typ) {
		return []field{{f.OutColumns[0], v.outs[0]}}
	}
	if v.fields != nil {
		for i, f := range v.fields {
			fields = append(fields, field{fmt.Sprintf("f%d", i+1), f.typ})
		}
		return fields
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
	add := func(node *pg_query.Node, typ catalog.OID) {
		if node != nil {
			v := s.expression(node, sc)
			s.coerce(&v, typ, assignment)
			s.use(v, derived)
			all.edges = append(all.edges, v.inside()...)
		}
	}
	add(t.Docexpr, xmlOID)
	add(t.Rowexpr, textOID)
	for _, ns := range t.Namespaces {
		add(ns.GetResTarget().GetVal(), textOID)
	}
	e := &rangeEntry{}
	for _, node := range t.Columns {
		c := node.GetRangeTableFuncCol()
		if c == nil {
			s.unknownNode(node)
			continue
		}
		typ := int4OID
		if !c.ForOrdinality {
			typ = s.findType(c.TypeName)
			s.constraints(typ)
		}
		add(c.Colexpr, textOID)
		add(c.Coldefexpr, typ)
		e.columns = append(e.columns, entryColumn{name: c.Colname, typ: typ})
	}
	for i := range e.columns {
		e.columns[i].cell = s.newCell(all)
	}
	return whole(s.aliased(e, "xmltable", t.Alias))
}
