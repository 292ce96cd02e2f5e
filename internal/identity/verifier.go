// Package identity verifies OIDC tokens of several issuers and names the principal.
package identity

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// Verifier decides whether a token is accepted and whose it is. It is safe for concurrent use.
type Verifier struct {
	limit    int
	now      func() time.Time
	issuers  []*issuer
	route    map[string]*issuer // by exact iss
	registry registry
	verified cache

	stop    context.CancelFunc
	running sync.WaitGroup
}

// issuer is one configured issuer with its own keys.
type issuer struct {
	config    IssuerConfig // with the preset's defaults
	preset    preset
	keys      *keySet
	fetcher   *fetcher
	verifiers map[string]*oidc.IDTokenVerifier // by exact iss: an issuer and its aliases share keys, and nothing else does
}

// New starts fetching the keys of the issuers and does not wait for them: an issuer may be down. Close ends what was started, as
// does the end of ctx. A nil now is the time.
func New(ctx context.Context, c Config, now func() time.Time) (*Verifier, error) {
	if wrong := c.Validate(); len(wrong) > 0 {
		lines := make([]string, len(wrong))
		for n, complaint := range wrong {
			lines[n] = complaint.String()
		}
		return nil, errors.New("the configuration of issuers is wrong: " + strings.Join(lines, "; "))
	}
	if now == nil {
		now = time.Now
	}
	v := &Verifier{
		limit: cmp.Or(c.MaxTokenBytes, defaultMaxTokenBytes), now: now, route: map[string]*issuer{},
		registry: newRegistry(c.Workloads), verified: cache{entries: map[[sha256.Size]byte]*cached{}},
	}
	for _, config := range c.Issuers {
		i, err := newIssuer(config, c, now)
		if err != nil {
			return nil, err
		}
		v.issuers = append(v.issuers, i)
		for iss := range i.verifiers {
			v.route[iss] = i
		}
	}
	ctx, v.stop = context.WithCancel(ctx)
	for _, i := range v.issuers {
		v.running.Go(func() { i.keys.run(ctx) })
	}
	return v, nil
}

func newIssuer(config IssuerConfig, c Config, now func() time.Time) (*issuer, error) {
	p, _ := presetOf(config.Preset)
	config = config.withDefaults(p)
	f, err := newFetcher(config)
	if err != nil {
		return nil, err
	}
	i := &issuer{config: config, preset: p, keys: newKeySet(config, f, now, c.Log), fetcher: f, verifiers: map[string]*oidc.IDTokenVerifier{}}
	for _, iss := range config.accepted() {
		i.verifiers[iss] = oidc.NewVerifier(iss, i.keys, &oidc.Config{
			SupportedSigningAlgs: config.Algorithms,
			SkipClientIDCheck:    true, // there may be several audiences: checkAudience
			SkipExpiryCheck:      true, // checkTimes, which knows leeway and age
		})
	}
	return i, nil
}

// Close stops fetching keys and waits until nothing runs any more. Tokens are refused as their keys grow too old.
func (v *Verifier) Close() {
	v.stop()
	v.running.Wait()
	for _, i := range v.issuers {
		i.fetcher.client.CloseIdleConnections()
	}
}

// Ready is nil if every issuer's keys are present and young enough to be trusted.
func (v *Verifier) Ready() error {
	var wrong []error
	for _, i := range v.issuers {
		if err := i.keys.ready(); err != nil {
			wrong = append(wrong, fmt.Errorf("keys of issuer %q: %w", i.config.Name, err))
		}
	}
	return errors.Join(wrong...)
}

// Verify names the principal of a token. Its errors are of type *Error and safe to show to the client.
func (v *Verifier) Verify(ctx context.Context, token Token) (*Principal, error) {
	now := v.now()
	sum := sha256.Sum256([]byte(token))
	if p := v.verified.get(sum, now); p != nil {
		return p, nil
	}
	t, err := takeApart(string(token), v.limit)
	if err != nil {
		return nil, err
	}
	i := v.route[t.issuer]
	if i == nil {
		return nil, refuse(ReasonIssuerUnknown, "the token's issuer is not one that is accepted here; use a token of the identity provider this database is set up for, "+
			"or ask the operator of sallyport to add yours")
	}
	if err := i.checkHeader(t); err != nil {
		return nil, err
	}
	keys, reading, err := i.checkSignature(ctx, t)
	if err != nil {
		return nil, err
	}
	now = v.now() // the issuer may have taken its time
	s, err := i.checkClaims(t.claims, now)
	if err != nil {
		return nil, err
	}
	if reading != nil { // after our own checks, which say better what is wrong
		return nil, reading
	}
	p, err := i.principal(t.claims, s)
	if err != nil {
		return nil, err
	}
	v.registry.identify(p, i.config.Kind)
	v.verified.put(sum, &cached{principal: p, from: s.from, issuer: i, keys: keys}, now)
	return p, nil
}

// checkSignature asks go-oidc, and again if the issuer's keys turn out to have changed. It returns the keys with which the signature
// was found good, and apart from them what is wrong with claims that are signed.
func (i *issuer) checkSignature(ctx context.Context, t *unverified) (keys *keySnapshot, reading, err error) {
	if err := i.keys.require(ctx, t.keyID, t.algorithm); err != nil {
		return nil, nil, err
	}
	keys = i.keys.current.Load()
	signed, reading := i.signed(ctx, t)
	if !signed {
		i.keys.ask(ctx)
		if newer := i.keys.current.Load(); newer != keys {
			keys = newer
			signed, reading = i.signed(ctx, t)
		}
	}
	if !signed {
		return nil, nil, refuse(ReasonSignature, "the token's signature is not its issuer's; send the access token exactly as your identity provider returned it")
	}
	return keys, reading, nil
}

// signed also compares what go-oidc read with what we did: two readers, one token.
func (i *issuer) signed(ctx context.Context, t *unverified) (ok bool, reading error) {
	contradictory := refuse(ReasonClaimInvalid, "the token's claims contradict each other; ask your identity provider for a correct token")
	verified, err := i.verifiers[t.issuer].Verify(ctx, t.raw)
	if err != nil {
		// go-oidc does not say which it was: the signature, or claims it cannot read.
		_, err = i.keys.VerifySignature(ctx, t.raw)
		return err == nil, contradictory
	}
	subject, _ := t.claims["sub"].(string)
	audience, err := t.claims.list("aud")
	if err != nil || verified.Issuer != t.issuer || verified.Subject != subject || !slices.Equal(verified.Audience, audience) {
		return true, contradictory
	}
	return true, nil
}
