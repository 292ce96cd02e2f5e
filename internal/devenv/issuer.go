package devenv

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// IssuerTenant is the directory of the dev issuer unless another is given.
	IssuerTenant = "5a11b0a7-0de7-4000-8000-000000000001"
	// IssuerAudience is what its tokens are made for unless another audience is asked for.
	IssuerAudience = "api://sallyport"

	maxTokenRequestBytes = 64 << 10
)

// IssuerOptions say what an Issuer is. Only URL is needed.
type IssuerOptions struct {
	URL       string // where clients reach it, without a path
	Tenant    string // default IssuerTenant
	Audience  string // default IssuerAudience
	Algorithm string // RS256 (default) or ES256
	Clients   []Client
	// AllowAny lets any client id have a token under SharedSecret, known or not, so that outside tools bring their own subjects.
	AllowAny     bool
	SharedSecret ClientSecret
	Now          func() time.Time // default time.Now
}

// Issuer is an OIDC issuer for development, shaped like one tenant of Entra: discovery, keys and the client credentials flow. It is an
// http.Handler. Whoever knows a client's secret may also say what is in the token (lifetime, groups, claims), which no real issuer
// allows.
type Issuer struct {
	options IssuerOptions
	clients map[string]Client
	ring    *keyRing
	mux     *http.ServeMux
}

// NewIssuer makes an issuer with a fresh key.
func NewIssuer(o IssuerOptions) (*Issuer, error) {
	if base, err := url.Parse(o.URL); err != nil || base.Host == "" || strings.Trim(base.Path, "/") != "" {
		return nil, errors.New("the issuer needs the URL at which clients reach it, without a path")
	}
	if o.AllowAny && o.SharedSecret == "" {
		return nil, errors.New("an issuer that allows any client needs a shared secret")
	}
	o.URL = strings.TrimSuffix(o.URL, "/")
	if o.Tenant == "" {
		o.Tenant = IssuerTenant
	}
	if o.Audience == "" {
		o.Audience = IssuerAudience
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	ring, err := newKeyRing(o.Algorithm)
	if err != nil {
		return nil, err
	}
	i := &Issuer{options: o, clients: map[string]Client{}, ring: ring, mux: http.NewServeMux()}
	for _, client := range o.Clients {
		i.clients[client.ID] = client
	}
	i.mux.HandleFunc("GET /"+o.Tenant+"/v2.0/.well-known/openid-configuration", i.discovery)
	i.mux.HandleFunc("GET /"+o.Tenant+"/discovery/v2.0/keys", i.keys)
	i.mux.HandleFunc("POST /"+o.Tenant+"/oauth2/v2.0/token", i.token)
	return i, nil
}

// IssuerURL is the iss of its tokens.
func (i *Issuer) IssuerURL() string { return i.options.URL + "/" + i.options.Tenant + "/v2.0" }

// TokenURL is where clients ask for tokens.
func (i *Issuer) TokenURL() string {
	return i.options.URL + "/" + i.options.Tenant + "/oauth2/v2.0/token"
}

// KeysURL is where its public keys are.
func (i *Issuer) KeysURL() string {
	return i.options.URL + "/" + i.options.Tenant + "/discovery/v2.0/keys"
}

func (i *Issuer) Tenant() string { return i.options.Tenant }

func (i *Issuer) Audience() string { return i.options.Audience }

// Clients lists the clients it knows.
func (i *Issuer) Clients() []Client { return slices.Clone(i.options.Clients) }

// Rotate makes a new key and signs with it from now on; the keys before it stay published.
func (i *Issuer) Rotate() error { return i.ring.rotate() }

// Retire stops publishing all keys but the one in use.
func (i *Issuer) Retire() { i.ring.retire() }

func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) { i.mux.ServeHTTP(w, r) }

func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{
		"issuer":                                i.IssuerURL(),
		"jwks_uri":                              i.KeysURL(),
		"token_endpoint":                        i.TokenURL(),
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
		"grant_types_supported":                 []string{"client_credentials"},
		"response_types_supported":              []string{"token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{i.ring.algorithm()},
	})
}

func (i *Issuer) keys(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, i.ring.public())
}

// token answers the client credentials flow. Users have no password here: their tokens are asked for in the same way.
func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxTokenRequestBytes)
	if err := r.ParseForm(); err != nil {
		refuseToken(w, http.StatusBadRequest, "invalid_request", "the body is not a form")
		return
	}
	if r.PostForm.Get("grant_type") != "client_credentials" {
		refuseToken(w, http.StatusBadRequest, "unsupported_grant_type", "only client_credentials is supported")
		return
	}
	id, secret := clientOf(r)
	if !i.authentic(id, secret) {
		w.Header().Set("WWW-Authenticate", `Basic realm="sallyport dev issuer"`)
		refuseToken(w, http.StatusUnauthorized, "invalid_client", "no such client, or its secret is another")
		return
	}
	options, err := mintOptionsOf(id, r.PostForm)
	if err != nil {
		refuseToken(w, http.StatusBadRequest, "invalid_request", err.Error())
		return
	}
	minted, lifetime, err := i.mint(options)
	if err != nil {
		refuseToken(w, http.StatusBadRequest, "invalid_request", err.Error())
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	answer(w, http.StatusOK, map[string]any{
		"access_token": minted, "token_type": "Bearer", "expires_in": max(0, int(lifetime.Seconds())),
	})
}

// clientOf reads the client's credentials from the Authorization header, where RFC 6749 has them encoded as in a form, or the form.
func clientOf(r *http.Request) (id string, secret ClientSecret) {
	user, password, ok := r.BasicAuth()
	if !ok {
		return r.PostForm.Get("client_id"), ClientSecret(r.PostForm.Get("client_secret"))
	}
	user, errUser := url.QueryUnescape(user)
	password, errPassword := url.QueryUnescape(password)
	if errUser != nil || errPassword != nil {
		return "", ""
	}
	return user, ClientSecret(password)
}

func (i *Issuer) authentic(id string, secret ClientSecret) bool {
	client, known := i.clients[id]
	return id != "" && (known && same(secret, client.Secret) || i.options.AllowAny && same(secret, i.options.SharedSecret))
}

// same is false for an empty secret: a client without one cannot sign in.
func same(given, want ClientSecret) bool {
	return want != "" && subtle.ConstantTimeCompare([]byte(given), []byte(want)) == 1
}

func refuseToken(w http.ResponseWriter, status int, code, description string) {
	answer(w, status, map[string]any{"error": code, "error_description": description})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone; there is nobody to tell
}
