package proxy

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/sallyport/sallyport/internal/approval"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/grant"
	"github.com/sallyport/sallyport/internal/identity"
	"github.com/sallyport/sallyport/internal/pgwire"
	"github.com/sallyport/sallyport/internal/query"
	"github.com/sallyport/sallyport/rego"
)

// Services are what decisions are made with; all sessions share them.
type Services struct {
	Identity  *identity.Verifier
	Policy    *rego.Engine
	Grants    *grant.Keeper
	Approvals *approval.Keeper
	Audit     *audit.Log
	Log       zerolog.Logger
	Now       func() time.Time
	Limits    Limits
	metrics   *metrics
}

// gate decides for one session. It is asked by one goroutine at a time.
type gate struct {
	*Services
	id          string
	principal   *identity.Principal
	upstream    *Upstream
	started     time.Time
	application string
	client      string
	role        string   // that the server sees
	unusable    []string // schemas that the server leaves out of the role's path
	binding     string   // the client named, "" for none
	statements  atomic.Int64
	own         *ownCatalog // what only this session sees, nil while it sees what all see
	borrow      func(context.Context, func(context.Context, *pgx.Conn) error) error
	listening   bool // a LISTEN has run
	masks       bool // see masksAnything; true for masksAt
	masksAt     epoch
	qualify     bool   // code has run that may have put temporary objects in the way: names are qualified from now on
	ranIn       string // the window the last statement ran in, "" for none
}

// decide answers a job of the machine. It never forwards anything itself: what it
// permits comes back as a permit.
func (g *gate) decide(ctx context.Context, j *job) verdict {
	if r := g.authentic(); r != nil {
		return g.refuse(ctx, j, nil, r)
	}
	if r := g.current(ctx, j); r != nil {
		return g.refuse(ctx, j, nil, r)
	}
	switch j.kind {
	case jobQuery:
		return g.query(ctx, j)
	case jobParse:
		return g.parse(ctx, j)
	case jobBind:
		return g.bind(ctx, j)
	case jobExecute:
		return g.execute(ctx, j)
	case jobFunction:
		return g.refuse(ctx, j, nil, &Refusal{Code: codeUnsupported, Message: "function calls by message are not supported",
			Hint: "Call the function in a SELECT."})
	default:
		return verdict{refusal: &Refusal{Code: codeInternal, Message: "nothing was asked"}}
	}
}

// authentic refuses when the token has run out.
func (g *gate) authentic() *Refusal {
	if !g.principal.Expired(g.Now()) {
		return nil
	}
	return &Refusal{Code: codeIdentity, Message: "the token of this session has expired",
		Hint: "Get a new token and reconnect with it as the password."}
}

func (g *gate) query(ctx context.Context, j *job) verdict {
	jd, r := g.judge(ctx, j, j.sql, false, nil)
	switch {
	case r != nil:
		return g.refuse(ctx, j, jd, r)
	case jd.call != nil:
		return g.answer(ctx, j, jd.call, nil)
	case len(jd.text.statements) == 0:
		return verdict{outcome: permitted, permit: permit{frame: j.raw}, judged: jd}
	case jd.effect == rego.RequireApproval:
		return g.hold(ctx, j, jd, pgwire.BindMessage{})
	}
	frame := j.raw
	if jd.rewritten {
		frame = pgwire.AppendQuery(nil, jd.forwarded)
	}
	return g.permit(ctx, j, jd, frame, "query")
}

// parse judges a statement to be prepared. What runs is recorded when it runs.
func (g *gate) parse(ctx context.Context, j *job) verdict {
	var types []catalog.OID
	for _, oid := range j.parse.Types() {
		types = append(types, catalog.OID(oid))
	}
	jd, r := g.judge(ctx, j, j.sql, true, types)
	switch {
	case r != nil:
		return g.refuse(ctx, j, jd, r)
	case len(jd.text.statements) > 1:
		return g.refuse(ctx, j, jd, &Refusal{Code: codeSyntax, Message: "cannot insert multiple commands into a prepared statement"})
	case jd.call != nil:
		return verdict{outcome: answered, judged: jd}
	}
	frame := j.raw
	if jd.rewritten {
		frame = j.parse.Append(nil, jd.forwarded)
	}
	return verdict{outcome: permitted, permit: permit{frame: frame}, judged: jd}
}

// bind judges again what has moved since Parse, since binding plans the statement,
// and holds it when a person has to approve it: the parameters are known now.
func (g *gate) bind(ctx context.Context, j *job) verdict {
	jd, r := g.again(ctx, j, nil)
	switch {
	case r != nil:
		return g.refuse(ctx, j, jd, r)
	case jd.effect == rego.RequireApproval:
		return g.hold(ctx, j, jd, j.bind)
	}
	return verdict{outcome: permitted, permit: permit{frame: j.raw}, judged: jd}
}

func (g *gate) execute(ctx context.Context, j *job) verdict {
	if j.stmt.local() {
		params, err := j.portal.bind.Parameters()
		if err != nil {
			return g.refuse(ctx, j, nil, protocolViolation("a Bind message is malformed"))
		}
		return g.answer(ctx, j, j.stmt.judged.call, params)
	}
	if len(j.stmt.judged.text.statements) == 0 {
		return verdict{outcome: permitted, permit: permit{frame: j.raw}, judged: j.stmt.judged}
	}
	ticket := j.portal.approved
	jd, r := g.again(ctx, j, ticket)
	switch {
	case r != nil:
		return g.refuse(ctx, j, jd, r)
	case jd.effect == rego.RequireApproval:
		return g.refuse(ctx, j, jd, &Refusal{Code: codeDenied, Message: "the approval does not cover this execution",
			Hint: "Bind the statement again: each execution is approved on its own."})
	case ticket != nil && !j.portal.begun && g.Now().After(ticket.deadline.Add(useGrace)):
		return g.refuse(ctx, j, jd, &Refusal{Code: codeDenied, Message: "the approval came too long ago",
			Hint: "Bind the statement again: it will be asked for again."})
	case ticket != nil && j.portal.begun && !j.portal.suspended:
		return g.refuse(ctx, j, jd, &Refusal{Code: codeDenied, Message: "the approval was used",
			Hint: "Bind the statement again: each execution is approved on its own."})
	}
	v := g.permit(ctx, j, jd, j.raw, "execute")
	for _, r := range v.runs { // what earlier executions of the portal sent counts too
		if r.limitRows >= 0 {
			r.limitRows = max(0, r.limitRows-j.portal.rows)
		}
		if r.limitBytes >= 0 {
			r.limitBytes = max(0, r.limitBytes-j.portal.bytes)
		}
	}
	return v
}

