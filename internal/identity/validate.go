package identity

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Complaint is one thing that is wrong with a configuration. Path is the field's, as in issuers[0].audiences.
type Complaint struct{ Path, Message string }

func (c Complaint) String() string { return c.Path + ": " + c.Message }

var (
	issuerName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)
	guid       = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	// mutableClaims can be given to somebody else tomorrow.
	mutableClaims = []string{"email", "upn", "preferred_username", "unique_name", "name", "nickname"}
)

const (
	maxLeeway    = time.Minute
	maxLifetime  = 7 * 24 * time.Hour
	maxTimeout   = 30 * time.Second
	maxStaleness = 7 * 24 * time.Hour
	minRefresh   = time.Minute
	maxRefresh   = 24 * time.Hour
)

type complaints []Complaint

func (cs *complaints) add(path, format string, args ...any) {
	*cs = append(*cs, Complaint{path, fmt.Sprintf(format, args...)})
}

// Validate returns everything that is wrong with the configuration at once. It reads no file and asks no issuer.
func (c Config) Validate() []Complaint {
	var cs complaints
	if len(c.Issuers) == 0 {
		cs.add("issuers", "none configured, so nobody could be let in; name at least one issuer")
	}
	if c.MaxTokenBytes < 0 || c.MaxTokenBytes > 64<<10 {
		cs.add("max_token_bytes", "must be between 1 and 65536, or 0 for %d", defaultMaxTokenBytes)
	}
	names, urls := map[string]bool{}, map[string]string{}
	for n, issuer := range c.Issuers {
		path := fmt.Sprintf("issuers[%d]", n)
		issuer.validate(path, &cs)
		if names[issuer.Name] {
			cs.add(path+".name", "%q is the name of another issuer", issuer.Name)
		}
		names[issuer.Name] = true
		for _, iss := range issuer.accepted() {
			if other, taken := urls[iss]; taken {
				cs.add(path+".issuer", "%q is accepted by issuer %q already; a token must have one issuer", iss, other)
			}
			urls[iss] = issuer.Name
		}
	}
	c.validateWorkloads(names, &cs)
	return cs
}

// accepted lists the exact values of iss that belong to the issuer.
func (c IssuerConfig) accepted() []string {
	p, _ := presetOf(c.Preset)
	full := c.withDefaults(p)
	return slices.DeleteFunc(append([]string{full.Issuer}, full.Aliases...), func(iss string) bool { return iss == "" })
}

func (c Config) validateWorkloads(issuers map[string]bool, cs *complaints) {
	seen, names := map[[2]string]bool{}, map[string]bool{}
	for n, w := range c.Workloads {
		path := fmt.Sprintf("workloads[%d]", n)
		switch {
		case w.Issuer == "":
			cs.add(path+".issuer", "missing; give the name of the issuer of its tokens")
		case !issuers[w.Issuer]:
			cs.add(path+".issuer", "no issuer is named %q", w.Issuer)
		}
		if w.Subject == "" {
			cs.add(path+".subject", "missing; give the subject exactly as its tokens have it")
		}
		if w.Name == "" {
			cs.add(path+".name", "missing; give the name by which policies and people call it")
		}
		if w.Kind != "" && w.Kind != KindWorkload && w.Kind != KindUser {
			cs.add(path+".kind", "%q is not a kind; say %s or %s", w.Kind, KindWorkload, KindUser)
		}
		if id := [2]string{w.Issuer, w.Subject}; w.Subject != "" && seen[id] {
			cs.add(path+".subject", "%q of issuer %q is listed twice", w.Subject, w.Issuer)
		} else {
			seen[id] = true
		}
		if w.Name != "" && names[w.Name] {
			cs.add(path+".name", "%q is the name of another entry; approvals and records could not tell them apart", w.Name)
		}
		names[w.Name] = true
	}
}

