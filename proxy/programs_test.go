package proxy_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program finds a program that the tests need; where it is missing they fail,
// since a driver that was not tried is not known to work.
func program(t testing.TB, name, install string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: run make tools, or apt-get install %s", name, install)
	}
	return path
}

// python is an interpreter that has the module: Debian's, if there is one.
func python(t testing.TB, module, install string) string {
	t.Helper()
	for _, path := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(path, "-c", "import "+module).Run() == nil {
			return path
		}
	}
	t.Fatalf("no python3 has %s: run make tools, or apt-get install %s", module, install)
	return ""
}

// run runs a program at the top of the repository and returns what it prints.
func run(t testing.TB, name string, args ...string) (output string, exit int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "PGOPTIONS=", "PGCLIENTENCODING=UTF8", "PSQLRC=/dev/null", "LC_ALL=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil || ctx.Err() != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return serverPID.ReplaceAllString(string(out), "PID 0"), cmd.ProcessState.ExitCode()
}

var serverPID = regexp.MustCompile(`PID \d+`)

// same runs the program straight and through the proxy, and compares.
func (s *sidecar) same(t *testing.T, name string, args func(dsn string) []string) {
	t.Helper()
	reset := readScript(t, "reset.sql")
	s.Database.Exec(t, reset)
	straight, exit := run(t, name, args(s.Database.DSN())...)
	if exit != 0 {
		t.Fatalf("straight it ends with %d:\n%s", exit, straight)
	}
	s.Database.Exec(t, reset)
	proxied, exit := run(t, name, args(s.DSN("support-agent"))...)
	if exit != 0 || proxied != straight {
		t.Errorf("exit %d", exit)
		compare(t, strings.Split(straight, "\n"), strings.Split(proxied, "\n"))
	}
}

func TestPsql(t *testing.T) {
	psql := program(t, "psql", "postgresql-client")
	s := startWireSidecar(t)
	t.Run("says the same", func(t *testing.T) {
		s.same(t, psql, func(dsn string) []string {
			// prefer: it asks for TLS first, and for GSSAPI before that
			dsn = strings.Replace(dsn, "sslmode=disable", "sslmode=prefer", 1)
			return []string{"-X", "-v", "HISTFILE=/dev/null", "-f", filepath.Join("testdata", "drivers", "psql.sql"), dsn}
		})
	})
	dsn := s.DSN("support-agent")
	t.Run("goes on after a denial", func(t *testing.T) {
		out, exit := run(t, psql, "-X", "-At", "-c", "SELECT word FROM secrets", "-c", "SELECT 'alive'", dsn)
		for _, want := range []string{"ERROR:  sallyport: secrets are secret", "HINT:  ask for something else", `DETAIL:  {"decision_id":"d-`, "\nalive\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is missing (exit %d) in:\n%s", want, exit, out)
			}
		}
	})
	t.Run("stops at a denial when told so", func(t *testing.T) {
		out, exit := run(t, psql, "-X", "-At", "-v", "ON_ERROR_STOP=1", "-c", "SELECT word FROM secrets", "-c", "SELECT 'alive'", dsn)
		if exit != 1 || strings.Contains(out, "alive") {
			t.Errorf("exit %d:\n%s", exit, out)
		}
	})
	t.Run("a single transaction is rolled back", func(t *testing.T) {
		s.Database.Exec(t, readScript(t, "reset.sql"))
		_, exit := run(t, psql, "-X", "-1", "-v", "ON_ERROR_STOP=1", "-c", "INSERT INTO log (note) VALUES ('lost')", "-c", "SELECT word FROM secrets", dsn)
		out, _ := run(t, psql, "-X", "-At", "-c", "SELECT count(*) FROM log", dsn)
		if exit != 1 || out != "0\n" {
			t.Errorf("exit %d, left %s", exit, out)
		}
	})
	t.Run("a bad token is an error of the server's", func(t *testing.T) {
		out, exit := run(t, psql, "-X", "-c", "SELECT 1", strings.Replace(dsn, s.tokenIn(dsn), "nonsense", 1))
		if exit != 2 || !strings.Contains(out, "FATAL:  sallyport: ") || !strings.Contains(out, "HINT: ") {
			t.Errorf("exit %d:\n%s", exit, out)
		}
	})
	t.Run("cancel by SIGINT", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), psql, "-X", "-c", "SELECT pg_sleep(60), 'interrupted'", dsn)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		must(t, cmd.Start())
		ctx, cancel := context.WithTimeout(t.Context(), conversationTime)
		defer cancel()
		must(t, awaitActivity(ctx, s.Database.DSN(), "state = 'active' AND query LIKE '%interrupted%'"))
		must(t, cmd.Process.Signal(syscall.SIGINT))
		_ = cmd.Wait()
		if !strings.Contains(out.String(), "canceling statement due to user request") {
			t.Error(out.String())
		}
	})
}

func TestPsycopg(t *testing.T) {
	s := startWireSidecar(t)
	for _, c := range []struct{ module, install, script string }{
		{"psycopg2", "python3-psycopg2", "with_psycopg2.py"},
		{"psycopg", "python3-psycopg", "with_psycopg3.py"},
	} {
		t.Run(c.module, func(t *testing.T) {
			python := python(t, c.module, c.install)
			script := filepath.Join("testdata", "drivers", c.script)
			s.same(t, python, func(dsn string) []string { return []string{script, dsn, "allowed"} })
			s.Database.Exec(t, readScript(t, "reset.sql"))
			out, exit := run(t, python, script, s.DSN("support-agent"), "denied")
			if exit != 0 {
				t.Errorf("exit %d", exit)
			}
			for _, want := range []string{"42501\nsallyport: secrets are secret\nask for something else\n{\"decision_id\":\"d-", "alive (3,)"} {
				if !strings.Contains(out, want) {
					t.Errorf("%q is missing", want)
				}
			}
			if t.Failed() || c.module == "psycopg" && !strings.Contains(out, "alive (0,)") {
				t.Errorf("it printed:\n%s", out)
			}
		})
	}
}
