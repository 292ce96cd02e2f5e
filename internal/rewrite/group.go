package rewrite

import (
	"fmt"
	"slices"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/query"
)

// A subquery has no primary key that GROUP BY could rest on. So what hangs on the key
// is grouped by too: its values are one row's, and make the same groups.

// checkGrouped refuses where they would not, or cannot be compared.
func (m maskSet) checkGrouped(scan *query.Scan, first string, s *catalog.Snapshot) error {
	group := scan.GroupedByKey
	if group == nil {
		return nil
	}
	r := scan.Relation
	refused := refusal(first, fmt.Sprintf("cannot be read where %s is grouped by its primary key only", r.ID()),
		"List every selected column of the table in GROUP BY.")
	for _, c := range r.Columns {
		if slices.Contains(r.PrimaryKey, c.Number) {
			if _, masked := m.of(scan, c); masked {
				return refused // masked, it is no key
			}
		}
	}
	if len(r.Children) > 0 && r.PartitionKey == nil && scan.Node.Inh {
		return refused // a child may hold the same key
	}
	for _, c := range group.Needed {
		if c.Number >= 0 && !s.Comparable(r.Columns[c.Number].Type) {
			return refused
		}
	}
	return nil
}

// groupKeys extends the GROUP BYs that rest on the primary keys of masked scans.
func (w *writer) groupKeys(scans []*maskedScan) error {
	var order []*pg_query.SelectStmt
	added := map[*pg_query.SelectStmt][]*pg_query.Node{}
	texts := map[*pg_query.SelectStmt]string{}
	for _, scan := range scans {
		group := scan.GroupedByKey
		if group == nil {
			continue
		}
		if _, known := added[group.Select]; !known {
			order = append(order, group.Select)
		}
		for _, c := range group.Needed {
			qualifier := w.shownBy(scan, c)
			added[group.Select] = append(added[group.Select], columnRef(qualifier, c.Name))
			texts[group.Select] += " " + quote(qualifier) + "." + quote(c.Name) + ","
		}
	}
	for _, judged := range order {
		own, ok := w.own[judged].(*pg_query.SelectStmt)
		if !ok {
			return internal("a GROUP BY was not found")
		}
		at := w.groupBy(own)
		if at < 0 {
			return internal("GROUP BY was not found in its text")
		}
		w.edit(w.tokens.end(at), w.tokens.end(at), texts[judged])
		own.GroupClause = append(added[judged], own.GroupClause...)
	}
	return nil
}

// shownBy is the name of what shows a column at the level of the GROUP BY.
func (w *writer) shownBy(scan *maskedScan, c query.GroupColumn) string {
	if c.Qualifier != "" {
		return c.Qualifier
	}
	return w.aliases[scan.Node].Aliasname
}

func columnRef(names ...string) *pg_query.Node {
	fields := make([]*pg_query.Node, len(names))
	for i, name := range names {
		fields[i] = pg_query.MakeStrNode(name)
	}
	return pg_query.MakeColumnRefNode(fields, 0)
}

// groupBy returns the index of the token after which the items of a GROUP BY begin.
func (w *writer) groupBy(sel *pg_query.SelectStmt) int {
	first := int32(-1)
	for _, item := range sel.GroupClause {
		if at := firstLocation(item); at >= 0 && (first < 0 || at < first) {
			first = at
		}
	}
	for i := w.tokens.at(first); i > 0; i-- {
		if !w.tokens.is(i-1, pg_query.Token_GROUP_P) || !w.tokens.is(i, pg_query.Token_BY) {
			continue
		}
		if w.tokens.is(i+1, pg_query.Token_DISTINCT) || w.tokens.is(i+1, pg_query.Token_ALL) {
			return i + 1
		}
		return i
	}
	return -1
}