func (c IssuerConfig) validate(path string, cs *complaints) {
	if !issuerName.MatchString(c.Name) {
		cs.add(path+".name", "%q is not a name; use 1 to 63 lower-case letters, digits, dots, dashes and underscores", c.Name)
	}
	p, known := presetOf(c.Preset)
	if !known {
		cs.add(path+".preset", "%q is not a preset; say one of %s", c.Preset, strings.Join(presetNames, ", "))
	}
	c.validateURLs(path, p, cs)
	if len(c.Audiences) == 0 {
		cs.add(path+".audiences", "missing; give the audience the tokens are made for, or tokens made for others would be accepted")
	}
	for n, aud := range c.Audiences {
		if aud == "" {
			cs.add(fmt.Sprintf("%s.audiences[%d]", path, n), "is empty")
		}
	}
	for n, alg := range c.Algorithms {
		if !slices.Contains(knownAlgorithms, alg) {
			cs.add(fmt.Sprintf("%s.algorithms[%d]", path, n), "%q is not allowed; say some of %s", alg, strings.Join(knownAlgorithms, ", "))
		}
	}
	for n, party := range c.AuthorizedParties {
		if party == "" {
			cs.add(fmt.Sprintf("%s.authorized_parties[%d]", path, n), "is empty")
		}
	}
	if c.Kind != "" && c.Kind != KindWorkload && c.Kind != KindUser {
		cs.add(path+".kind", "%q is not a kind; say %s or %s", c.Kind, KindWorkload, KindUser)
	}
	if slices.Contains(mutableClaims, c.Claims.Subject) {
		cs.add(path+".claims.subject", "%q can pass to somebody else; use a claim that never changes (sub, oid, a numeric id)", c.Claims.Subject)
	}
	if c.Claims.Tenant != "" && c.Tenant == "" {
		cs.add(path+".tenant", "missing although claims.tenant is set; configure one issuer for each tenant, so that their subjects cannot be confused")
	}
	c.validateTimes(path, cs)
}

func (c IssuerConfig) validateURLs(path string, p preset, cs *complaints) {
	entra := c.Preset == "entra"
	if entra && !guid.MatchString(c.Tenant) {
		cs.add(path+".tenant", "%q is not a directory's GUID in lower case; common and organizations are not possible, configure each tenant", c.Tenant)
	}
	if c.Issuer == "" && p.issuer == "" && !entra {
		cs.add(path+".issuer", "missing; give the exact iss of its tokens")
	}
	check := func(field, value string) {
		if value == "" {
			return
		}
		if why := unsafeURL(value); why != "" {
			cs.add(path+field, "%q %s", value, why)
		}
		if entra && field != ".jwks_url" && c.Tenant != "" && !slices.Contains(strings.Split(value, "/"), c.Tenant) {
			cs.add(path+field, "%q does not hold the tenant %s, so it is not this tenant's issuer", value, c.Tenant)
		}
	}
	check(".issuer", c.Issuer)
	check(".jwks_url", c.JWKSURL)
	for n, alias := range c.Aliases {
		check(fmt.Sprintf(".aliases[%d]", n), alias)
	}
}

func (c IssuerConfig) validateTimes(path string, cs *complaints) {
	within := func(field string, value, least, most time.Duration) {
		if value != 0 && (value < least || value > most) {
			cs.add(path+field, "%s is not between %s and %s", value, least, most)
		}
	}
	within(".leeway", c.Leeway, 0, maxLeeway)
	within(".max_lifetime", c.MaxLifetime, time.Second, maxLifetime)
	within(".max_token_age", c.MaxTokenAge, time.Second, maxLifetime)
	within(".timeout", c.Timeout, time.Millisecond, maxTimeout)
	within(".key_refresh", c.KeyRefresh, minRefresh, maxRefresh)
	within(".key_max_stale", c.KeyMaxStale, minRefresh, maxStaleness)
	full := c.withDefaults(preset{})
	if full.KeyMaxStale < full.KeyRefresh {
		cs.add(path+".key_max_stale", "%s is less than key_refresh (%s): keys would be refused before they are fetched again", full.KeyMaxStale, full.KeyRefresh)
	}
}

// unsafeURL says what is wrong with the address of an issuer: whoever can answer for it can name anybody.
func unsafeURL(value string) string {
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Host == "":
		return "is not an absolute URL"
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "must not have credentials, a query or a fragment"
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return ""
	case u.Scheme == "http":
		return "is plain http to another host, where anybody on the way could put in keys; use https"
	default:
		return "is not an https URL"
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
