package rewrite

import (
	"fmt"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/query"
)

// copyable says, as the server does, what COPY does not copy though a query could.
func copyable(scan *query.Scan) error {
	kind := ""
	switch {
	case scan.Relation.Kind == catalog.View:
		kind = "view"
	case scan.Relation.Kind == catalog.MaterializedView:
		kind = "materialized view"
	case scan.Relation.Kind == catalog.ForeignTable:
		kind = "foreign table"
	case scan.Relation.PartitionKey != nil:
		kind = "partitioned table"
	case scan.Relation.Kind != catalog.Table:
		kind = "relation"
	}
	if kind != "" {
		return &query.Error{Code: "42809", Message: fmt.Sprintf("cannot copy from %s %q", kind, scan.Relation.Name),
			Hint: "Try the COPY (SELECT ...) TO variant."}
	}
	seen := map[*catalog.Column]bool{}
	for _, c := range scan.Copied {
		if c.Generated {
			return &query.Error{Code: "42P10", Message: fmt.Sprintf("column %q is a generated column", c.Name),
				Hint: "Generated columns cannot be used in COPY. Try the COPY (SELECT ...) TO variant."}
		}
		if seen[c] {
			return &query.Error{Code: "42701", Message: fmt.Sprintf("column %q specified more than once", c.Name)}
		}
		seen[c] = true
	}
	return nil
}

// copyQuery makes COPY of a table a COPY of a query, in which the columns are masked.
// COPY of a table leaves out what inherits from it.
func (w *writer) copyQuery(scan *maskedScan) error {
	st, p := w.tree.GetCopyStmt(), w.places[scan.Node]
	if st == nil || p.rv == nil || p.rv != st.Relation {
		return internal("the place of " + scan.Relation.ID() + " was not found")
	}
	first := w.tokens.at(p.rv.Location)
	last := w.tokens.dotted(first, nameParts(p.rv))
	if len(st.Attlist) > 0 && last >= 0 {
		last = w.tokens.parenthesized(last + 1)
	}
	switch {
	case w.tokens.is(first-1, pg_query.Token_BINARY):
		return refusal(scan.first, "cannot be read by COPY BINARY", "Write the option at the end, as WITH (FORMAT binary).")
	case last < 0 || !w.tokens.is(first-1, pg_query.Token_COPY) || !w.tokens.is(last+1, pg_query.Token_TO):
		return internal("the name of " + p.rv.Relname + " was not found in its text")
	case w.tokens.is(last+3, pg_query.Token_USING) || w.tokens.is(last+3, pg_query.Token_DELIMITERS):
		return refusal(scan.first, "cannot be read by COPY … DELIMITERS", "Write the option as WITH (DELIMITER …).")
	}
	body, err := subquery(scan, w.r.Snapshot, true, "")
	if err != nil {
		return err
	}
	if st.Query, err = w.parseSubquery(body, false); err != nil {
		return err
	}
	st.Relation, st.Attlist = nil, nil
	start := w.tokens.start(first)
	w.edit(start, w.tokens.end(last), w.spaceBefore(start)+"("+body+")")
	return nil
}
