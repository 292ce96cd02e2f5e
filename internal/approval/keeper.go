package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/identity"
)

// DefaultWait is how long a request waits that names no deadline.
const DefaultWait = time.Minute

// Config is what a Keeper needs.
type Config struct {
	Store Store
	Now   func() time.Time
	// Events is told of every transition. What permits something (asked, approved,
	// consumed) is told before it counts, and does not happen if that fails. What
	// ends a request (refused, withdrawn, expired) happens first and is told as soon
	// as it can be, after a crash too.
	Events func(Event) error
}

// Keeper holds the requests that wait. It is safe for concurrent use.
type Keeper struct {
	store  Store
	now    func() time.Time
	events func(Event) error

	// ending is held from the end of a request until it has been told, so that it is
	// told once.
	ending sync.Mutex

	decided chan struct{}

	mu      sync.Mutex
	waiting map[string]chan struct{} // closed at the request's next transition
}

// New makes a keeper. What the store holds is as it was: a restart forgets nothing.
func New(cfg Config) *Keeper {
	k := &Keeper{store: cfg.Store, now: cfg.Now, events: cfg.Events, decided: make(chan struct{}, 1), waiting: map[string]chan struct{}{}}
	if k.now == nil {
		k.now = time.Now
	}
	if k.events == nil {
		k.events = func(Event) error { return errors.New("approvals are not recorded anywhere: nothing can be asked for") }
	}
	return k
}

// Ask has somebody decide. The request gets its ID and waits from now on.
func (k *Keeper) Ask(ctx context.Context, r Request) (Request, error) {
	r.Approvers = slices.DeleteFunc(slices.Clone(r.Approvers), func(s string) bool { return strings.TrimSpace(s) == "" })
	now := wall(k.now())
	if r.Deadline.IsZero() {
		r.Deadline = now.Add(DefaultWait)
	}
	r.Deadline = wall(r.Deadline)
	switch {
	case len(r.Approvers) == 0:
		return Request{}, explain(ErrNoApprovers, "the policy asks for approval and names no approvers; name some in the binding or the rule")
	case r.Kind != Grant && r.Kind != Statement:
		return Request{}, explain(ErrInvalid, "kind is %q: must be grant or statement", r.Kind)
	case r.Requester.Key == "":
		return Request{}, explain(ErrInvalid, "nobody asks")
	case r.BindHash == "":
		return Request{}, explain(ErrInvalid, "it is not bound to anything")
	case !now.Before(r.Deadline):
		return Request{}, explain(ErrInvalid, "its deadline has passed")
	}
	r.ID, r.State, r.CreatedAt = newID(), Pending, now
	r.DecidedBy, r.DecidedAt, r.Comment, r.Unrecorded = Party{}, time.Time{}, "", false
	err := k.store.CreateApproval(ctx, r, func() error {
		return k.events(Event{Type: "approval.requested", Request: r, Actor: r.Requester, Cause: r.Reason})
	})
	if err != nil {
		return Request{}, fmt.Errorf("ask for approval: %w", err)
	}
	return r, nil
}

// Decide takes somebody's verdict. The requester, whom it acts for, and whoever is
// not named as approver are refused without exception.
func (k *Keeper) Decide(ctx context.Context, id string, by *identity.Principal, approve bool, comment string) (Request, error) {
	r, err := k.store.Approval(ctx, id)
	if err != nil {
		return Request{}, err
	}
	if r.State == Pending && r.Overdue(k.now()) {
		if r, err = k.expire(ctx, r); err != nil {
			return r, err
		}
	}
	if r.State != Pending {
		return r, notPending(r)
	}
	if err := mayDecide(&r, by); err != nil {
		// Nothing changes, so nothing depends on this record.
		_ = k.events(Event{Type: "approval.rejected", Request: r, Actor: PartyOf(by), Cause: err.Error()})
		return r, err
	}
	verdict := func(r *Request) {
		r.DecidedBy, r.DecidedAt, r.Comment = PartyOf(by), wall(k.now()), comment
	}
	if approve {
		return k.permit(ctx, id, Pending, Approved, "approval.approved", func(r *Request) error {
			if r.Overdue(k.now()) {
				return explain(ErrNotPending, "the deadline of %s has passed", r.ID)
			}
			verdict(r)
			return nil
		})
	}
	return k.end(ctx, id, []State{Pending}, Refused, verdict)
}

