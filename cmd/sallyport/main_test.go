package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/devenv"
	"github.com/sallyport/sallyport/internal/pgtest"
)

// asProgram makes this test binary be sallyport, for tests that need a process.
const asProgram = "SALLYPORT_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	pgtest.Main(m)
}

// patience bounds waiting for what takes milliseconds.
const patience = 20 * time.Second

// site is a configuration with everything real that it names.
type site struct {
	dir, config   string
	listen, admin string
	issuer        *devenv.Issuer
	idp           *httptest.Server
}

// newSite writes a configuration; change turns text of it into other text.
func newSite(t *testing.T, change ...string) *site {
	t.Helper()
	s := &site{dir: t.TempDir(), listen: freePort(t), admin: freePort(t)}
	mux := http.NewServeMux()
	s.idp = httptest.NewServer(mux)
	t.Cleanup(s.idp.Close)
	var err error
	if s.issuer, err = devenv.NewIssuer(devenv.IssuerOptions{URL: s.idp.URL}); err != nil {
		t.Fatal(err)
	}
	mux.Handle("/", s.issuer)
	s.config = filepath.Join(s.dir, "sallyport.yaml")
	text := fmt.Sprintf(`listen: [{address: %q}]
admin: {address: %q}
connections: [{name: shop, dsn: %q}]
issuers: [{name: idp, preset: entra, tenant: %s, issuer: %q, audiences: [%q]}]
workloads: [{issuer: idp, subject: agent, name: agent, owner: tests}]
policies: {directory: policies}
state: {path: state/state.db}
audit: {path: audit.jsonl, statements: full}
limits: {drain_timeout: 10s}
log: {level: info, format: json}
`, s.listen, s.admin, pgtest.Start(t).DSN("postgres"), s.issuer.Tenant(), s.issuer.IssuerURL(), s.issuer.Audience())
	text = strings.NewReplacer(append([]string{"@dir", s.dir}, change...)...).Replace(text)
	s.write(t, "sallyport.yaml", text)
	s.write(t, "policies/policy/desk/desk.rego", "package policy.desk\n\nimport data.sallyport.identity\nimport data.sallyport.sql\n\n"+
		"session.allow if identity.known_workload\n\nstatement.allow if sql.read_only\n")
	s.write(t, "policies/bindings/desk/data.yaml", "policy: desk\nconnection: shop\ngrant: approval\napprovers: [group:leads]\nttl: 10m\n")
	return s
}

func (s *site) write(t *testing.T, name, content string) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *site) token(client string, groups ...string) string {
	kind := devenv.ClientUser
	if client == "agent" {
		kind = devenv.ClientWorkload
	}
	return s.issuer.Mint(devenv.MintOptions{Client: client, Kind: kind, Groups: groups})
}

// dsn is where the client connects through the sidecar.
func (s *site) dsn(client string) string {
	return fmt.Sprintf("postgres://%s:%s@%s/shop?sslmode=disable", client, s.token(client), s.listen)
}

// output keeps what is written, and can be waited for.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // has something in it after each write
}

func newOutput() *output { return &output{more: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await waits until it was written.
func (o *output) await(t *testing.T, text string) {
	t.Helper()
	late := time.After(patience)
	for !strings.Contains(o.String(), text) {
		select {
		case <-o.more:
		case <-late:
			t.Fatalf("%q was not written:\n%s", text, o)
		}
	}
}

// running is a command that goes on until it is ended.
type running struct {
	out, err *output
	end      context.CancelCauseFunc
	hurry    chan struct{}
	code     chan int
}

// start runs a command beside the test; it is ended at the test's end at the latest.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, end := context.WithCancelCause(context.Background())
	r := &running{out: newOutput(), err: newOutput(), end: end, hurry: make(chan struct{}), code: make(chan int, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.code <- run(ctx, &program{stdout: r.out, stderr: r.err, getenv: noEnvironment, hurry: r.hurry}, args)
	}()
	t.Cleanup(func() {
		r.end(io.EOF)
		<-done
	})
	return r
}

func noEnvironment(string) string { return "" }

// stop ends it as a signal would, and returns its exit code.
func (r *running) stop(t *testing.T) int {
	t.Helper()
	r.end(interrupted{os.Interrupt})
	return r.wait(t)
}

func (r *running) wait(t *testing.T) int {
	t.Helper()
	select {
	case code := <-r.code:
		return code
	case <-time.After(patience):
		t.Fatalf("it does not end:\n%s", r.err)
		return -1
	}
}

// serveSite runs serve and waits until it serves.
func (s *site) serve(t *testing.T) *running {
	t.Helper()
	r := start(t, "serve", "--config", s.config)
	r.err.await(t, "serving operators")
	return r
}

// call runs a command to its end.
func call(t *testing.T, environment map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience) // what should fail may serve instead
	defer cancel()
	var out, err bytes.Buffer
	code = run(ctx, &program{stdout: &out, stderr: &err, getenv: func(name string) string { return environment[name] }}, args)
	return code, out.String(), err.String()
}

// readiness asks until the answer is as it should be: keys and policies come when
// they come.
func (s *site) readiness(t *testing.T, wanted func(admin.Readiness) bool) {
	t.Helper()
	var last []byte
	for late := time.Now().Add(patience); time.Now().Before(late); {
		res, err := http.Get("http://" + s.admin + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		last, err = io.ReadAll(res.Body)
		res.Body.Close()
		var r admin.Readiness
		if err != nil || json.Unmarshal(last, &r) != nil || r.Ready != (res.StatusCode == http.StatusOK) {
			t.Fatalf("%d %s %v", res.StatusCode, last, err)
		}
		if wanted(r) {
			return
		}
	}
	t.Fatalf("readiness stays at %s", last)
}

func isReady(r admin.Readiness) bool { return r.Ready }

func lacks(name string) func(admin.Readiness) bool {
	return func(r admin.Readiness) bool {
		return slices.ContainsFunc(r.Checks, func(c admin.Check) bool { return c.Name == name && !c.OK && c.Detail != "" })
	}
}

// records are those of the types, in order.
func (s *site) records(t *testing.T, types ...audit.Type) []audit.Record {
	t.Helper()
	var found []audit.Record
	err := audit.ReadAll(filepath.Join(s.dir, "audit.jsonl"), func(r *audit.Record) error {
		if slices.Contains(types, r.Type) {
			found = append(found, *r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) }) // the test's context has ended by then
	return conn
}
