package proxy_test

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

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

// openDoor lets everything pass that the library does not refuse itself.
const openDoor = `package policy.open_door

session.allow := true

statement.allow := true
`

// openDoorBinding needs no window.
const openDoorBinding = "policy: open-door\nconnection: \"*\"\ngrant: standing\n"

// sidecar is a whole proxy in this process, with real parts: PostgreSQL, an OIDC
// issuer over HTTP, policies in files, SQLite, an audit log.
type sidecar struct {
	t         testing.TB
	Database  *pgtest.Database
	Issuer    *devenv.Issuer
	Policies  string // directory
	Audit     string // path
	Address   string // host:port
	Server    *proxy.Server
	Services  *proxy.Services
	Engine    *rego.Engine
	Approvals *approval.Keeper
	Grants    *grant.Keeper
	Upstream  *proxy.Upstream
}

// sidecarOptions change the parts. Zero values take what lets everything pass.
type sidecarOptions struct {
	SQL      string            // run in a new database
	Template *pgtest.Database  // what the new database is a copy of
	Policies map[string]string // files by path below the bundle; nil: the open door
	Limits   func(*proxy.Limits)
	DSN      func(*pgtest.Database) string
	Listener proxy.ListenerConfig
	Now      func() time.Time
}

func startSidecar(t testing.TB, o sidecarOptions) *sidecar {
	t.Helper()
	s := &sidecar{t: t, Policies: t.TempDir(), Audit: filepath.Join(t.TempDir(), "audit.jsonl")}
	if o.Template != nil {
		s.Database = o.Template.Copy(t, o.SQL)
	} else {
		s.Database = pgtest.NewDatabase(t, o.SQL)
	}
	if o.Policies == nil {
		o.Policies = map[string]string{"policy/open_door/open_door.rego": openDoor, "bindings/open-door/data.yaml": openDoorBinding}
	}
	for path, text := range o.Policies {
		s.WritePolicy(path, text)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	log := zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel)
	ctx, cancel := context.WithCancel(context.Background())
	s.startIssuer()
	verifier, err := identity.New(ctx, s.identityConfig(), o.Now)
	must(t, err)
	s.Engine, err = rego.New(ctx, rego.Config{Directory: s.Policies, Log: log})
	must(t, err)
	db, err := store.Open(ctx, filepath.Join(t.TempDir(), "state.db"))
	must(t, err)
	record, err := audit.Open(ctx, audit.Config{Path: s.Audit, Statements: "full"})
	must(t, err)
	s.Approvals = approval.New(approval.Config{Store: db, Now: o.Now, Events: func(e approval.Event) error {
		return record.Append(ctx, &audit.Record{Type: audit.Type(e.Type), Approval: e.Request.ID, Session: e.Request.SessionID}, audit.Synced)
	}})
	s.Grants, err = grant.New(ctx, grant.Config{Store: db, Approvals: s.Approvals, Now: o.Now, Events: func(e grant.Event) error {
		return record.Append(ctx, &audit.Record{Type: audit.Type(e.Type), Grant: e.Grant.ID}, audit.Synced)
	}})
	must(t, err)
	dsn := s.Database.DSN()
	if o.DSN != nil {
		dsn = o.DSN(s.Database)
	}
	s.Upstream, err = proxy.OpenUpstream(ctx, proxy.UpstreamConfig{Name: "prod-replica", DSN: dsn, CatalogDSN: s.Database.DSN()}, log)
	must(t, err)
	limits := proxy.Limits{MessageBytes: 64 << 20, PreauthBytes: 64 << 10, Sessions: 200, LoginTimeout: 30 * time.Second, ApprovalWait: time.Minute}
	if o.Limits != nil {
		o.Limits(&limits)
	}
	s.Services = &proxy.Services{Identity: verifier, Policy: s.Engine, Grants: s.Grants, Approvals: s.Approvals, Audit: record,
		Log: log, Now: o.Now, Limits: limits}
	s.Server = proxy.NewServer(s.Services, []*proxy.Upstream{s.Upstream}, prometheus.NewRegistry())
	if o.Listener == (proxy.ListenerConfig{}) {
		o.Listener.Address = "127.0.0.1:0"
	}
	l, err := proxy.Listen(ctx, o.Listener, log)
	must(t, err)
	s.Address = l.Addr().String()
	done := make(chan struct{}, 3)
	go func() { s.Server.Follow(ctx); done <- struct{}{} }()
	go func() { s.Grants.Run(ctx, func(err error) { t.Log(err) }); done <- struct{}{} }()
	go func() { _ = s.Server.Serve(l); done <- struct{}{} }()
	t.Cleanup(func() {
		_ = l.Close()
		end, stop := context.WithCancel(context.Background())
		stop() // nothing is waited for
		s.Server.Shutdown(end)
		cancel()
		for range 3 {
			<-done
		}
		s.Upstream.Close()
		s.Engine.Close(context.Background())
		verifier.Close()
		must(t, record.Close())
		must(t, db.Close())
	})
	return s
}

func (s *sidecar) startIssuer() {
	server := httptest.NewUnstartedServer(nil)
	issuer, err := devenv.NewIssuer(devenv.IssuerOptions{URL: "http://" + server.Listener.Addr().String(), Clients: devenv.DefaultClients()})
	must(s.t, err)
	server.Config.Handler = issuer
	server.Start()
	s.t.Cleanup(server.Close)
	s.Issuer = issuer
}

func (s *sidecar) identityConfig() identity.Config {
	c := identity.Config{Issuers: []identity.IssuerConfig{{Name: "entra-contoso", Preset: "entra", Tenant: s.Issuer.Tenant(),
		Issuer: s.Issuer.IssuerURL(), Audiences: []string{s.Issuer.Audience()}, JWKSURL: s.Issuer.KeysURL()}}}
	for _, client := range s.Issuer.Clients() {
		if client.ID != "stranger" {
			subject := client.Subject
			if subject == "" {
				subject = client.ID
			}
			c.Workloads = append(c.Workloads, identity.Workload{Issuer: "entra-contoso", Subject: subject, Name: client.ID, Kind: client.Kind})
		}
	}
	return c
}

// WritePolicy writes a file of the bundle.
func (s *sidecar) WritePolicy(path, text string) {
	s.t.Helper()
	path = filepath.Join(s.Policies, path)
	must(s.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(s.t, os.WriteFile(path, []byte(text), 0o600))
}

// Token is a token of a client of the issuer.
func (s *sidecar) Token(client string) string {
	return s.Issuer.Mint(devenv.MintOptions{Client: client})
}

// Principal verifies a client's token, as the admin API does.
func (s *sidecar) Principal(client string) *identity.Principal {
	s.t.Helper()
	p, err := s.Services.Identity.Verify(s.t.Context(), identity.Token(s.Token(client)))
	must(s.t, err)
	return p
}

// DSN connects through the sidecar as a client of the issuer. More parameters
// come as name, value pairs.
func (s *sidecar) DSN(client string, params ...string) string {
	q := url.Values{"sslmode": {"disable"}}
	for i := 0; i+1 < len(params); i += 2 {
		q.Set(params[i], params[i+1])
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword("agent", s.Token(client)), Host: s.Address,
		Path: "/prod-replica", RawQuery: strings.ReplaceAll(q.Encode(), "+", "%20")}
	return u.String()
}

// Dial opens a bare connection to the sidecar.
func (s *sidecar) Dial() net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.Address)
	must(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Records reads the audit log.
func (s *sidecar) Records() string {
	s.t.Helper()
	b, err := os.ReadFile(s.Audit)
	must(s.t, err)
	return string(b)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(fmt.Sprint(err))
	}
}
