package grant_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/grant"
	"github.com/sallyport/sallyport/internal/identity"
)

var errFull = errors.New("disk full")

func TestNoRecordNoWindow(t *testing.T) {
	w := newWorld(t)
	w.breakLog(errFull)
	if _, err := w.Request(t.Context(), agent, "prod", "why", 0, onRequest); !errors.Is(err, errFull) {
		t.Errorf("%v", err)
	}
	w.isOpen(false)
	if all, _ := w.List(t.Context(), grant.Filter{}); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	w.breakLog(nil)
	w.request(onRequest)
	w.isOpen(true)
}

func TestNoRecordNoOpeningOfWhatWaits(t *testing.T) {
	w := newWorld(t)
	g := w.request(byPerson)
	r, err := w.app.Decide(t.Context(), g.ApprovalID, bob, true, "")
	if err != nil {
		t.Fatal(err)
	}
	w.breakLog(errFull)
	if _, err := w.Settle(t.Context(), r); !errors.Is(err, errFull) {
		t.Errorf("%v", err)
	}
	w.isOpen(false)
	w.stored(g.ID, grant.Pending)
	w.breakLog(nil)
	if err := w.ExpireDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.isOpen(true)
}

func TestNoFullLogKeepsAWindowOpen(t *testing.T) {
	for want, end := range map[grant.State]func(*world, string) error{
		grant.Revoked: func(w *world, id string) error { _, err := w.Revoke(context.Background(), id, "bob", ""); return err },
		grant.Ended:   func(w *world, id string) error { _, err := w.End(context.Background(), id, "agent", ""); return err },
		grant.Expired: func(w *world, _ string) error { w.pass(time.Hour); return w.ExpireDue(context.Background()) },
	} {
		t.Run(string(want), func(t *testing.T) {
			w := newWorld(t)
			g := w.request(onRequest)
			moved, cancel := w.Watch()
			defer cancel()
			w.recorded("grant.requested", "grant.activated")
			w.breakLog(errFull)
			if err := end(w, g.ID); !errors.Is(err, errFull) {
				t.Errorf("%v", err)
			}
			w.isOpen(false)
			if g := <-moved; g.State != want {
				t.Errorf("sessions are told that it is %s", g.State)
			}
			w.stored(g.ID, want)
			w.restart() // and the debt outlives the process
			w.isOpen(false)
			w.breakLog(nil)
			for range 2 { // it is paid once
				if err := w.ExpireDue(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			w.recorded("grant." + string(want))
		})
	}
}

func TestBrokenStoreShutsAndNeverOpens(t *testing.T) {
	w := newWorld(t)
	broken := errors.New("no such device")
	w.db.breakIt(broken)
	g, err := w.Request(t.Context(), agent, "prod", "why", 0, onRequest)
	if !errors.Is(err, broken) {
		t.Fatalf("%v", err)
	}
	w.isOpen(false)
	// The log says it was opened; it must also say that this came to nothing.
	w.recorded("grant.requested", "grant.activated", "grant.refused")
	w.db.breakIt(nil)
	if err := w.ExpireDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.stored(g.ID, grant.Refused)
	w.isOpen(false)

	g = w.request(onRequest)
	w.db.breakIt(broken)
	moved, cancel := w.Watch()
	defer cancel()
	if _, err := w.Revoke(t.Context(), g.ID, "bob", "now"); !errors.Is(err, broken) {
		t.Fatalf("%v", err)
	}
	w.isOpen(false)
	if g := <-moved; g.State != grant.Revoked {
		t.Errorf("sessions are told that it is %s", g.State)
	}
	if g, _ := w.Get(t.Context(), g.ID); g.State != grant.Revoked {
		t.Errorf("shown as %s", g.State)
	}
	w.db.breakIt(nil)
	if err := w.ExpireDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if g := w.stored(g.ID, grant.Revoked); g.Actor != "bob" || g.Cause != "now" {
		t.Errorf("%+v", g)
	}
	w.request(onRequest)
}

func TestCrashBetweenRecordAndStoreOpensNothing(t *testing.T) {
	w := newWorld(t)
	// What a crash leaves between being requested and being opened.
	half := grant.Grant{ID: "g-half", Connection: "prod", Mode: grant.ModeOnRequest, State: grant.Requested,
		TTL: time.Hour, RequestedAt: start, ExpiresAt: start.Add(time.Hour)}
	half.Principal.Key = agent.Key()
	if _, err := w.db.CreateGrant(t.Context(), half, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.isOpen(false)
	w.stored("g-half", grant.Refused)
	w.recorded("grant.refused")
	w.request(onRequest)
}

func TestWithoutALogNoWindowOpens(t *testing.T) {
	w := newWorld(t)
	k, err := grant.New(t.Context(), grant.Config{Store: w.db})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Request(t.Context(), agent, "prod", "why", 0, onRequest); err == nil {
		t.Error("opened")
	}
}

func TestSlowWatcherHoldsUpNobodyAndSeesTheLatest(t *testing.T) {
	w := newWorld(t)
	moved, cancel := w.Watch()
	w.request(onRequest) // more transitions than anybody takes
	var last grant.Grant
	for i := range 20 {
		p := &identity.Principal{Issuer: "entra", Subject: fmt.Sprint("p", i)}
		g, err := w.Request(t.Context(), p, "prod", "why", 0, onRequest)
		if err != nil {
			t.Fatal(err)
		}
		if last, err = w.Revoke(t.Context(), g.ID, "bob", ""); err != nil {
			t.Fatal(err)
		}
	}
	final := map[string]grant.State{}
	for g := range moved {
		final[g.ID] = g.State
		if g.ID == last.ID && g.State == grant.Revoked {
			break
		}
	}
	if len(final) != 21 {
		t.Errorf("told of %d windows, want 21", len(final))
	}
	revoked := 0
	for _, s := range final {
		if s == grant.Revoked {
			revoked++
		}
	}
	if revoked != 20 {
		t.Errorf("%d revoked, want 20", revoked)
	}
	cancel()
	cancel() // twice does no harm
	if _, ok := <-moved; ok {
		t.Error("told after cancel")
	}
}

// TestRun lets it run by itself, on real time.
func TestRun(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx, func(err error) { t.Error(err) })
	}()
	moved, stop := w.Watch()
	defer stop()
	g := w.request(byPerson)
	if _, err := w.app.Decide(t.Context(), g.ApprovalID, bob, true, ""); err != nil {
		t.Fatal(err)
	}
	for g := range moved { // opened without anybody calling Settle
		if g.State == grant.Active {
			break
		}
	}
	w.pass(time.Hour)
	for g := range moved {
		if g.State == grant.Expired {
			break
		}
	}
	cancel()
	<-done
}

func BenchmarkActive(b *testing.B) {
	w := newWorld(b)
	// 100 windows of others, and the real clocks.
	k, err := grant.New(b.Context(), grant.Config{Store: w.db, Events: func(grant.Event) error { return nil }})
	if err != nil {
		b.Fatal(err)
	}
	for i := range 100 {
		p := &identity.Principal{Issuer: "entra", Subject: fmt.Sprint("p", i)}
		if _, err := k.Request(b.Context(), p, "prod", "why", 0, onRequest); err != nil {
			b.Fatal(err)
		}
	}
	p := &identity.Principal{Issuer: "entra", Subject: "p50"}
	key := p.Key()
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, ok := k.Active(key, "prod"); !ok {
				b.Fatal("closed")
			}
		}
	})
}
