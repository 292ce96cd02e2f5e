package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/approval"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/devenv"
	"github.com/sallyport/sallyport/internal/grant"
	"github.com/sallyport/sallyport/internal/identity"
	"github.com/sallyport/sallyport/internal/pgtest"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/rego"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// people are those of the conversations in testdata/admin.
var people = map[string]devenv.MintOptions{
	"agent":    {Client: "agent", Groups: []string{"leads"}},
	"other":    {Client: "other"},
	"robot":    {Client: "robot", Groups: []string{"leads"}},
	"deputy":   {Client: "deputy", Kind: devenv.ClientUser, Claims: map[string]any{"scp": "use", "oid": "carol", "sub": "carol", "azp": "deputy", "xms_act_fct": "11"}},
	"stranger": {Client: "stranger"},
	"alice":    {Client: "alice", Kind: devenv.ClientUser, Groups: []string{"leads"}},
	"bob":      {Client: "bob", Kind: devenv.ClientUser},
	"carol":    {Client: "carol", Kind: devenv.ClientUser, Groups: []string{"leads"}},
	"expired":  {Client: "agent", TTL: -time.Minute},
	"foreign":  {Client: "agent", Audience: "api://somebody-else"},
}

// world is an API over everything real.
type world struct {
	services *proxy.Services
	api      *admin.API
	issuer   *devenv.Issuer
	store    *store.SQLite
	events   func(error) // makes what is recorded from now on fail
	server   *httptest.Server
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	dir := t.TempDir()
	mux := http.NewServeMux()
	idp := httptest.NewServer(mux)
	t.Cleanup(idp.Close)
	var err error
	must := func() {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w.issuer, err = devenv.NewIssuer(devenv.IssuerOptions{URL: idp.URL})
	must()
	mux.Handle("/", w.issuer)
	s := &proxy.Services{Log: zerolog.Nop(), Now: time.Now}
	w.services = s
	s.Audit, err = audit.Open(t.Context(), audit.Config{Path: filepath.Join(dir, "audit.jsonl")})
	must()
	t.Cleanup(func() { s.Audit.Close() })
	s.Identity, err = identity.New(context.Background(), identity.Config{
		Issuers: []identity.IssuerConfig{{Name: "idp", Preset: "entra", Tenant: w.issuer.Tenant(), Issuer: w.issuer.IssuerURL(), Audiences: []string{w.issuer.Audience()}}},
		Workloads: []identity.Workload{{Issuer: "idp", Subject: "agent", Name: "agent"}, {Issuer: "idp", Subject: "other", Name: "other"},
			{Issuer: "idp", Subject: "robot", Name: "robot"}, {Issuer: "idp", Subject: "deputy", Name: "deputy"}},
	}, nil)
	must()
	t.Cleanup(s.Identity.Close)
	w.store, err = store.Open(t.Context(), filepath.Join(dir, "state.db"))
	must()
	t.Cleanup(func() { w.store.Close() })
	var broken error
	w.events = func(err error) { broken = err }
	s.Approvals = approval.New(approval.Config{Store: w.store, Events: func(approval.Event) error { return broken }})
	s.Grants, err = grant.New(t.Context(), grant.Config{Store: w.store, Approvals: s.Approvals, Events: func(grant.Event) error { return broken }})
	must()
	s.Policy, err = rego.New(t.Context(), rego.Config{Directory: "../../testdata/admin/policies", Log: zerolog.Nop()})
	must()
	t.Cleanup(func() { s.Policy.Close(context.Background()) })
	upstream, err := proxy.OpenUpstream(t.Context(), proxy.UpstreamConfig{Name: "shop", DSN: pgtest.Start(t).DSN("postgres")}, zerolog.Nop())
	must()
	t.Cleanup(upstream.Close)
	metrics := prometheus.NewRegistry()
	server := proxy.NewServer(s, []*proxy.Upstream{upstream}, metrics)
	w.api = admin.New(admin.Config{Services: s, Server: server, State: w.store.Ping, Metrics: metrics, Log: zerolog.Nop()})
	w.server = httptest.NewServer(w.api.Handler())
	t.Cleanup(w.server.Close)
	// The first token makes the keys be there.
	if _, err = s.Identity.Verify(t.Context(), identity.Token(w.issuer.Mint(people["alice"]))); err != nil {
		t.Fatal(err)
	}
	return w
}

// send makes a request as somebody; body "" is none.
func (w *world) send(t *testing.T, who, method, path, body string, header ...string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	switch options, known := people[who]; {
	case who == "nobody":
	case who == "forged":
		token := w.issuer.Mint(people["alice"])
		signature := strings.LastIndexByte(token, '.') + 1
		req.Header.Set("Authorization", "Bearer "+token[:signature]+strings.Repeat("A", len(token)-signature))
	case known:
		req.Header.Set("Authorization", "Bearer "+w.issuer.Mint(options))
	default:
		t.Fatalf("there is no %s", who)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, content
}

func TestConversations(t *testing.T) {
	files, err := filepath.Glob("../../testdata/admin/*.txt")
	if err != nil || len(files) < 3 {
		t.Fatalf("conversations: %v %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			w, kept := newWorld(t), map[string]string{}
			for _, b := range blocks(t, string(content)) {
				if !w.converse(t, b, kept) {
					t.Fatalf("%s:%d: what follows makes no sense any more", filepath.Base(file), b.line)
				}
			}
		})
	}
}

// block is a request and what must come of it.
type block struct {
	line    int
	request string
	status  int
	answer  string
	keep    [][2]string // name, field
}

var answerLine = regexp.MustCompile(`^(\d{3})(?: (.*))?$`)

func blocks(t *testing.T, text string) []block {
	t.Helper()
	var all []block
	for n, l := range strings.Split(text, "\n") {
		switch found := answerLine.FindStringSubmatch(l); {
		case l == "" || strings.HasPrefix(l, "#"):
		case found != nil:
			b := &all[len(all)-1]
			b.status, _ = strconv.Atoi(found[1])
			b.answer = found[2]
		case strings.Contains(l, " = ") && !strings.Contains(l, "/"):
			name, field, _ := strings.Cut(l, " = ")
			all[len(all)-1].keep = append(all[len(all)-1].keep, [2]string{name, field})
		default:
			all = append(all, block{line: n + 1, request: l})
		}
	}
	for _, b := range all {
		if b.status == 0 || strings.Count(b.request, " ") < 2 {
			t.Fatalf("line %d: not a request and an answer: %q", b.line, b.request)
		}
	}
	return all
}

func (w *world) converse(t *testing.T, b block, kept map[string]string) bool {
	t.Helper()
	fill := func(s string) string {
		// The longest name first, since one may begin another.
		for _, name := range slices.SortedFunc(maps.Keys(kept), func(a, b string) int { return len(b) - len(a) }) {
			s = strings.ReplaceAll(s, "$"+name, kept[name])
		}
		return s
	}
	parts := append(strings.SplitN(fill(b.request), " ", 4), "")
	status, got := w.send(t, parts[0], parts[1], parts[2], parts[3])
	if status != b.status {
		t.Errorf("line %d: %s\n%d, not %d: %s", b.line, b.request, status, b.status, got)
		return false
	}
	var wanted, given any
	if err := json.Unmarshal([]byte(fill(b.answer)), &wanted); b.answer != "" && err != nil {
		t.Fatalf("line %d: %v", b.line+1, err)
	}
	if err := json.Unmarshal(got, &given); err != nil {
		t.Errorf("line %d: %s\nnot JSON: %s", b.line, b.request, got)
		return false
	}
	if why := differs(wanted, given, ""); why != "" {
		t.Errorf("line %d: %s\n%s in %s", b.line, b.request, why, got)
		return false
	}
	for _, k := range b.keep {
		kept[k[0]], _ = given.(map[string]any)[k[1]].(string)
	}
	return true
}

// differs says where what is given lacks something of what is wanted.
func differs(wanted, given any, place string) string {
	switch w := wanted.(type) {
	case nil:
		return ""
	case map[string]any:
		g, _ := given.(map[string]any)
		for name, value := range w {
			if why := differs(value, g[name], place+"."+name); why != "" {
				return why
			}
		}
		return ""
	case []any:
		g, ok := given.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%s has not %d elements", place, len(w))
		}
		for i := range w {
			if why := differs(w[i], g[i], fmt.Sprintf("%s[%d]", place, i)); why != "" {
				return why
			}
		}
		return ""
	default:
		if wanted != given {
			return fmt.Sprintf("%s is %v, not %v", place, given, wanted)
		}
		return ""
	}
}

