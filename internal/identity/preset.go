package identity

import (
	"cmp"
	"slices"
	"time"
)

// preset is what is known of a kind of issuer; configuration wins over it.
type preset struct {
	issuer  string // the one issuer there is, where there is only one
	mapping ClaimMapping
	party   []string // claims naming the client that asked for the token, the first present counts
	scopes  []string
	tokenID []string

	types       []string // of the header's typ, in lower case
	maxLifetime time.Duration
	iatOptional bool
	kind        func(claims) string // "" where the token does not say
	subjectHas  string              // prefix of every subject
}

var (
	// Absent typ is common; logout+jwt, secevent+jwt, dpop+jwt and the rest are signed by the same keys for other purposes.
	accessTokenTypes  = []string{"", "jwt", "at+jwt", "application/at+jwt"}
	defaultAlgorithms = []string{"RS256", "ES256", "PS256", "EdDSA"}
	knownAlgorithms   = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	presetNames       = []string{"entra", "kubernetes", "github", "gitlab", "spiffe", "okta", "google", "generic"}
)

const (
	defaultMaxTokenBytes = 16 << 10
	defaultMaxLifetime   = 24 * time.Hour
	defaultKeyRefresh    = time.Hour
	defaultKeyMaxStale   = 24 * time.Hour
	defaultTimeout       = 5 * time.Second
	// entraMaxLifetime: with continuous access evaluation Entra's tokens live up to 28 hours, and iat lies five minutes back.
	entraMaxLifetime = 29 * time.Hour
)

// presetOf returns false for a name that is none.
func presetOf(name string) (preset, bool) {
	p := preset{
		mapping:     ClaimMapping{Subject: "sub", Groups: "groups", Roles: "roles", Name: "name"},
		party:       []string{"azp", "client_id", "cid"},
		scopes:      []string{"scope", "scp"},
		tokenID:     []string{"jti"},
		types:       accessTokenTypes,
		maxLifetime: defaultMaxLifetime,
		kind:        kindFromIdtyp,
	}
	alwaysWorkload := func(claims) string { return KindWorkload }
	switch name {
	case "entra":
		p.mapping.Subject, p.mapping.Tenant = "oid", "tid"
		p.party, p.scopes, p.tokenID = []string{"azp", "appid"}, []string{"scp"}, []string{"uti", "jti"}
		p.maxLifetime, p.kind = entraMaxLifetime, kindOfEntra
	case "kubernetes":
		p.mapping.Name, p.kind = "/kubernetes.io/serviceaccount/name", alwaysWorkload
	case "github":
		p.issuer = "https://token.actions.githubusercontent.com"
		p.mapping.Name, p.kind = "repository", alwaysWorkload
	case "gitlab":
		p.mapping.Name, p.kind = "project_path", alwaysWorkload
	case "spiffe":
		p.types = append(slices.Clone(accessTokenTypes), "jose")
		p.iatOptional, p.kind, p.subjectHas = true, alwaysWorkload, "spiffe://"
	case "okta":
		p.party, p.scopes, p.kind = []string{"cid"}, []string{"scp"}, kindOfOkta
	case "google":
		p.issuer = "https://accounts.google.com"
		p.mapping.Name, p.kind = "email", kindOfGoogle
	case "generic":
	default:
		return preset{}, false
	}
	return p, true
}

// withDefaults fills what the configuration leaves to the preset. It is called on a validated configuration only.
func (c IssuerConfig) withDefaults(p preset) IssuerConfig {
	if c.Preset == "entra" && c.Issuer == "" {
		// The version of a token is chosen by the API's manifest, not by the client, so both are one tenant's. The keys' address
		// is fixed because discovery of the v1 issuer names an issuer other than the one that was asked.
		c.Issuer = "https://login.microsoftonline.com/" + c.Tenant + "/v2.0"
		c.Aliases = append(slices.Clone(c.Aliases), "https://sts.windows.net/"+c.Tenant+"/")
		c.JWKSURL = cmp.Or(c.JWKSURL, "https://login.microsoftonline.com/"+c.Tenant+"/discovery/v2.0/keys")
	}
	c.Issuer = cmp.Or(c.Issuer, p.issuer)
	if len(c.Algorithms) == 0 {
		c.Algorithms = defaultAlgorithms
	}
	c.MaxLifetime = cmp.Or(c.MaxLifetime, p.maxLifetime)
	c.KeyRefresh = cmp.Or(c.KeyRefresh, defaultKeyRefresh)
	c.KeyMaxStale = cmp.Or(c.KeyMaxStale, defaultKeyMaxStale)
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.Claims.Subject = cmp.Or(c.Claims.Subject, p.mapping.Subject)
	c.Claims.Groups = cmp.Or(c.Claims.Groups, p.mapping.Groups)
	c.Claims.Roles = cmp.Or(c.Claims.Roles, p.mapping.Roles)
	c.Claims.Name = cmp.Or(c.Claims.Name, p.mapping.Name)
	c.Claims.Tenant = cmp.Or(c.Claims.Tenant, p.mapping.Tenant)
	if c.Tenant != "" {
		c.Claims.Tenant = cmp.Or(c.Claims.Tenant, "tid")
	}
	return c
}
