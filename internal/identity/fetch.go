package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxBodyBytes = 1 << 20
	maxKeys      = 100
	minRSABits   = 2048
)

// fetcher asks an issuer for its keys and trusts nothing of its answer's size, speed or direction.
type fetcher struct {
	issuer    string
	jwksURL   string // empty: by discovery
	tokenFile string
	client    *http.Client
}

func newFetcher(c IssuerConfig) (*fetcher, error) {
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: c.Timeout,
		MaxIdleConns:        2,
		IdleConnTimeout:     time.Minute,
		ForceAttemptHTTP2:   true,
	}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading ca_file of issuer %q: %w", c.Name, err)
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading ca_file of issuer %q: %s holds no certificate in PEM form", c.Name, c.CAFile)
		}
	}
	return &fetcher{
		issuer: c.Issuer, jwksURL: c.JWKSURL, tokenFile: c.KeysTokenFile,
		client: &http.Client{Transport: transport, Timeout: c.Timeout, CheckRedirect: sameHostOnly},
	}, nil
}

// sameHostOnly: a redirect elsewhere would let whoever controls one page of the issuer's host name its keys.
func sameHostOnly(r *http.Request, via []*http.Request) error {
	first := via[0].URL
	if r.URL.Host != first.Host || r.URL.Scheme != first.Scheme {
		return errors.New("redirects to another host are not followed")
	}
	if len(via) > 3 {
		return errors.New("too many redirects")
	}
	return nil
}

// keys returns the usable public keys that the issuer publishes now; there may be none.
func (f *fetcher) keys(ctx context.Context) ([]jose.JSONWebKey, error) {
	address := f.jwksURL
	if address == "" {
		var err error
		if address, err = f.discover(ctx); err != nil {
			return nil, fmt.Errorf("discovery: %w", err)
		}
	}
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := f.get(ctx, address, &set); err != nil {
		return nil, fmt.Errorf("fetching keys: %w", err)
	}
	if set.Keys == nil || len(*set.Keys) > maxKeys {
		return nil, errors.New("fetching keys: the answer is not a key set")
	}
	keys := []jose.JSONWebKey{}
	for _, raw := range *set.Keys {
		var key jose.JSONWebKey
		// A key of a type or curve that go-jose does not know is somebody else's business.
		if json.Unmarshal(raw, &key) == nil && usable(key) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

func (f *fetcher) discover(ctx context.Context) (string, error) {
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := f.get(ctx, strings.TrimSuffix(f.issuer, "/")+"/.well-known/openid-configuration", &document); err != nil {
		return "", err
	}
	if document.Issuer != f.issuer {
		return "", fmt.Errorf("the document is of issuer %q, not of %q; set issuer or jwks_url in the configuration", document.Issuer, f.issuer)
	}
	if why := unsafeURL(document.JWKSURI); why != "" {
		return "", fmt.Errorf("its jwks_uri %q %s", document.JWKSURI, why)
	}
	return document.JWKSURI, nil
}

func (f *fetcher) get(ctx context.Context, address string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json, application/jwk-set+json")
	request.Header.Set("Cache-Control", "no-cache")
	if err := f.authorize(request); err != nil {
		return err
	}
	response, err := f.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", address, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBodyBytes+1))
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", address, err)
	}
	if len(body) > maxBodyBytes {
		return fmt.Errorf("the answer of %s is larger than %d bytes", address, maxBodyBytes)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the answer of %s is not the JSON expected", address)
	}
	return nil
}

// authorize adds the bearer token only where configuration says that it belongs: to the issuer's host, or to a jwks_url given by
// hand. A discovery document must not be able to send it elsewhere.
func (f *fetcher) authorize(r *http.Request) error {
	issuer, err := url.Parse(f.issuer)
	if f.tokenFile == "" || err != nil || r.URL.Host != issuer.Host && r.URL.String() != f.jwksURL {
		return nil //nolint:nilerr // to a URL that cannot be read no token belongs
	}
	token, err := os.ReadFile(f.tokenFile)
	if err != nil {
		return fmt.Errorf("reading keys_token_file: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	return nil
}
