package identity_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/internal/devenv"
	"github.com/sallyport/sallyport/internal/identity"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// clock is moved by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: noon} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// served is a dev issuer over real HTTP, with whatever stands in front of it.
type served struct {
	*devenv.Issuer
	url    string
	server *httptest.Server
}

func serveIssuer(t *testing.T, c *clock, tenant, algorithm string, front func(http.Handler) http.Handler) *served {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + listener.Addr().String()
	issuer, err := devenv.NewIssuer(devenv.IssuerOptions{URL: address, Tenant: tenant, Algorithm: algorithm, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	var handler http.Handler = issuer
	if front != nil {
		handler = front(issuer)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	server.Start()
	t.Cleanup(server.Close)
	return &served{issuer, address, server}
}

func (s *served) jwks(t *testing.T) []map[string]any {
	t.Helper()
	response, err := http.Get(s.KeysURL())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var set struct{ Keys []map[string]any }
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	return set.Keys
}

func verifier(t *testing.T, c identity.Config, now func() time.Time) *identity.Verifier {
	t.Helper()
	v, err := identity.New(t.Context(), c, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// world is the issuers of testdata, each on its own server.
type world struct {
	clock   *clock
	issuers map[string]*served
	config  identity.Config
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{clock: newClock(), issuers: map[string]*served{}}
	raw := readFile(t, "config.yaml")
	for n, name := range []string{"corp", "partner", "cluster", "actions", "pipelines", "mesh", "org", "cloud", "plain"} {
		algorithm := "ES256"
		if n < 3 {
			algorithm = "RS256"
		}
		w.issuers[name] = serveIssuer(t, w.clock, fmt.Sprintf("%08d-0000-4000-8000-000000000000", n+1), algorithm, nil)
	}
	strictly(t, []byte(w.expand(t, string(raw))), &w.config)
	return w
}

var reference = regexp.MustCompile(`\$\{(\w+)(?::(\w+))?\}`)

// expand puts in what is only known once the issuers run.
func (w *world) expand(t *testing.T, text string) string {
	t.Helper()
	return reference.ReplaceAllStringFunc(text, func(found string) string {
		parts := reference.FindStringSubmatch(found)
		switch parts[1] {
		case "exp":
			return strconv.FormatInt(noon.Add(time.Hour).Unix(), 10)
		case "iat":
			return strconv.FormatInt(noon.Unix(), 10)
		}
		issuer := w.issuers[parts[2]]
		if issuer == nil {
			t.Fatalf("%s: no such issuer", found)
		}
		switch parts[1] {
		case "iss":
			return issuer.IssuerURL()
		case "url":
			return issuer.url
		case "tenant":
			return issuer.Tenant()
		case "kid":
			return issuer.jwks(t)[0]["kid"].(string)
		}
		t.Fatalf("%s: not known", found)
		return ""
	})
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("../../testdata/identity/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func strictly(t *testing.T, data []byte, into any) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatal(err)
	}
}

// wantReason fails unless the token is refused for this reason, in words that are safe and say what to do.
func wantReason(t *testing.T, err error, token string, want identity.Reason) {
	t.Helper()
	var refused *identity.Error
	if !errors.As(err, &refused) {
		t.Fatalf("got %v (%T), want an *identity.Error for %s", err, err, want)
	}
	if refused.Reason != want {
		t.Errorf("refused for %q (%s), want %q", refused.Reason, refused.Message, want)
	}
	if !strings.Contains(refused.Message, ";") && !strings.Contains(refused.Message, ",") {
		t.Errorf("message %q does not say what to do", refused.Message)
	}
	for _, part := range strings.Split(token, ".") {
		if len(part) > 8 && strings.Contains(refused.Message, part) {
			t.Errorf("message %q holds a part of the token", refused.Message)
		}
	}
}
