package proxy

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"strings"

	"github.com/rs/zerolog"

	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/pgwire"
	"github.com/sallyport/sallyport/rego"
)

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// newID makes an unguessable identifier: a prefix and 80 random bits.
func newID(prefix string) string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails
	return prefix + "-" + idEncoding.EncodeToString(b[:])
}

// permit records the decisions and only then makes the permit.
func (g *gate) permit(ctx context.Context, j *job, jd *judged, frame pgwire.Frame, phase string) verdict {
	fx, r := jd.effects(j.tx == txIdle && !j.working)
	if r != nil {
		return g.refuse(ctx, j, jd, r)
	}
	window, closes := g.closes()
	ids := make([]string, len(jd.decisions))
	for i := range jd.decisions {
		ids[i] = newID("d")
	}
	if t := j.release; t != nil && len(ids) > 0 {
		ids[0] = t.decisionID // a held statement keeps its decision id
	}
	for i, d := range jd.decisions {
		rec := g.record(audit.Decision, j, jd.text.statements[i], d)
		rec.DecisionID, rec.Phase, rec.Grant = ids[i], phase, window.ID
		rec.Effect = string(d.Effect)
		rec.Masks, rec.Filters = jd.masks[i], jd.filters[i]
		rec.Estimate = jd.estimated(i)
		durability := audit.Synced
		if d.Effect == rego.Allow && harmless(rec.Class) {
			durability = audit.Written
		}
		if err := g.Audit.Append(ctx, rec, durability); err != nil {
			g.trouble(ctx).Err(err).Msg("decision not recorded: statement refused")
			return verdict{refusal: notRecorded()}
		}
		g.metrics.decision(string(d.Effect))
	}
	g.qualify = g.qualify || jd.runsCode()
	g.listening = g.listening || jd.listens()
	if fx.schema {
		g.upstream.schemaChanged() // now, for who is judged while it runs, and again when it is done
	}
	if window.ID != "" || j.tx == txIdle {
		g.ranIn = window.ID
	}
	runs := jd.runs(ids, g.Now(), closes, g.windowClosing(window))
	for _, r := range runs {
		if r.makes != nil {
			r.makes.approved = j.release != nil
		}
	}
	return verdict{
		outcome: permitted,
		permit:  permit{frame: frame},
		judged:  jd,
		runs:    runs,
		effects: fx,
		copyIn:  jd.copiesIn(),
		writes:  jd.writes(),
		hush:    g.listening && g.masksAnything(ctx, j),
	}
}

// trouble is where to log what went wrong: loudly, unless it went wrong because the
// session ended meanwhile.
func (g *gate) trouble(ctx context.Context) *zerolog.Event {
	if ctx.Err() != nil {
		return g.Log.Debug()
	}
	return g.Log.Error()
}

// harmless classes may be synced to disk shortly after: they change nothing.
func harmless(class string) bool {
	switch class {
	case "read", "transaction", "setting":
		return true
	default:
		return false
	}
}

func notRecorded() *Refusal {
	return &Refusal{Code: codeNoRecord, Message: "the decision could not be recorded, so the statement was not run",
		Hint: "The record's disk may be full. Try again once the operators have seen to it.", Detail: Detail{Retryable: true}}
}

// refuse records a refusal and makes it a verdict.
func (g *gate) refuse(ctx context.Context, j *job, jd *judged, r *Refusal) verdict {
	if r.Detail.DecisionID == "" {
		r.Detail.DecisionID = newID("d")
		if j.release != nil {
			r.Detail.DecisionID = j.release.decisionID
		}
	}
	if r.Detail.Effect == "" {
		r.Detail.Effect = "deny"
	}
	if w, open := g.window(); open && r.Detail.Grant == "" {
		r.Detail.Grant = w.ID
	}
	rec := g.record(audit.Decision, j, nil, nil)
	rec.DecisionID, rec.Phase, rec.Grant = r.Detail.DecisionID, j.phase(), r.Detail.Grant
	rec.Approval = r.Detail.Approval
	rec.Effect, rec.SQLState = "deny", r.Code
	rec.Reasons = []string{r.Message}
	rec.Policy, rec.Rule = r.Detail.Policy, r.Detail.Rule
	rec.Statement = j.text()
	if r.cause != nil {
		rec.Cause = r.cause.Error()
	}
	if jd != nil {
		g.recordJudged(rec, jd)
	}
	if err := g.Audit.Append(ctx, rec, audit.Synced); err != nil {
		g.trouble(ctx).Err(err).Msg("refusal not recorded")
		return verdict{refusal: notRecorded()}
	}
	g.metrics.decision("deny")
	return verdict{refusal: r}
}

