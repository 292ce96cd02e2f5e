package approval_test

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
	"github.com/sallyport/sallyport/internal/identity"
	"github.com/sallyport/sallyport/internal/store"
)

var start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// world is a keeper with a clock that is moved and a log that can fail.
type world struct {
	t    *testing.T
	path string
	db   *store.SQLite
	*approval.Keeper

	mu     sync.Mutex
	now    time.Time
	broken error
	events []string
	last   approval.Event
}

func newWorld(t *testing.T) *world {
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
	w.db = db
	w.Keeper = approval.New(approval.Config{Store: db, Now: w.clock, Events: w.record})
}

func (w *world) restart() {
	w.t.Helper()
	if err := w.db.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.open()
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) breakLog(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = err
}

func (w *world) record(e approval.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return w.broken
	}
	w.events, w.last = append(w.events, e.Type), e
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

func (w *world) state(id string, want approval.State) {
	w.t.Helper()
	r, err := w.db.Approval(context.Background(), id)
	if err != nil || r.State != want {
		w.t.Errorf("%s is %s (%v), want %s", id, r.State, err, want)
	}
}

func user(subject string, groups ...string) *identity.Principal {
	return &identity.Principal{Issuer: "entra", Tenant: "t", Subject: subject, Kind: identity.KindUser, Groups: groups, GroupsComplete: true}
}

var agent = &identity.Principal{Issuer: "entra", Tenant: "t", Subject: "agent", Kind: identity.KindWorkload, GroupsComplete: true,
	Groups: []string{"dba"}, OnBehalfOf: &identity.OnBehalfOf{Subject: "carol"}}