func TestOversizedAndForeignRequests(t *testing.T) {
	w := newWorld(t)
	huge := `{"connection": "shop", "reason": "` + strings.Repeat("x", 64<<10) + `"}`
	if status, got := w.send(t, "agent", "POST", "/v1/grants", huge); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a huge body: %d %s", status, got)
	}
	long := `{"comment": "` + strings.Repeat("x", 5000) + `"}`
	if status, got := w.send(t, "alice", "POST", "/v1/approvals/a-x/approve", long); status != http.StatusBadRequest {
		t.Errorf("a long comment: %d %s", status, got)
	}
	body := `{"connection": "shop", "reason": "x", "binding": "by-itself"}`
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
		if status, got := w.send(t, "agent", "POST", "/v1/grants", body, header...); status != http.StatusForbidden || !bytes.Contains(got, []byte("cross_origin")) {
			t.Errorf("%s: %d %s", header, status, got)
		}
	}
	if list, err := w.services.Grants.List(t.Context(), grant.Filter{}); err != nil || len(list) != 0 {
		t.Errorf("a window was opened: %v %v", list, err)
	}
	for _, authorization := range []string{"Basic YTpi", "Bearer", "Bearer ", w.issuer.Mint(people["agent"])} {
		if status, _ := w.send(t, "nobody", "GET", "/v1/grants", "", "Authorization", authorization); status != http.StatusUnauthorized {
			t.Errorf("Authorization %.12s: %d", authorization, status)
		}
	}
}

