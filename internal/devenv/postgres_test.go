package devenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func start(t *testing.T, o PostgresOptions) *Postgres {
	t.Helper()
	p, err := StartPostgres(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

func TestPostgresServes(t *testing.T) {
	p := start(t, PostgresOptions{Database: `odd "name`, Settings: map[string]string{"work_mem": "5MB"}})
	conn, err := pgx.Connect(t.Context(), p.DSN(`odd "name`))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var database, encoding, fsync, workMem, hash string
	err = conn.QueryRow(t.Context(), `SELECT current_database(), current_setting('server_encoding'), current_setting('fsync'),
		current_setting('work_mem'), (SELECT left(rolpassword, 13) FROM pg_authid WHERE rolname = current_user)`).
		Scan(&database, &encoding, &fsync, &workMem, &hash)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(database, encoding, fsync, workMem, hash)
	if want := fmt.Sprint(`odd "name`, "UTF8", "off", "5MB", "SCRAM-SHA-256"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := os.Stat(filepath.Join(p.SocketDir, fmt.Sprintf(".s.PGSQL.%d", p.Port))); err != nil {
		t.Errorf("no Unix socket: %v", err)
	}
}

func TestPostgresWantsItsPassword(t *testing.T) {
	p := start(t, PostgresOptions{})
	_, err := pgx.Connect(t.Context(), p.DSNFor(p.Superuser, "guess", "postgres"))
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "28P01" {
		t.Errorf("a wrong password got %v, want 28P01", err)
	}
	for _, text := range []string{fmt.Sprint(p), fmt.Sprintf("%v %+v %#v", p, p, p)} {
		if strings.Contains(text, p.password) {
			t.Errorf("printing shows the password: %s", text)
		}
	}
}

func TestPostgresStopLeavesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "pg")
	p := start(t, PostgresOptions{Dir: dir})
	p.Stop()
	p.Stop()
	select {
	case <-p.Done():
	default:
		t.Error("the server still runs after Stop")
	}
	for _, d := range []string{dir, p.DataDir, p.SocketDir} {
		if _, err := os.Stat(d); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", d, err)
		}
	}
}

func TestPostgresKeepsWhatIsNotItsOwn(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "precious")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := StartPostgres(t.Context(), PostgresOptions{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("got %v, want a complaint that the directory is not empty", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestPostgresTellsWhyItDoesNotStart(t *testing.T) {
	_, err := StartPostgres(t.Context(), PostgresOptions{Settings: map[string]string{"work_mem": "much"}})
	if err == nil || !strings.Contains(err.Error(), `invalid value for parameter "work_mem"`) {
		t.Errorf("got %v, want the server's own complaint", err)
	}
}

func TestVersionNumber(t *testing.T) {
	for text, want := range map[string]float64{
		"postgres (PostgreSQL) 16.3 (Debian 16.3-1.pgdg120+1)": 16.3,
		"postgres (PostgreSQL) 18beta1":                        18,
		"postgres (PostgreSQL) 9.6.24":                         -1,
		"nonsense":                                             -1,
	} {
		if got := versionNumber(text); got != want {
			t.Errorf("versionNumber(%q) = %v, want %v", text, got, want)
		}
	}
}

// TestPostgresDiesWithParent kills a process that has started a server and looks
// whether the server is gone.
func TestPostgresDiesWithParent(t *testing.T) {
	if os.Getenv("DEVENV_TEST_PARENT") != "" {
		p, err := StartPostgres(context.Background(), PostgresOptions{Dir: os.Getenv("DEVENV_TEST_PARENT")})
		if err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Println("dsn", p.DSN("postgres"))
		<-p.Done()
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(self, "-test.run=^TestPostgresDiesWithParent$")
	dir := filepath.Join(t.TempDir(), "pg")
	parent.Env = append(os.Environ(), "DEVENV_TEST_PARENT="+dir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := parent.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var dsn string
	if _, err := fmt.Fscanf(out, "dsn %s\n", &dsn); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// An open connection ends when the server does; the test's time limit bounds the wait.
	if _, err := conn.WaitForNotification(t.Context()); err == nil {
		t.Error("the server outlived its parent")
	}
	// The reaper has the parent's standard error and closes it when it is done.
	if left, err := io.ReadAll(stderr); err != nil || len(left) > 0 {
		t.Errorf("the reaper says %q, %v", left, err)
	}
	_ = parent.Wait() // killed, as intended; it closes the pipes
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the server's directory is still there: %v", err)
	}
}
