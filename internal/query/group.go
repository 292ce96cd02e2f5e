package query

import (
	"slices"

	pg_query "github.com/pganalyze/pg_query_go/v5"
)

// A KeyGroup is a GROUP BY that holds all of a relation's primary key, so that other
// columns of the relation may stand outside of aggregates without being grouped by.
type KeyGroup struct {
	Select *pg_query.SelectStmt // whose GROUP BY it is, inside Analysis.Statement's tree
	Key    GroupColumn          // a column of the key
	Needed []GroupColumn        // those that depend on the key and are not grouped by
}

// A GroupColumn is a column as the level of the GROUP BY can refer to it.
type GroupColumn struct {
	Number    int    // in the relation's Columns, -1 for a system column
	Qualifier string // alias of the join that shows it; "" for the relation's own name
	Name      string // as an alias may have renamed it
}

// groupBy analyses GROUP BY after everything else, so that the columns referred to
// so far are those that need it.
func (s *state) groupBy(st *pg_query.SelectStmt, sc *scope, outputs []output) {
	var needed []columnPart
	for _, e := range sc.entries {
		for i := range e.columns {
			if e.refs[i] {
				needed = append(needed, columnPart{e, i})
			}
		}
		e.refs = nil
	}
	var all []columnPart
	keys := s.groupItems(st.GroupClause, sc, outputs, &all)
	var done []*rangeEntry
	for _, key := range keys {
		e := key.entry
		if e.scan == nil || slices.Contains(done, e) || !holdsKey(e, keys) {
			continue
		}
		done = append(done, e)
		if group := keyGroup(e, needed, all); group != nil {
			group.Select = st
			group.Key = groupColumn(sc, keyColumn(e))
			e.scan.GroupedByKey = group
		}
	}
}

// groupItems returns the columns that are grouped by whatever the grouping set, and
// adds those of any set to all.
func (s *state) groupItems(items []*pg_query.Node, sc *scope, outputs []output, all *[]columnPart) []columnPart {
	var keys []columnPart
	for _, node := range items {
		if set := node.GetGroupingSet(); set != nil {
			keys = append(keys, s.groupingSet(set, sc, outputs, all)...)
			continue
		}
		if row := node.GetRowExpr(); row != nil && row.RowFormat == pg_query.CoercionForm_COERCE_IMPLICIT_CAST {
			keys = append(keys, s.groupItems(row.Args, sc, outputs, all)...) // (a, b) is a and b
			continue
		}
		s.use(s.sorted(s.outputOrExpression(node, sc, outputs, true)), grouped)
		if part, ok := s.groupedColumn(node, sc, outputs); ok {
			keys = append(keys, part)
			*all = append(*all, part)
		}
	}
	return keys
}

// groupedColumn is the one column that an item of GROUP BY is.
func (s *state) groupedColumn(node *pg_query.Node, sc *scope, outputs []output) (columnPart, bool) {
	var parts []columnPart
	o := s.outputMeant(node, sc, outputs, true)
	switch {
	case o != nil && o.node == nil:
		parts = o.parts
	case o != nil:
		node = o.node
		fallthrough
	default:
		if ref := node.GetColumnRef(); ref != nil {
			if column := s.meant(ref, sc); column != nil {
				parts = column.parts
			}
		}
	}
	if len(parts) != 1 { // two are COALESCE
		return columnPart{}, false
	}
	return parts[0].beneath(), true
}

// groupingSet returns the columns that every set of a GROUPING SETS has. ROLLUP and
// CUBE have an empty one.
func (s *state) groupingSet(set *pg_query.GroupingSet, sc *scope, outputs []output, all *[]columnPart) []columnPart {
	if set.Kind != pg_query.GroupingSetKind_GROUPING_SET_SETS {
		s.groupItems(set.Content, sc, outputs, all)
		return nil
	}
	var common []columnPart
	for i, node := range set.Content {
		keys := s.groupItems([]*pg_query.Node{node}, sc, outputs, all)
		if i == 0 {
			common = keys
			continue
		}
		common = slices.DeleteFunc(common, func(part columnPart) bool { return !slices.Contains(keys, part) })
	}
	return common
}

// beneath is the column itself that an alias of a join shows.
func (p columnPart) beneath() columnPart {
	for p.index >= 0 && p.entry.columns[p.index].join != nil {
		parts := p.entry.columns[p.index].join.parts
		if len(parts) != 1 {
			break
		}
		p = parts[0]
	}
	return p
}

// holdsKey reports whether the whole primary key of an entry is among the columns.
func holdsKey(e *rangeEntry, keys []columnPart) bool {
	for _, number := range e.base.PrimaryKey {
		if !slices.ContainsFunc(keys, func(k columnPart) bool {
			return k.entry == e && k.index >= 0 && e.columns[k.index].col.Number == number
		}) {
			return false
		}
	}
	return len(e.base.PrimaryKey) > 0
}

func keyColumn(e *rangeEntry) columnPart {
	return columnPart{e, slices.IndexFunc(e.columns, func(c entryColumn) bool { return c.col.Number == e.base.PrimaryKey[0] })}
}

// keyGroup returns what hangs on the primary key of an entry, nil when nothing does:
// because all that is referred to is grouped by.
func keyGroup(e *rangeEntry, needed, keys []columnPart) *KeyGroup {
	group := &KeyGroup{}
	var listed []columnPart
	for _, shown := range needed {
		part := shown.beneath()
		if part.entry != e || part.index < 0 || slices.Contains(keys, part) || slices.Contains(listed, part) {
			continue
		}
		listed = append(listed, part)
		column := GroupColumn{Number: part.index, Name: shown.entry.columns[shown.index].name}
		if shown.entry != e {
			column.Qualifier = shown.entry.alias
		}
		group.Needed = append(group.Needed, column)
	}
	for _, name := range e.system {
		group.Needed = append(group.Needed, GroupColumn{Number: -1, Name: name})
	}
	if len(group.Needed) == 0 {
		return nil
	}
	return group
}

// groupColumn names a column as the level shows it.
func groupColumn(sc *scope, part columnPart) GroupColumn {
	for _, e := range sc.entries {
		for i := range e.columns {
			if shown := (columnPart{e, i}); e != part.entry && e.columns[i].join != nil && shown.beneath() == part {
				return GroupColumn{Number: part.index, Qualifier: e.alias, Name: e.columns[i].name}
			}
		}
	}
	return GroupColumn{Number: part.index, Name: part.entry.columns[part.index].name}
}
