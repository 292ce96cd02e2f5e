package grant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/internal/approval"
)

const (
	timeOver  = "its time is over"
	undecided = "nobody decided in time"
)

// errUnrecorded: the window is closed, the log does not know it yet.
var errUnrecorded = errors.New("not recorded yet")

func isUnrecorded(err error) bool { return errors.Is(err, errUnrecorded) }

// closing is how a window ends.
type closing struct {
	to           State
	actor, cause string
	at           time.Time
}

func (c closing) apply(g *Grant) {
	g.State, g.Actor, g.Cause, g.ClosedAt = c.to, c.actor, c.cause, c.at
}

// Activate opens a window that waits for a person. Their approval must be there: it
// is looked up and used up here, whoever calls; actor is who carries it out.
func (k *Keeper) Activate(ctx context.Context, id, actor string) (Grant, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.activateApproved(ctx, id, actor)
}

func (k *Keeper) activateApproved(ctx context.Context, id, actor string) (Grant, error) {
	g, err := k.store.Grant(ctx, id)
	if err != nil {
		return g, err
	}
	if g.State != Pending {
		return g, stateError(g, "opened", ErrState)
	}
	approver, err := k.useApproval(ctx, &g)
	if err != nil {
		return g, err
	}
	return k.activate(ctx, id, Pending, actor, approver)
}

// activate opens a window: recorded first, then kept, then let through. If the
// process dies in between the window is shut.
func (k *Keeper) activate(ctx context.Context, id string, from State, actor, approver string) (Grant, error) {
	if _, shut := k.owed[id]; shut {
		return Grant{}, explain(ErrState, "%s was closed", id)
	}
	told := false
	g, err := k.store.MoveGrant(ctx, id, []State{from}, func(g *Grant) error {
		now := wall(k.clock.now())
		if !now.Before(g.ExpiresAt) {
			return explain(ErrState, "%s was not opened in time; ask again", id)
		}
		g.State, g.OpenedAt, g.ExpiresAt = Active, now, now.Add(g.TTL)
		g.Actor, g.ApprovedBy = actor, approver
		err := k.events(Event{Type: "grant.activated", Grant: *g, Actor: actor})
		told = err == nil
		return err
	})
	if err != nil {
		if told {
			// The log says it was opened. If it still takes records, have it say that it was not.
			_ = k.events(Event{Type: "grant.refused", Grant: g, Cause: "the opening did not come into effect: " + err.Error()})
		}
		return g, err
	}
	k.windows.put(admit(g, &k.clock))
	k.watchers.tell(g)
	k.wakeRun()
	return g, nil
}

// useApproval uses up the approval of a pending window and says who gave it. One
// that is used already was used for this window, and a crash kept it from opening.
func (k *Keeper) useApproval(ctx context.Context, g *Grant) (string, error) {
	if k.approvals == nil || g.ApprovalID == "" {
		return "", explain(ErrNotApproved, "%s waits for approval, and approvals are not set up", g.ID)
	}
	r, err := k.approvals.Get(ctx, g.ApprovalID)
	if err != nil {
		return "", err
	}
	if r.Kind != approval.Grant || r.GrantID != g.ID || r.BindHash != bindHash(g) {
		return "", explain(ErrNotApproved, "%s is not for %s", r.ID, g.ID)
	}
	switch r.State {
	case approval.Approved:
		if r, err = k.approvals.Consume(ctx, r.ID, r.BindHash); err != nil {
			return "", err
		}
	case approval.Consumed:
	default:
		return "", explain(ErrNotApproved, "approval %s of %s is %s", r.ID, g.ID, r.State)
	}
	return r.DecidedBy.String(), nil
}

