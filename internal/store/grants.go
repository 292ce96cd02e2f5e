package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/grant"
)

func grantColumns(g *grant.Grant) []column {
	return []column{
		{"id", &g.ID}, {"principal_key", &g.Principal.Key}, {"connection", &g.Connection}, {"state", (*string)(&g.State)},
		{"principal", document{&g.Principal}},
		{"binding", &g.Binding}, {"reason", &g.Reason}, {"mode", &g.Mode}, {"revision", &g.Revision}, {"record", &g.Record},
		{"requested_ttl", (*int64)(&g.RequestedTTL)}, {"ttl", (*int64)(&g.TTL)},
		{"requested_at", instant{&g.RequestedAt}}, {"opened_at", instant{&g.OpenedAt}},
		{"expires_at", instant{&g.ExpiresAt}}, {"closed_at", instant{&g.ClosedAt}},
		{"approval_id", &g.ApprovalID}, {"approvers", document{&g.Approvers}}, {"approved_by", &g.ApprovedBy},
		{"actor", &g.Actor}, {"cause", &g.Cause}, {"unrecorded", &g.Unrecorded},
	}
}

func scanGrant(g *grant.Grant) []any { return values(grantColumns(g)) }

var selectGrant = "SELECT " + names(grantColumns(new(grant.Grant))) + " FROM grants"

// CreateGrant is of grant.Store.
func (s *SQLite) CreateGrant(ctx context.Context, g grant.Grant, record func() error) (grant.Grant, error) {
	var taken bool
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		there, err := list(ctx, tx, selectGrant+" WHERE principal_key = ? AND connection = ? AND state IN ('requested', 'pending', 'active')",
			[]any{g.Principal.Key, g.Connection}, scanGrant)
		if err != nil {
			return err
		}
		if len(there) > 0 {
			g, taken = there[0], true
			return grant.ErrAlreadyOpen
		}
		if err := insert(ctx, tx, "grants", grantColumns(&g)); err != nil {
			return err
		}
		return record()
	})
	if err != nil && !taken {
		return grant.Grant{}, err
	}
	return g, err
}

// MoveGrant is of grant.Store.
func (s *SQLite) MoveGrant(ctx context.Context, id string, from []grant.State, change func(*grant.Grant) error) (grant.Grant, error) {
	var before, g grant.Grant
	err := s.inTx(ctx, func(tx *sql.Tx) (err error) {
		if before, err = oneGrant(ctx, tx, id); err != nil {
			return err
		}
		if !slices.Contains(from, before.State) {
			return fmt.Errorf("%w: %s is %s", grant.ErrState, id, before.State)
		}
		g = before
		if err := change(&g); err != nil {
			return err
		}
		return update(ctx, tx, "grants", id, string(before.State), grantColumns(&g))
	})
	if err != nil {
		return before, err
	}
	return g, nil
}

// Grant is of grant.Store.
func (s *SQLite) Grant(ctx context.Context, id string) (grant.Grant, error) {
	return oneGrant(ctx, s.read, id)
}

func oneGrant(ctx context.Context, q querier, id string) (grant.Grant, error) {
	all, err := list(ctx, q, selectGrant+" WHERE id = ?", []any{id}, scanGrant)
	if err != nil {
		return grant.Grant{}, err
	}
	if len(all) == 0 {
		return grant.Grant{}, fmt.Errorf("%w: %q", grant.ErrNotFound, id)
	}
	return all[0], nil
}

// Grants is of grant.Store.
func (s *SQLite) Grants(ctx context.Context, f grant.Filter) ([]grant.Grant, error) {
	var w where
	w.equal("principal_key", f.PrincipalKey)
	w.equal("connection", f.Connection)
	w.flag("unrecorded", f.Unrecorded)
	if len(f.States) > 0 {
		// States are constants of ours; written out, so that the partial indexes serve.
		quoted := make([]string, len(f.States))
		for i, state := range f.States {
			quoted[i] = "'" + strings.ReplaceAll(string(state), "'", "''") + "'"
		}
		w.flag("state IN ("+strings.Join(quoted, ", ")+")", true)
	}
	return list(ctx, s.read, selectGrant+w.String()+" ORDER BY requested_at DESC, rowid DESC"+limit(f.Limit), w.args, scanGrant)
}