// again returns what was judged of a prepared statement, anew if anything that it
// depended on has moved. The server has the text as it was prepared: if another
// one were needed now, the statement has to be prepared again.
func (g *gate) again(ctx context.Context, j *job, t *ticket) (*judged, *Refusal) {
	old := j.stmt.judged
	if j.kind == jobExecute && j.portal.judged != nil {
		old = j.portal.judged
	}
	if t == nil && old.at == g.epoch(j) && !j.unsure && !old.stale(j.kind == jobBind, g.Now()) {
		return old, nil
	}
	if t != nil {
		j.release = t
	}
	jd, r := g.judge(ctx, j, old.sql, true, old.paramTypes)
	if r != nil {
		return jd, r
	}
	if jd.forwarded != old.forwarded {
		return jd, &Refusal{Code: codeUnsupported, Message: "cached plan must not change result type: what policy masks has changed since the statement was prepared",
			Hint: "Prepare the statement again.", Detail: Detail{Retryable: true}}
	}
	return jd, nil
}

func (g *gate) epoch(j *job) epoch {
	e := epoch{policy: g.Policy.Generation(), qualify: g.qualify, named: j.named.at(), path: strings.Join(j.path, "\x00"),
		principal: g.principal.TokenID + g.principal.ExpiresAt.String()}
	if s := g.snapshot(); s != nil {
		e.catalog = s.Generation
	}
	if w, open := g.window(); open {
		e.grant = w.ID
	}
	return e
}

// judge understands a message's SQL and asks the policies about each statement.
func (g *gate) judge(ctx context.Context, j *job, sql string, extended bool, types []catalog.OID) (*judged, *Refusal) {
	jd := &judged{sql: sql, forwarded: sql, paramTypes: types, at: g.epoch(j), when: g.Now(), effect: rego.Allow, released: j.release != nil}
	t, r := g.understand(ctx, sql, query.Env{SearchPath: j.path, User: g.role, Unusable: g.unusable, Opaque: g.qualify, ParamTypes: types})
	if r != nil {
		return jd, r
	}
	jd.text = t
	if t.err != nil {
		return jd, refusalOf(t.err)
	}
	if t, r = g.resolveNames(ctx, j, t); r != nil {
		return jd, r
	}
	jd.text = t
	for _, p := range t.statements {
		a := p.analysis
		switch {
		case a.Refusal != nil:
			return jd, refusalOf(a.Refusal)
		case a.Call != nil && len(t.statements) > 1:
			return jd, &Refusal{Code: codeUnsupported, Message: "a function of sallyport must be called by a statement sent alone"}
		case a.Call != nil:
			c, r := newCall(a.Call)
			jd.call = c
			return jd, r
		case j.unsure && a.Shape.Class != "transaction":
			return jd, &Refusal{Code: codeUnsupported, Message: "the schema was changed, and what names mean now cannot be known in the middle of a pipeline",
				Hint: "Send Sync, and then the statement; in a failed transaction, ROLLBACK first."}
		}
	}
	if r := g.ask(ctx, j, jd, extended); r != nil {
		return jd, r
	}
	if r := g.lateCommit(j, t); r != nil {
		return jd, r
	}
	return jd, jd.compose()
}

// lateCommit refuses to commit what was begun in a window that has closed. The
// library lets transactions be ended without a window, since they must be.
func (g *gate) lateCommit(j *job, t *text) *Refusal {
	if g.ranIn == "" || j.tx != txOpen && !j.working {
		return nil
	}
	if w, open := g.window(); open && w.ID == g.ranIn {
		return nil
	}
	for _, p := range t.statements {
		if p.analysis.Transaction == "commit" {
			r := &Refusal{Code: codeDenied}
			g.explainClosed(r)
			r.Message = "the transaction cannot be committed: " + r.Message
			return r
		}
	}
	return nil
}

// understand analyses the text, with a newer catalog if a name is not known.
func (g *gate) understand(ctx context.Context, sql string, env query.Env) (*text, *Refusal) {
	if g.snapshot() == nil {
		return nil, &Refusal{Code: codeNotReady, Message: "the catalog of the database has not been read yet",
			Hint: "Try again in a moment.", Detail: Detail{Retryable: true}}
	}
	limits := query.Limits{Bytes: g.Limits.StatementBytes, Tokens: g.Limits.StatementTokens}
	if g.own != nil {
		return g.own.texts.understand(g.own.analyzer, g.own.snapshot, sql, limits, env), nil
	}
	t := g.upstream.understand(sql, limits, env)
	if t.unresolved() && g.upstream.mayRefresh(g.Now()) {
		if err := g.upstream.catalog.Refresh(ctx); err != nil {
			g.Log.Warn().Err(err).Str("connection", g.upstream.Name).Msg("catalog not read again")
		}
		t = g.upstream.understand(sql, limits, env)
	}
	return t, nil
}
