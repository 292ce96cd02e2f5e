package proxy

import (
	"context"
	"errors"
	"strings"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/rewrite"
	"github.com/sallyport/sallyport/rego"
)

// ask has the policies decide on each statement. One refusal refuses all.
func (g *gate) ask(ctx context.Context, j *job, jd *judged, extended bool) *Refusal {
	g.statements.Add(int64(len(jd.text.statements)))
	for _, p := range jd.text.statements {
		d, refusal, err := g.decideOne(ctx, j, jd, p, extended)
		switch {
		case refusal != nil:
			return refusal
		case err != nil:
			r := policyFailed(err)
			r.Detail.DecisionID, r.cause = newID("d"), err
			g.trouble(ctx).Err(err).Str("session", g.id).Str("decision", r.Detail.DecisionID).Msg("policies failed on a statement")
			g.metrics.failures.Inc()
			return r
		}
		d = p.deferred(d)
		jd.decisions = append(jd.decisions, d)
		quotable, beside := g.beside(ctx, j, p)
		jd.quotable = jd.quotable || quotable
		jd.beside = append(jd.beside, beside)
		switch d.Effect {
		case rego.Allow:
		case rego.Mask:
			if jd.effect == rego.Allow {
				jd.effect = rego.Mask
			}
		case rego.RequireApproval:
			jd.effect = rego.RequireApproval
			jd.approval = mergeTerms(jd.approval, d.Approval)
		default:
			jd.effect = rego.Deny
			r := g.denied(p, d)
			if madeEarlier(jd.text, p) {
				r.Hint = "It may be made by an earlier statement of the same query, which is judged whole: send the statements one by one."
			}
			return r
		}
		if e := p.analysis.Shape.Explain; e != nil && e.Analyze && jd.quotable {
			return &Refusal{Code: codeDenied, Message: "EXPLAIN ANALYZE of a change is not shown where columns are masked: what the server wrote tells how alike old and new values are",
				Hint: "Leave ANALYZE out, or run the statement by itself."}
		}
	}
	return nil
}

// beside asks the policies which columns are masked of the relations that a statement
// changes, and of those that its writes are checked against. Errors quote whole rows:
// where any column is masked, any row hidden, or that cannot be answered, nothing is quoted.
func (g *gate) beside(ctx context.Context, j *job, p *parsed) (quotable bool, masks map[string]rewrite.Mask) {
	if p.exposed == nil {
		return false, nil
	}
	in := g.input(j)
	in.Statement = p.exposed
	d, err := g.Policy.DecideStatement(ctx, in)
	if err != nil {
		return true, everyColumn(p.exposed)
	}
	return hides(d) || g.masksAnything(ctx, j), masksOf(d)
}

// everyColumn masks all columns.
func everyColumn(s *rego.Statement) map[string]rewrite.Mask {
	masks := make(map[string]rewrite.Mask, len(s.Columns))
	for _, c := range s.Columns {
		masks[c.ID] = rewrite.Mask{Function: "null"}
	}
	return masks
}

func hides(d *rego.StatementDecision) bool { return len(d.Masks) > 0 || len(d.Filters) > 0 }

// maxColumns is how many columns the policies are asked about at once.
const maxColumns = 5000

// masksAnything asks the policies whether any column of the database is masked for
// this session. What a write sets off (a trigger, ON DELETE CASCADE) may fail in
// relations it does not name. It is asked once for each epoch.
func (g *gate) masksAnything(ctx context.Context, j *job) bool {
	snapshot := g.snapshot()
	at := g.epoch(j)
	at.path, at.catalog = "", snapshot.Generation
	if g.masksAt == at {
		return g.masks
	}
	all := rego.Statement{Kind: "select", Class: "read", Protocol: "simple", Count: 1, Analysis: rego.Analysis{Complete: true},
		Tables: []rego.Table{}, Columns: []rego.Column{}, Functions: []rego.Function{}}
	for _, r := range snapshot.Relations() {
		all.Tables = append(all.Tables, rego.Table{ID: r.ID(), Schema: r.Schema, Name: r.Name, Kind: string(r.Kind), Access: []string{"read"}})
		for _, c := range r.Columns {
			all.Columns = append(all.Columns, rego.Column{ID: r.ID() + "." + catalog.QuoteIdent(c.Name), Table: r.ID(), Name: c.Name,
				Uses: []string{"projected"}})
		}
	}
	g.masksAt, g.masks = at, true
	if len(all.Columns) <= maxColumns {
		in := g.input(j)
		in.Statement = &all
		d, err := g.Policy.DecideStatement(ctx, in)
		g.masks = err != nil || hides(d)
	}
	return g.masks
}

