package query

import (
	"sort"

	"github.com/sallyport/sallyport/internal/catalog"
)

// uses is a set of the ways a column is used.
type uses uint16

const (
	projected uses = 1 << iota
	derived
	filtered
	joined
	grouped
	ordered
	aggregated
	written
	returned
)

var useNames = []string{"projected", "derived", "filtered", "joined", "grouped", "ordered", "aggregated", "written", "returned"}

func (u uses) names() []string {
	var names []string
	for i, name := range useNames {
		if u&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// A cell is one column of a relation, a subquery, a CTE or a function. How it is
// used is passed on to the cells it is made of, so that a column selected in a
// subquery and filtered outside counts as filtered.
type cell struct {
	uses  uses
	from  []edge
	queue bool

	leaf          *leaf // of a catalog column
	shared, whole bool  // it has its edges to the relations that share rows: to ancestors, to all
}

// A leaf is a column of the catalog as the policy input lists it.
type leaf struct {
	id, table, name, via string
	base                 bool // of a table, as opposed to a view between or a parent
}

// An edge says that a cell takes part in a value: as it is, or inside an
// expression, or only through an aggregate.
type edge struct {
	to    *cell
	plain bool
	agg   bool
}

// passed is what a use of a value means for a cell that takes part in it.
func (e edge) passed(u uses) uses {
	out := u &^ (projected | derived)
	if u&(projected|derived) != 0 {
		switch {
		case e.agg:
			out |= aggregated
		case u&projected != 0 && e.plain:
			out |= projected | u&derived
		default:
			out |= derived
		}
	}
	if u&returned != 0 && !e.plain {
		out |= derived
	}
	return out
}

// A value is what an expression makes: of which cells, and of what type (0 when
// that is not known).
type value struct {
	edges []edge
	typ   catalog.OID
	row   *rangeEntry       // a whole row of it
	known bool              // a literal or a parameter without a type: it takes the type asked for
	call  *catalog.Function // the function whose result it is, when there is only one
	outs  []catalog.OID     // the types of its OutColumns

	literal bool    // it is written as a literal
	param   int     // it is the parameter of that number, to which nothing has given a type
	fields  []value // of ROW(…)
	each    []value // of a column of VALUES, row by row
}

// manyEdges is how many edges a value may have before those that say the same are
// dropped, so that long chains of whole rows stay small.
const manyEdges = 100

func compact(edges []edge) []edge {
	seen := make(map[edge]bool, len(edges))
	kept := edges[:0:0]
	for _, e := range edges {
		if !seen[e] {
			seen[e] = true
			kept = append(kept, e)
		}
	}
	return kept
}

// inside is the value's part in a larger expression.
func (v value) inside() []edge {
	if len(v.edges) > manyEdges {
		v.edges = compact(v.edges)
	}
	for i := range v.edges {
		if v.edges[i].plain {
			edges := make([]edge, len(v.edges))
			for j, e := range v.edges {
				edges[j] = edge{to: e.to, agg: e.agg}
			}
			return edges
		}
	}
	return v.edges
}

// use says how a value is used.
func (s *state) use(v value, u uses) {
	for _, e := range v.edges {
		s.mark(e.to, e.passed(u))
	}
}

func (s *state) mark(c *cell, u uses) {
	if c.uses|u == c.uses {
		return
	}
	c.uses |= u
	if !c.queue {
		c.queue = true
		s.queue = append(s.queue, c)
	}
}

// newCell makes the cell of a column whose value is v.
func (s *state) newCell(v value) *cell {
	c := &cell{from: v.edges}
	s.cells = append(s.cells, c)
	return c
}

// propagate passes uses on until nothing moves. Edges of recursive CTEs are added
// late, so it starts with every cell.
func (s *state) propagate() {
	for _, c := range s.cells {
		s.passOn(c)
	}
	for len(s.queue) > 0 {
		c := s.queue[len(s.queue)-1]
		s.queue = s.queue[:len(s.queue)-1]
		c.queue = false
		s.passOn(c)
	}
}

func (s *state) passOn(c *cell) {
	if c.uses == 0 {
		return
	}
	for _, e := range c.from {
		s.mark(e.to, e.passed(c.uses))
	}
}

// leafCell returns the one cell of a catalog column reached through a view, or
// directly.
func (s *state) leafCell(l leaf) *cell {
	key := leafKey{l.id, l.via}
	if c := s.leaves[key]; c != nil {
		return c
	}
	c := &cell{leaf: &l}
	s.cells = append(s.cells, c)
	s.leaves[key] = c
	return c
}

type leafKey struct{ id, via string }

func columnID(r *catalog.Relation, column string) string {
	return r.ID() + "." + catalog.QuoteIdent(column)
}
