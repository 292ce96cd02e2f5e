package store_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/approval"
	"github.com/sallyport/sallyport/internal/grant"
	"github.com/sallyport/sallyport/internal/store"
)

const killedStore = "SALLYPORT_TEST_KILLED_STORE"

// TestMain turns the test binary into a user of the store when it is started as one.
func TestMain(m *testing.M) {
	if path := os.Getenv(killedStore); path != "" {
		useUntilKilled(path)
	}
	os.Exit(m.Run())
}

func open(t testing.TB, path string) *store.SQLite {
	t.Helper()
	s, err := store.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSQLite(t *testing.T) {
	testStore(t, func(t *testing.T) contract { return open(t, filepath.Join(t.TempDir(), "state.db")) })
}

func TestStateOutlivesTheProcess(t *testing.T) {
	// A path with everything that means something in a URL or to SQLite.
	path := filepath.Join(t.TempDir(), "deep", "a b?mode=memory#x%20;.db")
	s := open(t, path)
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateGrant(t.Context(), someGrant("g-1", "k", "c", grant.Active), noRecord); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("opened twice: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s.Ping(t.Context()) == nil {
		t.Error("a closed store answers")
	}
	for _, name := range []string{path, path + ".lock"} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
	if g, err := open(t, path).Grant(t.Context(), "g-1"); err != nil || g.State != grant.Active {
		t.Errorf("%+v, %v", g, err)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	open(t, path).Close()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "PRAGMA user_version = 999"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if _, err := store.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "version 999") {
		t.Errorf("%v", err)
	}
}

func TestBadPaths(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", dir, text, filepath.Join(text, "below")} {
		if s, err := store.Open(t.Context(), path); err == nil {
			s.Close()
			t.Errorf("opened %q", path)
		}
	}
}

// useUntilKilled asks, approves and consumes, and says each ID once its use is done.
func useUntilKilled(path string) {
	ctx := context.Background()
	s, err := store.Open(ctx, path)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	for i := 0; ; i++ {
		id := fmt.Sprintf("a-%d-%d", os.Getpid(), i)
		err := s.CreateApproval(ctx, someApproval(id, approval.Approved), noRecord)
		if err == nil {
			_, err = s.MoveApproval(ctx, id, []approval.State{approval.Approved}, func(r *approval.Request) error {
				r.State = approval.Consumed
				return nil
			})
		}
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(id)
	}
}

func TestWhatIsConsumedStaysConsumedWhenKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	var used []string
	for round := range 4 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), killedStore+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for left := 10 + 7*round; left > 0 && lines.Scan(); left-- {
			used = append(used, lines.Text())
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
			used = append(used, lines.Text())
		}
		_ = cmd.Wait()
	}
	s := open(t, path)
	for _, id := range used {
		if _, err := s.MoveApproval(t.Context(), id, []approval.State{approval.Approved}, func(*approval.Request) error { return nil }); !errors.Is(err, approval.ErrNotPending) {
			t.Errorf("%s can be used again: %v", id, err)
		}
	}
	if len(used) < 40 {
		t.Errorf("%d uses: %q", len(used), used)
	}
}
