package devenv

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/identity"
)

var shipped = fstest.MapFS{
	"policy/a.rego": {Data: []byte("package policy.a\n")},
	"embed.go":      {Data: []byte("package policies\n")},
}

func prepare(t *testing.T, o Options) *Environment {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.Listen, o.Admin, o.ShippedPolicies = "127.0.0.1:0", "127.0.0.1:0", shipped
	e, err := Prepare(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// readEnv reads dev.env as the documentation says it can be: by a shell.
func readEnv(t *testing.T, e *Environment, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `. "$0" && eval "printf %s \"\$$1\""`, filepath.Join(e.Dir, "dev.env"), name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) }) // the test's context has ended by then
	return conn
}

func number(t *testing.T, conn *pgx.Conn, sql string) (n int) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func forbidden(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql)
	if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.Code != "42501" {
		t.Errorf("%s: %v, not insufficient privilege", sql, err)
	}
}

func TestSampleEnvironment(t *testing.T) {
	e := prepare(t, Options{})
	c, err := config.Load(e.Config)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen[0].Address != e.Listen || c.Admin.Address != e.Admin || c.Policies.Directory != filepath.Join(e.Dir, "policies") {
		t.Errorf("configuration: %+v", c)
	}
	if dsn := c.Connections[0].DSN.Reveal(); dsn != readEnv(t, e, "DIRECT_DSN") {
		t.Error("the connection's DSN is not DIRECT_DSN")
	}
	if proxy := readEnv(t, e, "PROXY_DSN"); proxy != "postgres://agent@"+e.Listen+"/prod-replica?sslmode=disable" {
		t.Errorf("PROXY_DSN=%s", proxy)
	}
	conn := connect(t, readEnv(t, e, "DIRECT_DSN"))
	for sql, wanted := range map[string]int{
		"SELECT count(*) FROM customers":                                          240,
		"SELECT count(*) FROM customer_directory WHERE contact LIKE '%@%'":        240,
		"SELECT count(DISTINCT status) FROM orders":                               4,
		"SELECT count(*) FROM payments WHERE length(card_number) = 16":            320,
		"SELECT count(*) FROM tickets WHERE status = 'open'":                      40,
		"SELECT count(*) FROM hr.employees JOIN hr.salaries ON id = employee_id":  24,
		"SELECT count(*) FROM pg_roles WHERE rolname = current_user AND rolsuper": 0,
	} {
		if got := number(t, conn, sql); got != wanted {
			t.Errorf("%s: %d, not %d", sql, got, wanted)
		}
	}
	if _, err := conn.Exec(t.Context(), "INSERT INTO tickets (customer_id, subject, body) VALUES (1, 'a', 'b')"); err != nil {
		t.Error(err)
	}
	forbidden(t, conn, "UPDATE hr.salaries SET amount = 1")
	if _, err := conn.Exec(t.Context(), "CREATE SCHEMA mine; CREATE TABLE mine.t (id int); CREATE TABLE public.mine (id int)"); err != nil {
		t.Error(err) // tools bring schemas of their own
	}
	forbidden(t, conn, "CREATE ROLE another")
	if n := number(t, connect(t, readEnv(t, e, "SUPERUSER_DSN")), "SELECT count(*) FROM pg_roles WHERE rolname = current_user AND rolsuper"); n != 1 {
		t.Error("SUPERUSER_DSN is no superuser")
	}
}

