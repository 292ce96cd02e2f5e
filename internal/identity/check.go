package identity

import (
	"slices"
	"time"
)

// clockSkew is how far the issuer's clock may be ahead of ours.
const clockSkew = time.Minute

// span is when a token is accepted.
type span struct {
	issuedAt time.Time
	from     time.Time
	until    time.Time // exclusive
}

// checkHeader makes the checks that need no key.
func (i *issuer) checkHeader(t *unverified) error {
	if !slices.Contains(i.config.Algorithms, t.algorithm) {
		return refuse(ReasonAlgorithm, "the token is not signed with an algorithm that is allowed here for its issuer; have it signed with RS256 or ES256, "+
			"or ask the operator of sallyport to allow the algorithm")
	}
	if !slices.Contains(i.preset.types, t.typ) {
		return refuse(ReasonType, "the token's typ says that it is not an access token; send an access token, not a logout, ID or proof token")
	}
	return nil
}

// checkClaims makes the checks that go-oidc does not make; c is signed by the issuer.
func (i *issuer) checkClaims(c claims, now time.Time) (span, error) {
	if err := i.checkAudience(c); err != nil {
		return span{}, err
	}
	s, err := i.checkTimes(c, now)
	if err != nil {
		return span{}, err
	}
	if err := i.checkTenant(c); err != nil {
		return span{}, err
	}
	if err := i.checkParty(c); err != nil {
		return span{}, err
	}
	if i.config.RequireApp && c["idtyp"] != "app" {
		return span{}, refuse(ReasonNotApp, "the token is not an application's (idtyp is not app); use client credentials or a managed identity, "+
			"and have the API's registration emit the optional claim idtyp")
	}
	return s, nil
}

func (i *issuer) checkAudience(c claims) error {
	audiences, err := c.list("aud")
	if err != nil {
		return err
	}
	for _, aud := range audiences {
		if slices.Contains(i.config.Audiences, aud) {
			return nil
		}
	}
	return refuse(ReasonAudience, "the token was made for another audience; ask for a token for "+i.config.Audiences[0])
}

func (i *issuer) checkTimes(c claims, now time.Time) (span, error) {
	exp, present, err := c.instant("exp")
	if err != nil {
		return span{}, err
	}
	if !present {
		return span{}, missing("exp")
	}
	nbf, hasNbf, err := c.instant("nbf")
	if err != nil {
		return span{}, err
	}
	iat, hasIat, err := c.instant("iat")
	if err != nil {
		return span{}, err
	}
	if !hasIat && !i.preset.iatOptional {
		return span{}, missing("iat")
	}
	if hasIat && !iat.Before(exp) {
		return span{}, invalid("exp", "is not after its iat")
	}
	s := span{until: exp.Add(i.config.Leeway)}
	switch {
	case !now.Before(s.until):
		return span{}, refuse(ReasonExpired, "the token expired "+ago(now.Sub(exp))+" ago; get a new token from your identity provider and connect again")
	case hasNbf && now.Before(nbf.Add(-clockSkew)):
		return span{}, refuse(ReasonNotYetValid, "the token is not valid yet (nbf is in "+ago(nbf.Sub(now))+"); wait, or check the clocks of the issuer and of sallyport")
	case hasIat && now.Before(iat.Add(-clockSkew)):
		return span{}, refuse(ReasonIssuedInFuture, "the token says that it is issued in the future (in "+ago(iat.Sub(now))+"); check the clocks of the issuer and of sallyport")
	}
	start := now
	if hasIat {
		start = iat
	}
	if exp.Sub(start) > i.config.MaxLifetime {
		return span{}, refuse(ReasonLifetime, "the token lives longer than the "+i.config.MaxLifetime.String()+" allowed here; ask for a token with a shorter lifetime")
	}
	if hasIat {
		s.issuedAt, s.from = iat, iat.Add(-clockSkew)
		if age := i.config.MaxTokenAge; age > 0 {
			s.until = earlier(s.until, iat.Add(age))
		}
	}
	if hasNbf && nbf.Add(-clockSkew).After(s.from) {
		s.from = nbf.Add(-clockSkew)
	}
	if !now.Before(s.until) {
		return span{}, refuse(ReasonTooOld, "the token was issued longer ago than the "+i.config.MaxTokenAge.String()+" allowed here; get a new token and connect again")
	}
	return s, nil
}

func (i *issuer) checkTenant(c claims) error {
	if i.config.Tenant == "" {
		return nil
	}
	claim := i.config.Claims.Tenant
	tenant, err := c.text(claim)
	switch {
	case err != nil:
		return err
	case tenant == "":
		return missing(claim)
	case tenant != i.config.Tenant:
		return refuse(ReasonTenant, "the token is of another tenant than its issuer is configured for; sign in to the tenant this database belongs to")
	default:
		return nil
	}
}

func (i *issuer) checkParty(c claims) error {
	if len(i.config.AuthorizedParties) == 0 {
		return nil
	}
	party, err := c.first(i.preset.party)
	switch {
	case err != nil:
		return err
	case party == "":
		return missing(i.preset.party[0])
	case !slices.Contains(i.config.AuthorizedParties, party):
		return refuse(ReasonParty, "the token was asked for by a client that may not use this database; ask the operator of sallyport to list it under authorized_parties")
	default:
		return nil
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func ago(d time.Duration) string { return d.Round(time.Second).String() }
