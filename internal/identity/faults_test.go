package identity_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/identity"
)

func TestSpoiltAnswersVerifyNothing(t *testing.T) {
	var followed atomic.Int64
	attacker := serveIssuer(t, newClock(), "", "ES256", func(good http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			followed.Add(1)
			good.ServeHTTP(w, r)
		})
	})
	for name, fault := range map[string]http.HandlerFunc{
		"not JSON":         says("<html>maintenance</html>"),
		"an empty object":  says("{}"),
		"keys is a string": says(`{"issuer":"x","keys":"none"}`),
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"padding":"`+strings.Repeat("x", 2<<20)+`"}`)
		},
		"endless white space": func(w http.ResponseWriter, r *http.Request) {
			says(`{"keys":[]}`+strings.Repeat(" ", 2<<20))(w, r)
		},
		"redirect to another host": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, attacker.url+r.URL.Path, http.StatusFound)
		},
		"redirect in a circle": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
		"document of another issuer": func(w http.ResponseWriter, r *http.Request) {
			says(`{"issuer":"`+attacker.IssuerURL()+`","jwks_uri":"`+attacker.KeysURL()+`"}`)(w, r)
		},
		"slow": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFaulty(t)
			testFault(t, f, func() { f.front.spoil(fault) })
		})
		t.Run(name+" for the keys only", func(t *testing.T) {
			f := newFaulty(t)
			testFault(t, f, func() { f.front.spoilKeys(f.Issuer, fault) })
		})
	}
	if followed.Load() != 0 {
		t.Error("the other host was asked")
	}
}

func testFault(t *testing.T, f *faulty, spoil func()) {
	t.Helper()
	spoil()
	c := f.config()
	c.Issuers[0].Timeout = 500 * time.Millisecond
	v := verifier(t, c, f.clock.Now)
	token := f.mint(28 * time.Hour)
	reject(t, v, token, identity.ReasonKeysUnavailable)

	f.front.heal()
	f.clock.advance(10 * time.Second)
	accept(t, v, token)
	spoil()
	f.clock.advance(time.Hour)
	accept(t, v, token) // the keys it has are still young enough
}

func TestKeysByPlainHTTPFromElsewhereAreNotFetched(t *testing.T) {
	f := newFaulty(t)
	f.front.spoil(says(`{"issuer":"` + f.IssuerURL() + `","jwks_uri":"http://192.0.2.1/keys"}`))
	v := f.verifier(t)
	reject(t, v, f.mint(0), identity.ReasonKeysUnavailable)
	if err := v.Ready(); err == nil || !strings.Contains(err.Error(), "plain http") {
		t.Errorf("Ready says %v, want that the keys' address is plain http", err)
	}
}

func TestRedirectWithinTheHostIsFollowed(t *testing.T) {
	f := newFaulty(t)
	f.front.spoil(func(w http.ResponseWriter, r *http.Request) {
		if path, moved := strings.CutPrefix(r.URL.Path, "/moved"); moved {
			r.URL.Path = path
			f.Issuer.ServeHTTP(w, r)
			return
		}
		http.Redirect(w, r, "/moved"+r.URL.Path, http.StatusFound)
	})
	accept(t, f.verifier(t), f.mint(0))
}

func TestClientDoesNotWaitLongerThanItWants(t *testing.T) {
	f := newFaulty(t)
	f.front.spoil(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c := f.config()
	c.Issuers[0].Timeout = 30 * time.Second
	v := verifier(t, c, f.clock.Now)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	token := f.mint(0)
	_, err := v.Verify(ctx, identity.Token(token))
	wantReason(t, err, token, identity.ReasonKeysUnavailable)
}