// madeEarlier reports whether a name the statement has and nobody knows may be made
// by a statement before it in the same message.
func madeEarlier(t *text, p *parsed) bool {
	if p.analysis.Shape.Complete {
		return false
	}
	for _, before := range t.statements {
		if before == p {
			return false
		}
		if before.analysis.Schema {
			return true
		}
	}
	return false
}

func policyFailed(err error) *Refusal {
	if errors.Is(err, rego.ErrNoPolicy) {
		return &Refusal{Code: codeNotReady, Message: "no policy is loaded, so nothing can be decided",
			Hint: "Wait until the operators have loaded one.", Detail: Detail{Retryable: true}}
	}
	return &Refusal{Code: codeDenied, Message: "the policies could not decide on this statement",
		Hint: "Tell the policy's owners; the record of this decision has the error."}
}

func mergeTerms(a, b *rego.ApprovalTerms) *rego.ApprovalTerms {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	merged := rego.ApprovalTerms{MaxWait: min(a.MaxWait, b.MaxWait)}
	for _, approver := range a.Approvers { // whoever may approve all of it
		for _, other := range b.Approvers {
			if approver == other {
				merged.Approvers = append(merged.Approvers, approver)
			}
		}
	}
	return &merged
}

// denied turns a denial into what the client is told.
func (g *gate) denied(p *parsed, d *rego.StatementDecision) *Refusal {
	r := &Refusal{Code: codeDenied, Detail: Detail{Effect: "deny"}}
	var messages, hints []string
	for _, reason := range d.Reasons {
		messages = append(messages, reason.Message)
		if reason.Hint != "" {
			hints = append(hints, reason.Hint)
		}
		if r.Detail.Policy == "" || r.Detail.Policy == "sallyport" {
			r.Detail.Policy, r.Detail.Rule = reason.Policy, reason.Rule
		}
	}
	r.Message = strings.Join(messages, "; ")
	r.Hint = strings.Join(hints, " ")
	if _, open := g.window(); !open && closedWindow(d) {
		g.explainClosed(r)
		return r
	}
	if s := p.analysis.Shape; !s.Complete {
		explainUnknown(r, s.Unresolved, len(d.Reasons) == 1)
		if r.Code != codeDenied && p.stands == nil && len(s.Unresolved) > 0 {
			r.Position = p.analysis.Positions[s.Unresolved[0]]
		}
	}
	if r.Message == "" {
		r.Message = "policy denies this statement"
	}
	return r
}

// unknownNames are the SQLSTATEs of the server for names that it does not know,
// by the word an analysis calls them with.
var unknownNames = []struct{ word, code string }{
	{"relation ", "42P01"}, {"column ", "42703"}, {"function ", "42883"}, {"operator ", "42883"},
	{"type ", "42704"}, {"schema ", "3F000"},
}

// explainUnknown says which names are not known. Where that is all there is to
// say, it is said as the server would, for clients that act on it.
func explainUnknown(r *Refusal, names []string, only bool) {
	what := strings.Join(names, ", ")
	if r.Hint == "" {
		r.Hint = "Check the names: they must exist and be visible in the search path."
	}
	if !only || r.Detail.Policy != "sallyport" || len(names) == 0 {
		r.Message += " (not known: " + what + ")"
		return
	}
	r.Message = what + " does not exist, or means something that cannot be resolved"
	for _, u := range unknownNames {
		if strings.HasPrefix(names[0], u.word) {
			r.Code = u.code
			return
		}
	}
}

// windowRule labels the library's denial for want of a window.
const windowRule = "sallyport/window"

// closedWindow reports whether the library denied for want of an active grant.
func closedWindow(d *rego.StatementDecision) bool {
	for _, reason := range d.Reasons {
		if reason.Rule == windowRule || reason.Policy == "sallyport" && strings.Contains(reason.Message, "not active") {
			return true
		}
	}
	return false
}
