package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func mustOpen(t testing.TB, cfg Config) *Log {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = filepath.Join(t.TempDir(), "audit.jsonl")
	}
	l, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func decision(i int) *Record {
	return &Record{Type: Decision, Session: "s-1", DecisionID: fmt.Sprintf("d-%d", i), Normalized: "SELECT $1", Effect: "allow"}
}

func mustAppend(t testing.TB, l *Log, r *Record, d Durability) {
	t.Helper()
	if err := l.Append(t.Context(), r, d); err != nil {
		t.Fatal(err)
	}
}

func inspect(t testing.TB, path string) Inspection {
	t.Helper()
	in, err := Inspect(path)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func readAll(t testing.TB, path string) []Record {
	t.Helper()
	var all []Record
	if err := ReadAll(path, func(r *Record) error { all = append(all, *r); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRecordIsInTheFileWhenAppendReturns(t *testing.T) {
	l := mustOpen(t, Config{})
	for i, d := range []Durability{Written, Synced} {
		mustAppend(t, l, decision(i), d)
		if all := readAll(t, l.cfg.Path); len(all) != i+1 || all[i].DecisionID != fmt.Sprintf("d-%d", i) {
			t.Fatalf("after append %d the file holds %v", i, all)
		}
	}
	if l.synced != l.written.Load() {
		t.Errorf("synced %d of %d bytes after a synced append", l.synced, l.written.Load())
	}
}

func TestChainContinuesOverRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "audit.jsonl")
	for range 3 {
		l := mustOpen(t, Config{Path: path})
		mustAppend(t, l, decision(0), Written)
		mustAppend(t, l, decision(1), Synced)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if in := inspect(t, path); in.Records != 6 || in.Torn != 0 {
		t.Errorf("%+v, want 6 records", in)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("the log has mode %v", info.Mode())
	}
}

func TestManyAppendAtOnce(t *testing.T) {
	l := mustOpen(t, Config{})
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for i := range 50 {
				if err := l.Append(t.Context(), decision(w*50+i), Durability(i%2)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, r := range readAll(t, l.cfg.Path) {
		seen[r.DecisionID] = true
	}
	if in := inspect(t, l.cfg.Path); in.Records != 3200 || len(seen) != 3200 {
		t.Errorf("%d records, %d different ones, want 3200", in.Records, len(seen))
	}
}

func TestOneProcessHasTheLog(t *testing.T) {
	l := mustOpen(t, Config{})
	if _, err := Open(t.Context(), l.cfg); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("second open: %v", err)
	}
}

func TestStatementIsKeptAsConfigured(t *testing.T) {
	for mode, want := range map[string]string{
		"": "SELECT $1", StatementsNormalized: "SELECT $1", StatementsFull: "SELECT 'secret'", StatementsNone: "",
	} {
		l := mustOpen(t, Config{Statements: mode})
		mustAppend(t, l, &Record{Type: Decision, Statement: "SELECT 'secret'", Normalized: "SELECT $1"}, Written)
		mustAppend(t, l, &Record{Type: Decision, Statement: "SELECT 'secret'"}, Written)
		all := readAll(t, l.cfg.Path)
		if all[0].Statement != want {
			t.Errorf("%q keeps %q, want %q", mode, all[0].Statement, want)
		}
		if mode != StatementsFull && all[1].Statement != "" {
			t.Errorf("%q keeps %q where the normalised text is missing", mode, all[1].Statement)
		}
	}
}

func TestRefusedConfigurations(t *testing.T) {
	dir := t.TempDir()
	damaged := filepath.Join(dir, "damaged")
	if err := os.WriteFile(damaged, []byte("{\"v\":1,\"seq\":1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, cfg := range map[string]Config{
		"audit.path is missing":     {},
		`audit.statements is "all"`: {Path: filepath.Join(dir, "a"), Statements: "all"},
		"last line is not a record": {Path: damaged},
		"is a directory":            {Path: dir},
		"not a directory":           {Path: filepath.Join(damaged, "below")},
	} {
		if _, err := Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", cfg, err, want)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	l := mustOpen(t, Config{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range map[string]error{
		"unknown type":  l.Append(t.Context(), &Record{Type: "decison"}, Written),
		"no type":       l.Append(t.Context(), &Record{}, Written),
		"ended context": l.Append(ended, decision(1), Written),
	} {
		if !errors.Is(err, ErrNotRecorded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	l.Close()
	if err := l.Append(t.Context(), decision(1), Written); !errors.Is(err, ErrNotRecorded) {
		t.Errorf("closed log: %v", err)
	}
	if l.Ready() == nil {
		t.Error("a closed log is ready")
	}
	if in := inspect(t, l.cfg.Path); in.Records != 0 {
		t.Errorf("%d records of nothing", in.Records)
	}
}

func TestHalfLineIsCutAwayAtOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := mustOpen(t, Config{Path: path})
	mustAppend(t, l, decision(0), Synced)
	mustAppend(t, l, decision(1), Synced)
	l.Close()
	whole, _ := os.ReadFile(path)
	second := bytes.IndexByte(whole, '\n') + 1
	// Wherever the machine stopped: the lines that are whole stay, the rest goes.
	for cut := 0; cut < len(whole); cut++ {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Inspect(path); err != nil {
			t.Fatalf("cut at %d, before reopening: %v", cut, err)
		}
		l := mustOpen(t, Config{Path: path})
		mustAppend(t, l, decision(2), Written)
		l.Close()
		all := readAll(t, path)
		inspect(t, path)
		want := []string{"d-2"}
		if cut >= second {
			want = []string{"d-0", "d-2"}
		}
		if torn := cut != 0 && cut != second; torn {
			i := len(want) - 1
			want = append(want[:i:i], "", "d-2") // and that it was so is on record
			if all[i].Type != LogRecovered || !strings.Contains(all[i].Message, "half written") {
				t.Fatalf("cut at %d: record %d is %+v", cut, i, all[i])
			}
		}
		var got []string
		for _, r := range all {
			got = append(got, r.DecisionID)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("cut at %d: %q, want %q", cut, got, want)
		}
	}
}

func TestHugeStatement(t *testing.T) {
	l := mustOpen(t, Config{Statements: StatementsFull})
	huge := strings.Repeat("x", 3<<20)
	mustAppend(t, l, &Record{Type: Decision, Statement: huge}, Written)
	l.Close()
	l = mustOpen(t, l.cfg)
	mustAppend(t, l, decision(1), Written)
	if all := readAll(t, l.cfg.Path); len(all) != 2 || all[0].Statement != huge {
		t.Errorf("%d records", len(all))
	}
	inspect(t, l.cfg.Path)
}

func TestTimeIsTheClocks(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("x", 3600))
	l := mustOpen(t, Config{Now: func() time.Time { return at }})
	mustAppend(t, l, &Record{Type: Decision, Time: at.Add(-time.Hour), Seq: 99}, Written)
	if r := readAll(t, l.cfg.Path)[0]; !r.Time.Equal(at) || r.Seq != 1 {
		t.Errorf("%v, seq %d", r.Time, r.Seq)
	}
}
