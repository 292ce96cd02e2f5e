package proxy_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sallyport/sallyport/internal/pgtest"
)

// How a session's own connection to the database is made: what the server sees of
// it, and what is refused when the server is not who it should be.
func TestUpstreamAuthentication(t *testing.T) {
	server := pgtest.Start(t)
	a := pgtest.NewAuthority(t)
	server.EnableTLS(t, a, []string{
		"host all up_md5 127.0.0.1/32 md5",
		"hostssl all up_cert 127.0.0.1/32 cert",
		"hostssl all up_scram 127.0.0.1/32 scram-sha-256",
		"host all up_cert,up_scram 127.0.0.1/32 reject",
	}, "localhost")
	client := a.Issue(t, "up_cert")
	stranger := pgtest.NewAuthority(t)
	for _, statement := range []string{"SET password_encryption = md5; CREATE ROLE up_md5 LOGIN PASSWORD 'secret-md5'",
		"CREATE ROLE up_cert LOGIN; CREATE ROLE up_scram LOGIN PASSWORD 'secret-scram'"} {
		server.Exec(t, "postgres", statement)
	}
	t.Cleanup(func() { server.Exec(t, "postgres", "DROP ROLE up_md5, up_cert, up_scram") })
	// seen is what the server says of the session: role and TLS.
	const seen = "SELECT session_user || ' ' || coalesce((SELECT version FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()), 'clear')"
	for name, c := range map[string]struct {
		user, password, host string
		params               []string
		want                 string // what the server sees, or "" for refused
	}{
		"md5 in clear":                      {"up_md5", "secret-md5", "127.0.0.1", []string{"sslmode", "disable"}, "up_md5 clear"},
		"md5 with a wrong password":         {"up_md5", "secret-wrong", "127.0.0.1", []string{"sslmode", "disable"}, ""},
		"scram over TLS":                    {"up_scram", "secret-scram", "127.0.0.1", []string{"sslmode", "require"}, "up_scram TLSv1.3"},
		"scram in clear where TLS must be":  {"up_scram", "secret-scram", "127.0.0.1", []string{"sslmode", "disable"}, ""},
		"scram with channel binding":        {"up_scram", "secret-scram", "localhost", []string{"sslmode", "verify-full", "sslrootcert", a.File, "channel_binding", "require"}, "up_scram TLSv1.3"},
		"md5 where channel binding must be": {"up_md5", "secret-md5", "localhost", []string{"sslmode", "verify-full", "sslrootcert", a.File, "channel_binding", "require"}, ""},
		"channel binding in clear":          {"up_md5", "secret-md5", "127.0.0.1", []string{"sslmode", "disable", "channel_binding", "require"}, ""},
		"verify-full":                       {"up_scram", "secret-scram", "localhost", []string{"sslmode", "verify-full", "sslrootcert", a.File}, "up_scram TLSv1.3"},
		"verify-full of another name":       {"up_scram", "secret-scram", "127.0.0.1", []string{"sslmode", "verify-full", "sslrootcert", a.File}, ""},
		"verify-ca of another name":         {"up_scram", "secret-scram", "127.0.0.1", []string{"sslmode", "verify-ca", "sslrootcert", a.File}, "up_scram TLSv1.3"},
		"verify-full by another authority":  {"up_scram", "secret-scram", "localhost", []string{"sslmode", "verify-full", "sslrootcert", stranger.File}, ""},
		"client certificate": {"up_cert", "", "localhost", []string{"sslmode", "verify-full", "sslrootcert", a.File,
			"sslcert", client.CertFile, "sslkey", client.KeyFile}, "up_cert TLSv1.3"},
		"no client certificate": {"up_cert", "", "localhost", []string{"sslmode", "verify-full", "sslrootcert", a.File}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := startSidecar(t, sidecarOptions{DSN: func(d *pgtest.Database) string {
				return upstreamDSN(d, c.user, c.password, c.host, c.params...)
			}})
			conn, err := pgconn.Connect(t.Context(), s.DSN("support-agent"))
			if c.want == "" {
				refusedAs(t, err, "08006", "the database")
				for _, secret := range []string{"secret-", "127.0.0.1", "localhost", c.user} {
					if strings.Contains(fmt.Sprint(err), secret+" ") || strings.Contains(fmt.Sprintf("%+v", err), `"`+secret) {
						t.Errorf("the client is told %q: %v", secret, err)
					}
				}
				if got := s.audited("session.opened"); len(got) != 0 {
					t.Errorf("recorded as opened: %v", got)
				}
				if got := s.audited("session.refused"); len(got) != 1 || got[0]["sqlstate"] != "08006" {
					t.Errorf("the record says %v", got)
				}
				return
			}
			must(t, err)
			defer func() { must(t, conn.Close(t.Context())) }()
			result := conn.ExecParams(t.Context(), seen, nil, nil, nil, nil).Read()
			must(t, result.Err)
			if got := string(result.Rows[0][0]); got != c.want {
				t.Errorf("the server sees %q, want %q", got, c.want)
			}
		})
	}
}

// upstreamDSN is a DSN of the test server with another role, host and parameters.
func upstreamDSN(d *pgtest.Database, user, password, host string, params ...string) string {
	u, err := url.Parse(d.DSN())
	if err != nil {
		return ""
	}
	u.User = url.User(user)
	if password != "" {
		u.User = url.UserPassword(user, password)
	}
	u.Host = host + ":" + u.Port()
	q := url.Values{}
	for i := 0; i+1 < len(params); i += 2 {
		q.Set(params[i], params[i+1])
	}
	u.RawQuery = q.Encode()
	return u.String()
}

func TestUpstreamByUnixSocket(t *testing.T) {
	s := startSidecar(t, sidecarOptions{DSN: unixDSN})
	if got := one[bool](t, pgtest.Connect(t, s.DSN("support-agent")), "SELECT inet_server_addr() IS NULL"); !got {
		t.Error("the server was reached over TCP")
	}
}

// What the server reports of itself at the start is what the client hears.
func TestGreeting(t *testing.T) {
	s := startSidecar(t, sidecarOptions{})
	params := func(dsn string) map[string]string {
		conn, err := pgconn.Connect(t.Context(), dsn)
		must(t, err)
		hijacked, err := conn.Hijack()
		must(t, err)
		defer func() { _ = hijacked.Conn.Close() }()
		return hijacked.ParameterStatuses
	}
	more := "&application_name=greeted&TimeZone=Asia/Tokyo&client_encoding=UTF8"
	straight, proxied := params(s.Database.DSN()+more), params(s.DSN("support-agent")+more)
	if fmt.Sprint(straight) != fmt.Sprint(proxied) {
		t.Errorf("straight %v\nproxied  %v", straight, proxied)
	}
}
