package query

import (
	"slices"

	"github.com/sallyport/sallyport/internal/catalog"
)

// A rangeEntry is one item of a FROM clause, or the target of a DML statement:
// what PostgreSQL calls a range table entry.
type rangeEntry struct {
	alias   string // the name it is referred to by
	columns []entryColumn
	scan    *Scan             // of a relation read in FROM
	base    *catalog.Relation // of a relation, also a DML target
	schema  string            // by which schema.relation.column refers to it; "" when it has an alias
	only    bool              // under ONLY: without what inherits from the relation
	target  bool              // a DML target: reads are listed one by one
	dml     *Target           // the same, but for excluded
	within  []*Scan           // of a subquery: the scans inside
	quiet   bool              // excluded: what it shows is not read from the table
	refs    map[int]bool      // columns referred to outside of aggregates
	system  []string          // system columns, likewise
	row     catalog.OID       // what a reference to the whole of it gives, if it is no relation's row; 0 when not known
	scalar  bool              // of a function that gives one value: its only column is the whole of it
}

// An entryColumn is a column of a rangeEntry. Columns of relations get their cell
// when they are first referred to.
type entryColumn struct {
	name string
	typ  catalog.OID
	cell *cell
	col  *catalog.Column
	join *visibleColumn // of a join with an alias: the column it stands for
}

// A visibleColumn is a column that a bare name, or *, means. After JOIN … USING it
// may stand for two.
type visibleColumn struct {
	name  string
	parts []columnPart
	typ   catalog.OID
	plain bool
	using bool // merged by JOIN … USING
}

type columnPart struct {
	entry *rangeEntry
	index int
}

// A scope is what names of columns mean at one level of a query.
type scope struct {
	parent  *scope
	entries []*rangeEntry   // by their names
	columns []visibleColumn // by their bare names
	ctes    *cteScope
}

// add makes an item of FROM visible.
func (sc *scope) add(item fromItem) {
	if sc.entries == nil && sc.columns == nil { // taken over; whoever adds more makes room of its own
		sc.entries, sc.columns = slices.Clip(item.entries), slices.Clip(item.columns)
		return
	}
	sc.entries = append(sc.entries, item.entries...)
	sc.columns = append(sc.columns, item.columns...)
}

// A fromItem is what a part of a FROM clause shows.
type fromItem struct {
	entries []*rangeEntry
	columns []visibleColumn
}

// whole shows an entry by its name and all its columns.
func whole(e *rangeEntry) fromItem {
	item := fromItem{entries: []*rangeEntry{e}, columns: make([]visibleColumn, len(e.columns))}
	parts := make([]columnPart, len(e.columns))
	for i, c := range e.columns {
		parts[i] = columnPart{e, i}
		item.columns[i] = visibleColumn{name: c.name, typ: c.typ, parts: parts[i : i+1 : i+1], plain: true}
	}
	return item
}

func (e *rangeEntry) find(name string) int {
	for i, c := range e.columns {
		if c.name == name {
			return i
		}
	}
	return -1
}

// findEntry returns the item a qualified reference means, from the inside out.
func (sc *scope) findEntry(schema, name string) *rangeEntry {
	for ; sc != nil; sc = sc.parent {
		for _, e := range sc.entries {
			if schema == "" && e.alias == name && name != "" {
				return e
			}
			if schema != "" && e.schema == schema && e.base != nil && e.base.Name == name {
				return e
			}
		}
	}
	return nil
}

// findColumn returns what a bare name means. A name that two items show is
// ambiguous.
func (sc *scope) findColumn(name string) (column *visibleColumn, ambiguous bool) {
	for ; sc != nil; sc = sc.parent {
		var found *visibleColumn
		for i := range sc.columns {
			if sc.columns[i].name != name {
				continue
			}
			if found != nil {
				return nil, true
			}
			found = &sc.columns[i]
		}
		if found != nil {
			return found, false
		}
		if system := sc.systemColumn(name); system != nil {
			return system, false
		}
	}
	return nil, false
}

var systemColumns = map[string]catalog.OID{
	"ctid": 27, "xmin": 28, "cmin": 29, "xmax": 28, "cmax": 29, "tableoid": 26,
}