// Withdraw ends a request that nobody waits for any more. Also what is approved and
// not used yet is withdrawn.
func (k *Keeper) Withdraw(ctx context.Context, id, why string) error {
	_, err := k.end(ctx, id, []State{Pending, Approved}, Withdrawn, func(r *Request) { r.Comment = why })
	return err
}

// Consume uses an approval, once, for what it was given: the binding must be the
// same. When it returns without error the use is durable; only then may what was
// approved be done.
func (k *Keeper) Consume(ctx context.Context, id, bindHash string) (Request, error) {
	return k.permit(ctx, id, Approved, Consumed, "approval.consumed", func(r *Request) error {
		if bindHash == "" || bindHash != r.BindHash {
			return explain(ErrBinding, "%s was approved for another statement, session or window; ask again for this one", r.ID)
		}
		if r.Overdue(k.now()) {
			return explain(ErrNotApproved, "the deadline of %s has passed; ask again", r.ID)
		}
		return nil
	})
}

// permit moves a request on so that more is allowed than before: told first, then
// kept. If the process dies between the two, nothing was allowed.
func (k *Keeper) permit(ctx context.Context, id string, from, to State, event string, check func(*Request) error) (Request, error) {
	told := false
	r, err := k.store.MoveApproval(ctx, id, []State{from}, func(r *Request) error {
		if err := check(r); err != nil {
			return err
		}
		r.State = to
		actor := r.DecidedBy
		if to == Consumed {
			actor = r.Requester
		}
		err := k.events(Event{Type: event, Request: *r, Actor: actor, Cause: r.Comment})
		told = err == nil
		return err
	})
	switch {
	case err == nil:
		k.wake(id)
		return r, nil
	case errors.Is(err, ErrNotPending) && r.State != from && from == Approved:
		return r, explain(ErrNotApproved, "%s is %s", id, r.State)
	case errors.Is(err, ErrNotPending) && r.State != from:
		return r, notPending(r)
	case told:
		// The log says it happened. If it still takes records, have it say that it did not.
		_ = k.events(Event{Type: "approval.rejected", Request: r, Cause: event + " did not come into effect: " + err.Error()})
	}
	return r, err
}

// end closes a request: kept first, then told, so that no failing disk keeps
// anything open. What could not be told is told by ExpireDue, later.
func (k *Keeper) end(ctx context.Context, id string, from []State, to State, change func(*Request)) (Request, error) {
	k.ending.Lock()
	defer k.ending.Unlock()
	r, err := k.store.MoveApproval(ctx, id, from, func(r *Request) error {
		change(r)
		r.State, r.Unrecorded = to, true
		return nil
	})
	if errors.Is(err, ErrNotPending) {
		return r, notPending(r)
	}
	if err != nil {
		return r, err
	}
	k.wake(id)
	return k.tell(ctx, r)
}

// tell records an end that is not recorded yet.
func (k *Keeper) tell(ctx context.Context, r Request) (Request, error) {
	e := Event{Type: "approval." + string(r.State), Request: r, Cause: r.Comment}
	if r.State == Refused {
		e.Actor = r.DecidedBy
	}
	if r.State == Withdrawn {
		e.Actor = r.Requester
	}
	if err := k.events(e); err != nil {
		return r, fmt.Errorf("%s is %s, but that is not recorded yet: %w", r.ID, r.State, err)
	}
	return k.store.MoveApproval(ctx, r.ID, []State{r.State}, func(r *Request) error {
		r.Unrecorded = false
		return nil
	})
}

