package rewrite

import (
	"fmt"
	"slices"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/query"
)

// maskedScan is a scan that a subquery takes the place of.
type maskedScan struct {
	*query.Scan
	columns []*catalog.Column // what the subquery shows
	masks   []*Mask           // of each, nil when it has none
	first   string            // id of the first masked one, or of the filtered table, for refusals
	view    string            // of a view that is seen through: its SELECT, masked
	where   string            // which rows it shows, "" for all
	fenced  bool              // nothing outside of it may be evaluated on other rows
}

// plan says which scans and references must be replaced, or why the statement cannot
// be masked.
func (m maskSet) plan(r Request) ([]*maskedScan, []*maskedRef, error) {
	filters := newFilterSet(r)
	if len(m) == 0 && len(filters.tables) == 0 {
		return nil, nil, nil
	}
	if a := r.Analysis; !a.Shape.Complete || len(a.Shape.Unresolved) > 0 {
		return nil, nil, &query.Error{
			Code:    insufficientPrivilege,
			Message: "a statement of which not everything is understood cannot be masked: " + list(a.Shape.Unresolved),
			Hint:    "Leave out what is not understood, or the masked columns.",
		}
	}
	if r.Analysis.Statement.Node.GetViewStmt() != nil {
		return nil, nil, nil // it reads no row, and what it shows is masked when it is read
	}
	if err := filters.check(r.Analysis); err != nil {
		return nil, nil, err
	}
	if err := m.checkReads(r); err != nil {
		return nil, nil, err
	}
	var scans []*maskedScan
	var views []*query.Scan // that are not seen through
	for _, scan := range r.Analysis.Scans {
		masked, err := m.scan(scan, r, filters)
		if err != nil {
			return nil, nil, err
		}
		if masked != nil {
			scans = append(scans, masked)
		}
		if isView(scan.Relation) && (masked == nil || masked.view == "") {
			views = append(views, scan)
		}
	}
	if err := m.checkViews(r, views); err != nil {
		return nil, nil, err
	}
	if len(scans) > 0 {
		if err := checkStatement(r.Analysis, scans[0]); err != nil {
			return nil, nil, err
		}
	}
	filters.fence(r.Analysis, scans)
	refs, err := m.refs(r.Analysis)
	if err != nil {
		return nil, nil, err
	}
	if err := m.checkExplain(r.Analysis); err != nil {
		return nil, nil, err
	}
	return scans, refs, m.checkCovered(r.Analysis)
}

// scan returns how a scan must be masked, nil when it need not.
func (m maskSet) scan(scan *query.Scan, r Request, filters *filterSet) (*maskedScan, error) {
	where, err := filters.where(scan.Relation, !scan.Node.Inh, inner)
	if err != nil {
		return nil, err
	}
	masked := &maskedScan{Scan: scan, columns: exposed(scan), where: where}
	if scan.Copied != nil {
		masked.columns = scan.Copied
	} else if scan.Relation.Kind == catalog.View && m.throughViews(r.Analysis) {
		masked.view, masked.first = m.definition(r, scan)
	}
	for _, c := range masked.columns {
		mask, ok := m.of(scan, c)
		if masked.view != "" {
			mask, ok = m[columnID(scan.Relation, c)]
		}
		if !ok {
			masked.masks = append(masked.masks, nil)
			continue
		}
		masked.masks = append(masked.masks, &mask)
		if masked.first == "" {
			masked.first = columnID(scan.Relation, c)
		}
	}
	if masked.first == "" && where != "" {
		masked.first = scan.Relation.ID()
	}
	if masked.first == "" {
		return nil, nil
	}
	if err := checkRows(masked, r.Snapshot); err != nil {
		return nil, err
	}
	table := scan.Relation.ID()
	switch {
	case scan.Copied != nil:
		return masked, copyable(scan)
	case len(scan.System) > 0:
		return nil, refusal(masked.first, fmt.Sprintf("cannot be read together with %s of %s", list(scan.System), table),
			"Leave the system column out, or leave the masked column out.")
	default:
		return masked, m.checkGrouped(scan, masked.first, r.Snapshot)
	}
}

