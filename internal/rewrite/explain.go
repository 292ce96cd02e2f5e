package rewrite

import (
	"maps"
	"slices"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/query"
)

// A plan shows the masks, and what the server expects of the real values: it is
// explained without costs, which follow from their statistics, and of a hash without
// its salt. What has run tells more: how much memory and how many pages the real
// values took.

// checkExplain refuses to run and explain what reads a masked column.
func (m maskSet) checkExplain(a *query.Analysis) error {
	if a.Shape.Explain == nil || !a.Shape.Explain.Analyze {
		return nil
	}
	if read := m.firstRead(a); read != "" {
		return refusal(read, "may not be read by EXPLAIN ANALYZE, which tells of the real values by memory, pages and time",
			"EXPLAIN without ANALYZE shows the plan.")
	}
	return nil
}

// explained reports whether a statement explains what reads a masked column.
func (m maskSet) explained(a *query.Analysis) bool {
	return a.Shape.Explain != nil && m.firstRead(a) != ""
}

// firstRead is the id of the first masked column that is more than written.
func (m maskSet) firstRead(a *query.Analysis) string {
	for _, c := range a.Shape.Columns {
		if m.has(c.ID) && !slices.Equal(c.Uses, []string{"written"}) {
			return c.ID
		}
	}
	return ""
}

// withoutSalts are masks whose plan may be seen.
func withoutSalts(masks map[string]Mask) map[string]Mask {
	shown := make(map[string]Mask, len(masks))
	for id, mask := range masks {
		if _, salted := mask.Args["salt"].(string); salted {
			args := maps.Clone(mask.Args)
			args["salt"] = "…"
			mask.Args = args
		}
		shown[id] = mask
	}
	return shown
}

// withoutCosts adds COSTS OFF to the options: the last one counts.
func (w *writer) withoutCosts(st *pg_query.ExplainStmt) error {
	n, err := parseOne("EXPLAIN (COSTS OFF) SELECT")
	if err != nil {
		return err
	}
	explain := slices.IndexFunc(w.tokens.list, func(t *pg_query.ScanToken) bool { return t.Token == pg_query.Token_EXPLAIN })
	verbose := w.tokens.is(explain+1, pg_query.Token_VERBOSE)
	switch {
	case explain != 0:
		return internal("EXPLAIN was not found in its text")
	case len(st.Options) == 0:
		at := w.tokens.end(explain)
		w.edit(at, at, " (COSTS OFF) ")
	case verbose:
		w.edit(w.tokens.start(explain+1), w.tokens.end(explain+1), "(VERBOSE, COSTS OFF)")
	default:
		last := w.tokens.parenthesized(explain + 1)
		if last < 0 {
			return internal("the options of EXPLAIN were not found in its text")
		}
		at := w.tokens.start(last)
		w.edit(at, at, ", COSTS OFF")
	}
	st.Options = slices.Concat(st.Options, n.GetExplainStmt().GetOptions())
	return nil
}
