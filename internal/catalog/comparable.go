package catalog

// comparable reads which types can be grouped by: those that an operator class of
// sorting or hashing is the default of, by themselves or as another type that they
// are the same bytes as.
func (l *loader) comparable() error {
	var typ OID
	return l.each(`SELECT o.opcintype
		FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod AND m.amname IN ('btree', 'hash')
		WHERE o.opcdefault
		UNION
		SELECT c.castsource
		FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_opclass o ON o.opcintype = c.casttarget AND o.opcdefault
		JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod AND m.amname IN ('btree', 'hash')
		WHERE c.castmethod = 'b' AND c.castcontext = 'i'`,
		[]any{&typ}, func() error {
			l.s.comparable[typ] = true
			return nil
		})
}

// Comparable reports whether GROUP BY takes values of the type.
func (s *Snapshot) Comparable(typ OID) bool { return s.isComparable(typ, 0) }

const maxTypeDepth = 32

func (s *Snapshot) isComparable(typ OID, depth int) bool {
	t := s.typesByOID[typ]
	switch {
	case t == nil || depth > maxTypeDepth:
		return false
	case s.comparable[typ]:
		return true
	case t.Kind == 'd':
		return s.isComparable(t.Base, depth+1)
	case t.Category == 'A' && t.Elem != 0:
		return s.isComparable(t.Elem, depth+1)
	case t.Kind == 'e' || t.Kind == 'r' || t.Kind == 'm':
		return true
	case t.Kind == 'c':
		r := s.relationsByOID[t.Relation]
		if r == nil {
			return false
		}
		for _, c := range r.Columns {
			if !s.isComparable(c.Type, depth+1) {
				return false
			}
		}
		return true
	default:
		return false
	}
}
