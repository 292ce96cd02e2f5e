package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/approval"
)

func approvalColumns(r *approval.Request) []column {
	return []column{
		{"id", &r.ID}, {"kind", (*string)(&r.Kind)}, {"state", (*string)(&r.State)},
		{"requester_key", &r.Requester.Key}, {"requester", document{&r.Requester}},
		{"connection", &r.Connection}, {"database", &r.Database}, {"session_id", &r.SessionID},
		{"grant_id", &r.GrantID}, {"decision_id", &r.DecisionID}, {"binding", &r.Binding},
		{"statement", &r.Statement}, {"reason", &r.Reason}, {"reasons", document{&r.Reasons}},
		{"relations", document{&r.Relations}}, {"masks", document{&r.Masks}}, {"approvers", document{&r.Approvers}},
		{"bind_hash", &r.BindHash}, {"created_at", instant{&r.CreatedAt}}, {"deadline", instant{&r.Deadline}},
		{"decided_by", document{&r.DecidedBy}}, {"decided_at", instant{&r.DecidedAt}}, {"comment", &r.Comment},
		{"unrecorded", &r.Unrecorded},
	}
}

func scanApproval(r *approval.Request) []any { return values(approvalColumns(r)) }

var selectApproval = "SELECT " + names(approvalColumns(new(approval.Request))) + " FROM approvals"

// CreateApproval is of approval.Store.
func (s *SQLite) CreateApproval(ctx context.Context, r approval.Request, record func() error) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if err := insert(ctx, tx, "approvals", approvalColumns(&r)); err != nil {
			return err
		}
		return record()
	})
}

// MoveApproval is of approval.Store.
func (s *SQLite) MoveApproval(ctx context.Context, id string, from []approval.State, change func(*approval.Request) error) (approval.Request, error) {
	var before, r approval.Request
	err := s.inTx(ctx, func(tx *sql.Tx) (err error) {
		if before, err = oneApproval(ctx, tx, id); err != nil {
			return err
		}
		if !slices.Contains(from, before.State) {
			return fmt.Errorf("%w: %s is %s", approval.ErrNotPending, id, before.State)
		}
		r = before
		if err := change(&r); err != nil {
			return err
		}
		return update(ctx, tx, "approvals", id, string(before.State), approvalColumns(&r))
	})
	if err != nil {
		return before, err
	}
	return r, nil
}

// Approval is of approval.Store.
func (s *SQLite) Approval(ctx context.Context, id string) (approval.Request, error) {
	return oneApproval(ctx, s.read, id)
}

func oneApproval(ctx context.Context, q querier, id string) (approval.Request, error) {
	all, err := list(ctx, q, selectApproval+" WHERE id = ?", []any{id}, scanApproval)
	if err != nil {
		return approval.Request{}, err
	}
	if len(all) == 0 {
		return approval.Request{}, fmt.Errorf("%w: %q", approval.ErrNotFound, id)
	}
	return all[0], nil
}

// Approvals is of approval.Store.
func (s *SQLite) Approvals(ctx context.Context, f approval.Filter) ([]approval.Request, error) {
	var w where
	if f.State != "" {
		// A constant of ours; written out, so that the partial index serves.
		w.flag("state = '"+strings.ReplaceAll(string(f.State), "'", "''")+"'", true)
	}
	w.equal("kind", string(f.Kind))
	w.equal("connection", f.Connection)
	w.equal("requester_key", f.RequesterKey)
	w.equal("grant_id", f.GrantID)
	w.equal("session_id", f.SessionID)
	w.flag("unrecorded", f.Unrecorded)
	return list(ctx, s.read, selectApproval+w.String()+" ORDER BY created_at DESC, rowid DESC"+limit(f.Limit), w.args, scanApproval)
}
