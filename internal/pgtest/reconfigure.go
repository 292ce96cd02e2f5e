package pgtest

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// superuserRule keeps this package's own connections working whatever a test says.
const (
	superuserRule = "host all postgres 127.0.0.1/32 scram-sha-256\n"
	defaultRules  = "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\n"
)

// Reconfigure puts lines before the default ones of pg_hba.conf, sets settings that
// a reload can change, and returns when new connections see both. Everything is put
// back at the test's end. The server is shared: such tests must not run in parallel.
//
// MD5: settings password_encryption=md5 before the role is created, and a line
// "host all ROLE 127.0.0.1/32 md5". Client certificates: EnableTLS, and a line
// "hostssl all ROLE 127.0.0.1/32 cert".
func (s *Server) Reconfigure(t testing.TB, hba []string, settings map[string]string) {
	t.Helper()
	names := make([]string, 0, len(settings))
	for name := range settings {
		names = append(names, name)
	}
	sort.Strings(names)
	var set, reset []string
	for _, name := range names {
		set = append(set, fmt.Sprintf("ALTER SYSTEM SET %s = '%s'", pgx.Identifier{name}.Sanitize(), strings.ReplaceAll(settings[name], "'", "''")))
		reset = append(reset, "ALTER SYSTEM RESET "+pgx.Identifier{name}.Sanitize())
	}
	t.Cleanup(func() { s.apply(t, superuserRule+defaultRules, names, reset) })
	s.apply(t, superuserRule+strings.Join(append(hba, ""), "\n")+defaultRules, names, set)
}

func (s *Server) apply(t testing.TB, hba string, settings, statements []string) {
	t.Helper()
	if _, err := s.WriteFile("pg_hba.conf", []byte(hba)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatalf("%v\nin: %s", err, statement)
		}
	}
	var before time.Time
	if err := conn.QueryRow(ctx, "SELECT pg_conf_load_time() FROM pg_reload_conf()").Scan(&before); err != nil {
		t.Fatal(err)
	}
	s.awaitReload(ctx, t, before, settings)
}

// awaitReload connects until a new connection inherits the reloaded configuration:
// the server reloads on a signal, at a moment it tells nobody.
func (s *Server) awaitReload(ctx context.Context, t testing.TB, before time.Time, settings []string) {
	t.Helper()
	for {
		conn, err := pgx.Connect(ctx, s.DSN("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		var loaded time.Time
		var broken string
		err = conn.QueryRow(ctx, `SELECT pg_conf_load_time(),
			coalesce((SELECT string_agg(format('pg_hba.conf line %s: %s', line_number, error), '; ') FROM pg_hba_file_rules WHERE error IS NOT NULL), '')
			|| coalesce((SELECT 'needs a restart: ' || string_agg(name, ', ') FROM pg_settings WHERE pending_restart AND name = ANY ($1)), '')`,
			settings).Scan(&loaded, &broken)
		_ = conn.Close(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if !loaded.After(before) {
			continue
		}
		if broken != "" {
			t.Fatal(broken)
		}
		return
	}
}
