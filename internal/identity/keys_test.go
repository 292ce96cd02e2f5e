package identity_test

import (
	"crypto/rand"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/devenv"
	"github.com/sallyport/sallyport/internal/identity"
)

// front stands before an issuer and spoils its answers; it counts requests for keys.
type front struct {
	fault   atomic.Pointer[http.HandlerFunc]
	fetches atomic.Int64
}

func (f *front) wrap(good http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/keys") {
			f.fetches.Add(1)
		}
		if fault := f.fault.Load(); fault != nil {
			(*fault)(w, r)
			return
		}
		good.ServeHTTP(w, r)
	})
}

func (f *front) spoil(fault http.HandlerFunc) { f.fault.Store(&fault) }

// spoilKeys leaves discovery alone.
func (f *front) spoilKeys(good http.Handler, fault http.HandlerFunc) {
	f.spoil(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/keys") {
			fault(w, r)
			return
		}
		good.ServeHTTP(w, r)
	})
}

func (f *front) heal() { f.fault.Store(nil) }

func down(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "down", http.StatusServiceUnavailable)
}

func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

// faulty is one issuer behind a front.
type faulty struct {
	*served
	front *front
	clock *clock
}

func newFaulty(t *testing.T) *faulty {
	f := &faulty{front: &front{}, clock: newClock()}
	f.served = serveIssuer(t, f.clock, "", "ES256", f.front.wrap)
	return f
}

func (f *faulty) config() identity.Config {
	return identity.Config{Issuers: []identity.IssuerConfig{{
		Name: "corp", Preset: "entra", Issuer: f.IssuerURL(), Tenant: f.Tenant(), Audiences: []string{f.Audience()},
	}}}
}

func (f *faulty) verifier(t *testing.T) *identity.Verifier {
	return verifier(t, f.config(), f.clock.Now)
}

func (f *faulty) mint(ttl time.Duration) string {
	return f.Mint(devenv.MintOptions{Client: "agent", TTL: ttl})
}

func accept(t *testing.T, v *identity.Verifier, token string) {
	t.Helper()
	if _, err := v.Verify(t.Context(), identity.Token(token)); err != nil {
		t.Fatalf("refused: %v", err)
	}
}

func reject(t *testing.T, v *identity.Verifier, token string, want identity.Reason) {
	t.Helper()
	_, err := v.Verify(t.Context(), identity.Token(token))
	wantReason(t, err, token, want)
}

func TestIssuerDownAtStart(t *testing.T) {
	f := newFaulty(t)
	f.front.spoil(down)
	v := f.verifier(t)
	token := f.mint(0)
	reject(t, v, token, identity.ReasonKeysUnavailable)
	if v.Ready() == nil {
		t.Error("ready without keys")
	}
	f.front.heal()
	reject(t, v, token, identity.ReasonKeysUnavailable) // asked just now
	f.clock.advance(10 * time.Second)
	accept(t, v, token)
	if err := v.Ready(); err != nil {
		t.Errorf("not ready with keys: %v", err)
	}
}

func TestStormOfUnknownKeysCostsOneFetch(t *testing.T) {
	f := newFaulty(t)
	v := f.verifier(t)
	accept(t, v, f.mint(0))
	for range 2 {
		f.clock.advance(10 * time.Second)
		before := f.front.fetches.Load()
		var storm sync.WaitGroup
		for range 50 {
			storm.Go(func() {
				token := f.Mint(devenv.MintOptions{Client: "agent", Header: map[string]any{"kid": rand.Text()}})
				if _, err := v.Verify(t.Context(), identity.Token(token)); err == nil {
					t.Error("a made-up key id is accepted")
				}
			})
		}
		storm.Wait()
		if fetched := f.front.fetches.Load() - before; fetched != 1 {
			t.Errorf("50 tokens with unknown keys cost %d fetches, want 1", fetched)
		}
	}
}

func TestStormOfBadSignaturesCostsOneFetch(t *testing.T) {
	f := newFaulty(t)
	v := f.verifier(t)
	accept(t, v, f.mint(0))
	f.clock.advance(10 * time.Second)
	before := f.front.fetches.Load()
	for range 50 {
		token := f.mint(0)
		reject(t, v, forge(t, "cut", token, nil), identity.ReasonSignature)
	}
	if fetched := f.front.fetches.Load() - before; fetched != 1 {
		t.Errorf("50 bad signatures cost %d fetches, want 1", fetched)
	}
}

