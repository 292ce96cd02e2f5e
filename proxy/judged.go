package proxy

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/query"
	"github.com/sallyport/sallyport/internal/rewrite"
	"github.com/sallyport/sallyport/rego"
)

// judged is a message's SQL with all that was decided of it. It is never changed.
type judged struct {
	sql        string // as the client sent it
	forwarded  string // as the server gets it
	text       *text
	decisions  []*rego.StatementDecision // one for each statement
	call       *call                     // set when the proxy answers itself
	estimates  []*rego.Estimate          // what was expected of each statement; nil where no policy in force refers to it
	when       time.Time
	effect     rego.Effect         // the strictest of the decisions
	approval   *rego.ApprovalTerms // when effect is RequireApproval
	texts      []string            // as the server gets them, by statement
	rewritten  bool
	masks      [][]string // columns masked, by statement
	filters    [][]string // tables shown in part, by statement
	fence      fence
	beside     []map[string]rewrite.Mask // of what writes are checked against, by statement
	released   bool                      // a person has approved it
	quotable   bool                      // its relations have masked columns, which the server's errors may quote
	place      func(int) int             // turns a position in forwarded into one in sql; nil where it cannot be told
	at         epoch
	paramTypes []catalog.OID // the client gave
}

// seen reports whether a person sees exactly this before it runs.
func (j *judged) seen() bool { return j.released || j.effect == rego.RequireApproval }

// masked reports whether the server's reports may tell a masked value.
func (j *judged) masked() bool { return len(j.fence) > 0 || j.quotable }

// epoch is what a decision may have depended on, beside the statement. When it
// has moved the statement is judged again.
type epoch struct {
	policy    uint64
	catalog   uint64
	grant     string
	path      string
	qualify   bool   // see gate.qualify
	named     uint64 // see namedSet
	principal string // token id and expiry: a new token may bring new groups
}

// effects says what the statements do to the session once done. A refusal says
// why that cannot be followed.
func (j *judged) effects(initial bool) (effects, *Refusal) {
	var fx effects
	for i, p := range j.text.statements {
		a := p.analysis
		alone := len(j.text.statements) == 1
		last := i == len(j.text.statements)-1
		switch {
		case a.Setting != nil && touchesPath(a.Setting):
			if !alone {
				return fx, &Refusal{Code: codeUnsupported, Message: "search_path can only be changed by a statement sent alone",
					Hint: "Send it as a query of its own."}
			}
			if r := followPath(a.Setting, initial, &fx); r != nil {
				return fx, r
			}
		case a.Deallocate != nil:
			fx.deallocate, fx.dropAll = a.Deallocate.Name, fx.dropAll || a.Deallocate.All
		case a.Discard == "all":
			fx.dropAll, fx.resetPath, fx.endsPortals, fx.closes = true, true, true, []string{""}
		case a.Schema && !last && !p.runsNothing():
			return fx, &Refusal{Code: codeUnsupported, Message: "a statement that changes the schema must be the last of its query: what follows could not be judged",
				Hint: "Send the statements one by one."}
		}
		fx.temporary = fx.temporary || a.Temporary
		fx.code = fx.code || !p.runsNothing() && opensCursors(a)
		fx.schema = fx.schema || a.Schema && !p.runsNothing()
		if a.Named != nil {
			fx.names = fx.names || a.Named.Makes()
		}
		if a.Named != nil && a.Named.Command == "close" {
			fx.closes = append(fx.closes, a.Named.Name)
		}
		switch a.Transaction {
		case "":
		case "commit", "rollback":
			fx.transaction, fx.endsPortals = true, true
		default:
			fx.transaction = true
		}
	}
	return fx, nil
}

// opensCursors reports whether a statement runs code that may open cursors, and close
// others, under names of its choice.
func opensCursors(a *query.Analysis) bool {
	for _, f := range a.Shape.Functions {
		native := f.Schema == "pg_catalog" || f.Schema == "information_schema" || f.Language == "internal" || f.Language == "c"
		if !native && !f.Transparent {
			return true
		}
	}
	return a.Shape.Class == "procedural"
}

func touchesPath(s *query.Setting) bool { return s.Name == "search_path" || s.Name == "all" }

// followPath follows a change of the search path; only outside of a transaction
// is it certain to last.
func followPath(s *query.Setting, idle bool, fx *effects) *Refusal {
	switch {
	case !idle || s.Local:
		return &Refusal{Code: codeUnsupported, Message: "search_path can only be changed outside of a transaction, for the session",
			Hint: "Change it before BEGIN, or qualify the names of relations with their schema."}
	case s.Opaque:
		return &Refusal{Code: codeUnsupported, Message: "search_path can only be set to names written in the statement"}
	case s.Reset:
		fx.resetPath = true
	default:
		fx.path = append([]string{}, s.Values...)
	}
	return nil
}