// TestHostileStatement shows what an approver is shown of text that an agent made up.
func TestHostileStatement(t *testing.T) {
	w := newWorld(t)
	sql := "SELECT 1\n\t-- \u202egnihton\u2066\x1b[2J\u200b\u00a0<script>\x7f"
	r, err := w.services.Approvals.Ask(t.Context(), approval.Request{Kind: approval.Statement, Requester: approval.Party{Key: "x", Subject: "x\u202ey"},
		Statement: sql, Reason: "a\nb", Approvers: []string{"group:leads"}, BindHash: "h", Connection: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	status, got := w.send(t, "alice", "GET", "/v1/approvals/"+r.ID, "")
	var a admin.Approval
	if err := json.Unmarshal(got, &a); status != http.StatusOK || err != nil {
		t.Fatal(status, err)
	}
	if a.Statement != "SELECT 1\n\t-- \\u202egnihton\\u2066\\u001b[2J\\u200b\\u00a0<script>\\u007f" || !a.Escaped {
		t.Errorf("the statement is shown as %q", a.Statement)
	}
	if a.Requester.Subject != `x\u202ey` || a.Reason != `a\u000ab` {
		t.Errorf("shown as %q for %q", a.Requester.Subject, a.Reason)
	}
	if bytes.Contains(got, []byte("bind_hash")) {
		t.Error("the binding of the approval is shown")
	}
}

func TestNotReady(t *testing.T) {
	w := newWorld(t)
	ready := func(name string) bool {
		t.Helper()
		status, got := w.send(t, "nobody", "GET", "/readyz", "")
		var r admin.Readiness
		if err := json.Unmarshal(got, &r); err != nil || r.Ready != (status == http.StatusOK) {
			t.Fatalf("%d %s", status, got)
		}
		i := slices.IndexFunc(r.Checks, func(c admin.Check) bool { return c.Name == name && !c.OK && c.Detail != "" })
		return i < 0
	}
	if !ready("state") {
		t.Error("not ready from the beginning")
	}
	w.store.Close()
	if ready("state") {
		t.Error("ready without state")
	}
	w.services.Audit.Close()
	if ready("audit") {
		t.Error("ready without a record")
	}
	w.api.Drain()
	if ready("serving") {
		t.Error("ready while shutting down")
	}
	if status, _ := w.send(t, "nobody", "GET", "/livez", ""); status != http.StatusOK {
		t.Errorf("not alive: %d", status)
	}
}

// TestUnrecorded: what cannot be recorded is not done, unless it closes something.
func TestUnrecorded(t *testing.T) {
	w := newWorld(t)
	body := `{"connection": "shop", "reason": "x", "binding": "by-itself"}`
	status, got := w.send(t, "agent", "POST", "/v1/grants", body)
	var open admin.Grant
	if err := json.Unmarshal(got, &open); err != nil || status != http.StatusCreated {
		t.Fatal(status, err)
	}
	w.events(io.ErrShortWrite)
	if status, got := w.send(t, "alice", "POST", "/v1/grants/"+open.ID+"/revoke", ""); status != http.StatusOK {
		t.Errorf("not revoked for want of a record: %d %s", status, got)
	}
	if _, active := w.services.Grants.Active(open.Principal.Issuer+"/"+w.issuer.Tenant()+"/agent", "shop"); active {
		t.Error("the window is still open")
	}
	status, got = w.send(t, "agent", "POST", "/v1/grants", body)
	if status != http.StatusServiceUnavailable || bytes.Contains(got, []byte("short write")) {
		t.Errorf("without a record: %d %s", status, got)
	}
}

func TestProbesOnly(t *testing.T) {
	w := newWorld(t)
	w.server.Config.Handler = w.api.Probes()
	for path, wanted := range map[string]int{"/livez": 200, "/readyz": 200, "/metrics": 200, "/v1/grants": 404, "/v1/approvals": 404, "/": 404} {
		if status, _ := w.send(t, "alice", "GET", path, ""); status != wanted {
			t.Errorf("%s: %d", path, status)
		}
	}
}
