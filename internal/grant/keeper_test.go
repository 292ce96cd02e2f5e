package grant_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/approval"
	"github.com/sallyport/sallyport/internal/grant"
	"github.com/sallyport/sallyport/internal/identity"
	"github.com/sallyport/sallyport/internal/store"
)

var start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// brittle is a store that can stop taking changes.
type brittle struct {
	*store.SQLite
	mu     sync.Mutex
	broken error
}

func (b *brittle) breakIt(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = err
}

func (b *brittle) MoveGrant(ctx context.Context, id string, from []grant.State, change func(*grant.Grant) error) (grant.Grant, error) {
	b.mu.Lock()
	err := b.broken
	b.mu.Unlock()
	if err == nil {
		return b.SQLite.MoveGrant(ctx, id, from, change)
	}
	// As a commit that fails: everything is done and then nothing was.
	g, ferr := b.SQLite.MoveGrant(ctx, id, from, func(g *grant.Grant) error { return errors.Join(change(g), err) })
	return g, ferr
}

// world is a keeper with two clocks that are moved and a log that can fail.
type world struct {
	t    testing.TB
	path string
	db   *brittle
	app  *approval.Keeper
	*grant.Keeper

	mu      sync.Mutex
	now     time.Time
	elapsed time.Duration
	broken  error
	events  []string
	last    grant.Event
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, path: filepath.Join(t.TempDir(), "state.db"), now: start}
	w.open()
	t.Cleanup(func() { w.db.Close() })
	return w
}