func (w *world) ask(approvers ...string) approval.Request {
	w.t.Helper()
	if len(approvers) == 0 {
		approvers = []string{"group:dba", "agent"}
	}
	r, err := w.Ask(w.t.Context(), approval.Request{
		Kind: approval.Statement, Requester: approval.PartyOf(agent), Connection: "prod", SessionID: "s-1", Statement: "DELETE FROM t",
		Approvers: approvers, BindHash: "hash", Deadline: w.clock().Add(time.Minute),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func TestApprovedOnceUsedOnce(t *testing.T) {
	w := newWorld(t)
	r := w.ask()
	if _, err := w.Consume(t.Context(), r.ID, "hash"); !errors.Is(err, approval.ErrNotApproved) {
		t.Errorf("used before it was approved: %v", err)
	}
	bob := user("bob", "dba")
	got, err := w.Decide(t.Context(), r.ID, bob, true, "go on")
	if err != nil || got.State != approval.Approved || got.DecidedBy.Key != bob.Key() || got.Comment != "go on" {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := w.Decide(t.Context(), r.ID, user("dave", "dba"), false, ""); !errors.Is(err, approval.ErrNotPending) {
		t.Errorf("decided twice: %v", err)
	}
	for _, hash := range []string{"other", ""} {
		if _, err := w.Consume(t.Context(), r.ID, hash); !errors.Is(err, approval.ErrBinding) {
			t.Errorf("used for %q: %v", hash, err)
		}
	}
	w.restart() // an approval outlives the process, and so does its use
	if _, err := w.Consume(t.Context(), r.ID, "hash"); err != nil {
		t.Fatal(err)
	}
	w.restart()
	if _, err := w.Consume(t.Context(), r.ID, "hash"); !errors.Is(err, approval.ErrNotApproved) || !strings.Contains(err.Error(), "consumed") {
		t.Errorf("used twice: %v", err)
	}
	w.recorded("approval.requested", "approval.approved", "approval.consumed")
}

func TestWhoMayDecide(t *testing.T) {
	partial := user("erin")
	partial.GroupsComplete = false
	namesake := user("x")
	namesake.DisplayName = "bob"
	registered := user("y")
	registered.Name = "bob"
	otherTenant := user("agent", "dba")
	otherTenant.Tenant = "other"
	proxyOfCarol := user("bot", "dba")
	proxyOfCarol.OnBehalfOf = &identity.OnBehalfOf{Subject: "carol"}
	proxyOfAgent := user("bot", "dba")
	proxyOfAgent.OnBehalfOf = &identity.OnBehalfOf{Subject: "agent"}
	software := user("bot", "dba")
	software.Kind = identity.KindWorkload
	for name, c := range map[string]struct {
		approvers string
		by        *identity.Principal
		want      error
	}{
		"software in the group":          {"group:dba", software, approval.ErrNotApprover},
		"software named itself":          {"subject:bot", software, nil},
		"group":                          {"group:dba", user("bob", "dba"), nil},
		"subject":                        {"subject:bob", user("bob"), nil},
		"subject, bare":                  {"bob", user("bob"), nil},
		"name in the registry":           {"bob", registered, nil},
		"the issuer's display name":      {"bob", namesake, approval.ErrNotApprover},
		"registry name is no subject":    {"subject:bob", registered, approval.ErrNotApprover},
		"another group":                  {"group:dba", user("bob", "dbas"), approval.ErrNotApprover},
		"group name is no subject":       {"group:dba", user("dba"), approval.ErrNotApprover},
		"subject is no group":            {"bob", user("x", "bob"), approval.ErrNotApprover},
		"empty group":                    {"group:", user("x", ""), approval.ErrNotApprover},
		"groups not complete":            {"group:dba", partial, approval.ErrNotApprover},
		"requester, though named":        {"agent", agent, approval.ErrSelf},
		"requester, though in the group": {"group:dba", agent, approval.ErrSelf},
		"requester's person":             {"group:dba", user("carol", "dba"), approval.ErrSelf},
		"software of requester's person": {"group:dba", proxyOfCarol, approval.ErrSelf},
		"software of the requester":      {"group:dba", proxyOfAgent, approval.ErrSelf},
		"same subject, another tenant":   {"group:dba", otherTenant, nil},
		"nobody":                         {"group:dba", nil, approval.ErrNotApprover},
		"nobody in particular":           {"group:dba", &identity.Principal{}, approval.ErrNotApprover},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			r := w.ask(c.approvers)
			_, err := w.Decide(t.Context(), r.ID, c.by, true, "")
			if !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if c.want == nil {
				w.state(r.ID, approval.Approved)
				return
			}
			w.state(r.ID, approval.Pending)
			w.recorded("approval.requested", "approval.rejected")
			if !strings.Contains(err.Error(), c.approvers) {
				t.Errorf("%q does not say who could decide", err)
			}
		})
	}
}

func TestNotAsked(t *testing.T) {
	w := newWorld(t)
	good := approval.Request{Kind: approval.Statement, Requester: approval.PartyOf(agent), Approvers: []string{"bob"}, BindHash: "h"}
	for name, c := range map[string]struct {
		change func(*approval.Request)
		want   error
	}{
		"no approvers":    {func(r *approval.Request) { r.Approvers = nil }, approval.ErrNoApprovers},
		"blank approvers": {func(r *approval.Request) { r.Approvers = []string{"", " "} }, approval.ErrNoApprovers},
		"no kind":         {func(r *approval.Request) { r.Kind = "" }, approval.ErrInvalid},
		"no requester":    {func(r *approval.Request) { r.Requester = approval.Party{} }, approval.ErrInvalid},
		"no binding":      {func(r *approval.Request) { r.BindHash = "" }, approval.ErrInvalid},
		"too late":        {func(r *approval.Request) { r.Deadline = start }, approval.ErrInvalid},
	} {
		r := good
		c.change(&r)
		if _, err := w.Ask(t.Context(), r); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.recorded()
	if r, err := w.Ask(t.Context(), good); err != nil || !r.Deadline.Equal(start.Add(approval.DefaultWait)) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestDeadline(t *testing.T) {
	w := newWorld(t)
	late, unused, refused := w.ask(), w.ask(), w.ask()
	bob := user("bob", "dba")
	if _, err := w.Decide(t.Context(), unused.ID, bob, true, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Decide(t.Context(), refused.ID, bob, false, "no"); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Minute)
	if r, err := w.Decide(t.Context(), late.ID, bob, true, ""); !errors.Is(err, approval.ErrNotPending) || r.State != approval.Expired {
		t.Errorf("decided at the deadline: %+v, %v", r, err)
	}
	if _, err := w.Consume(t.Context(), unused.ID, "hash"); !errors.Is(err, approval.ErrNotApproved) {
		t.Errorf("used at the deadline: %v", err)
	}
	if err := w.ExpireDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.state(late.ID, approval.Expired)
	w.state(unused.ID, approval.Expired)
	w.state(refused.ID, approval.Refused)
	w.recorded("approval.requested", "approval.requested", "approval.requested",
		"approval.approved", "approval.refused", "approval.expired", "approval.expired")
}

func TestWait(t *testing.T) {
	bob := user("bob", "dba")
	for want, end := range map[approval.State]func(*world, string) error{
		approval.Approved:  func(w *world, id string) error { _, err := w.Decide(t.Context(), id, bob, true, ""); return err },
		approval.Refused:   func(w *world, id string) error { _, err := w.Decide(t.Context(), id, bob, false, ""); return err },
		approval.Withdrawn: func(w *world, id string) error { return w.Withdraw(t.Context(), id, "the client left") },
		approval.Expired:   func(w *world, _ string) error { w.pass(time.Hour); return w.ExpireDue(t.Context()) },
	} {
		t.Run(string(want), func(t *testing.T) {
			w := newWorld(t)
			r := w.ask()
			got := make(chan approval.Request)
			for range 3 {
				go func() {
					r, err := w.Wait(t.Context(), r.ID)
					if err != nil {
						t.Error(err)
					}
					got <- r
				}()
			}
			if err := end(w, r.ID); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if r := <-got; r.State != want {
					t.Errorf("%s, want %s", r.State, want)
				}
			}
		})
	}
}

func TestWhoStopsWaitingLeavesTheRequest(t *testing.T) {
	w := newWorld(t)
	r := w.ask()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Wait(ctx, r.ID); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	w.state(r.ID, approval.Pending)
	if err := w.Withdraw(t.Context(), r.ID, "gave up"); err != nil {
		t.Fatal(err)
	}
	if err := w.Withdraw(t.Context(), r.ID, "again"); !errors.Is(err, approval.ErrNotPending) {
		t.Errorf("%v", err)
	}
	if _, err := w.Decide(t.Context(), r.ID, user("bob", "dba"), true, ""); !errors.Is(err, approval.ErrNotPending) {
		t.Errorf("approved what was withdrawn: %v", err)
	}
}

func TestNoRecordNoPermission(t *testing.T) {
	w := newWorld(t)
	full := errors.New("disk full")
	asked, approved := w.ask(), w.ask()
	bob := user("bob", "dba")
	if _, err := w.Decide(t.Context(), approved.ID, bob, true, ""); err != nil {
		t.Fatal(err)
	}
	w.breakLog(full)
	if _, err := w.Ask(t.Context(), approval.Request{Kind: approval.Grant, Requester: approval.PartyOf(agent), Approvers: []string{"x"}, BindHash: "h"}); !errors.Is(err, full) {
		t.Errorf("ask: %v", err)
	}
	if all, _ := w.List(t.Context(), approval.Filter{}); len(all) != 2 {
		t.Errorf("%d requests, want 2", len(all))
	}
	if _, err := w.Decide(t.Context(), asked.ID, bob, true, ""); !errors.Is(err, full) {
		t.Errorf("approve: %v", err)
	}
	w.state(asked.ID, approval.Pending)
	if _, err := w.Consume(t.Context(), approved.ID, "hash"); !errors.Is(err, full) {
		t.Errorf("consume: %v", err)
	}
	w.state(approved.ID, approval.Approved)
}

func TestWhatEndsEndsThoughTheLogIsFull(t *testing.T) {
	w := newWorld(t)
	refused, withdrawn := w.ask(), w.ask()
	w.recorded("approval.requested", "approval.requested")
	full := errors.New("disk full")
	w.breakLog(full)
	if _, err := w.Decide(t.Context(), refused.ID, user("bob", "dba"), false, ""); !errors.Is(err, full) {
		t.Errorf("refuse: %v", err)
	}
	if err := w.Withdraw(t.Context(), withdrawn.ID, ""); !errors.Is(err, full) {
		t.Errorf("withdraw: %v", err)
	}
	if err := w.ExpireDue(t.Context()); !errors.Is(err, full) {
		t.Errorf("the debt is paid by nobody: %v", err)
	}
	w.state(refused.ID, approval.Refused)
	w.state(withdrawn.ID, approval.Withdrawn)
	w.restart()
	w.breakLog(nil)
	for range 2 { // once, however often
		if err := w.ExpireDue(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(w.events)
	w.recorded("approval.refused", "approval.withdrawn")
}

func TestTwinVerdicts(t *testing.T) {
	w := newWorld(t)
	r := w.ask()
	var wg sync.WaitGroup
	won := make(chan bool, 32)
	for i := range 32 {
		wg.Go(func() {
			if _, err := w.Decide(context.Background(), r.ID, user("bob", "dba"), i%2 == 0, ""); err == nil {
				won <- true
			} else if !errors.Is(err, approval.ErrNotPending) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Errorf("%d verdicts were taken", len(won))
	}
}

func TestTwinUses(t *testing.T) {
	w := newWorld(t)
	r := w.ask()
	if _, err := w.Decide(t.Context(), r.ID, user("bob", "dba"), true, ""); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	used := make(chan bool, 32)
	for range 32 {
		wg.Go(func() {
			if _, err := w.Consume(context.Background(), r.ID, "hash"); err == nil {
				used <- true
			}
		})
	}
	wg.Wait()
	if len(used) != 1 {
		t.Errorf("used %d times", len(used))
	}
}

func TestUnknown(t *testing.T) {
	w := newWorld(t)
	for name, do := range map[string]func() error{
		"get":      func() error { _, err := w.Get(t.Context(), "a-x"); return err },
		"decide":   func() error { _, err := w.Decide(t.Context(), "a-x", user("bob"), true, ""); return err },
		"consume":  func() error { _, err := w.Consume(t.Context(), "a-x", "h"); return err },
		"withdraw": func() error { return w.Withdraw(t.Context(), "a-x", "") },
		"wait":     func() error { _, err := w.Wait(t.Context(), "a-x"); return err },
	} {
		if err := do(); !errors.Is(err, approval.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWithoutALogNothingIsAsked(t *testing.T) {
	w := newWorld(t)
	k := approval.New(approval.Config{Store: w.db})
	_, err := k.Ask(t.Context(), approval.Request{Kind: approval.Grant, Requester: approval.PartyOf(agent), Approvers: []string{"x"}, BindHash: "h"})
	if err == nil || !strings.Contains(err.Error(), "not recorded anywhere") {
		t.Errorf("%v", err)
	}
}
