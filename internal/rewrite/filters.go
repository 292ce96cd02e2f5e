package rewrite

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/query"
)

// filterSet holds the filters of each relation by its id.
type filterSet struct {
	byTable  map[string][]Filter
	tables   []string // sorted
	snapshot *catalog.Snapshot
}

func newFilterSet(r Request) *filterSet {
	f := &filterSet{byTable: r.Filters, snapshot: r.Snapshot}
	for table := range r.Filters {
		f.tables = append(f.tables, table)
	}
	slices.Sort(f.tables)
	return f
}

// where writes the condition on the rows of a relation that is read, over columns
// written by ref; "" when all are shown. A filter holds for the rows of its table,
// by whatever parent or child they are reached.
func (f *filterSet) where(r *catalog.Relation, only bool, qualifier string) (string, error) {
	var parts []string
	for _, table := range f.tables {
		hidden, err := f.among(table, r, only)
		if err != nil {
			return "", err
		}
		if hidden == nil {
			continue
		}
		w := &filtering{relation: r, snapshot: f.snapshot, ref: func(c *catalog.Column) string { return qualifier + "." + quote(c.Name) }}
		for _, filter := range f.byTable[table] {
			if filter.Op == "every" {
				continue
			}
			text, why := w.expression(filter, 0)
			if why != "" {
				return "", badFilter(table, why)
			}
			if hidden.part {
				text = "(" + qualifier + `."tableoid" OPERATOR(pg_catalog.<>) ALL (ARRAY[` + hidden.oids() + "]) OR " + text + ")"
			}
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, " AND "), nil
}

// concerned are the relations read whose rows a filter is about.
type concerned struct {
	relations []*catalog.Relation
	part      bool // others are read as well
}

func (c *concerned) oids() string {
	oids := make([]string, len(c.relations))
	for i, r := range c.relations {
		oids[i] = "'" + strconv.FormatUint(uint64(r.OID), 10) + "'::pg_catalog.oid"
	}
	return strings.Join(oids, ", ")
}

// among returns which of the relations that a read of r reads rows of are the table or
// descend from it; nil for none.
func (f *filterSet) among(table string, r *catalog.Relation, only bool) (*concerned, error) {
	var filtered *catalog.Relation
	if parts := splitID(table); len(parts) == 2 {
		filtered = f.snapshot.Relation(parts[0], parts[1])
	}
	if filtered == nil {
		return nil, badFilter(table, "it is not known")
	}
	rows := append([]*catalog.Relation{filtered}, f.snapshot.Descendants(filtered)...)
	read := []*catalog.Relation{r}
	if !only {
		read = append(read, f.snapshot.Descendants(r)...)
	}
	c := &concerned{}
	for _, one := range read {
		if slices.Contains(rows, one) {
			c.relations = append(c.relations, one)
		}
	}
	if c.relations == nil {
		return nil, nil
	}
	c.part = len(c.relations) < len(read)
	return c, nil
}

// check refuses what filters cannot be put into: tables that the statement touches
// otherwise than by a scan.
func (f *filterSet) check(a *query.Analysis) error {
	if len(f.tables) == 0 {
		return nil
	}
	if !a.Shape.Complete || len(a.Shape.Unresolved) > 0 {
		return &query.Error{
			Code:    insufficientPrivilege,
			Message: "a statement of which not everything is understood cannot be filtered: " + list(a.Shape.Unresolved),
			Hint:    "Leave out what is not understood, or the tables that are shown only in part.",
		}
	}
	if a.Shape.Explain != nil {
		return refusal(f.tables[0], "may not be read by EXPLAIN, which tells of the rows that are not shown",
			"Run the statement itself, with a LIMIT.")
	}
	for _, t := range a.Shape.Tables {
		if f.byTable[t.ID] == nil {
			continue
		}
		if err := f.checkTable(a, t); err != nil {
			return err
		}
	}
	return nil
}

// checkTable refuses a use of a filtered table that is no scan, and views of it.
func (f *filterSet) checkTable(a *query.Analysis, t query.Table) error {
	scans := f.scans(a, t.ID)
	locked := slices.ContainsFunc(scans, func(scan *query.Scan) bool { return scan.Locked })
	if slices.ContainsFunc(t.Access, func(access string) bool { return access != "read" && !(access == "lock" && locked) }) {
		return refusal(t.ID, "can only be read", "A plain SELECT reads the rows that are shown.")
	}
	if t.Via != "" {
		var via *catalog.Relation
		if parts := splitID(t.Via); len(parts) == 2 {
			via = f.snapshot.Relation(parts[0], parts[1])
		}
		called := slices.ContainsFunc(a.Shape.Functions, func(fn query.Function) bool { return fn.ID == t.Via })
		if via == nil || isView(via) || called || !f.shows(via, t.ID) { // a view, or a function whose body is seen
			return refusal(t.ID, fmt.Sprintf("may not be read through %s", t.Via), "Select from "+t.ID+" itself.")
		}
	}
	if len(scans) == 0 {
		return refusal(t.ID, "is used where its rows cannot be chosen", "A plain SELECT reads the rows that are shown.")
	}
	return nil
}

// scans are those that read rows of the table, or of others with it.
func (f *filterSet) scans(a *query.Analysis, table string) []*query.Scan {
	var scans []*query.Scan
	for _, scan := range a.Scans {
		if f.shows(scan.Relation, table) {
			scans = append(scans, scan)
		}
	}
	return scans
}

// shows reports whether a relation shows rows of a table.
func (f *filterSet) shows(r *catalog.Relation, table string) bool {
	return r.ID() == table || slices.ContainsFunc(f.snapshot.Kin(r), func(kin *catalog.Relation) bool { return kin.ID() == table })
}

// fence puts a fence around filtered scans where one is needed.
func (f *filterSet) fence(a *query.Analysis, scans []*maskedScan) {
	if len(f.tables) == 0 || !fenced(a) {
		return
	}
	for _, scan := range scans {
		scan.fenced = scan.where != ""
	}
}

// badFilter says that what a policy asks for cannot be done to the table.
func badFilter(table, why string) *query.Error {
	return &query.Error{
		Code:    insufficientPrivilege,
		Message: fmt.Sprintf("the rows of %s cannot be filtered: %s", table, why),
		Hint:    "The policy that filters the table has to be corrected by whoever keeps it.",
	}
}