// copiesIn reports whether the server may ask the client for data.
func (j *judged) copiesIn() bool {
	for _, p := range j.text.statements {
		if p.analysis.Copy == query.CopyIn {
			return true
		}
	}
	return false
}

// runsCode reports whether the statements run code that is not seen through, which
// may have made temporary objects.
func (j *judged) runsCode() bool {
	for _, p := range j.text.statements {
		if p.analysis.Schema && p.analysis.Shape.Class != "schema" && !p.runsNothing() {
			return true
		}
	}
	return false
}

// listens reports whether the session will hear what others notify of.
func (j *judged) listens() bool {
	for _, p := range j.text.statements {
		if p.analysis.Shape.Kind == "listen" {
			return true
		}
	}
	return false
}

// writes reports whether the statements may change data.
func (j *judged) writes() bool {
	for _, p := range j.text.statements {
		if !harmless(p.analysis.Shape.Class) {
			return true
		}
	}
	return false
}

// runs makes what is tracked while the server executes the statements.
func (j *judged) runs(ids []string, now, closes time.Time, closing *Refusal) []*run {
	runs := make([]*run, len(j.decisions))
	for i, d := range j.decisions {
		r := &run{decisionID: ids[i], limitRows: -1, limitBytes: -1, started: now, masked: j.masked(), rewritten: j.rewritten, fence: j.fence, place: j.place}
		if d.Limits.Rows != nil {
			r.limitRows = *d.Limits.Rows
		}
		if d.Limits.Bytes != nil {
			r.limitBytes = *d.Limits.Bytes
		}
		r.deadline, r.timeout = closes, closing
		if !closes.IsZero() {
			r.closes, r.closing = closes, closing
		}
		if d.Limits.Duration > 0 {
			if end := now.Add(d.Limits.Duration); closes.IsZero() || end.Before(closes) {
				r.deadline, r.timeout = end, outOfTime(ids[i], d.Limits.Duration)
			}
		}
		r.makes = j.makes(i)
		if r.cursor = j.text.statements[i].stands; r.cursor != nil && !r.cursor.cursor {
			r.cursor = nil
		}
		runs[i] = r
	}
	return runs
}

func outOfTime(decision string, limit time.Duration) *Refusal {
	return &Refusal{Code: codeCancelled, Message: "the statement was cancelled: policy lets it run for " + limit.String() + " at most",
		Hint:   "Make it cheaper: narrow the WHERE clause, use an indexed column, or ask for less at a time.",
		Detail: Detail{DecisionID: decision, Effect: "limit"}}
}

func limitReached(r *run) *Refusal {
	allowed := count(r.limitRows, "row")
	rows := r.rows
	if r.cursor != nil {
		rows = r.cursor.rows
	}
	if r.limitRows < 0 || rows <= r.limitRows {
		allowed = count(r.limitBytes, "byte")
	}
	return &Refusal{Code: codeLimit, Message: "the result was cut off: policy allows " + allowed + " for this statement",
		Hint:   "Add LIMIT, or narrow the WHERE clause.",
		Detail: Detail{DecisionID: r.decisionID, Effect: "limit"}}
}

// compose makes the text the server gets, statement by statement, masked where
// the decisions say so.
func (j *judged) compose() *Refusal {
	texts := make([]string, len(j.decisions))
	j.masks, j.filters = make([][]string, len(j.decisions)), make([][]string, len(j.decisions))
	j.forwarded = j.sql
	var fenced []rewrite.FenceColumn
	j.texts = texts
	for i, d := range j.decisions {
		a := j.text.statements[i].analysis
		texts[i] = a.Statement.Text
		j.filters[i] = filteredTables(d)
		if stands := j.text.statements[i].stands; stands != nil {
			result, r := j.behind(stands, d, j.beside[i], j.seen() || stands.cursor)
			if r != nil {
				return r
			}
			fenced = append(fenced, result.Fence...)
			j.masks[i] = maskedColumns(d)
			continue
		}
		if len(d.Masks) == 0 && len(d.Filters) == 0 && len(j.beside[i]) == 0 && !j.at.qualify {
			continue
		}
		j.masks[i] = maskedColumns(d)
		request := rewriting(a, j.text.snapshot, d, j.at.qualify)
		request.Beside, request.Seen = j.beside[i], j.seen() || j.text.statements[i].runsNothing()
		result, err := rewrite.Statement(request)
		if err != nil {
			return refusalOf(err)
		}
		fenced = append(fenced, result.Fence...)
		if result.Changed {
			texts[i], j.rewritten = result.SQL, true
			j.place = j.placing(result, a.Statement.Text)
		}
	}
	j.fence = newFence(fenced)
	if !j.rewritten {
		return nil
	}
	// On lines of their own, so that no comment swallows a semicolon.
	j.forwarded = strings.Join(texts, "\n;\n")
	return j.verify(texts)
}

