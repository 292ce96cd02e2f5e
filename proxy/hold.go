package proxy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/approval"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/pgwire"
	"github.com/sallyport/sallyport/rego"
)

// ticket is a request for approval of one message, and its answer.
type ticket struct {
	id         string // of the approval
	decisionID string
	hash       string
	deadline   time.Time
	phase      string
	judged     *judged
	answer     approval.Request
	approver   string
}

// input is the approval as the policy is asked again.
func (t *ticket) input() *rego.Approval {
	var state string
	switch t.answer.State {
	case approval.Approved, approval.Consumed:
		state = "approved"
	case approval.Refused:
		state = "refused"
	default:
		state = "timeout"
	}
	return &rego.Approval{ID: t.id, State: state, Approver: t.answer.DecidedBy.Subject,
		At: stamp(t.answer.DecidedAt), Comment: t.answer.Comment}
}

// useGrace is how long after its deadline an approval that came in time may still be
// used, by the message that was held with it.
const useGrace = 10 * time.Second

// hold asks for approval of a message. It is not forwarded before the answer.
func (g *gate) hold(ctx context.Context, j *job, jd *judged, bind pgwire.BindMessage) verdict {
	if j.tx != txIdle || j.working {
		return g.refuse(ctx, j, jd, &Refusal{Code: codeInTransaction,
			Message: "the statement needs a person's approval, which cannot be waited for inside a transaction: it would hold locks",
			Hint:    "ROLLBACK, and send the statement alone, outside of a transaction.",
			Detail:  Detail{Effect: string(rego.RequireApproval), Retryable: true}})
	}
	wait := min(jd.approval.MaxWait, g.Limits.ApprovalWait)
	if jd.approval.MaxWait <= 0 {
		wait = g.Limits.ApprovalWait
	}
	window, closes := g.closes()
	deadline := g.Now().Add(wait)
	if !closes.IsZero() && closes.Before(deadline) {
		deadline = closes
	}
	t := &ticket{decisionID: newID("d"), deadline: deadline, judged: jd, phase: j.phase(),
		hash: g.bindHash(j, jd, window.ID, bind)}
	r := approval.Request{
		Kind: approval.Statement, Requester: approval.PartyOf(g.principal), Connection: g.upstream.Name,
		Database: g.upstream.database, SessionID: g.id, GrantID: window.ID, DecisionID: t.decisionID,
		Statement: jd.sql + jd.stoodFor() + boundValues(bind), Reason: window.Reason, Approvers: jd.approval.Approvers,
		BindHash: t.hash, Deadline: deadline,
	}
	for i, d := range jd.decisions {
		r.Binding = d.Binding
		for _, reason := range d.Reasons {
			r.Reasons = append(r.Reasons, reason.Message)
		}
		r.Relations = append(r.Relations, jd.text.statements[i].relations...)
		r.Masks = append(r.Masks, jd.masks[i]...)
	}
	if refusal := g.recordHeld(ctx, j, jd, t, window.ID); refusal != nil {
		return verdict{refusal: refusal}
	}
	asked, err := g.Approvals.Ask(ctx, r)
	if err != nil {
		return g.refuse(ctx, j, jd, notAsked(err))
	}
	t.id = asked.ID
	g.metrics.decision(string(rego.RequireApproval))
	return verdict{outcome: held, ticket: t, notices: []string{
		fmt.Sprintf("held for approval %s by %s, until %s", t.id, strings.Join(r.Approvers, " or "), clock(deadline))}}
}

func notAsked(err error) *Refusal {
	r := &Refusal{Code: codeDenied, Message: "approval could not be asked for", Detail: Detail{Effect: string(rego.RequireApproval)}}
	switch {
	case errors.Is(err, approval.ErrNoApprovers):
		r.Message = "the statement needs approval, and the policy names nobody who could give it"
		r.Hint = "Tell the policy's owners."
	default:
		r.Code, r.Hint = codeNoRecord, "Try again in a moment."
	}
	return r
}

func (g *gate) recordHeld(ctx context.Context, j *job, jd *judged, t *ticket, grant string) *Refusal {
	for i, d := range jd.decisions {
		rec := g.record(audit.Decision, j, jd.text.statements[i], d)
		rec.DecisionID, rec.Phase, rec.Grant = t.decisionID, t.phase, grant
		rec.Effect, rec.Masks, rec.Estimate = string(d.Effect), jd.masks[i], jd.estimated(i)
		if err := g.Audit.Append(ctx, rec, audit.Synced); err != nil {
			g.Log.Error().Err(err).Msg("decision not recorded: statement refused")
			return notRecorded()
		}
	}
	return nil
}

