package identity_test

import (
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
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/internal/identity"
)

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
