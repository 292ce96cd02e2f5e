package devenv

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const defaultTokenTTL = time.Hour

// MintOptions say what is in a token. The zero value of each field leaves it as the client's entry has it.
type MintOptions struct {
	Client   string // a known client, or any subject
	Kind     string // workload or user
	TTL      time.Duration
	Audience string
	Groups   []string       // in addition to the client's
	Claims   map[string]any // set on top of all others; nil removes a claim

	Header  map[string]any // set in the header, typ and kid too; nil removes
	Payload []byte         // signed as it is, instead of claims
}

// Mint makes a token in this process, for tests. It panics on options that cannot be signed.
func (i *Issuer) Mint(o MintOptions) string {
	token, _, err := i.mint(o)
	if err != nil {
		panic(err)
	}
	return token
}

func (i *Issuer) mint(o MintOptions) (token string, lifetime time.Duration, err error) {
	payload := o.Payload
	lifetime = cmp.Or(o.TTL, defaultTokenTTL)
	if payload == nil {
		if payload, err = json.Marshal(i.claims(o, lifetime)); err != nil {
			return "", 0, fmt.Errorf("the claims are not JSON: %w", err)
		}
	}
	token, err = i.sign(payload, o.Header)
	return token, lifetime, err
}

func (i *Issuer) claims(o MintOptions, lifetime time.Duration) map[string]any {
	client, known := i.clients[o.Client]
	if !known {
		client = Client{ID: o.Client}
	}
	subject := cmp.Or(client.Subject, client.ID)
	issued := i.options.Now()
	expires := issued.Add(lifetime)
	if lifetime <= 0 {
		issued = expires.Add(-defaultTokenTTL) // an expired token was good once
	}
	idtyp := "app"
	if cmp.Or(o.Kind, client.Kind) == ClientUser {
		idtyp = "user"
	}
	claims := map[string]any{
		"iss": i.IssuerURL(), "aud": cmp.Or(o.Audience, i.options.Audience), "tid": i.options.Tenant,
		"iat": issued.Unix(), "nbf": issued.Unix(), "exp": expires.Unix(),
		"azp": client.ID, "azpacr": "1", "oid": subject, "sub": subject, "idtyp": idtyp, "ver": "2.0", "uti": rand.Text(),
		"groups": append(slices.Clone(client.Groups), o.Groups...), "roles": client.Roles,
	}
	if client.Name != "" {
		claims["name"] = client.Name
	}
	for _, list := range []string{"groups", "roles"} {
		if len(claims[list].([]string)) == 0 {
			delete(claims, list) // as Entra does
		}
	}
	overlay(claims, client.Claims)
	overlay(claims, o.Claims)
	return claims
}

func overlay(claims, over map[string]any) {
	maps.Copy(claims, over)
	maps.DeleteFunc(claims, func(name string, value any) bool { return value == nil })
}

// sign writes the header itself, so that tests can have headers no signing library would make.
func (i *Issuer) sign(payload []byte, header map[string]any) (string, error) {
	key := i.ring.signing()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: i.ring.alg, Key: key.Key}, headers(map[string]any{"typ": "JWT", "kid": key.KeyID}, header))
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

func headers(header, over map[string]any) *jose.SignerOptions {
	overlay(header, over)
	options := &jose.SignerOptions{}
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	return options
}

// mintOptionsOf reads the form of a token request. What OAuth does not know is for development: ttl (a duration or seconds, also
// negative), groups, kind, and claims as a JSON object.
func mintOptionsOf(client string, form url.Values) (MintOptions, error) {
	o := MintOptions{Client: client, Kind: form.Get("kind"), Audience: strings.TrimSuffix(form.Get("scope"), "/.default")}
	for _, group := range form["groups"] {
		o.Groups = append(o.Groups, strings.FieldsFunc(group, func(r rune) bool { return r == ',' || r == ' ' })...)
	}
	if o.Kind != "" && o.Kind != ClientWorkload && o.Kind != ClientUser {
		return o, fmt.Errorf("kind must be %s or %s", ClientWorkload, ClientUser)
	}
	if ttl := form.Get("ttl"); ttl != "" {
		duration, err := time.ParseDuration(ttl)
		if seconds, errSeconds := strconv.Atoi(ttl); errSeconds == nil {
			duration, err = time.Duration(seconds)*time.Second, nil
		}
		if err != nil || duration == 0 {
			return o, fmt.Errorf("ttl must be a duration such as 30s, 10m or -5m")
		}
		o.TTL = duration
	}
	if claims := form.Get("claims"); claims != "" {
		if err := json.Unmarshal([]byte(claims), &o.Claims); err != nil {
			return o, fmt.Errorf("claims must be a JSON object")
		}
	}
	return o, nil
}
