package main

import (
	"context"

	"github.com/rs/zerolog"

	"github.com/sallyport/sallyport/internal/approval"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/grant"
	"github.com/sallyport/sallyport/rego"
)

// recorder writes what the keepers tell into the log, to the disk. They make
// nothing happen that it cannot record.
type recorder struct{ log *audit.Log }

// append has no context to take: an event is recorded whether or not whoever
// caused it still waits.
func (r recorder) append(rec *audit.Record) error {
	return r.log.Append(context.Background(), rec, audit.Synced)
}

func (r recorder) grant(e grant.Event) error {
	g := e.Grant
	rec := &audit.Record{
		Type: audit.Type(e.Type), Grant: g.ID, Approval: g.ApprovalID, Identity: identityOf(g.Principal), Connection: g.Connection,
		Binding: g.Binding, Revision: g.Revision, TTL: g.TTL.String(), ExpiresAt: g.ExpiresAt, Actor: e.Actor, Cause: e.Cause,
	}
	if rec.Type == audit.GrantActivated && g.ApprovedBy != "" {
		rec.Actor = g.ApprovedBy
	}
	return r.append(rec)
}

// approval leaves the statement out: the decision's record has it, in the form
// that the configuration says, and this one may hold bind values.
func (r recorder) approval(e approval.Event) error {
	q := e.Request
	rec := &audit.Record{
		Type: audit.Type(e.Type), Approval: q.ID, Grant: q.GrantID, Session: q.SessionID, DecisionID: q.DecisionID,
		Identity: identityOf(q.Requester), Connection: q.Connection, Database: q.Database, Binding: q.Binding, Kind: string(q.Kind),
		Reasons: q.Reasons, Relations: q.Relations, Masks: q.Masks, ExpiresAt: q.Deadline, Comment: q.Comment, Cause: e.Cause,
	}
	if e.Actor.Key != "" {
		rec.Actor = actor(e.Actor)
	}
	if rec.Cause == rec.Comment {
		rec.Cause = ""
	}
	return r.append(rec)
}

// actor names somebody without doubt: names are not unique, subjects are within
// their issuer.
func actor(p approval.Party) string {
	if p.Name == "" || p.Name == p.Subject {
		return p.Subject
	}
	return p.Name + " (" + p.Subject + ")"
}

func identityOf(p approval.Party) audit.Identity {
	return audit.Identity{Issuer: p.Issuer, Tenant: p.Tenant, Subject: p.Subject, Name: p.Name, Kind: p.Kind}
}

// policy records each bundle that is put into use or refused. The engine has
// logged it already.
func (r recorder) policy(log zerolog.Logger) func(rego.Status) {
	return func(s rego.Status) {
		rec := &audit.Record{Type: audit.PolicyLoaded, Revision: s.Revision, Generation: s.Generation}
		if s.Error != "" {
			rec.Type, rec.Message = audit.PolicyRefused, s.Error
		}
		if err := r.append(rec); err != nil {
			log.Error().Err(err).Str("revision", s.Revision).Msg("change of policies not recorded")
		}
	}
}
