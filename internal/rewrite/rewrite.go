// Package rewrite makes the statement that runs, with names qualified and masks at
// each scan.
package rewrite

import (
	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/query"
)

// The client's text is kept byte for byte. Only where a relation with a masked
// column is read is its name replaced by a subquery that masks, where names must be
// qualified a schema is put in front, and a schema that a subquery cannot have is
// taken out of column references. What comes of it is parsed again and compared with
// the tree that was judged: any difference beyond the intended refuses.

// Request asks for the statement that runs.
type Request struct {
	Analysis *query.Analysis
	Snapshot *catalog.Snapshot   // that the analysis was made with
	Masks    map[string]Mask     // by column id, schema.table.column
	Filters  map[string][]Filter // by table id, schema.table; a row is shown that satisfies all
	Beside   map[string]Mask     // of columns that it does not touch, in what its writes are checked against; see Beside
	Seen     bool                // a person sees exactly this statement before it runs
	Qualify  bool                // the server could resolve relation names otherwise than the analysis did

	depth int    // of views in views, when it asks for a view's definition
	user  string // then: the role of the session
}

// Result is the statement that runs.
type Result struct {
	SQL     string
	Changed bool          // SQL is not the client's own text
	Fence   []FenceColumn // what no result column may claim to come from
	edits   []edit
}

// FenceColumn is a masked column as RowDescription names it.
type FenceColumn struct {
	Relation catalog.OID
	Number   int16
	ID       string
}

// Statement makes the statement that runs, or says why there is none. Its error is
// a *query.Error.
func Statement(r Request) (*Result, error) {
	if r.Analysis == nil || r.Analysis.Statement == nil || r.Snapshot == nil {
		return nil, internal("nothing was analysed")
	}
	if r.Analysis.Refusal != nil {
		return nil, r.Analysis.Refusal
	}
	if err := checkWrites(r); err != nil {
		return nil, err
	}
	result := &Result{SQL: r.Analysis.Statement.Text}
	if len(r.Masks) == 0 && len(r.Filters) == 0 && !r.Qualify {
		return result, nil
	}
	if r.Analysis.Shape.Explain != nil {
		r.Masks = withoutSalts(r.Masks)
	}
	masks := spread(r.Masks, r.Snapshot)
	result.Fence = fence(r, masks)
	scans, refs, err := masks.plan(r)
	if err != nil {
		return nil, err
	}
	quiet := masks.explained(r.Analysis)
	if len(scans) == 0 && len(refs) == 0 && !r.Qualify && !quiet {
		return result, nil
	}
	w, err := newWriter(r, scans)
	if err != nil {
		return nil, err
	}
	w.quiet = quiet
	if err := w.write(scans, refs); err != nil {
		return nil, err
	}
	if result.SQL, err = w.verified(); err != nil {
		return nil, err
	}
	result.edits = w.edits
	result.Changed = len(w.edits) > 0
	return result, nil
}
