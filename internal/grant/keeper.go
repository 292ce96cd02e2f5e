package grant

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/approval"
	"github.com/sallyport/sallyport/internal/identity"
)

const (
	defaultMaxWait = time.Hour
	maxReason      = 4096 // bytes
)

// Config is what a Keeper needs.
type Config struct {
	Store Store
	// Approvals is asked where a window needs a person. Without it such windows are
	// refused.
	Approvals *approval.Keeper
	Now       func() time.Time
	// Elapsed is a clock that cannot be set: time since some fixed moment of this
	// process. Nil takes Go's monotonic clock.
	Elapsed func() time.Duration
	// MaxWait is how long a window may wait for a person; 0 is one hour.
	MaxWait time.Duration
	// Events is told of every transition. What leads to an open window (requested,
	// pending, activated) is told before it counts, and does not happen if that
	// fails. What closes one happens first and is told as soon as it can be, after a
	// crash too: no failing disk keeps a window open. It must not call the keeper or
	// the store.
	Events func(Event) error
}

// Keeper keeps windows. It is safe for concurrent use.
//
// The store is the truth; what is active is held in memory beside it, where each
// statement asks. An opening reaches memory last, a closing first.
type Keeper struct {
	store     Store
	approvals *approval.Keeper
	clock     clock
	maxWait   time.Duration
	events    func(Event) error

	windows  windows
	watchers watchers
	changed  chan struct{} // Run has to look at the deadlines again

	// mu orders transitions. Active does not take it.
	mu   sync.Mutex
	owed map[string]closing // windows that are shut here and that the store could not close yet
}

// New makes a keeper of what the store holds: a restart forgets nothing. What came
// to its end meanwhile is closed now.
func New(ctx context.Context, cfg Config) (*Keeper, error) {
	k := &Keeper{
		store: cfg.Store, approvals: cfg.Approvals, events: cfg.Events, maxWait: cfg.MaxWait,
		clock:   newClock(cfg.Now, cfg.Elapsed),
		changed: make(chan struct{}, 1),
		owed:    map[string]closing{},
	}
	if k.events == nil {
		k.events = func(Event) error { return errors.New("windows are not recorded anywhere: none can be opened") }
	}
	if k.maxWait <= 0 {
		k.maxWait = defaultMaxWait
	}
	active, err := k.store.Grants(ctx, Filter{States: []State{Active}})
	if err != nil {
		return nil, fmt.Errorf("load windows: %w", err)
	}
	for _, g := range active {
		k.windows.put(admit(g, &k.clock))
	}
	if err := k.abandon(ctx); err != nil {
		return nil, fmt.Errorf("load windows: %w", err)
	}
	return k, nil
}

// abandon closes what a crash caught between being requested and being asked for.
func (k *Keeper) abandon(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	half, err := k.store.Grants(ctx, Filter{States: []State{Requested}})
	for _, g := range half {
		c := closing{to: Refused, cause: "sallyport was restarted before it was opened; ask again"}
		if _, err := k.close(ctx, g.ID, []State{Requested}, c); err != nil && !isUnrecorded(err) {
			return err
		}
	}
	return err
}