// systemColumn finds the one relation of the level that has the system column.
func (sc *scope) systemColumn(name string) *visibleColumn {
	if _, ok := systemColumns[name]; !ok {
		return nil
	}
	for _, e := range sc.entries {
		if e.hasSystem() {
			return &visibleColumn{name: name, typ: systemColumns[name], parts: []columnPart{{e, -1}}}
		}
	}
	return nil
}

func (e *rangeEntry) hasSystem() bool {
	return e.base != nil && e.base.Kind != catalog.View && !e.quiet
}

// refer gives the value of a column and notes that it is referred to.
func (s *state) refer(v *visibleColumn) value {
	out := value{typ: v.typ}
	for _, part := range v.parts {
		if part.index < 0 {
			s.referSystem(part.entry, v.name)
			continue
		}
		c := s.column(part.entry, part.index)
		out.edges = append(out.edges, edge{to: c, plain: v.plain})
	}
	return out
}

func (s *state) referSystem(e *rangeEntry, name string) {
	if e.scan != nil && !contains(e.scan.System, name) {
		e.scan.System = append(e.scan.System, name)
	}
	if s.aggregates == 0 && !contains(e.system, name) {
		e.system = append(e.system, name)
	}
}

// column returns the cell of an entry's column and notes that it is referred to.
func (s *state) column(e *rangeEntry, i int) *cell {
	c := &e.columns[i]
	s.seenType(c.typ)
	if c.cell == nil && c.join != nil {
		c.cell = s.newCell(s.refer(c.join))
	} else if c.cell == nil {
		c.cell = s.relationCell(e.base, c.col, e.only)
	}
	if e.scan != nil && c.col != nil {
		e.scan.columns[c.col] = true
	}
	if e.target && !e.quiet && c.col != nil {
		s.read(e, c.col)
	}
	if s.aggregates == 0 {
		if e.refs == nil {
			e.refs = map[int]bool{}
		}
		e.refs[i] = true
	}
	return c.cell
}

// wholeRow gives an entry as a value: every column takes part.
func (s *state) wholeRow(e *rangeEntry) value {
	out := value{row: e}
	if e.base != nil {
		out.typ = e.base.RowType
		s.seenType(out.typ)
	} else {
		out.typ = e.row
	}
	if e.scan != nil {
		e.scan.All, e.scan.WholeRow = true, true
		e.scan.rows++
	}
	for i := range e.columns {
		out.edges = append(out.edges, edge{to: s.column(e, i)})
	}
	return out
}

// relationCell returns the cell of a catalog column as the statement names it,
// which passes its uses on to what a view's or a generated column is made of and to
// the column of that name of the relations that share rows.
func (s *state) relationCell(r *catalog.Relation, c *catalog.Column, only bool) *cell {
	id := r.ColumnID(c)
	l := leaf{id: id, table: r.ID(), name: c.Name, via: s.via}
	made := s.leaves[leafKey{id, l.via}]
	fresh := made == nil
	switch {
	case fresh:
		summary := s.viewOf(r)
		l.base = summary == nil
		made = s.leafCell(l)
		if summary != nil {
			made.from = append(made.from, summary.edges(s, columnIndex(r, c))...)
		}
	case made.whole || made.shared && only:
		return made
	}
	made.shared, made.whole = true, made.whole || !only
	for _, source := range r.Sources(c) {
		if from := s.relationCell(r, source, only); fresh {
			made.from = append(made.from, edge{to: from})
		}
	}
	for _, k := range s.kin(r, only) {
		if same := k.Column(c.Name); same != nil {
			made.from = append(made.from, edge{plain: true, to: s.kinCell(r, k, same)})
		}
	}
	return made
}

// kinCell returns the cell of a column that shares rows with one of the relation r.
func (s *state) kinCell(r, k *catalog.Relation, c *catalog.Column) *cell {
	l := leaf{id: k.ColumnID(c), table: k.ID(), name: c.Name, via: r.ID()}
	if known := s.leaves[leafKey{l.id, l.via}]; known != nil {
		return known
	}
	made := s.leafCell(l)
	for _, source := range k.Sources(c) { // it may be computed in the child only
		made.from = append(made.from, edge{to: s.kinCell(r, k, source)})
		for _, other := range s.kin(k, false) {
			if same := other.Column(source.Name); same != nil {
				made.from = append(made.from, edge{to: s.kinCell(r, other, same)})
			}
		}
	}
	return made
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