func TestRotation(t *testing.T) {
	f := newFaulty(t)
	v := f.verifier(t)
	old := f.mint(0)
	accept(t, v, old)
	if err := f.Rotate(); err != nil {
		t.Fatal(err)
	}
	young := f.mint(0)
	reject(t, v, young, identity.ReasonKeyUnknown)
	f.clock.advance(10 * time.Second)
	accept(t, v, young)
	accept(t, v, old)
}

func TestRemovedKeyStopsVerifying(t *testing.T) {
	t.Run("when the keys are due", func(t *testing.T) {
		f := newFaulty(t)
		v := f.verifier(t)
		seen, unseen := f.mint(5*time.Hour), f.mint(5*time.Hour)
		accept(t, v, seen)
		if err := f.Rotate(); err != nil {
			t.Fatal(err)
		}
		f.Retire()
		accept(t, v, seen)
		f.clock.advance(time.Hour)
		reject(t, v, seen, identity.ReasonKeyUnknown)
		reject(t, v, unseen, identity.ReasonKeyUnknown)
	})
	t.Run("as soon as the new key is seen", func(t *testing.T) {
		f := newFaulty(t)
		v := f.verifier(t)
		old := f.mint(5 * time.Hour)
		accept(t, v, old)
		if err := f.Rotate(); err != nil {
			t.Fatal(err)
		}
		f.Retire()
		f.clock.advance(10 * time.Second)
		accept(t, v, f.mint(0))
		reject(t, v, old, identity.ReasonKeyUnknown)
	})
	t.Run("also when none is left", func(t *testing.T) {
		f := newFaulty(t)
		v := f.verifier(t)
		token := f.mint(5 * time.Hour)
		accept(t, v, token)
		f.front.spoilKeys(f.Issuer, says(`{"keys":[]}`))
		f.clock.advance(time.Hour)
		reject(t, v, token, identity.ReasonKeyUnknown)
		if v.Ready() == nil {
			t.Error("ready without a usable key")
		}
	})
}

func TestStaleKeysServeForAWhileAndThenClose(t *testing.T) {
	f := newFaulty(t)
	v := f.verifier(t)
	token := f.mint(28 * time.Hour)
	accept(t, v, token)
	f.front.spoil(down)
	f.clock.advance(23 * time.Hour)
	accept(t, v, token)
	f.clock.advance(time.Hour)
	reject(t, v, token, identity.ReasonKeysUnavailable)
	if v.Ready() == nil {
		t.Error("ready with keys too old")
	}
	f.front.heal()
	f.clock.advance(time.Minute)
	accept(t, v, token)
}

func TestVerifiedTokenAges(t *testing.T) {
	f := newFaulty(t)
	v := f.verifier(t)
	token := f.mint(10 * time.Minute)
	p, err := v.Verify(t.Context(), identity.Token(token))
	if err != nil {
		t.Fatal(err)
	}
	f.clock.advance(10*time.Minute - time.Nanosecond)
	accept(t, v, token)
	if p.Expired(f.clock.Now()) {
		t.Error("expired before its time")
	}
	f.clock.advance(time.Nanosecond)
	reject(t, v, token, identity.ReasonExpired)
	if !p.Expired(f.clock.Now()) {
		t.Error("not expired at its time")
	}
}

func TestVerifiedTokenIsNotAcceptedBeforeItsTime(t *testing.T) {
	for name, c := range map[string]struct {
		without string
		want    identity.Reason
	}{"nbf": {"", identity.ReasonNotYetValid}, "iat": {"nbf", identity.ReasonIssuedInFuture}} {
		t.Run(name, func(t *testing.T) {
			f := newFaulty(t)
			v := f.verifier(t)
			token := f.Mint(devenv.MintOptions{Client: "agent", Claims: map[string]any{c.without: nil}})
			accept(t, v, token)
			f.clock.advance(-2 * time.Minute)
			reject(t, v, token, c.want)
		})
	}
}
