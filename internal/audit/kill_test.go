package audit

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

const killedLog = "SALLYPORT_TEST_KILLED_LOG"

// TestMain turns the test binary into a writer when it is started as one.
func TestMain(m *testing.M) {
	if path := os.Getenv(killedLog); path != "" {
		writeUntilKilled(path)
	}
	os.Exit(m.Run())
}

// writeUntilKilled appends from many goroutines and says on standard output which
// records were accepted, after they were.
func writeUntilKilled(path string) {
	l, err := Open(context.Background(), Config{Path: path})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				r := &Record{Type: Decision, DecisionID: id, Normalized: "SELECT $1"}
				if err := l.Append(context.Background(), r, Durability(i%8&1)); err != nil {
					fmt.Println("error", err)
					os.Exit(1)
				}
				fmt.Println(id) // one write(2): lines do not mix
			}
		})
	}
	wg.Wait()
}

func TestKilledWriterLosesNothingItAccepted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	accepted := map[string]bool{}
	rounds := 8
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), killedLog+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for left := 200 + rand.IntN(1000); left > 0 && lines.Scan(); left-- {
			accepted[lines.Text()] = true
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it still said before it died
			accepted[lines.Text()] = true
		}
		_ = cmd.Wait()
		if err := Verify(path); err != nil {
			t.Fatal(err)
		}
	}
	inLog := map[string]bool{}
	for _, r := range readAll(t, path) {
		inLog[r.DecisionID] = true
	}
	for id := range accepted {
		if !inLog[id] {
			t.Errorf("%s was accepted and is not in the log", id)
		}
	}
	t.Logf("%d accepted, %d in the log", len(accepted), len(inLog))
}