// Settle brings a window in line with its approval: opened if approved, refused if
// not. Call it with what Decide or Wait returned; Run does it too, within a second.
// A request that is not for a window, or is still pending, changes nothing.
func (k *Keeper) Settle(ctx context.Context, r approval.Request) (Grant, error) {
	if r.Kind != approval.Grant || r.State == approval.Pending {
		return Grant{}, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.settle(ctx, r)
}

func (k *Keeper) settle(ctx context.Context, r approval.Request) (Grant, error) {
	g, err := k.store.Grant(ctx, r.GrantID)
	if err != nil || g.State != Pending || g.ApprovalID != r.ID {
		return g, err
	}
	switch r.State {
	case approval.Approved, approval.Consumed:
		return k.activateApproved(ctx, g.ID, r.DecidedBy.String())
	case approval.Expired:
		return k.close(ctx, g.ID, []State{Pending}, closing{to: Expired, cause: undecided})
	default:
		return k.close(ctx, g.ID, []State{Pending}, closing{to: Refused, actor: r.DecidedBy.String(), cause: r.Comment})
	}
}

// Refuse ends a window that is not open yet.
func (k *Keeper) Refuse(ctx context.Context, id, by, why string) (Grant, error) {
	return k.shut(ctx, id, []State{Requested, Pending}, Refused, by, why)
}

// Revoke takes a window away, now, whether it is open or waits.
func (k *Keeper) Revoke(ctx context.Context, id, actor, why string) (Grant, error) {
	return k.shut(ctx, id, open, Revoked, actor, why)
}

// End gives a window back.
func (k *Keeper) End(ctx context.Context, id, actor, why string) (Grant, error) {
	return k.shut(ctx, id, open, Ended, actor, why)
}

func (k *Keeper) shut(ctx context.Context, id string, from []State, to State, actor, why string) (Grant, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.close(ctx, id, from, closing{to: to, actor: actor, cause: why})
}

// close ends a window: in memory first, so that the next statement sees it, then
// durably, then for the record. An error says how far it came; once the window was
// found in one of the states it is shut in any case, and Run makes up for the rest.
func (k *Keeper) close(ctx context.Context, id string, from []State, c closing) (Grant, error) {
	c.at = wall(k.clock.now())
	g, err := k.store.Grant(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return g, err
	}
	if err == nil && !slices.Contains(from, g.State) {
		return g, stateError(g, string(c.to), ErrState)
	}
	k.forget(id)
	moved, err := k.store.MoveGrant(ctx, id, from, func(g *Grant) error {
		c.apply(g)
		g.Unrecorded = true
		return nil
	})
	if errors.Is(err, ErrState) || errors.Is(err, ErrNotFound) {
		return moved, stateError(moved, string(c.to), err)
	}
	if err != nil {
		k.owed[id] = c
		c.apply(&g)
		if g.ID != "" {
			k.watchers.tell(g)
		}
		return g, fmt.Errorf("%s is shut, but the store does not know it yet: %w", id, err)
	}
	delete(k.owed, id)
	k.watchers.tell(moved)
	if moved.ApprovalID != "" && k.approvals != nil {
		// Nobody needs to decide any more. Most often it has been decided: no matter.
		_ = k.approvals.Withdraw(ctx, moved.ApprovalID, "the window is "+string(c.to))
	}
	return k.tell(ctx, moved)
}

// forget takes a window out of memory by its ID.
func (k *Keeper) forget(id string) {
	if m := k.windows.current.Load(); m != nil {
		for _, w := range *m {
			if w.grant.ID == id {
				k.windows.remove(&w.grant)
				return
			}
		}
	}
}

// tell records a closing that is not recorded yet.
func (k *Keeper) tell(ctx context.Context, g Grant) (Grant, error) {
	if err := k.events(Event{Type: "grant." + string(g.State), Grant: g, Actor: g.Actor, Cause: g.Cause}); err != nil {
		return g, fmt.Errorf("%s is %s: %w: %w", g.ID, g.State, errUnrecorded, err)
	}
	return k.store.MoveGrant(ctx, g.ID, []State{g.State}, func(g *Grant) error {
		g.Unrecorded = false
		return nil
	})
}

// ExpireDue closes the windows whose time has passed, brings those that wait in
// line with their approvals, and records what could not be recorded before.
func (k *Keeper) ExpireDue(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return errors.Join(k.closeOwed(ctx), k.expireDue(ctx), k.settleAll(ctx), k.tellOwed(ctx))
}

// closeOwed closes in the store what could only be shut in memory.
func (k *Keeper) closeOwed(ctx context.Context) error {
	var errs []error
	for id, c := range k.owed {
		_, err := k.close(ctx, id, open, c)
		if errors.Is(err, ErrState) || errors.Is(err, ErrNotFound) {
			delete(k.owed, id)
			continue
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (k *Keeper) expireDue(ctx context.Context) error {
	var errs []error
	for _, g := range k.windows.overdue(&k.clock) {
		errs = append(errs, k.expire(ctx, g, timeOver))
	}
	waiting, err := k.store.Grants(ctx, Filter{States: open})
	errs = append(errs, err)
	for _, g := range waiting {
		if !k.clock.now().Before(g.ExpiresAt) {
			cause := undecided
			if g.State == Active {
				cause = timeOver
			}
			errs = append(errs, k.expire(ctx, g, cause))
		}
	}
	return errors.Join(errs...)
}

func (k *Keeper) expire(ctx context.Context, g Grant, cause string) error {
	_, err := k.close(ctx, g.ID, open, closing{to: Expired, cause: cause})
	if errors.Is(err, ErrState) {
		return nil // it was closed in another way
	}
	return err
}

func (k *Keeper) settleAll(ctx context.Context) error {
	if k.approvals == nil {
		return nil
	}
	waiting, err := k.store.Grants(ctx, Filter{States: []State{Pending}})
	errs := []error{err}
	for _, g := range waiting {
		r, err := k.approvals.Get(ctx, g.ApprovalID)
		if err == nil && r.State != approval.Pending {
			_, err = k.settle(ctx, r)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (k *Keeper) tellOwed(ctx context.Context) error {
	owed, err := k.store.Grants(ctx, Filter{Unrecorded: true})
	for _, g := range slices.Backward(owed) { // oldest first
		if _, err := k.tell(ctx, g); err != nil {
			return err // the log takes nothing now: no use in trying the others
		}
	}
	return err
}

// Run closes windows and approvals when their time comes, until ctx ends. report is
// told of what went wrong; the next round tries again.
func (k *Keeper) Run(ctx context.Context, report func(error)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var decided <-chan struct{} // nil: never
	if k.approvals != nil {
		decided = k.approvals.Decided()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.changed:
		case <-decided:
		case <-timer.C:
		}
		var errs []error
		if k.approvals != nil {
			errs = append(errs, k.approvals.ExpireDue(ctx))
		}
		errs = append(errs, k.ExpireDue(ctx))
		if err := errors.Join(errs...); err != nil && ctx.Err() == nil && report != nil {
			report(err)
		}
		timer.Reset(max(k.windows.next(&k.clock, time.Second), 10*time.Millisecond))
	}
}

func (k *Keeper) wakeRun() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// stateError says which state is in the way.
func stateError(g Grant, verb string, err error) error {
	if g.ID != "" && errors.Is(err, ErrState) {
		return explain(ErrState, "%s is %s and cannot be %s", g.ID, g.State, verb)
	}
	return err
}