func (k *Keeper) expire(ctx context.Context, r Request) (Request, error) {
	r, err := k.end(ctx, r.ID, []State{Pending, Approved}, Expired, func(*Request) {})
	if errors.Is(err, ErrNotPending) {
		return r, nil // somebody was faster
	}
	return r, err
}

// Wait returns the request when it is no longer pending; at the deadline it is
// expired. If ctx ends first the request goes on waiting: withdraw it if nobody
// needs it.
func (k *Keeper) Wait(ctx context.Context, id string) (Request, error) {
	for {
		moved := k.moved(id) // before looking, so that no transition is missed
		r, err := k.store.Approval(ctx, id)
		if err != nil {
			k.forget(id, moved)
			return r, err
		}
		left := r.Deadline.Sub(wall(k.now()))
		if r.State == Pending && left <= 0 {
			r, err = k.expire(ctx, r)
		}
		if r.State != Pending || err != nil {
			k.forget(id, moved)
			return r, err
		}
		timer := time.NewTimer(left)
		select {
		case <-moved:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return r, ctx.Err()
		}
		timer.Stop()
	}
}

func (k *Keeper) moved(id string) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.waiting[id]
	if c == nil {
		c = make(chan struct{})
		k.waiting[id] = c
	}
	return c
}

// forget drops the channel of a request that nobody will wait for again.
func (k *Keeper) forget(id string, c <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.waiting[id] == c {
		close(k.waiting[id])
		delete(k.waiting, id)
	}
}

// Decided has something in it when requests have moved since it was last read. It
// is for the keeper of windows, which looks for itself what it was; there is one
// reader.
func (k *Keeper) Decided() <-chan struct{} { return k.decided }

func (k *Keeper) wake(id string) {
	select {
	case k.decided <- struct{}{}:
	default:
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if c := k.waiting[id]; c != nil {
		close(c)
		delete(k.waiting, id)
	}
}

// Get returns a request as it stands; one whose deadline has passed is expired
// whether or not ExpireDue has come by.
func (k *Keeper) Get(ctx context.Context, id string) (Request, error) {
	r, err := k.store.Approval(ctx, id)
	if err == nil && r.Overdue(k.now()) {
		return k.expire(ctx, r)
	}
	return r, err
}

// List returns requests, newest first.
func (k *Keeper) List(ctx context.Context, f Filter) ([]Request, error) {
	return k.store.Approvals(ctx, f)
}

// ExpireDue ends what nobody decided or used in time, and tells the audit log what
// it has yet to be told. Call it every second or so.
func (k *Keeper) ExpireDue(ctx context.Context) error {
	var errs []error
	for _, state := range []State{Pending, Approved} {
		open, err := k.store.Approvals(ctx, Filter{State: state})
		errs = append(errs, err)
		for _, r := range open {
			if r.Overdue(k.now()) {
				_, err := k.expire(ctx, r)
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(append(errs, k.tellOwed(ctx))...)
}

// tellOwed records the ends that could not be recorded when they came.
func (k *Keeper) tellOwed(ctx context.Context) error {
	k.ending.Lock()
	defer k.ending.Unlock()
	owed, err := k.store.Approvals(ctx, Filter{Unrecorded: true})
	for _, r := range slices.Backward(owed) { // oldest first
		if _, err := k.tell(ctx, r); err != nil {
			return err // the log takes nothing now: no use in trying the others
		}
	}
	return err
}

func notPending(r Request) error {
	by := ""
	if r.DecidedBy.Key != "" {
		by = " by " + r.DecidedBy.String()
	}
	return explain(ErrNotPending, "%s is %s already%s", r.ID, r.State, by)
}

func explain(kind error, format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{kind}, args...)...)
}

// wall drops the monotonic reading, which would not survive the store anyway.
func wall(t time.Time) time.Time { return t.Round(0).UTC() }
