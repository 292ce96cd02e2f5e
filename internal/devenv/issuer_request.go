package devenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const tokenRequestTimeout = 10 * time.Second

// RequestOptions are what a client may ask of the dev issuer. Their zero value asks for an ordinary token.
type RequestOptions struct {
	TTL      time.Duration // negative: a token that has expired
	Audience string
	Kind     string // ClientWorkload or ClientUser, for a client the issuer does not know
	Groups   []string
	Claims   map[string]any
}

// RequestToken asks an issuer for a token by client credentials.
func RequestToken(ctx context.Context, tokenURL, client string, secret ClientSecret, o RequestOptions) (string, error) {
	form := url.Values{}
	if o.TTL != 0 {
		form.Set("ttl", o.TTL.String())
	}
	if o.Kind != "" {
		form.Set("kind", o.Kind)
	}
	for _, group := range o.Groups {
		form.Add("groups", group)
	}
	if o.Claims != nil {
		claims, err := json.Marshal(o.Claims)
		if err != nil {
			return "", fmt.Errorf("the claims are not JSON: %w", err)
		}
		form.Set("claims", string(claims))
	}
	config := clientcredentials.Config{
		ClientID: client, ClientSecret: string(secret), TokenURL: tokenURL, EndpointParams: form, AuthStyle: oauth2.AuthStyleInParams,
	}
	if o.Audience != "" {
		config.Scopes = []string{o.Audience + "/.default"}
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Timeout: tokenRequestTimeout})
	token, err := config.Token(ctx)
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return "", fmt.Errorf("the issuer gives %q no token: %s: %s", client, refused.ErrorCode, refused.ErrorDescription)
	}
	if err != nil {
		return "", fmt.Errorf("asking %s for a token: %w", tokenURL, err)
	}
	return token.AccessToken, nil
}

// RequestToken asks the running issuer for a token of the client.
func (f IssuerFile) RequestToken(ctx context.Context, client string, o RequestOptions) (string, error) {
	secret, err := f.Secret(client)
	if err != nil {
		return "", err
	}
	return RequestToken(ctx, f.TokenURL, client, secret, o)
}