// bindHash is what an approval is good for: this principal, session, window and
// place, this exact text with these values, under this policy.
func (g *gate) bindHash(j *job, jd *judged, grant string, bind pgwire.BindMessage) string {
	revision := ""
	if len(jd.decisions) > 0 {
		revision = jd.decisions[0].Revision
	}
	// The catalog's generation stands for what names mean.
	doc, err := json.Marshal([]any{"sallyport approval 1", g.principal.Key(), g.id, grant, g.upstream.Name,
		g.upstream.database, g.role, j.path, []byte(jd.sql), []byte(jd.forwarded), jd.stoodFor(), bind.Values, revision, jd.text.snapshot.Generation})
	if err != nil { // strings and bytes: cannot fail
		return ""
	}
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:])
}

// stoodFor shows what the names stand for that the statements use.
func (j *judged) stoodFor() string {
	var b strings.Builder
	for _, p := range j.text.statements {
		if p.stands != nil {
			b.WriteString("\n-- where " + p.stands.name + " is: " + strings.ReplaceAll(p.stands.sql, "\n", "\n--   "))
		}
	}
	return b.String()
}

// boundValues shows an approver the parameters, which the text does not.
func boundValues(bind pgwire.BindMessage) string {
	if len(bind.Values) == 0 {
		return ""
	}
	params, err := bind.Parameters()
	if err != nil || len(params) == 0 {
		return ""
	}
	var b strings.Builder
	for i, p := range params {
		switch {
		case p.Value == nil:
			fmt.Fprintf(&b, "\n-- $%d = NULL", i+1)
		case p.Format == 0:
			fmt.Fprintf(&b, "\n-- $%d = %q", i+1, p.Value)
		default:
			fmt.Fprintf(&b, "\n-- $%d = binary %x", i+1, p.Value)
		}
	}
	return b.String()
}

// release decides a held message again once its approval has an answer.
func (g *gate) release(ctx context.Context, j *job, t *ticket, answer approval.Request, err error) verdict {
	t.answer, t.approver = answer, answer.DecidedBy.Key
	if err != nil || answer.State != approval.Approved {
		return g.refuse(ctx, j, t.judged, unanswered(t, answer, err))
	}
	if r := g.authentic(); r != nil {
		return g.refuse(ctx, j, t.judged, r)
	}
	j.release = t
	jd, r := g.judge(ctx, j, t.judged.sql, j.kind != jobQuery, t.judged.paramTypes)
	if r != nil {
		return g.refuse(ctx, j, jd, r)
	}
	window, _ := g.closes()
	if jd.effect == rego.RequireApproval || g.bindHash(j, jd, window.ID, j.bind) != t.hash {
		return g.refuse(ctx, j, jd, &Refusal{Code: codeDenied, Message: "the approval came, but what it was given for has changed meanwhile: window, policy or schema",
			Hint: "Send the statement again.", Detail: Detail{Effect: string(rego.RequireApproval), Approval: t.id, Retryable: true}})
	}
	if _, err := g.Approvals.Consume(ctx, t.id, t.hash); err != nil {
		g.Log.Warn().Err(err).Str("approval", t.id).Msg("approval not usable")
		return g.refuse(ctx, j, jd, &Refusal{Code: codeDenied, Message: "the approval could not be used: " + sentence(err),
			Hint: "Send the statement again.", Detail: Detail{Effect: string(rego.RequireApproval), Approval: t.id, Retryable: true}})
	}
	if j.kind == jobBind {
		return verdict{outcome: permitted, permit: permit{frame: j.raw}, judged: jd, ticket: t}
	}
	frame := j.raw
	if jd.rewritten {
		frame = pgwire.AppendQuery(nil, jd.forwarded)
	}
	return g.permit(ctx, j, jd, frame, "query")
}

// unanswered tells why there is no approval.
func unanswered(t *ticket, answer approval.Request, err error) *Refusal {
	r := &Refusal{Code: codeDenied, Detail: Detail{DecisionID: t.decisionID, Effect: string(rego.RequireApproval), Approval: t.id}}
	switch {
	case err == nil && answer.State == approval.Refused:
		r.Message = "approval " + t.id + " was refused by " + answer.DecidedBy.String()
		if answer.Comment != "" {
			r.Message += ": " + answer.Comment
		}
		r.Hint = "Do not send the statement again unchanged; ask the approver what would be acceptable."
	case err == nil && answer.State == approval.Withdrawn:
		r.Code, r.Message = codeCancelled, "approval "+t.id+" was withdrawn"
	default:
		r.Code, r.Message = codeCancelled, "nobody answered approval "+t.id+" in time"
		r.Hint = "Send the statement again when an approver is there."
		r.Detail.Retryable = true
	}
	return r
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }

// sentence is an error's text for clients; the errors of our own packages are
// written for them.
func sentence(err error) string { return strings.TrimSuffix(err.Error(), ".") }
