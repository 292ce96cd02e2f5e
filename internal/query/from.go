package query

import (
	"slices"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// from analyses a FROM clause and makes its items visible in sc. Each item sees
// those before it where it is LATERAL.
func (s *state) from(items []*pg_query.Node, sc *scope) {
	for i, node := range items {
		if i > 0 {
			s.out.Shape.Joins++
		}
		sc.add(s.fromNode(node, sc))
	}
}

func (s *state) fromNode(node *pg_query.Node, sc *scope) fromItem {
	switch n := node.Node.(type) {
	case *pg_query.Node_RangeVar:
		return s.rangeVar(n.RangeVar, sc)
	case *pg_query.Node_RangeSubselect:
		return s.rangeSubselect(n.RangeSubselect, sc)
	case *pg_query.Node_RangeFunction:
		return s.rangeFunction(n.RangeFunction, sc)
	case *pg_query.Node_RangeTableFunc:
		return s.rangeTableFunc(n.RangeTableFunc, sc)
	case *pg_query.Node_RangeTableSample:
		return s.rangeTableSample(n.RangeTableSample, sc)
	case *pg_query.Node_JoinExpr:
		return s.join(n.JoinExpr, sc)
	default:
		s.unknownNode(node)
		return fromItem{}
	}
}

func (s *state) rangeVar(rv *pg_query.RangeVar, sc *scope) fromItem {
	if rv.Schemaname == "" && rv.Catalogname == "" {
		if c := sc.ctes.find(rv.Relname); c != nil {
			return whole(s.aliased(s.referCTE(c), rv.Relname, rv.Alias))
		}
	}
	r := s.findRelation(rv.Catalogname, rv.Schemaname, rv.Relname)
	if r == nil || r.Kind == catalog.Unknown {
		s.unresolvedAt(rv.Location, "relation "+quoted(rv.Catalogname, rv.Schemaname, rv.Relname))
		return whole(s.aliased(&rangeEntry{}, rv.Relname, rv.Alias))
	}
	s.touchRows(r, !rv.Inh, "read")
	scan := &Scan{Node: rv, Relation: r, columns: map[*catalog.Column]bool{}, Lineage: s.lineage(r), analyzer: s.analyzer}
	s.out.Scans = append(s.out.Scans, scan)
	e := &rangeEntry{scan: scan, base: r, only: !rv.Inh, columns: relationColumns(r)}
	if rv.Alias == nil {
		e.schema = r.Schema
	} else if len(rv.Alias.Colnames) > 0 {
		scan.All = true
		for i := range e.columns {
			s.column(e, i)
		}
	}
	return whole(s.aliased(e, rv.Relname, rv.Alias))
}

func relationColumns(r *catalog.Relation) []entryColumn {
	columns := make([]entryColumn, len(r.Columns))
	for i, c := range r.Columns {
		columns[i] = entryColumn{name: c.Name, typ: c.Type, col: c}
	}
	return columns
}

// aliased gives an entry its name, and its columns theirs.
func (s *state) aliased(e *rangeEntry, name string, alias *pg_query.Alias) *rangeEntry {
	e.alias = name
	if alias == nil {
		return e
	}
	e.alias = alias.Aliasname
	renamed, ok := names(alias.Colnames)
	if !ok || len(renamed) > len(e.columns) {
		s.unresolved("column names of " + quoted(e.alias))
		return e
	}
	for i, column := range renamed {
		e.columns[i].name = column
	}
	return e
}

func (s *state) rangeSubselect(sub *pg_query.RangeSubselect, sc *scope) fromItem {
	s.out.Shape.Subqueries++
	outer := sc.parent
	if sub.Lateral {
		outer = sc
	}
	before := len(s.out.Scans)
	e := s.entryOf(s.settle(s.query(sub.Subquery, outer, sc.ctes)))
	e.within = s.out.Scans[before:len(s.out.Scans):len(s.out.Scans)]
	return whole(s.aliased(e, "", sub.Alias))
}

// entryOf makes an item of FROM of a query's output.
func (s *state) entryOf(outputs []output) *rangeEntry {
	e := &rangeEntry{columns: make([]entryColumn, len(outputs)), row: recordOID}
	for i, o := range outputs {
		e.columns[i] = entryColumn{name: o.name, typ: o.value.typ, cell: s.newCell(o.value)}
	}
	return e
}

func (s *state) rangeTableSample(sample *pg_query.RangeTableSample, sc *scope) fromItem {
	item := s.fromNode(sample.Relation, sc)
	for _, e := range item.entries {
		if e.scan != nil {
			e.scan.Sampled = true
		}
	}
	method, ok := names(sample.Method)
	if !ok || len(method) == 0 || method[len(method)-1] != "system" && method[len(method)-1] != "bernoulli" {
		s.unresolved("sampling method " + quoted(method...))
	}
	for _, arg := range sample.Args {
		v := s.expression(arg, sc)
		s.coerce(&v, float4OID, assignment)
		s.use(v, derived)
	}
	if sample.Repeatable != nil {
		v := s.expression(sample.Repeatable, sc)
		s.coerce(&v, float8OID, assignment)
		s.use(v, derived)
	}
	return item
}

// join analyses a JOIN: its condition sees both sides, its right side the left one
// where it is LATERAL.
func (s *state) join(j *pg_query.JoinExpr, sc *scope) fromItem {
	s.out.Shape.Joins++
	left := s.fromNode(j.Larg, sc)
	beside := sc
	if j.Rarg.GetRangeVar() == nil { // which looks at no columns
		beside = &scope{parent: sc.parent, ctes: sc.ctes}
		beside.entries = slices.Concat(sc.entries, left.entries)
		beside.columns = slices.Concat(sc.columns, left.columns)
	}
	right := s.fromNode(j.Rarg, beside)

	both := &scope{parent: sc.parent, ctes: sc.ctes}
	both.entries = slices.Concat(left.entries, right.entries)
	both.columns = slices.Concat(left.columns, right.columns)
	item := fromItem{entries: slices.Clip(both.entries), columns: slices.Clip(both.columns)}
	var merged []visibleColumn
	if j.IsNatural || len(j.UsingClause) > 0 {
		var rest []visibleColumn
		merged, rest = s.using(j, left, right)
		item.columns = slices.Concat(merged, rest)
	}
	if j.Quals != nil {
		s.use(s.condition(s.expression(j.Quals, both)), joined)
	}
	if alias := j.JoinUsingAlias; alias != nil {
		item.entries = append(item.entries, s.aliased(s.joinEntry(merged), "", alias))
	}
	if j.Alias != nil {
		return whole(s.aliased(s.joinEntry(item.columns), "", j.Alias))
	}
	return item
}

// joinEntry makes one item of a join's columns.
func (s *state) joinEntry(columns []visibleColumn) *rangeEntry {
	e := &rangeEntry{columns: make([]entryColumn, len(columns)), row: recordOID}
	for i := range columns {
		for _, part := range columns[i].parts {
			if part.entry.scan != nil { // its columns can be renamed by position
				part.entry.scan.All = true
			}
		}
		e.columns[i] = entryColumn{name: columns[i].name, typ: columns[i].typ, join: &columns[i]}
	}
	return e
}

// using merges the columns named by USING, or common under NATURAL, and returns
// them and all others.
func (s *state) using(j *pg_query.JoinExpr, left, right fromItem) (merged, rest []visibleColumn) {
	common, ok := names(j.UsingClause)
	if !ok {
		s.unresolved("USING")
	}
	if j.IsNatural {
		common = s.natural(left, right)
	}
	for _, name := range common {
		l, r := only(left.columns, name), only(right.columns, name)
		if l == nil || r == nil {
			s.unresolved("column " + quoted(name) + " of USING")
			continue
		}
		lv, rv := s.refer(l), s.refer(r)
		s.use(lv, joined)
		s.use(rv, joined)
		s.operatorNamed("", "=", &lv, &rv)
		column := mergedColumn(j.Jointype, l, r)
		if l.typ != r.typ {
			sides := []value{lv, rv}
			column.typ = s.common(sides)
			column.plain = false // as it is made of the type in common, it is an expression
			s.coerceAll(sides, column.typ)
		}
		merged = append(merged, column)
	}
	for _, c := range append(append([]visibleColumn(nil), left.columns...), right.columns...) {
		if !contains(common, c.name) {
			rest = append(rest, c)
		}
	}
	return merged, rest
}

// mergedColumn is the left column, under RIGHT JOIN the right one, under FULL JOIN
// whichever is not NULL.
func mergedColumn(kind pg_query.JoinType, l, r *visibleColumn) visibleColumn {
	switch kind {
	case pg_query.JoinType_JOIN_FULL:
		return visibleColumn{name: l.name, typ: l.typ, using: true, parts: append(append([]columnPart(nil), l.parts...), r.parts...)}
	case pg_query.JoinType_JOIN_RIGHT:
		merged := *r
		merged.using = true
		return merged
	default:
		merged := *l
		merged.using = true
		return merged
	}
}

// natural finds the common names. All columns of both sides decide it.
func (s *state) natural(left, right fromItem) []string {
	var common []string
	for _, c := range left.columns {
		if only(right.columns, c.name) != nil {
			common = append(common, c.name)
		}
	}
	for _, e := range append(append([]*rangeEntry(nil), left.entries...), right.entries...) {
		if e.scan != nil {
			e.scan.All = true
		}
	}
	return common
}

func only(columns []visibleColumn, name string) *visibleColumn {
	var found *visibleColumn
	for i := range columns {
		if columns[i].name == name {
			if found != nil {
				return nil
			}
			found = &columns[i]
		}
	}
	return found
}
