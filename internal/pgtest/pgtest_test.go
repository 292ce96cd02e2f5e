package pgtest

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestMain(m *testing.M) { Main(m) }

func TestDatabasesAreApart(t *testing.T) {
	one := NewDatabase(t, "CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
	two := NewDatabase(t)
	var n int
	if err := one.Connect(t).QueryRow(t.Context(), "SELECT a FROM t").Scan(&n); err != nil || n != 1 {
		t.Errorf("got %d, %v", n, err)
	}
	var missing *pgconn.PgError
	if err := two.Connect(t).QueryRow(t.Context(), "SELECT a FROM t").Scan(&n); !errors.As(err, &missing) || missing.Code != "42P01" {
		t.Errorf("got %v, want 42P01", err)
	}
}

func TestReconfigureAuthenticates(t *testing.T) {
	s := Start(t)
	d := NewDatabase(t)
	a := NewAuthority(t)
	t.Run("md5 and tls", func(t *testing.T) {
		s.EnableTLS(t, a, []string{
			"host all pgtest_md5 127.0.0.1/32 md5",
			"hostssl all pgtest_cert 127.0.0.1/32 cert",
			"host all pgtest_cert 127.0.0.1/32 reject",
		})
		d.Exec(t, "SET password_encryption = md5; CREATE ROLE pgtest_md5 LOGIN PASSWORD 'p'; CREATE ROLE pgtest_cert LOGIN")
		t.Cleanup(func() { d.Exec(t, "DROP ROLE pgtest_md5, pgtest_cert") })
		Connect(t, d.DSNFor("pgtest_md5", "p"))
		if _, err := pgx.Connect(t.Context(), d.DSNFor("pgtest_cert", "")); err == nil {
			t.Error("let in without a certificate")
		}
		config, err := pgx.ParseConfig(d.DSNFor("pgtest_cert", ""))
		if err != nil {
			t.Fatal(err)
		}
		config.TLSConfig = a.TLS(t, "localhost", a.Issue(t, "pgtest_cert"))
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		var version string
		if err := conn.QueryRow(t.Context(), "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&version); err != nil || !strings.HasPrefix(version, "TLS") {
			t.Errorf("got %q, %v", version, err)
		}
	})
	var ssl string
	if err := d.Connect(t).QueryRow(t.Context(), "SHOW ssl").Scan(&ssl); err != nil || ssl != "off" {
		t.Errorf("after the test ssl is %q (%v), want it put back to off", ssl, err)
	}
}
