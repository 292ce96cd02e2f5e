package devenv

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// keyRing is an issuer's signing keys. The last one signs; all are published.
type keyRing struct {
	alg jose.SignatureAlgorithm

	mu   sync.Mutex
	keys []jose.JSONWebKey
}

func newKeyRing(algorithm string) (*keyRing, error) {
	if algorithm == "" {
		algorithm = string(jose.RS256)
	}
	r := &keyRing{alg: jose.SignatureAlgorithm(algorithm)}
	return r, r.rotate()
}

func (r *keyRing) algorithm() string { return string(r.alg) }

func (r *keyRing) rotate() error {
	key, err := newSigningKey(r.alg)
	if err != nil {
		return fmt.Errorf("making the issuer's key: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = append(r.keys, key)
	return nil
}

func (r *keyRing) retire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = r.keys[len(r.keys)-1:]
}

func (r *keyRing) signing() jose.JSONWebKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys[len(r.keys)-1]
}

func (r *keyRing) public() jose.JSONWebKeySet {
	r.mu.Lock()
	defer r.mu.Unlock()
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, key := range r.keys {
		set.Keys = append(set.Keys, key.Public())
	}
	return set
}

func newSigningKey(algorithm jose.SignatureAlgorithm) (jose.JSONWebKey, error) {
	var private crypto.Signer
	var err error
	switch algorithm {
	case jose.RS256:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case jose.ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return jose.JSONWebKey{}, fmt.Errorf("algorithm %q is not one of RS256, ES256", algorithm)
	}
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	key := jose.JSONWebKey{Key: private, Algorithm: string(algorithm), Use: "sig"}
	// The key's own hash is its id: a restarted issuer must not reuse an id for another key.
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	key.KeyID = base64.RawURLEncoding.EncodeToString(sum)
	return key, nil
}
