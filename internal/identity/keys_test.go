package identity_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

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
	c.Issuers[0].Timeout = 100 * time.Millisecond
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

// keyServer publishes a key set as it is given.
type keyServer struct {
	*httptest.Server
	set atomic.Pointer[string]
}

func serveKeys(t *testing.T, keys ...jose.JSONWebKey) *keyServer {
	t.Helper()
	s := &keyServer{}
	s.publish(t, keys...)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, *s.set.Load()) }))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) publish(t *testing.T, keys ...jose.JSONWebKey) {
	t.Helper()
	data, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	s.set.Store(&text)
}

func (s *keyServer) config(name string) identity.IssuerConfig {
	return identity.IssuerConfig{Name: name, Preset: "generic", Issuer: s.URL, JWKSURL: s.URL + "/keys", Audiences: []string{"sallyport"}}
}

func (s *keyServer) sign(t *testing.T, key any, alg jose.SignatureAlgorithm) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "k"))
	if err != nil {
		t.Fatal(err)
	}
	claims, err := json.Marshal(map[string]any{
		"iss": s.URL, "sub": "robot", "aud": "sallyport", "iat": noon.Unix(), "exp": noon.Add(5 * time.Hour).Unix(),
	})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func newEC(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestSameKeyIDInTwoIssuers(t *testing.T) {
	one, two := newEC(t), newEC(t)
	a := serveKeys(t, jose.JSONWebKey{Key: one.Public(), KeyID: "k"})
	b := serveKeys(t, jose.JSONWebKey{Key: two.Public(), KeyID: "k"})
	v := verifier(t, identity.Config{Issuers: []identity.IssuerConfig{a.config("a"), b.config("b")}}, newClock().Now)
	accept(t, v, a.sign(t, one, jose.ES256))
	accept(t, v, b.sign(t, two, jose.ES256))
	reject(t, v, a.sign(t, two, jose.ES256), identity.ReasonSignature)
	reject(t, v, b.sign(t, one, jose.ES256), identity.ReasonSignature)
}

func TestKeyIDUsedAgainForAnotherKey(t *testing.T) {
	one, two := newEC(t), newEC(t)
	s, c := serveKeys(t, jose.JSONWebKey{Key: one.Public(), KeyID: "k"}), newClock()
	v := verifier(t, identity.Config{Issuers: []identity.IssuerConfig{s.config("a")}}, c.Now)
	old := s.sign(t, one, jose.ES256)
	accept(t, v, old)
	s.publish(t, jose.JSONWebKey{Key: two.Public(), KeyID: "k"})
	c.advance(10 * time.Second)
	accept(t, v, s.sign(t, two, jose.ES256))
	reject(t, v, old, identity.ReasonSignature)
}

func TestUnusableKeysAreLeftOut(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip("no weak key to be had: ", err)
	}
	good := newEC(t)
	for name, c := range map[string]struct {
		published jose.JSONWebKey
		signing   any
		alg       jose.SignatureAlgorithm
	}{
		"weak":           {jose.JSONWebKey{Key: weak.Public(), KeyID: "k"}, weak, jose.RS256},
		"for encryption": {jose.JSONWebKey{Key: good.Public(), KeyID: "k", Use: "enc"}, good, jose.ES256},
		"private":        {jose.JSONWebKey{Key: good, KeyID: "k"}, good, jose.ES256},
		"of another alg": {jose.JSONWebKey{Key: good.Public(), KeyID: "k", Algorithm: "ES384"}, good, jose.ES256},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveKeys(t, c.published)
			v := verifier(t, identity.Config{Issuers: []identity.IssuerConfig{s.config("a")}}, newClock().Now)
			reject(t, v, s.sign(t, c.signing, c.alg), identity.ReasonKeyUnknown)
		})
	}
}

func TestIssuerBehindItsOwnRootsAndToken(t *testing.T) {
	key := newEC(t)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k"}}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer of the cluster" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		_, _ = w.Write(set)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of clients that do not trust it
	server.StartTLS()
	t.Cleanup(server.Close)
	roots, token := filepath.Join(t.TempDir(), "ca.pem"), filepath.Join(t.TempDir(), "token")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(roots, block, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(token, []byte("of the cluster\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &keyServer{Server: server}
	for name, c := range map[string]struct {
		change func(*identity.IssuerConfig)
		want   identity.Reason
	}{
		"as configured": {func(*identity.IssuerConfig) {}, ""},
		"other roots":   {func(c *identity.IssuerConfig) { c.CAFile = "" }, identity.ReasonKeysUnavailable},
		"no token":      {func(c *identity.IssuerConfig) { c.KeysTokenFile = "" }, identity.ReasonKeysUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			config := s.config("cluster")
			config.CAFile, config.KeysTokenFile = roots, token
			c.change(&config)
			v := verifier(t, identity.Config{Issuers: []identity.IssuerConfig{config}}, newClock().Now)
			if c.want == "" {
				accept(t, v, s.sign(t, key, jose.ES256))
				return
			}
			reject(t, v, s.sign(t, key, jose.ES256), c.want)
		})
	}
}

func TestClusterTokenIsNotSentElsewhere(t *testing.T) {
	var sent atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			sent.Add(1)
		}
	}))
	t.Cleanup(elsewhere.Close)
	f := newFaulty(t)
	f.front.spoil(says(`{"issuer":"` + f.IssuerURL() + `","jwks_uri":"` + elsewhere.URL + `"}`))
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("of the cluster"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := f.config()
	c.Issuers[0].KeysTokenFile = file
	reject(t, verifier(t, c, f.clock.Now), f.mint(0), identity.ReasonKeysUnavailable)
	if sent.Load() != 0 {
		t.Error("the token for the issuer is sent to where the discovery document points")
	}
}