// Request opens a window for a principal at a connection, or has a person asked.
// If there is one already it is returned with ErrAlreadyOpen: a window is not
// extended by asking again.
func (k *Keeper) Request(ctx context.Context, p *identity.Principal, connection, reason string, requestedTTL time.Duration, t Terms) (Grant, error) {
	g, err := k.plan(p, connection, reason, requestedTTL, t)
	if err != nil {
		return Grant{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := errors.Join(k.closeOwed(ctx), k.expireDue(ctx)); err != nil && !isUnrecorded(err) {
		return Grant{}, err
	}
	kept, err := k.store.CreateGrant(ctx, g, func() error {
		return k.events(Event{Type: "grant.requested", Grant: g, Actor: g.Principal.String(), Cause: reason})
	})
	if errors.Is(err, ErrAlreadyOpen) {
		return kept, explain(ErrAlreadyOpen, "%s at %s is %s", kept.ID, connection, kept.State)
	}
	if err != nil {
		return Grant{}, fmt.Errorf("request a window at %s: %w", connection, err)
	}
	k.watchers.tell(g)
	if t.NeedsApproval || t.Mode == ModeApproval {
		kept, err = k.ask(ctx, g, t)
	} else {
		kept, err = k.activate(ctx, g.ID, Requested, g.Actor, "")
	}
	if err != nil {
		// Leave nothing behind that would stand in the way of asking again.
		kept, cerr := k.close(context.WithoutCancel(ctx), g.ID, open, closing{to: Refused, cause: err.Error()})
		return kept, errors.Join(fmt.Errorf("request a window at %s: %w", connection, err), cerr)
	}
	return kept, nil
}

// plan makes the grant that is requested, or says why there can be none.
func (k *Keeper) plan(p *identity.Principal, connection, reason string, requested time.Duration, t Terms) (Grant, error) {
	reason = strings.TrimSpace(reason)
	switch {
	case p == nil || p.Subject == "":
		return Grant{}, explain(ErrInvalid, "nobody asks")
	case connection == "":
		return Grant{}, explain(ErrInvalid, "no connection is named")
	case reason == "":
		return Grant{}, explain(ErrInvalid, "give a reason: what the access is for")
	case len(reason) > maxReason:
		return Grant{}, explain(ErrInvalid, "the reason is longer than %d bytes", maxReason)
	case requested < 0:
		return Grant{}, explain(ErrInvalid, "the ttl asked for is negative")
	}
	if err := t.check(connection); err != nil {
		return Grant{}, err
	}
	wait, ttl := k.maxWait, t.TTL
	if t.MaxWait > 0 {
		wait = t.MaxWait
	}
	if requested > 0 {
		ttl = min(ttl, requested)
	}
	now := wall(k.clock.now())
	return Grant{
		ID: newID(), Principal: approval.PartyOf(p), Connection: connection,
		Binding: t.Binding, Reason: reason, Mode: t.Mode, Revision: t.Revision, Record: t.Record,
		State: Requested, RequestedTTL: requested, TTL: ttl,
		RequestedAt: now, ExpiresAt: now.Add(wait), Approvers: t.Approvers,
		Actor: approval.PartyOf(p).String(),
	}, nil
}

// ask puts the window before a person.
func (k *Keeper) ask(ctx context.Context, g Grant, t Terms) (Grant, error) {
	if k.approvals == nil {
		return g, explain(ErrInvalid, "binding %s needs approval, and approvals are not set up", g.Binding)
	}
	r, err := k.approvals.Ask(ctx, approval.Request{
		Kind: approval.Grant, Requester: g.Principal, Connection: g.Connection, GrantID: g.ID, Binding: g.Binding,
		Reason: g.Reason, Reasons: t.Reasons, Approvers: t.Approvers, BindHash: bindHash(&g), Deadline: g.ExpiresAt,
	})
	if err != nil {
		return g, err
	}
	moved, err := k.store.MoveGrant(ctx, g.ID, []State{Requested}, func(g *Grant) error {
		g.State, g.ApprovalID = Pending, r.ID
		return k.events(Event{Type: "grant.pending", Grant: *g, Actor: g.Principal.String()})
	})
	if err != nil {
		return g, errors.Join(err, k.approvals.Withdraw(context.WithoutCancel(ctx), r.ID, "the window could not be kept"))
	}
	k.watchers.tell(moved)
	return moved, nil
}

// bindHash binds an approval to what the approver was shown of the window.
func bindHash(g *Grant) string {
	h := sha256.New()
	for _, part := range []string{"grant", g.ID, g.Principal.Key, g.Connection, g.Binding, g.Mode, g.Reason, g.TTL.String(), g.Revision} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Active returns the principal's open window at a connection. Each statement asks:
// it takes no lock and allocates nothing.
func (k *Keeper) Active(key, connection string) (Grant, bool) {
	if w := k.windows.find(slot{key, connection}, &k.clock); w != nil {
		return w.grant, true
	}
	return Grant{}, false
}

// Get returns a window as it stands. One whose time has passed is never shown as
// active.
func (k *Keeper) Get(ctx context.Context, id string) (Grant, error) {
	g, err := k.store.Grant(ctx, id)
	return k.seen(g), err
}

// List returns windows, newest first.
func (k *Keeper) List(ctx context.Context, f Filter) ([]Grant, error) {
	all, err := k.store.Grants(ctx, f)
	for i := range all {
		all[i] = k.seen(all[i])
	}
	return all, err
}

// seen shows a window that the store has as active, and Active no longer finds, for
// what it is.
func (k *Keeper) seen(g Grant) Grant {
	if g.State != Active || k.isActive(&g) {
		return g
	}
	k.mu.Lock() // what is just being opened is in the store a moment earlier
	defer k.mu.Unlock()
	c, shut := k.owed[g.ID]
	switch {
	case shut:
		c.apply(&g)
	case !k.isActive(&g):
		g.State = Expired
	}
	return g
}

func (k *Keeper) isActive(g *Grant) bool {
	now, ok := k.Active(g.Principal.Key, g.Connection)
	return ok && now.ID == g.ID
}

// Watch tells of every transition from now on. It never holds up the keeper: who is
// slow gets the latest state of each window. cancel ends it.
func (k *Keeper) Watch() (moved <-chan Grant, cancel func()) { return k.watchers.add() }

// wall drops the monotonic reading, which would not survive the store anyway.
func wall(t time.Time) time.Time { return t.Round(0).UTC() }