func (w *world) open() {
	w.t.Helper()
	db, err := store.Open(context.Background(), w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	w.db = &brittle{SQLite: db}
	w.app = approval.New(approval.Config{Store: db, Now: w.wall, Events: func(e approval.Event) error { return w.record(e.Type) }})
	w.Keeper, err = grant.New(context.Background(), grant.Config{
		Store: w.db, Approvals: w.app, Now: w.wall, Elapsed: w.mono,
		Events: func(e grant.Event) error {
			if err := w.record(e.Type); err != nil {
				return err
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.last = e
			return nil
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// restart is a new process: what was in memory is gone, and the second clock begins anew.
func (w *world) restart() {
	w.t.Helper()
	if err := w.db.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.elapsed = 0
	w.mu.Unlock()
	w.open()
}

func (w *world) wall() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) mono() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.elapsed
}

func (w *world) move(wall, mono time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now, w.elapsed = w.now.Add(wall), w.elapsed+mono
}

func (w *world) pass(d time.Duration) { w.move(d, d) }

func (w *world) breakLog(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = err
}

func (w *world) record(typ string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return w.broken
	}
	w.events = append(w.events, typ)
	return nil
}

func (w *world) recorded(want ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.events, want) {
		w.t.Errorf("recorded %q, want %q", w.events, want)
	}
	w.events = nil
}

func (w *world) isOpen(want bool) {
	w.t.Helper()
	if _, ok := w.Active(agent.Key(), "prod"); ok != want {
		w.t.Errorf("window open: %v, want %v", ok, want)
	}
}

func (w *world) stored(id string, want grant.State) grant.Grant {
	w.t.Helper()
	g, err := w.db.Grant(context.Background(), id)
	if err != nil || g.State != want {
		w.t.Errorf("%s is kept as %s (%v), want %s", id, g.State, err, want)
	}
	return g
}

var (
	agent = &identity.Principal{Issuer: "entra", Tenant: "t", Subject: "agent", Name: "support-agent", Kind: identity.KindWorkload, GroupsComplete: true}
	bob   = &identity.Principal{Issuer: "entra", Tenant: "t", Subject: "bob", Kind: identity.KindUser, Groups: []string{"dba"}, GroupsComplete: true}

	onRequest = grant.Terms{Binding: "jit", Mode: grant.ModeOnRequest, TTL: 30 * time.Minute, Record: true, Revision: "r1"}
	byPerson  = grant.Terms{Binding: "jit", Mode: grant.ModeApproval, TTL: 30 * time.Minute, Approvers: []string{"group:dba"}, MaxWait: 10 * time.Minute}
)

func (w *world) request(t grant.Terms) grant.Grant {
	w.t.Helper()
	g, err := w.Request(context.Background(), agent, "prod", "look into ticket 12", 0, t)
	if err != nil {
		w.t.Fatal(err)
	}
	return g
}

func TestWindowOpensAndClosesOnTime(t *testing.T) {
	w := newWorld(t)
	w.isOpen(false)
	g := w.request(onRequest)
	if g.State != grant.Active || !g.OpenedAt.Equal(start) || !g.ExpiresAt.Equal(start.Add(30*time.Minute)) || !g.Record || g.Binding != "jit" {
		t.Fatalf("%+v", g)
	}
	if active, ok := w.Active(agent.Key(), "prod"); !ok || active.ID != g.ID {
		t.Errorf("%+v, %v", active, ok)
	}
	if _, ok := w.Active(agent.Key(), "staging"); ok {
		t.Error("open at another connection")
	}
	if _, ok := w.Active(bob.Key(), "prod"); ok {
		t.Error("open for another principal")
	}
	w.pass(30*time.Minute - time.Nanosecond)
	w.isOpen(true)
	w.pass(time.Nanosecond)
	w.isOpen(false)
	if g, err := w.Get(t.Context(), g.ID); err != nil || g.State != grant.Expired {
		t.Errorf("%s, %v: an expired window is shown as such before anybody swept", g.State, err)
	}
	if err := w.ExpireDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if g := w.stored(g.ID, grant.Expired); !g.ClosedAt.Equal(w.now) || g.Cause == "" {
		t.Errorf("%+v", g)
	}
	w.recorded("grant.requested", "grant.activated", "grant.expired")
}

func TestEitherClockClosesTheWindow(t *testing.T) {
	for name, c := range map[string]struct{ wall, mono time.Duration }{
		"wall clock set back":    {-time.Hour, 30 * time.Minute},
		"machine slept":          {30 * time.Minute, 0},
		"wall clock set forward": {time.Hour, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			g := w.request(onRequest)
			w.move(c.wall, c.mono)
			w.isOpen(false)
			if g, _ := w.Get(t.Context(), g.ID); g.State != grant.Expired {
				t.Errorf("shown as %s", g.State)
			}
			if err := w.ExpireDue(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.stored(g.ID, grant.Expired)
			w.move(-c.wall, 0) // and putting the clock right opens nothing
			w.isOpen(false)
		})
	}
}

func TestRestartForgetsNothing(t *testing.T) {
	w := newWorld(t)
	g := w.request(onRequest)
	w.pass(10 * time.Minute)
	w.restart()
	if again, ok := w.Active(agent.Key(), "prod"); !ok || again.ID != g.ID || !again.ExpiresAt.Equal(g.ExpiresAt) || again.Principal != g.Principal {
		t.Fatalf("%+v, %v", again, ok)
	}
	w.pass(20*time.Minute - 1)
	w.isOpen(true)
	w.pass(1)
	w.isOpen(false)

	// What ended while nobody was there is over at once.
	w = newWorld(t)
	w.request(onRequest)
	w.pass(31 * time.Minute)
	w.restart()
	w.isOpen(false)

	// Turning the clock back while nobody was there gives at most the ttl again.
	w = newWorld(t)
	w.request(onRequest)
	w.move(-24*time.Hour, 0)
	w.restart()
	w.move(0, 30*time.Minute)
	w.isOpen(false)
}

func TestTTL(t *testing.T) {
	for name, c := range map[string]struct{ asked, want time.Duration }{
		"not asked": {0, 30 * time.Minute},
		"less":      {5 * time.Minute, 5 * time.Minute},
		"too much":  {10 * time.Hour, 30 * time.Minute},
	} {
		w := newWorld(t)
		g, err := w.Request(t.Context(), agent, "prod", "why", c.asked, onRequest)
		if err != nil || g.TTL != c.want || g.ExpiresAt.Sub(g.OpenedAt) != c.want || g.RequestedTTL != c.asked {
			t.Errorf("%s: %+v, %v", name, g, err)
		}
	}
}

func TestRefusedRequests(t *testing.T) {
	w := newWorld(t)
	terms := func(change func(*grant.Terms)) grant.Terms { t := onRequest; change(&t); return t }
	for name, c := range map[string]struct {
		by         *identity.Principal
		connection string
		reason     string
		ttl        time.Duration
		terms      grant.Terms
		want       error
	}{
		"nobody":        {nil, "prod", "why", 0, onRequest, grant.ErrInvalid},
		"no connection": {agent, "", "why", 0, onRequest, grant.ErrInvalid},
		"no reason":     {agent, "prod", " \n", 0, onRequest, grant.ErrInvalid},
		"long reason":   {agent, "prod", strings.Repeat("x", 4097), 0, onRequest, grant.ErrInvalid},
		"negative ttl":  {agent, "prod", "why", -1, onRequest, grant.ErrInvalid},
		"no end":        {agent, "prod", "why", 0, terms(func(t *grant.Terms) { t.TTL = 0 }), grant.ErrInvalid},
		"standing":      {agent, "prod", "why", 0, terms(func(t *grant.Terms) { t.Mode = grant.ModeStanding }), grant.ErrInvalid},
		"no mode":       {agent, "prod", "why", 0, terms(func(t *grant.Terms) { t.Mode = "" }), grant.ErrInvalid},
		"no terms":      {agent, "prod", "why", 0, grant.Terms{}, grant.ErrInvalid},
		"no approvers":  {agent, "prod", "why", 0, terms(func(t *grant.Terms) { t.NeedsApproval = true }), approval.ErrNoApprovers},
	} {
		if _, err := w.Request(t.Context(), c.by, c.connection, c.reason, c.ttl, c.terms); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		w.isOpen(false)
	}
	w.request(onRequest) // nothing is in the way of a good one
	w.isOpen(true)
}

func TestOneWindowOf64Requests(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	opened := make(chan grant.Grant, 64)
	already := make(chan grant.Grant, 64)
	for range 64 {
		wg.Go(func() {
			g, err := w.Request(context.Background(), agent, "prod", "why", 0, onRequest)
			switch {
			case err == nil:
				opened <- g
			case errors.Is(err, grant.ErrAlreadyOpen):
				already <- g
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(opened) != 1 || len(already) != 63 {
		t.Fatalf("%d opened, %d told that there is one", len(opened), len(already))
	}
	g := <-opened
	for range 63 {
		if other := <-already; other.ID != g.ID {
			t.Errorf("told of %s, %s is open", other.ID, g.ID)
		}
	}
	all, err := w.List(t.Context(), grant.Filter{})
	if err != nil || len(all) != 1 {
		t.Errorf("%d windows, %v", len(all), err)
	}
}

func TestAskingAgainDoesNotExtend(t *testing.T) {
	w := newWorld(t)
	g := w.request(onRequest)
	w.pass(29 * time.Minute)
	again, err := w.Request(t.Context(), agent, "prod", "more", time.Hour, onRequest)
	if !errors.Is(err, grant.ErrAlreadyOpen) || again.ID != g.ID || !again.ExpiresAt.Equal(g.ExpiresAt) {
		t.Errorf("%+v, %v", again, err)
	}
	w.pass(time.Minute)
	w.isOpen(false)
	if next := w.request(onRequest); next.ID == g.ID { // without ExpireDue in between
		t.Error("the same window again")
	}
	w.stored(g.ID, grant.Expired)
}

func TestApprovedByAPerson(t *testing.T) {
	w := newWorld(t)
	g := w.request(byPerson)
	if g.State != grant.Pending || g.ApprovalID == "" || !g.ExpiresAt.Equal(start.Add(10*time.Minute)) {
		t.Fatalf("%+v", g)
	}
	w.isOpen(false)
	if _, err := w.Request(t.Context(), agent, "prod", "again", 0, onRequest); !errors.Is(err, grant.ErrAlreadyOpen) {
		t.Errorf("a second request while one waits: %v", err)
	}
	// Nobody opens it past the approver, not even by calling Activate.
	if _, err := w.Activate(t.Context(), g.ID, "mallory"); !errors.Is(err, grant.ErrNotApproved) {
		t.Errorf("%v", err)
	}
	if _, err := w.app.Decide(t.Context(), g.ApprovalID, agent, true, ""); !errors.Is(err, approval.ErrNotApprover) && !errors.Is(err, approval.ErrSelf) {
		t.Errorf("%v", err)
	}
	w.isOpen(false)
	w.pass(5 * time.Minute)
	r, err := w.app.Decide(t.Context(), g.ApprovalID, bob, true, "go on")
	if err != nil {
		t.Fatal(err)
	}
	g, err = w.Settle(t.Context(), r)
	if err != nil || g.State != grant.Active || g.ApprovedBy != "bob" || !g.ExpiresAt.Equal(w.now.Add(30*time.Minute)) {
		t.Fatalf("%+v, %v", g, err)
	}
	w.isOpen(true)
	// Once: neither settling nor activating again changes anything.
	if again, err := w.Settle(t.Context(), r); err != nil || !again.ExpiresAt.Equal(g.ExpiresAt) {
		t.Errorf("%+v, %v", again, err)
	}
	w.recorded("grant.requested", "approval.requested", "grant.pending", "approval.rejected", "approval.approved", "approval.consumed", "grant.activated")
	if _, err := w.End(t.Context(), g.ID, "agent", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Activate(t.Context(), g.ID, "bob"); !errors.Is(err, grant.ErrState) {
		t.Errorf("opened again: %v", err)
	}
}

func TestApprovalIsFoundWithoutSettle(t *testing.T) {
	// The process dies between the verdict and the opening.
	w := newWorld(t)
	g := w.request(byPerson)
	if _, err := w.app.Decide(t.Context(), g.ApprovalID, bob, true, ""); err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.isOpen(false)
	if err := w.ExpireDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.isOpen(true)

	// It dies between the use of the approval and the opening.
	w = newWorld(t)
	g = w.request(byPerson)
	r, err := w.app.Decide(t.Context(), g.ApprovalID, bob, true, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.app.Consume(t.Context(), r.ID, r.BindHash); err != nil {
		t.Fatal(err)
	}
	w.restart()
	if err := w.ExpireDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.isOpen(true)
}

func TestNotApproved(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*world, grant.Grant)
		want grant.State
	}{
		"refused": {func(w *world, g grant.Grant) {
			if _, err := w.app.Decide(t.Context(), g.ApprovalID, bob, false, "not today"); err != nil {
				t.Fatal(err)
			}
		}, grant.Refused},
		"nobody came": {func(w *world, g grant.Grant) { w.pass(10 * time.Minute) }, grant.Expired},
		"approved too late": {func(w *world, g grant.Grant) {
			if _, err := w.app.Decide(t.Context(), g.ApprovalID, bob, true, ""); err != nil {
				t.Fatal(err)
			}
			w.pass(10 * time.Minute)
		}, grant.Expired},
		"withdrawn": {func(w *world, g grant.Grant) {
			if err := w.app.Withdraw(t.Context(), g.ApprovalID, "left"); err != nil {
				t.Fatal(err)
			}
		}, grant.Refused},
		"given back": {func(w *world, g grant.Grant) {
			if _, err := w.End(t.Context(), g.ID, "agent", "not needed"); err != nil {
				t.Fatal(err)
			}
			if r, _ := w.app.Get(t.Context(), g.ApprovalID); r.State != approval.Withdrawn {
				t.Errorf("its approval is %s", r.State)
			}
		}, grant.Ended},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			g := w.request(byPerson)
			c.end(w, g)
			if err := w.ExpireDue(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.isOpen(false)
			w.stored(g.ID, c.want)
			if _, err := w.Activate(t.Context(), g.ID, "bob"); err == nil {
				t.Error("opened afterwards")
			}
			w.request(onRequest)
		})
	}
}

func TestRevoke(t *testing.T) {
	w := newWorld(t)
	g := w.request(onRequest)
	got, err := w.Revoke(t.Context(), g.ID, "bob", "wrong table")
	if err != nil || got.State != grant.Revoked || got.Actor != "bob" || got.Cause != "wrong table" {
		t.Fatalf("%+v, %v", got, err)
	}
	w.isOpen(false)
	for name, do := range map[string]func() error{
		"revoke":   func() error { _, err := w.Revoke(t.Context(), g.ID, "bob", ""); return err },
		"end":      func() error { _, err := w.End(t.Context(), g.ID, "agent", ""); return err },
		"refuse":   func() error { _, err := w.Refuse(t.Context(), g.ID, "bob", ""); return err },
		"activate": func() error { _, err := w.Activate(t.Context(), g.ID, "bob"); return err },
	} {
		if err := do(); !errors.Is(err, grant.ErrState) || !strings.Contains(err.Error(), "revoked") {
			t.Errorf("%s afterwards: %v", name, err)
		}
	}
	if _, err := w.Revoke(t.Context(), "g-x", "bob", ""); !errors.Is(err, grant.ErrNotFound) {
		t.Errorf("%v", err)
	}
	w.restart()
	w.isOpen(false)
	w.recorded("grant.requested", "grant.activated", "grant.revoked")
}