// recordJudged tells of the whole message what is known of its statements.
func (g *gate) recordJudged(rec *audit.Record, jd *judged) {
	rec.Statement = jd.sql
	if jd.text == nil {
		return
	}
	var normalized []string
	for i, p := range jd.text.statements {
		normalized = append(normalized, p.normalized)
		rec.Relations = append(rec.Relations, p.relations...)
		s := p.analysis.Shape
		if i == 0 {
			rec.Kind, rec.Class, rec.Fingerprint = s.Kind, s.Class, s.Fingerprint
		}
	}
	rec.Normalized = strings.Join(normalized, "; ")
	rec.Estimate = jd.estimated(max(0, len(jd.decisions)-1))
	if n := len(jd.decisions); n > 0 {
		d := jd.decisions[n-1]
		rec.Revision, rec.Generation, rec.Binding = d.Revision, d.Generation, d.Binding
	}
}

// record starts a record about this session and, if given, a statement and what
// was decided of it.
func (g *gate) record(typ audit.Type, j *job, p *parsed, d *rego.StatementDecision) *audit.Record {
	rec := &audit.Record{
		Type: typ, Session: g.id, Connection: g.upstream.Name, Database: g.upstream.database,
		Client: g.client, Application: g.application, Identity: auditIdentity(g.principal),
	}
	if j != nil {
		rec.Protocol = "extended"
		if j.kind == jobQuery {
			rec.Protocol = "simple"
		}
		if j.release != nil {
			rec.Approval = j.release.id
			rec.Actor = j.release.approver
		}
	}
	if p != nil {
		s := p.analysis.Shape
		rec.Statement, rec.Normalized = p.analysis.Statement.Text, p.normalized
		rec.Kind, rec.Class, rec.Fingerprint, rec.Relations = s.Kind, s.Class, s.Fingerprint, p.relations
	}
	if d != nil {
		rec.Binding, rec.Revision, rec.Generation = d.Binding, d.Revision, d.Generation
		for _, reason := range d.Reasons {
			rec.Reasons = append(rec.Reasons, reason.Message)
		}
		if len(d.Rules) > 0 {
			rec.Rule = strings.Join(d.Rules, " ")
		}
	}
	return rec
}

// phase is where in a message's life the job stands, in the record's words.
func (j *job) phase() string {
	switch j.kind {
	case jobQuery:
		return "query"
	case jobParse:
		return "parse"
	case jobBind:
		return "bind"
	case jobFunction:
		return "function_call"
	default:
		return "execute"
	}
}

// text is the SQL the job is about.
func (j *job) text() string {
	if j.stmt != nil {
		return j.stmt.judged.sql
	}
	return j.sql
}

// ended records how statements ended. They have run already: a failure is loud,
// and the next decision will fail to be recorded too.
func (g *gate) ended(ctx context.Context, results []result) {
	for _, r := range results {
		rec := g.record(audit.Result, nil, nil, nil)
		rec.DecisionID = r.run.decisionID
		rec.Tag, rec.SQLState = r.tag, r.code
		rec.Rows, rec.Bytes = r.run.rows, r.run.bytes
		rec.DurationMS = float64(r.ended.Sub(r.run.started).Microseconds()) / 1000
		if r.run.cut != nil {
			rec.Message = r.run.cut.Message
		}
		if err := g.Audit.Append(ctx, rec, audit.Written); err != nil {
			g.Log.Error().Err(err).Str("decision", r.run.decisionID).Msg("result not recorded")
		}
		g.metrics.result(r)
	}
}