// throughViews reports whether a masked column is reached through a view.
func (m maskSet) throughViews(a *query.Analysis) bool {
	return slices.ContainsFunc(a.Shape.Columns, func(c query.Column) bool { return c.Via != "" && m.has(c.ID) })
}

// checkReads refuses reads that are no scans: targets of DML, COPY and the like.
func (m maskSet) checkReads(r Request) error {
	for _, read := range r.Analysis.Reads {
		if m.has(read.Column) {
			return refusal(read.Column, "may not be read by "+read.How,
				"Leave the column out there. A plain SELECT reads it masked.")
		}
	}
	return nil
}

// outputUses are what a view may do with a masked column so that masking the view's
// columns hides it.
var outputUses = []string{"projected", "derived"}

// checkViews refuses views, of those that are not seen through, that let a masked column decide about rows, which no mask
// on their columns can undo, and views that cannot be seen through.
func (m maskSet) checkViews(r Request, views []*query.Scan) error {
	for _, c := range r.Analysis.Shape.Columns {
		if !m.has(c.ID) || c.Via == "" {
			continue
		}
		if len(beyondOutput(c.Uses)) > 0 {
			// A view that is written to is not scanned, and chooses rows all the same.
			for _, view := range writtenViews(r) {
				if err := m.checkDefinition(view, r.Snapshot); err != nil {
					return err
				}
			}
		}
		for _, scan := range views {
			if err := checkLineage(scan, c); err != nil {
				return err
			}
			if len(beyondOutput(c.Uses)) > 0 {
				if err := m.checkDefinition(scan.Relation, r.Snapshot); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// writtenViews are the views that a statement changes rows through.
func writtenViews(r Request) []*catalog.Relation {
	var views []*catalog.Relation
	for _, t := range r.Analysis.Shape.Tables {
		writes := slices.ContainsFunc(t.Access, func(access string) bool {
			return access == "insert" || access == "update" || access == "delete"
		})
		if view := r.Snapshot.Relation(t.Schema, t.Name); writes && view != nil && isView(view) {
			views = append(views, view)
		}
	}
	return views
}

// checkDefinition tells what a view does with columns from what the statement does
// with the view: of a statement that only mentions the view, all is the view's.
func (m maskSet) checkDefinition(view *catalog.Relation, s *catalog.Snapshot) error {
	mention, err := query.Parse("SELECT FROM "+view.ID(), query.Limits{})
	if err != nil || len(mention) != 1 {
		return internal("view " + view.ID() + " cannot be analysed")
	}
	for _, c := range query.NewAnalyzer(s).Analyze(mention[0], query.Env{}).Shape.Columns {
		if bad := beyondOutput(c.Uses); m.has(c.ID) && len(bad) > 0 {
			return refusal(c.ID, fmt.Sprintf("view %s uses it otherwise than to show it (%s), which its mask cannot follow", c.Via, list(bad)),
				"Select from "+c.Table+" itself, where the column is masked.")
		}
	}
	return nil
}

// beyondOutput lists the uses that masking a view's columns does not cover.
func beyondOutput(uses []string) []string {
	var bad []string
	for _, use := range uses {
		if !slices.Contains(outputUses, use) {
			bad = append(bad, use)
		}
	}
	return bad
}

func (m maskSet) has(id string) bool {
	_, ok := m[id]
	return ok
}

// checkLineage refuses columns of a view of which it is not known what they are made of.
func checkLineage(scan *query.Scan, base query.Column) error {
	for _, c := range exposed(scan) {
		if _, known := scan.Lineage[c.Name]; !known {
			return refusal(base.ID, fmt.Sprintf("it is not known whether %s shows it", columnID(scan.Relation, c)),
				"Select from "+base.Table+" itself, where the column is masked.")
		}
	}
	return nil
}

// checkCovered refuses a masked column that the analysis has seen but neither a scan
// nor a read accounts for. Of statements that read and write data it should find
// nothing. Others are not masked: what they do to a column can tell of it, or take it
// out from under its mask.
func (m maskSet) checkCovered(a *query.Analysis) error {
	data := movesRows(a)
	for _, c := range a.Shape.Columns {
		if !m.has(c.ID) {
			continue
		}
		if !data {
			return refusal(c.ID, "may not be used by a statement that does more than read and write rows",
				"Leave the column, and what concerns all columns of "+c.Table+", to somebody who may see it.")
		}
		if c.Via != "" || slices.Equal(c.Uses, []string{"written"}) {
			continue
		}
		covered := slices.ContainsFunc(a.Scans, func(scan *query.Scan) bool {
			return scan.Relation.ID() == c.Table && slices.ContainsFunc(exposed(scan), func(e *catalog.Column) bool {
				// A generated column is masked with what it is made of.
				return columnID(scan.Relation, e) == c.ID || slices.ContainsFunc(scan.Relation.Sources(e), func(source *catalog.Column) bool {
					return columnID(scan.Relation, source) == c.ID
				})
			})
		})
		if !covered && !targeted(a, c) {
			return refusal(c.ID, "is used where it cannot be masked", "A plain SELECT reads it masked.")
		}
	}
	return nil
}

// targeted reports whether a column is read where the statement refers to its target.
func targeted(a *query.Analysis, c query.Column) bool {
	for _, target := range a.Targets {
		if target.Relation.ID() != c.Table {
			continue
		}
		read := slices.Clone(target.Inferred)
		for _, ref := range target.Refs {
			read = append(read, ref.Columns()...)
		}
		for _, column := range read {
			if columnID(target.Relation, column) == c.ID || slices.ContainsFunc(target.Relation.Sources(column), func(source *catalog.Column) bool {
				return columnID(target.Relation, source) == c.ID
			}) {
				return true
			}
		}
	}
	return false
}

// checkStatement refuses kinds of statements that masked scans are not made for.
func checkStatement(a *query.Analysis, scan *maskedScan) error {
	switch kind := unmaskable(a.Statement.Node); kind {
	case "":
		return nil
	case materializedView:
		return refusal(scan.first, "may not be stored by "+kind+", which REFRESH would fill with the real values",
			"CREATE TABLE AS stores the masked values.")
	default:
		return refusal(scan.first, "may not be read by "+kind, "A plain SELECT reads it masked.")
	}
}

const materializedView = "CREATE MATERIALIZED VIEW"

// unmaskable names the kind of a statement unless scans in it may be masked.
func unmaskable(n *pg_query.Node) string {
	switch n := n.GetNode().(type) {
	case *pg_query.Node_SelectStmt, *pg_query.Node_InsertStmt, *pg_query.Node_UpdateStmt, *pg_query.Node_DeleteStmt, *pg_query.Node_MergeStmt:
		return ""
	case *pg_query.Node_DeclareCursorStmt:
		return unmaskable(n.DeclareCursorStmt.Query)
	case *pg_query.Node_CopyStmt:
		if n.CopyStmt.Query != nil {
			return unmaskable(n.CopyStmt.Query)
		}
		if n.CopyStmt.IsFrom {
			return "COPY FROM"
		}
		return ""
	case *pg_query.Node_ExplainStmt:
		return unmaskable(n.ExplainStmt.Query)
	case *pg_query.Node_PrepareStmt:
		return unmaskable(n.PrepareStmt.Query)
	case *pg_query.Node_CreateTableAsStmt:
		if n.CreateTableAsStmt.Objtype == pg_query.ObjectType_OBJECT_MATVIEW {
			return materializedView
		}
		return unmaskable(n.CreateTableAsStmt.Query)
	default:
		return "a statement of this kind"
	}
}

// movesRows reports whether a statement reads and writes rows and does nothing else,
// but for the table that it may make of them.
func movesRows(a *query.Analysis) bool {
	if a.Shape.Class == "read" || a.Shape.Class == "write" {
		return true
	}
	switch n := a.Statement.Node.GetNode().(type) {
	case *pg_query.Node_SelectStmt: // INTO
		return true
	case *pg_query.Node_CreateTableAsStmt:
		return n.CreateTableAsStmt.Objtype == pg_query.ObjectType_OBJECT_TABLE
	default:
		return false
	}
}

func isView(r *catalog.Relation) bool {
	return r.Kind == catalog.View || r.Kind == catalog.MaterializedView
}
