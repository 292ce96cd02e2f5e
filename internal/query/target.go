package query

import (
	"slices"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// read notes a read of a DML target's column: where it can be masked, or of which
// columns it tells otherwise.
func (s *state) read(e *rangeEntry, c *catalog.Column) {
	r := e.base
	s.addTable(Table{ID: r.ID(), Schema: r.Schema, Name: r.Name, Kind: r.Kind, Access: []string{"read"}, Via: s.via})
	for _, k := range s.kin(r, e.only) {
		if k.Column(c.Name) != nil {
			s.addTable(Table{ID: k.ID(), Schema: k.Schema, Name: k.Name, Kind: k.Kind, Access: []string{"read"}, Via: r.ID()})
		}
	}
	switch {
	case s.inferring && e.dml != nil:
		e.dml.Inferred = append(e.dml.Inferred, c)
	case s.listed != nil && e.dml != nil:
		if n := len(e.dml.Refs); n == 0 || e.dml.Refs[n-1] != s.listed {
			e.dml.Refs = append(e.dml.Refs, s.listed)
		}
	case s.ref != nil && e.dml != nil:
		e.dml.Refs = append(e.dml.Refs, &TargetRef{Node: s.ref, Column: c, How: s.how})
	default:
		s.readWhole(r, c, e.only)
	}
}

// readWhole notes a read of a column, and of what the column is made of.
func (s *state) readWhole(r *catalog.Relation, c *catalog.Column, only bool) {
	s.addRead(columnID(r, c.Name), s.how)
	for _, k := range s.kin(r, only) {
		same := k.Column(c.Name)
		if same == nil {
			continue
		}
		s.addRead(columnID(k, c.Name), s.how)
		for _, source := range k.Sources(same) {
			s.addRead(columnID(k, source.Name), s.how+", through the generated column "+columnID(k, c.Name))
		}
	}
	for _, source := range r.Sources(c) {
		s.addRead(columnID(r, source.Name), s.how+", through the generated column "+columnID(r, c.Name))
	}
	if summary := s.viewOf(r); summary != nil {
		for _, base := range summary.lineage(columnIndex(r, c)).Bases {
			s.addRead(base, s.how+", through the view "+r.ID())
		}
	}
}

// listStar is expandStar of an item of a list of outputs, in whose place the columns
// can be written.
func (s *state) listStar(node *pg_query.Node, sc *scope) ([]output, bool) {
	ref := node.GetColumnRef()
	if n := len(ref.GetFields()); n == 0 || ref.Fields[n-1].GetAStar() == nil {
		return s.expandStar(node, sc)
	}
	s.listed = &TargetRef{Node: ref, How: s.how}
	outputs, ok := s.expandStar(node, sc)
	s.listed = nil
	return outputs, ok
}

// starColumn notes a column that * stands for, and by which name it can be written.
func (s *state) starColumn(c *visibleColumn, sc *scope) {
	if s.listed == nil {
		return
	}
	star := StarColumn{Name: c.name}
	if len(c.parts) == 1 && c.parts[0].index >= 0 && c.parts[0].entry.dml != nil {
		star.Column = c.parts[0].entry.columns[c.parts[0].index].col
	}
	if only(sc.columns, c.name) == nil {
		star.Qualifier = qualifier(c, sc)
		star.Ambiguous = star.Qualifier == nil
	}
	s.listed.Star = append(s.listed.Star, star)
}

// qualifier names the item of FROM that a column is of, nil when nothing names it alone.
func qualifier(c *visibleColumn, sc *scope) []string {
	if c.using || len(c.parts) != 1 {
		return nil
	}
	e, same := c.parts[0].entry, 0
	for _, other := range sc.entries {
		if other.alias == e.alias {
			same++
		}
	}
	switch {
	case same == 1 && e.alias != "":
		return []string{e.alias}
	case e.dml != nil && e.schema != "":
		return []string{e.schema, e.base.Name}
	default:
		return nil
	}
}

// assign notes that SET or INSERT gives a column of the target a value.
func (t *Target) assign(c *catalog.Column) {
	if t == nil || c == nil {
		return
	}
	list := &t.Inserted
	if t.set != nil {
		list = &t.set.Columns
	}
	if !slices.Contains(*list, c) {
		*list = append(*list, c)
	}
}

// keep marks the references of SET's right side through which the column's own value
// comes back into it, whatever is decided on the way: as it is, or as a result of
// COALESCE or CASE. It must not be converted on the way to a type that has no place
// for it. It reports whether there is nothing else.
func (s *state) keep(target *rangeEntry, c *catalog.Column, source *pg_query.Node, v value, refs []*TargetRef) bool {
	t := s.snapshot.TypeByOID(c.Type)
	if target.dml == nil || t == nil || v.typ != c.Type && t.Category != 'S' {
		return false
	}
	own := results(source)
	for _, ref := range refs {
		if ref.Column == c && own[ref.Node] {
			ref.Kept = true
			target.dml.set.Kept = append(target.dml.set.Kept, c)
		}
	}
	return len(refs) == 1 && refs[0].Kept && source.GetColumnRef() == refs[0].Node
}

// results are the references that an expression's value may be.
func results(node *pg_query.Node) map[*pg_query.ColumnRef]bool {
	found := map[*pg_query.ColumnRef]bool{}
	for queue := []*pg_query.Node{node}; len(queue) > 0; queue = queue[1:] {
		switch n := queue[0].GetNode().(type) {
		case *pg_query.Node_ColumnRef:
			found[n.ColumnRef] = true
		case *pg_query.Node_CoalesceExpr:
			queue = append(queue, n.CoalesceExpr.Args...)
		case *pg_query.Node_CaseExpr:
			for _, when := range n.CaseExpr.Args {
				queue = append(queue, when.GetCaseWhen().GetResult())
			}
			queue = append(queue, n.CaseExpr.Defresult)
		default: // anything else makes something of it
		}
	}
	return found
}
