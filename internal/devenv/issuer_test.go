package devenv_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/sallyport/sallyport/internal/devenv"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func serveIssuer(t *testing.T, o devenv.IssuerOptions) *devenv.Issuer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.URL = "http://" + listener.Addr().String()
	o.Algorithm = "ES256"
	o.Now = func() time.Time { return noon }
	issuer, err := devenv.NewIssuer(o)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: issuer}}
	server.Start()
	t.Cleanup(server.Close)
	return issuer
}

func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// The issuer is good enough for the libraries everybody uses.
func TestIssuerServesOrdinaryClients(t *testing.T) {
	agent := devenv.Client{ID: "agent 1", Secret: "s/e c+r&et", Subject: "oid-1", Groups: []string{"g1"}, Roles: []string{"Reader"}}
	i := serveIssuer(t, devenv.IssuerOptions{Clients: []devenv.Client{agent}})
	provider, err := oidc.NewProvider(t.Context(), i.IssuerURL())
	if err != nil {
		t.Fatal(err)
	}
	if provider.Endpoint().TokenURL != i.TokenURL() {
		t.Errorf("discovery names the token endpoint %s, want %s", provider.Endpoint().TokenURL, i.TokenURL())
	}
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
		config := clientcredentials.Config{
			ClientID: agent.ID, ClientSecret: string(agent.Secret), TokenURL: i.TokenURL(), AuthStyle: style, Scopes: []string{"api://sallyport/.default"},
		}
		token, err := config.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		checked := provider.VerifierContext(t.Context(), &oidc.Config{
			ClientID: devenv.IssuerAudience, SupportedSigningAlgs: []string{"ES256"}, Now: func() time.Time { return noon },
		})
		if _, err := checked.Verify(t.Context(), token.AccessToken); err != nil {
			t.Fatal(err)
		}
		got := claimsOf(t, token.AccessToken)
		delete(got, "uti")
		want := map[string]any{
			"iss": i.IssuerURL(), "aud": devenv.IssuerAudience, "tid": devenv.IssuerTenant, "oid": "oid-1", "sub": "oid-1", "azp": "agent 1", "azpacr": "1",
			"idtyp": "app", "ver": "2.0", "groups": []any{"g1"}, "roles": []any{"Reader"},
			"iat": float64(noon.Unix()), "nbf": float64(noon.Unix()), "exp": float64(noon.Add(time.Hour).Unix()),
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("claims are %v, want %v", got, want)
		}
	}
}

func TestRequestToken(t *testing.T) {
	clients := devenv.DefaultClients()
	i := serveIssuer(t, devenv.IssuerOptions{Clients: clients, AllowAny: true, SharedSecret: "shared"})
	file := writeAndRead(t, i)
	request := func(client string, o devenv.RequestOptions) map[string]any {
		t.Helper()
		token, err := file.RequestToken(t.Context(), client, o)
		if err != nil {
			t.Fatal(err)
		}
		return claimsOf(t, token)
	}
	for _, client := range clients {
		claims := request(client.ID, devenv.RequestOptions{})
		idtyp := map[string]string{devenv.ClientWorkload: "app", devenv.ClientUser: "user"}[client.Kind]
		if claims["oid"] != client.ID || claims["idtyp"] != idtyp || !slices.Equal(texts(claims["groups"]), client.Groups) {
			t.Errorf("token of %s has the claims %v", client.ID, claims)
		}
	}
	if claims := request("brought-along", devenv.RequestOptions{Kind: devenv.ClientUser}); claims["sub"] != "brought-along" || claims["idtyp"] != "user" {
		t.Errorf("token of an unknown client has the claims %v", claims)
	}
	claims := request("alice", devenv.RequestOptions{
		TTL: 90 * time.Second, Audience: "api://other", Groups: []string{"x", "y z"}, Claims: map[string]any{"extra": 1, "azp": nil},
	})
	if got := texts(claims["groups"]); !slices.Equal(got, []string{"dba-oncall", "support-leads", "x", "y", "z"}) {
		t.Errorf("groups are %q", got)
	}
	if claims["aud"] != "api://other" || claims["extra"] != 1.0 || claims["azp"] != nil || claims["exp"] != float64(noon.Add(90*time.Second).Unix()) {
		t.Errorf("claims are %v", claims)
	}
	expired := request("alice", devenv.RequestOptions{TTL: -time.Minute})
	if expired["exp"] != float64(noon.Add(-time.Minute).Unix()) || expired["iat"].(float64) >= expired["exp"].(float64) {
		t.Errorf("an expired token has the claims %v", expired)
	}
}

func texts(list any) []string {
	var out []string
	members, _ := list.([]any)
	for _, member := range members {
		out = append(out, member.(string))
	}
	return out
}

