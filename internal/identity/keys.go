package identity

import (
	"context"
	"crypto/rsa"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/rs/zerolog"
)

const (
	// minFetchInterval is what a storm of tokens with made-up key ids costs: one request to the issuer in this time.
	minFetchInterval = 10 * time.Second
	maxUnnamedKeys   = 16 // tried for a token that names no key
)

// keySnapshot is the keys of one fetch; it never changes.
type keySnapshot struct {
	keys    []jose.JSONWebKey
	fetched time.Time
}

// keySet is the keys of one issuer, and of no other. It is an oidc.KeySet that, unlike go-oidc's, forgets keys that the issuer has
// removed, asks the issuer at most once in an interval whatever clients send, and closes when its keys are too old to be trusted.
//
// One goroutine (run) makes all requests to the issuer; those who need newer keys ask it and wait.
type keySet struct {
	name       string
	fetch      func(context.Context) ([]jose.JSONWebKey, error)
	algorithms []jose.SignatureAlgorithm
	refresh    time.Duration
	maxStale   time.Duration
	now        func() time.Time
	log        zerolog.Logger

	current atomic.Pointer[keySnapshot]
	asks    chan chan struct{}
	stopped chan struct{}

	mu        sync.Mutex
	lastError error
}

func newKeySet(c IssuerConfig, f *fetcher, now func() time.Time, log zerolog.Logger) *keySet {
	k := &keySet{
		name: c.Name, fetch: f.keys, refresh: c.KeyRefresh, maxStale: c.KeyMaxStale, now: now,
		log: log.With().Str("issuer", c.Name).Logger(), asks: make(chan chan struct{}), stopped: make(chan struct{}),
	}
	for _, alg := range c.Algorithms {
		k.algorithms = append(k.algorithms, jose.SignatureAlgorithm(alg))
	}
	return k
}

// run fetches at once, then twice in every refresh interval, so that keys rarely come of age while a client waits.
func (k *keySet) run(ctx context.Context) {
	defer close(k.stopped)
	last := k.update(ctx)
	timer := time.NewTimer(k.pause())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			last = k.update(ctx)
			timer.Reset(k.pause())
		case answered := <-k.asks:
			if since := k.now().Sub(last); since < 0 || since >= minFetchInterval {
				last = k.update(ctx)
				timer.Reset(k.pause())
			}
			close(answered)
		}
	}
}

func (k *keySet) pause() time.Duration {
	if k.failure() != nil {
		return minFetchInterval
	}
	return k.refresh / 2
}

// update keeps the keys it has if the issuer does not answer properly; it returns when it asked.
func (k *keySet) update(ctx context.Context) time.Time {
	asked := k.now()
	keys, err := k.fetch(ctx)
	if err == nil {
		k.current.Store(&keySnapshot{keys, asked})
	} else if ctx.Err() == nil {
		k.log.Warn().Err(err).Msg("the issuer's keys cannot be fetched")
	}
	k.mu.Lock()
	k.lastError = err
	k.mu.Unlock()
	return asked
}

func (k *keySet) failure() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lastError
}

// ask has the keys fetched unless that was done just now, and waits.
func (k *keySet) ask(ctx context.Context) {
	answered := make(chan struct{})
	select {
	case k.asks <- answered:
	case <-ctx.Done():
		return
	case <-k.stopped:
		return
	}
	select {
	case <-answered:
	case <-ctx.Done():
	case <-k.stopped:
	}
}

// trusted returns the keys unless there are none or they are too old to be trusted.
func (k *keySet) trusted() *keySnapshot {
	snapshot := k.current.Load()
	if snapshot == nil || k.now().Sub(snapshot.fetched) >= k.maxStale {
		return nil
	}
	return snapshot
}

// fresh is trusted and not due for another look.
func (k *keySet) fresh() *keySnapshot {
	snapshot := k.trusted()
	if snapshot == nil || k.now().Sub(snapshot.fetched) >= k.refresh {
		return nil
	}
	return snapshot
}

func (k *keySet) ready() error {
	snapshot := k.trusted()
	switch {
	case snapshot == nil && k.failure() != nil:
		return k.failure()
	case snapshot == nil:
		return errors.New("not fetched yet")
	case len(snapshot.keys) == 0:
		return errors.New("the issuer publishes none that can be used")
	default:
		return nil
	}
}

// require makes sure that there are keys that could have signed the token, asking the issuer if need be.
func (k *keySet) require(ctx context.Context, keyID, algorithm string) error {
	if k.fresh() == nil {
		k.ask(ctx)
	}
	snapshot := k.trusted()
	if snapshot != nil && len(snapshot.candidates(keyID, algorithm)) == 0 {
		k.ask(ctx)
		snapshot = k.trusted()
	}
	switch {
	case snapshot == nil:
		cause := k.failure()
		if cause == nil {
			cause = ctx.Err()
		}
		return &Error{ReasonKeysUnavailable, "the keys of the token's issuer cannot be fetched, so no token of it can be checked; try again shortly, " +
			"and tell the operator of sallyport if it lasts", cause}
	case len(snapshot.candidates(keyID, algorithm)) == 0:
		return refuse(ReasonKeyUnknown, "the token is signed with a key that its issuer does not publish; get a new token, and if the issuer has just changed its keys "+
			"try again in "+minFetchInterval.String())
	default:
		return nil
	}
}

// VerifySignature returns the payload if one of the keys has signed the token. It implements oidc.KeySet.
func (k *keySet) VerifySignature(_ context.Context, raw string) ([]byte, error) {
	token, err := jose.ParseSignedCompact(raw, k.algorithms)
	if err != nil {
		return nil, errors.New("not a token signed with an allowed algorithm")
	}
	snapshot := k.trusted()
	if snapshot == nil || len(token.Signatures) != 1 {
		return nil, errors.New("no keys")
	}
	header := token.Signatures[0].Header
	for _, key := range snapshot.candidates(header.KeyID, header.Algorithm) {
		if payload, err := token.Verify(&key); err == nil {
			return payload, nil
		}
	}
	return nil, errors.New("signed by none of the issuer's keys")
}

func (s *keySnapshot) candidates(keyID, algorithm string) []jose.JSONWebKey {
	var found []jose.JSONWebKey
	for _, key := range s.keys {
		if (keyID == "" || key.KeyID == keyID) && (key.Algorithm == "" || key.Algorithm == algorithm) && len(found) < maxUnnamedKeys {
			found = append(found, key)
		}
	}
	return found
}

// usable leaves out secrets, keys for encryption and keys too weak.
func usable(key jose.JSONWebKey) bool {
	if !key.Valid() || !key.IsPublic() || !slices.Contains([]string{"", "sig", "jwt-svid"}, key.Use) {
		return false
	}
	weak, isRSA := key.Key.(*rsa.PublicKey)
	return !isRSA || weak.N.BitLen() >= minRSABits
}
