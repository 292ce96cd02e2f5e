package proxy

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/pgwire"
	"github.com/sallyport/sallyport/internal/query"
	"github.com/sallyport/sallyport/internal/rewrite"
	"github.com/sallyport/sallyport/rego"
)

// estimateAge is how long an estimate serves a prepared statement: tables grow.
const estimateAge = 30 * time.Second

// decideOne asks the policies about one statement: once where that is enough, and
// again with the planner's estimate where a policy in force refers to it. The first
// answer says what is masked, and so what would run.
func (g *gate) decideOne(ctx context.Context, j *job, jd *judged, p *parsed, extended bool) (*rego.StatementDecision, *Refusal, error) {
	in := g.input(j)
	in.Statement = p.statement(extended)
	d, err := g.Policy.DecideStatement(ctx, in)
	if err != nil || !d.NeedsEstimate || settled(p, d) {
		return d, nil, err
	}
	e, why, r := g.expected(ctx, j, jd, p, d)
	if r != nil {
		return d, r, nil
	}
	in.Statement = in.Statement.Estimated(e, why)
	again, err := g.Policy.DecideStatement(ctx, in)
	switch {
	case err != nil:
		return nil, nil, err
	case again.Effect != rego.Deny && !(reflect.DeepEqual(again.Masks, d.Masks) && reflect.DeepEqual(again.Filters, d.Filters)):
		return again, &Refusal{Code: codeDenied, Message: "what policy masks or filters depends on the estimate of the statement, which depends on what is masked and filtered",
			Hint: "Tell the policy's owners."}, nil
	}
	jd.estimate(p, e)
	return again, nil, nil
}

// settled reports whether the first answer stands: the statement touches no data, or
// it is the library that denies it.
func settled(p *parsed, d *rego.StatementDecision) bool {
	if c := p.analysis.Shape.Class; c == "transaction" || c == "setting" {
		return true
	}
	for _, reason := range d.Reasons {
		if reason.Policy == "sallyport" && reason.Rule != "sallyport/default-deny" && d.Effect == rego.Deny {
			return true
		}
	}
	return false
}

// expected asks the planner about the statement that would run, or says why it
// cannot. What the server says of an error is kept from clients: its planner looks
// at the statistics of what is masked.
func (g *gate) expected(ctx context.Context, j *job, jd *judged, p *parsed, d *rego.StatementDecision) (*rego.Estimate, string, *Refusal) {
	a := p.analysis
	switch {
	case p.runsNothing(): // it is asked when it is executed, with the arguments
		return &rego.Estimate{}, "", nil
	case p.stands != nil && p.stands.cursor:
		if p.stands.estimate == nil {
			return nil, "it was not asked for when the cursor was declared", nil
		}
		return p.stands.estimate, "", nil
	case a.Statement.Index > 0 && schemaBefore(jd.text, p):
		return nil, "an earlier statement of the query changes the schema", nil
	case g.own != nil || j.own:
		return nil, "the session has temporary relations, or has changed the schema in its transaction: others cannot plan for it", nil
	case foreign(a) != "":
		return nil, "planning it may run " + foreign(a), nil
	}
	request, why, r := jd.planRequest(p, d)
	if r != nil || why != "" {
		return nil, why, r
	}
	request.path = query.JoinNames(j.path)
	if len(a.Shape.Parameters) > 0 {
		params, bound := j.values()
		if !bound { // nothing runs at Parse; it is asked again with the values
			return &rego.Estimate{}, "", nil
		}
		for _, v := range params {
			request.values, request.formats = append(request.values, v.Value), append(request.formats, v.Format)
		}
		for _, oid := range jd.paramTypes {
			request.types = append(request.types, uint32(oid))
		}
	}
	e, err := g.upstream.planner.explain(ctx, request)
	if err != nil {
		g.Log.Debug().Err(err).Str("session", g.id).Msg("no estimate")
		return nil, unexplained(err), nil
	}
	return e, "", nil
}

// values are the parameters that are bound, if any are.
func (j *job) values() ([]pgwire.Parameter, bool) {
	var bind pgwire.BindMessage
	switch {
	case j.kind == jobBind:
		bind = j.bind
	case j.portal != nil:
		bind = j.portal.bind
	default:
		return nil, false
	}
	params, err := bind.Parameters()
	return params, err == nil
}

func unexplained(err error) string {
	var pg *pgconn.PgError
	switch {
	case !errors.As(err, &pg):
		return "the database could not be asked"
	case pg.Code == "57014":
		return "planning it took longer than " + planTime.String()
	case pg.Code == "55P03":
		return "a lock on one of its relations is held elsewhere"
	default:
		return "EXPLAIN failed with SQLSTATE " + pg.Code
	}
}

// schemaBefore reports whether a statement before p may change what p needs.
func schemaBefore(t *text, p *parsed) bool {
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

// foreign names a function of the database's own: the planner evaluates what is
// immutable or stable.
func foreign(a *query.Analysis) string {
	for _, f := range a.Shape.Functions {
		system := f.Schema == "pg_catalog" || f.Schema == "information_schema"
		native := f.Kind != "aggregate" && !f.SecurityDefiner && (f.Language == "c" || f.Language == "internal")
		if !system && !native {
			return f.ID
		}
	}
	return ""
}

// planRequest is the text to explain: what the server would get, without what is
// not planned of it. Otherwise it is said why there is none.
func (j *judged) planRequest(p *parsed, d *rego.StatementDecision) (planRequest, string, *Refusal) {
	a := p.analysis
	if p.stands != nil { // EXECUTE: to explain it computes its arguments
		for _, f := range a.Shape.Functions {
			if f.Volatility != "immutable" && f.Volatility != "stable" {
				return planRequest{}, "explaining EXECUTE may run " + f.ID, nil
			}
		}
		made, r := j.behind(p.stands, d, nil, true)
		if r != nil {
			return planRequest{}, "", r
		}
		return planRequest{prepare: made.SQL, sql: a.Statement.Text}, "", nil
	}
	request := rewriting(a, j.text.snapshot, d, j.at.qualify)
	request.Seen = true // whether it may run is seen when it is composed
	result, err := rewrite.Statement(request)
	if err != nil {
		return planRequest{}, "", refusalOf(err)
	}
	sql := query.Planned(result.SQL)
	if sql == "" {
		return planRequest{}, strings.ToUpper(strings.ReplaceAll(a.Shape.Kind, "_", " ")) + " has no plan", nil
	}
	return planRequest{sql: sql}, "", nil
}

// estimate notes what was estimated of a statement.
func (j *judged) estimate(p *parsed, e *rego.Estimate) {
	if j.estimates == nil {
		j.estimates = make([]*rego.Estimate, len(j.text.statements))
	}
	i := p.analysis.Statement.Index
	j.estimates[i] = e
	if j.text.made != nil && j.text.made[i] != nil {
		j.text.made[i].estimate = e
	}
}

// stale reports whether what was judged rests on an estimate that is not one of
// these values, or is old.
func (j *judged) stale(bound bool, now time.Time) bool {
	for i, d := range j.decisions {
		if d.NeedsEstimate && (bound && len(j.text.statements[i].analysis.Shape.Parameters) > 0 || now.Sub(j.when) > estimateAge) {
			return true
		}
	}
	return false
}

// estimated is what the record says was expected of a statement.
func (j *judged) estimated(i int) audit.Estimate {
	if i >= len(j.estimates) || j.estimates[i] == nil {
		return audit.Estimate{}
	}
	return audit.Estimate{Rows: j.estimates[i].Rows, Cost: j.estimates[i].Cost}
}