func TestTokensForAnotherProcess(t *testing.T) {
	e := prepare(t, Options{Upstream: "postgres://app@127.0.0.1/app"})
	file, err := ReadIssuerFile(e.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, client := range []string{"schema-agent", "somebody-else"} {
		if token, err := file.RequestToken(t.Context(), client, RequestOptions{}); err != nil || strings.Count(token, ".") != 2 {
			t.Errorf("%s: %v", client, err)
		}
	}
	if file.TokenURL != readEnv(t, e, "TOKEN_URL") || string(file.SharedSecret) != readEnv(t, e, "CLIENT_SECRET") {
		t.Error("dev.env and issuer.json differ")
	}
	e.Close()
	if _, err := file.RequestToken(t.Context(), "schema-agent", RequestOptions{}); err == nil {
		t.Error("the issuer outlives the environment")
	}
}

// The configuration knows the issuer and the registry that go with it.
func TestTokensAreKnownToTheConfiguration(t *testing.T) {
	e := prepare(t, Options{Upstream: "postgres://app@127.0.0.1/app"})
	c, err := config.Load(e.Config)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := identity.New(t.Context(), c.Identity, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(verifier.Close)
	for client, wanted := range map[string]struct {
		kind, group string
		known       bool
	}{
		"schema-agent": {"workload", "jit-schema-checks", true},
		"alice":        {"user", "dba-oncall", true},
		"stranger":     {"workload", "", false},
		"newcomer":     {"workload", "", false},
	} {
		token, err := e.issuer.File().RequestToken(t.Context(), client, RequestOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := verifier.Verify(t.Context(), identity.Token(token))
		if err != nil {
			t.Errorf("%s: %v", client, err)
			continue
		}
		if p.Issuer != IssuerName || p.Subject != client || p.Kind != wanted.kind || p.Known != wanted.known || wanted.group != "" && !slices.Contains(p.Groups, wanted.group) {
			t.Errorf("%s: %+v", client, p)
		}
	}
}

const seed = `
CREATE SCHEMA app;
CREATE TABLE app.notes (id int PRIMARY KEY, body text);
COPY app.notes FROM stdin;
1	first
2	second
\.
CREATE ROLE librarian;
CREATE SCHEMA library AUTHORIZATION librarian;
SET ROLE librarian;
CREATE TABLE library.books (id int);
`

func TestSeedEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seed.sql")
	if err := os.WriteFile(path, []byte(seed), 0o600); err != nil {
		t.Fatal(err)
	}
	e := prepare(t, Options{Seed: path})
	super := connect(t, readEnv(t, e, "SUPERUSER_DSN"))
	if _, err := super.Exec(t.Context(), "CREATE SCHEMA later; CREATE TABLE later.things (id serial)"); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, readEnv(t, e, "DIRECT_DSN"))
	if n := number(t, conn, "SELECT count(*) FROM app.notes"); n != 2 {
		t.Errorf("%d notes", n)
	}
	if n := number(t, conn, "SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'hr')"); n != 0 {
		t.Errorf("%d tables of the sample", n)
	}
	for _, sql := range []string{"INSERT INTO library.books VALUES (1)", "INSERT INTO later.things DEFAULT VALUES", "CREATE TABLE app.mine (id int)"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

func TestSeedThatFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seed.sql")
	if err := os.WriteFile(path, []byte("CREATE TABLE a (id int);\nINSERT INTO b VALUES (1);\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Prepare(t.Context(), Options{Dir: t.TempDir(), Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", Seed: path, ShippedPolicies: shipped})
	if err == nil || !strings.Contains(err.Error(), `seed.sql:2: ERROR:  relation "b" does not exist`) {
		t.Errorf("error: %v", err)
	}
}

func TestUpstreamIsLeftAlone(t *testing.T) {
	server := start(t, PostgresOptions{Database: "theirs"})
	e := prepare(t, Options{Upstream: server.DSN("theirs"), CredentialDSN: server.DSN("theirs")})
	c, err := config.Load(e.Config)
	if err != nil {
		t.Fatal(err)
	}
	if c.Connections[0].DSN.Reveal() != server.DSN("theirs") || c.Connections[0].CatalogDSN.Reveal() != server.DSN("theirs") {
		t.Error("the connection goes elsewhere")
	}
	e.Close()
	conn := connect(t, server.DSN("theirs"))
	if n := number(t, conn, "SELECT (SELECT count(*) FROM pg_roles WHERE rolname !~ '^pg_') + (SELECT count(*) FROM pg_tables WHERE schemaname = 'public')"); n != 1 {
		t.Errorf("%d roles and tables where there was one role", n)
	}
}

func TestPolicies(t *testing.T) {
	dir := t.TempDir()
	upstream := "postgres://app@127.0.0.1/app"
	e := prepare(t, Options{Dir: dir, Upstream: upstream})
	file := filepath.Join(e.Policies, "policy", "a.rego")
	if _, err := os.Stat(filepath.Join(e.Policies, "embed.go")); err == nil {
		t.Error("embed.go is among the policies")
	}
	if err := os.WriteFile(file, []byte("edited"), 0o600); err != nil {
		t.Fatalf("a shipped policy cannot be edited: %v", err)
	}
	state := filepath.Join(dir, "state", "audit.jsonl")
	if err := os.WriteFile(state, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	prepare(t, Options{Dir: dir, Upstream: upstream})
	if content, _ := os.ReadFile(file); string(content) != "edited" {
		t.Error("an edited policy is lost at the next start")
	}
	if _, err := os.Stat(state); err == nil {
		t.Error("state outlives its database")
	}
	own := t.TempDir()
	if e = prepare(t, Options{Upstream: upstream, Policies: own}); e.Policies != own {
		t.Errorf("policies from %s", e.Policies)
	}
	if _, err := Prepare(t.Context(), Options{Dir: t.TempDir(), Upstream: upstream, Policies: filepath.Join(own, "none")}); err == nil {
		t.Error("missing policies are no error")
	}
}

func TestUsageShowsNoSecret(t *testing.T) {
	e := prepare(t, Options{Upstream: "postgres://app:hunter2@db.example/app"})
	var b strings.Builder
	if err := e.WriteUsage(&b); err != nil {
		t.Fatal(err)
	}
	file := e.issuer.File()
	for _, secret := range []string{"hunter2", string(file.SharedSecret), string(file.Secrets["alice"])} {
		if strings.Contains(b.String(), secret) {
			t.Errorf("usage shows %s", secret)
		}
	}
	for _, client := range e.issuer.Clients() {
		if about[client.ID] == "" {
			t.Errorf("nothing is said about %s", client.ID)
		}
	}
	if _, err := config.Load(e.Config); err != nil {
		t.Error(err)
	}
	for _, private := range []string{"dev.env", "issuer.json", "sallyport.yaml", "secrets/upstream.dsn"} {
		if info, err := os.Stat(filepath.Join(e.Dir, private)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", private, info.Mode(), err)
		}
	}
}

func TestQuoteShell(t *testing.T) {
	for _, value := range []string{"", "postgres://a:b@c/d?sslmode=disable", "host=a password='x y' $HOME `id` \\ \"q\"", "a&b"} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "X="+quoteShell(value)+`; printf %s "$X"`).Output()
		if err != nil || string(out) != value {
			t.Errorf("%q becomes %q, %v", value, out, err)
		}
	}
}

func TestWithSSLMode(t *testing.T) {
	for dsn, wanted := range map[string]string{
		"":                                   "",
		"postgres://h/d":                     "postgres://h/d?sslmode=prefer",
		"postgres://h/d?a=b":                 "postgres://h/d?a=b&sslmode=prefer",
		"postgres://h/d?sslmode=verify-full": "postgres://h/d?sslmode=verify-full",
		"host=h dbname=d":                    "host=h dbname=d sslmode=prefer",
	} {
		if got := withSSLMode(dsn); got != wanted {
			t.Errorf("%q: %q", dsn, got)
		}
	}
}
