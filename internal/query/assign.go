package query

import (
	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// assign lists what runs when a value is stored in a column, or in the part of it
// that the steps lead to.
func (s *state) assign(e *rangeEntry, name string, steps []*pg_query.Node, v value) {
	i := e.find(name)
	if i < 0 {
		return // listed as unresolved where it is written
	}
	typ := s.assigned(e.columns[i].typ, steps)
	if typ == 0 {
		s.unsure = true
		return
	}
	s.sized(e.columns[i].typ)
	s.storing = true // constraints of its domains are effects of the write
	defer func() { s.storing = false }()
	if v.each == nil {
		s.coerce(&v, typ, assignment)
	}
	for j := range v.each {
		s.coerce(&v.each[j], typ, assignment)
	}
}

// assigned is the type of the part of a column that is assigned to.
func (s *state) assigned(typ catalog.OID, steps []*pg_query.Node) catalog.OID {
	for i, node := range steps {
		base := s.rules().base(typ)
		if node.GetAIndices() != nil {
			if next := i + 1; next < len(steps) && steps[next].GetAIndices() != nil {
				if node.GetAIndices().IsSlice {
					return 0
				}
				continue // they take one element together
			}
			if typ = s.rules().element(base); node.GetAIndices().IsSlice {
				typ = base
			}
			continue
		}
		r := s.rules().relationOf(base)
		field := node.GetString_()
		if r == nil || field == nil || r.Column(field.Sval) == nil {
			return 0
		}
		typ = r.Column(field.Sval).Type
	}
	return typ
}

// indirection are the steps after the i-th of the columns an INSERT names.
func indirection(columns []*pg_query.Node, i int) []*pg_query.Node {
	if i < len(columns) {
		return columns[i].GetResTarget().GetIndirection()
	}
	return nil
}

// assignTogether is assign of one of the columns of SET (a, b) = v.
func (s *state) assignTogether(e *rangeEntry, t *pg_query.ResTarget, v value) {
	i := int(t.Val.GetMultiAssignRef().GetColno()) - 1
	if i >= 0 && i < len(v.fields) {
		s.assign(e, t.Name, t.Indirection, v.fields[i])
		return
	}
	s.unsure = true
}

// typeOf is the type of a column, 0 when there is none of the name.
func (e *rangeEntry) typeOf(column string) catalog.OID {
	if i := e.find(column); i >= 0 {
		return e.columns[i].typ
	}
	return 0
}
