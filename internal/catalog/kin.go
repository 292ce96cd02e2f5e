package catalog

import "sort"

// Descendants returns the relations that inherit from the relation and its
// partitions, nearest first, each once.
func (s *Snapshot) Descendants(r *Relation) []*Relation {
	var all []*Relation
	seen := map[OID]bool{r.OID: true}
	for queue := []*Relation{r}; len(queue) > 0; queue = queue[1:] {
		for _, oid := range queue[0].Children {
			child := s.relationsByOID[oid]
			if child == nil || seen[oid] {
				continue
			}
			seen[oid] = true
			all = append(all, child)
			queue = append(queue, child)
		}
	}
	return all
}

// Kin returns the other relations that show rows the relation shows: its ancestors,
// its descendants, and what else these descend from, in this order, each once.
func (s *Snapshot) Kin(r *Relation) []*Relation {
	if len(r.Parents) == 0 && len(r.Children) == 0 {
		return nil
	}
	descendants := s.Descendants(r)
	kin := append(s.Ancestors(r), descendants...)
	seen := map[OID]bool{r.OID: true}
	for _, known := range kin {
		seen[known.OID] = true
	}
	for _, descendant := range descendants {
		for _, other := range s.Ancestors(descendant) {
			if !seen[other.OID] {
				seen[other.OID] = true
				kin = append(kin, other)
			}
		}
	}
	return kin
}

// InSchema returns the relations of a schema that hold or show data, by name.
func (s *Snapshot) InSchema(schema string) []*Relation {
	var all []*Relation
	for key, r := range s.relations {
		if key.schema == schema && r.Kind != Unknown {
			all = append(all, r)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

// Holding returns the relations that store values of a type, or values that contain
// some, by id, each with the columns that do.
func (s *Snapshot) Holding(typ OID) []Holder {
	var all []Holder
	known := map[OID]bool{}
	for _, r := range s.relations {
		if r.Kind == Unknown || r.Kind == View {
			continue
		}
		h := Holder{Relation: r}
		for _, c := range r.Columns {
			is, ok := known[c.Type]
			if !ok {
				is = s.contains(c.Type, typ, map[OID]bool{})
				known[c.Type] = is
			}
			if is {
				h.Columns = append(h.Columns, c)
			}
		}
		if h.Columns != nil {
			all = append(all, h)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Relation.ID() < all[j].Relation.ID() })
	return all
}

// Holder is a relation and some of its columns.
type Holder struct {
	Relation *Relation
	Columns  []*Column
}

// contains reports whether values of a type may contain values of another.
func (s *Snapshot) contains(typ, wanted OID, seen map[OID]bool) bool {
	t := s.typesByOID[typ]
	switch {
	case typ == wanted:
		return true
	case t == nil || seen[typ]:
		return false
	case t.Kind == 'r' || t.Kind == 'm':
		return typ.User() // of what, is not known
	}
	seen[typ] = true
	if s.contains(t.Elem, wanted, seen) || s.contains(t.Base, wanted, seen) {
		return true
	}
	if r := s.relationsByOID[t.Relation]; r != nil {
		for _, c := range r.Columns {
			if s.contains(c.Type, wanted, seen) {
				return true
			}
		}
	}
	return false
}
