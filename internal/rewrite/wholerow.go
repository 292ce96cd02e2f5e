package rewrite

import (
	"slices"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/query"
)

// The whole row of a subquery is a record, where that of the relation has its type.
// So a reference to it becomes a row of the columns, cast to the type: NULL where an
// outer join has made the row, which is not the same as a row of NULLs.

// checkRows refuses whole rows that cannot be written so.
func checkRows(scan *maskedScan, s *catalog.Snapshot) error {
	if !scan.WholeRow {
		return nil
	}
	refused := refusal(scan.first, "may not be read as part of a whole row of "+scan.Relation.ID(),
		"Name the columns you need instead of the row.")
	if !scan.RowsKnown() || scan.GroupedByKey != nil || len(scan.System) > 0 {
		return refused
	}
	for i, c := range scan.columns {
		if scan.masks[i] == nil && scan.view == "" {
			continue
		}
		for t := s.TypeByOID(c.Type); t != nil; t = s.TypeByOID(t.Base) {
			if t.Checked {
				return refused // the mask's value may not be one of the domain's
			}
		}
	}
	return nil
}

// rows replaces the references to whole rows.
func (w *writer) rows(scans []*maskedScan) error {
	names := w.outputNames(scans)
	for _, scan := range scans {
		var done []*pg_query.Node
		for _, ref := range scan.Rows {
			if slices.Contains(done, ref.Node) {
				continue
			}
			done = append(done, ref.Node)
			if err := w.row(scan, ref, names); err != nil {
				return err
			}
		}
	}
	for target, name := range names {
		if target.Name == "" && query.OutputName(target.Val) != name {
			return refusal(scans[0].first, "may not be read in a whole row that names a column", "Give the column a name by AS.")
		}
	}
	return nil
}

// outputNames are those of the columns without AS, which what is replaced may change.
func (w *writer) outputNames(scans []*maskedScan) map[*pg_query.ResTarget]string {
	if !slices.ContainsFunc(scans, func(scan *maskedScan) bool { return len(scan.Rows) > 0 }) {
		return nil
	}
	names := map[*pg_query.ResTarget]string{}
	walk(w.tree, func(n *pg_query.Node) {
		if target := n.GetResTarget(); target != nil && target.Name == "" && target.Val != nil {
			names[target] = query.OutputName(target.Val)
		}
	})
	return names
}

func (w *writer) row(scan *maskedScan, ref query.RowRef, names map[*pg_query.ResTarget]string) error {
	own, ok := w.own[ref.Node].(*pg_query.Node)
	fields := own.GetColumnRef().GetFields()
	if !ok || len(fields) == 0 {
		return internal("a reference to a row was not found")
	}
	first := w.tokens.at(own.GetColumnRef().Location)
	last := w.tokens.dotted(first, len(fields))
	if first < 0 || last < 0 {
		return internal("a reference to a row was not found in its text")
	}
	alias := quote(w.aliases[scan.Node].Aliasname)
	columns := make([]string, len(ref.Columns))
	for i, name := range ref.Columns {
		columns[i] = alias + "." + quote(name)
	}
	text := "(CASE WHEN " + alias + ".* IS DISTINCT FROM NULL THEN CAST(ROW(" + strings.Join(columns, ", ") + ") AS " +
		quote(schemaOf(scan.Relation)) + "." + quote(scan.Relation.Name) + ") END)"
	tree, err := parseOne("SELECT " + text)
	if err != nil {
		return err
	}
	own.Node = tree.GetSelectStmt().TargetList[0].GetResTarget().Val.Node
	for target, name := range names {
		if target.Val == own {
			target.Name = name
			text += " AS " + quote(name)
		}
	}
	start := w.tokens.start(first)
	w.edit(start, w.tokens.end(last), w.spaceBefore(start)+text)
	return nil
}