func writeAndRead(t *testing.T, i *devenv.Issuer) devenv.IssuerFile {
	t.Helper()
	dir := t.TempDir()
	for range 2 { // also over an older one
		if err := i.File().Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("the directory holds %v, %v, want the one file", entries, err)
	}
	if info, err := os.Stat(filepath.Join(dir, entries[0].Name())); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has the mode %v, %v, want 0600", info.Mode(), err)
	}
	file, err := devenv.ReadIssuerFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(file, i.File()) {
		t.Errorf("read %d clients other than written", len(file.Secrets))
	}
	return file
}

func TestIssuerRefuses(t *testing.T) {
	clients := []devenv.Client{{ID: "agent", Secret: "right"}, {ID: "no-secret"}}
	i := serveIssuer(t, devenv.IssuerOptions{Clients: clients})
	for name, c := range map[string]struct {
		form url.Values
		want string
	}{
		"wrong secret":    {url.Values{"client_id": {"agent"}, "client_secret": {"wrong"}}, "401 invalid_client"},
		"no secret":       {url.Values{"client_id": {"agent"}}, "401 invalid_client"},
		"no secret at us": {url.Values{"client_id": {"no-secret"}, "client_secret": {""}}, "401 invalid_client"},
		"unknown client":  {url.Values{"client_id": {"stranger"}, "client_secret": {"right"}}, "401 invalid_client"},
		"no client":       {url.Values{}, "401 invalid_client"},
		"other grant":     {url.Values{"client_id": {"agent"}, "client_secret": {"right"}, "grant_type": {"password"}}, "400 unsupported_grant_type"},
		"bad ttl":         {url.Values{"client_id": {"agent"}, "client_secret": {"right"}, "ttl": {"soon"}}, "400 invalid_request"},
		"bad kind":        {url.Values{"client_id": {"agent"}, "client_secret": {"right"}, "kind": {"robot"}}, "400 invalid_request"},
		"bad claims":      {url.Values{"client_id": {"agent"}, "client_secret": {"right"}, "claims": {"[]"}}, "400 invalid_request"},
		"too large":       {url.Values{"client_id": {"agent"}, "client_secret": {"right"}, "claims": {strings.Repeat("x", 70<<10)}}, "400 invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.form.Get("grant_type") == "" {
				c.form.Set("grant_type", "client_credentials")
			}
			response, err := http.PostForm(i.TokenURL(), c.form)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			var body struct{ Error string }
			if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(response.StatusCode, " ", body.Error); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	t.Run("GET", func(t *testing.T) {
		response, err := http.Get(i.TokenURL() + "?grant_type=client_credentials&client_id=agent&client_secret=right")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusMethodNotAllowed || strings.Contains(string(body), "eyJ") {
			t.Errorf("got %s", response.Status)
		}
	})
}

func TestRequestTokenSaysWhatIsWrong(t *testing.T) {
	i := serveIssuer(t, devenv.IssuerOptions{Clients: []devenv.Client{{ID: "agent", Secret: "right"}}})
	if _, err := devenv.RequestToken(t.Context(), i.TokenURL(), "agent", "wrong-secret", devenv.RequestOptions{}); err == nil ||
		!strings.Contains(err.Error(), "invalid_client") || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("wrong secret: %v", err)
	}
	if _, err := i.File().RequestToken(t.Context(), "stranger", devenv.RequestOptions{}); err == nil || !strings.Contains(err.Error(), "stranger") {
		t.Errorf("unknown client: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := devenv.RequestToken(ended, i.TokenURL(), "agent", "right", devenv.RequestOptions{}); err == nil {
		t.Error("a cancelled request gives a token")
	}
	if _, err := devenv.ReadIssuerFile(t.TempDir()); err == nil || !strings.Contains(err.Error(), "sallyport dev") {
		t.Errorf("no file: %v", err)
	}
}

func TestNewIssuerRefuses(t *testing.T) {
	for name, o := range map[string]devenv.IssuerOptions{
		"no URL":                        {},
		"URL with a path":               {URL: "http://127.0.0.1:1/x"},
		"algorithm":                     {URL: "http://127.0.0.1:1", Algorithm: "HS256"},
		"any client without a password": {URL: "http://127.0.0.1:1", AllowAny: true},
	} {
		if _, err := devenv.NewIssuer(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSecretsCannotBePrinted(t *testing.T) {
	clients := devenv.DefaultClients()
	i := serveIssuer(t, devenv.IssuerOptions{Clients: clients})
	asJSON, err := json.Marshal([]any{clients, i.File()})
	if err != nil {
		t.Fatal(err)
	}
	printed := fmt.Sprintf("%v %+v %#v %s", clients, i.File(), i.File(), clients) + string(asJSON)
	for _, client := range clients {
		if len(client.Secret) < 20 || strings.Contains(printed, string(client.Secret)) {
			t.Errorf("the secret of %s is short or printed", client.ID)
		}
	}
}