// rewriting is what a decision asks to be made of a statement.
func rewriting(a *query.Analysis, s *catalog.Snapshot, d *rego.StatementDecision, qualify bool) rewrite.Request {
	return rewrite.Request{Analysis: a, Snapshot: s, Masks: masksOf(d), Filters: filtersOf(d), Qualify: qualify}
}

func masksOf(d *rego.StatementDecision) map[string]rewrite.Mask {
	masks := make(map[string]rewrite.Mask, len(d.Masks))
	for column, fn := range d.Masks {
		masks[column] = rewrite.Mask{Function: fn.Name, Args: fn.Args, Written: fn.Written}
	}
	return masks
}

func maskedColumns(d *rego.StatementDecision) []string {
	var columns []string
	for column := range d.Masks {
		columns = append(columns, column)
	}
	return columns
}

func filtersOf(d *rego.StatementDecision) map[string][]rewrite.Filter {
	if len(d.Filters) == 0 {
		return nil
	}
	filters := make(map[string][]rewrite.Filter, len(d.Filters))
	for table, list := range d.Filters {
		for _, f := range list {
			filters[table] = append(filters[table], filterOf(f.Where))
		}
	}
	return filters
}

func filterOf(c rego.Condition) rewrite.Filter {
	f := rewrite.Filter{Op: string(c.Op), Column: c.Column, Other: c.Other, Values: c.Values}
	for _, of := range c.Of {
		f.Of = append(f.Of, filterOf(of))
	}
	return f
}

func filteredTables(d *rego.StatementDecision) []string {
	return slices.Sorted(maps.Keys(d.Filters))
}

// behind makes anew the text that the name used by a statement stands for, and
// refuses unless it is what the server has under that name.
func (j *judged) behind(n *named, d *rego.StatementDecision, beside map[string]rewrite.Mask, seen bool) (*rewrite.Result, *Refusal) {
	qualify := j.at.qualify
	if n.cursor {
		qualify = n.qualified // its names were resolved when it was declared
	}
	request := rewriting(n.parsed.analysis, n.snapshot, d, qualify)
	request.Beside, request.Seen = beside, seen
	result, err := rewrite.Statement(request)
	if err != nil {
		return nil, refusalOf(err)
	}
	if n.forwarded != "" && n.forwarded != result.SQL {
		return nil, &Refusal{Code: codeUnsupported, Message: "what policy hides has changed since " + quote(n.name) + " was made",
			Hint: "Make it anew: CLOSE and DECLARE, or DEALLOCATE and PREPARE.", Detail: Detail{Retryable: true}}
	}
	return result, nil
}

// placing maps positions back where the message is one statement.
func (j *judged) placing(result *rewrite.Result, text string) func(int) int {
	at := strings.Index(j.sql, text)
	if len(j.decisions) != 1 || at < 0 {
		return nil
	}
	before := utf8.RuneCountInString(j.sql[:at])
	return func(position int) int { return before + result.ClientPosition(position) }
}

// verify reads the composed text again: it must fall into the statements it was
// made of, and no others.
func (j *judged) verify(texts []string) *Refusal {
	statements, err := query.Parse(j.forwarded, query.Limits{})
	same := err == nil && len(statements) == len(texts)
	for i := 0; same && i < len(texts); i++ {
		same = strings.TrimSpace(statements[i].Text) == strings.TrimSpace(texts[i])
	}
	if same {
		return nil
	}
	return &Refusal{Code: codeInternal, Message: "the statement could not be rewritten safely", Hint: "It was not run. Send its parts one by one."}
}

// refusalOf turns an error of the query or rewrite package into a refusal.
func refusalOf(err error) *Refusal {
	var q *query.Error
	if !asError(err, &q) {
		return &Refusal{Code: codeInternal, Message: "the statement could not be judged", Hint: "It was not run."}
	}
	r := &Refusal{Code: q.Code, Message: strings.TrimPrefix(q.Message, "sallyport: "), Hint: q.Hint, Position: q.Position}
	if q.Detail != "" {
		r.Message += ": " + q.Detail
	}
	return r
}
