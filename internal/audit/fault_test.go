package audit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// faulty stands between the log and its file and fails as told.
type faulty struct {
	file
	mu       sync.Mutex
	room     int64 // bytes that can still be written; -1 no limit
	truncate error
	sync     error
	writes   []int64       // where
	gate     chan struct{} // if set, writes wait for it
	writing  chan struct{} // told when a write waits
}

func (f *faulty) set(room int64, truncate, sync error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.room, f.truncate, f.sync = room, truncate, sync
}

func (f *faulty) WriteAt(b []byte, at int64) (int, error) {
	if f.gate != nil {
		f.writing <- struct{}{}
		<-f.gate
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes = append(f.writes, at)
	if f.room >= 0 && int64(len(b)) > f.room {
		n, _ := f.file.WriteAt(b[:f.room], at)
		f.room -= int64(n)
		return n, syscall.ENOSPC
	}
	return f.file.WriteAt(b, at)
}

func (f *faulty) Truncate(n int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.truncate != nil {
		return f.truncate
	}
	return f.file.Truncate(n)
}

func (f *faulty) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sync != nil {
		return f.sync
	}
	return f.file.Sync()
}

func withFaults(t *testing.T) (*Log, *faulty) {
	l := mustOpen(t, Config{})
	f := &faulty{file: l.file, room: -1}
	l.file = f
	return l, f
}

func TestNothingHalfAcceptedWhenTheDiskIsFull(t *testing.T) {
	for name, truncate := range map[string]error{"can be cut": nil, "cannot be cut": syscall.EIO} {
		t.Run(name, func(t *testing.T) {
			l, f := withFaults(t)
			mustAppend(t, l, decision(0), Written)
			f.set(100, truncate, nil)
			for i := 1; i <= 3; i++ {
				if err := l.Append(t.Context(), decision(i), Written); !errors.Is(err, ErrNotRecorded) {
					t.Fatalf("append to a full disk: %v", err)
				}
			}
			if err := l.Ready(); err == nil {
				t.Error("ready with a full disk")
			}
			if in := inspect(t, l.cfg.Path); in.Records != 1 {
				t.Errorf("%d records in the file, want 1", in.Records)
			}

			f.set(-1, nil, nil) // there is room again
			mustAppend(t, l, decision(4), Synced)
			if err := l.Ready(); err != nil {
				t.Error(err)
			}
			all := readAll(t, l.cfg.Path)
			inspect(t, l.cfg.Path)
			if len(all) != 3 || all[1].Type != LogRecovered || all[2].DecisionID != "d-4" {
				t.Fatalf("%+v", all)
			}
			if !strings.Contains(all[1].Message, "records refused since") {
				t.Errorf("recovery says %q", all[1].Message)
			}
		})
	}
}

func TestReadyRecoversWithoutTraffic(t *testing.T) {
	l, f := withFaults(t)
	f.set(10, nil, nil)
	if l.Append(t.Context(), decision(0), Written) == nil {
		t.Fatal("accepted")
	}
	if l.Ready() == nil {
		t.Fatal("ready with a full disk")
	}
	f.set(-1, nil, nil)
	if err := l.Ready(); err != nil {
		t.Fatal(err)
	}
	if all := readAll(t, l.cfg.Path); len(all) != 1 || all[0].Type != LogRecovered {
		t.Errorf("%+v", all)
	}
}

func TestFailedSyncIsNotForgotten(t *testing.T) {
	l, f := withFaults(t)
	mustAppend(t, l, decision(0), Written)
	f.set(-1, nil, syscall.EIO)
	if err := l.Append(t.Context(), decision(1), Synced); !errors.Is(err, syscall.EIO) || !errors.Is(err, ErrNotRecorded) {
		t.Fatalf("sync failed, append says %v", err)
	}
	// The kernel forgets a failed fsync: the next one may well succeed. What is not
	// known to be on the disk has to be written again first.
	lost, end := l.synced, l.written.Load()
	f.set(0, nil, nil)
	if l.Append(t.Context(), decision(2), Written) == nil {
		t.Fatal("accepted while what came before may be lost")
	}
	if err := l.syncTo(t.Context(), end); err == nil {
		t.Fatal("called synced what may be lost")
	}
	if l.synced != lost {
		t.Fatalf("synced moved from %d to %d", lost, l.synced)
	}
	f.set(-1, nil, nil)
	f.writes = nil
	mustAppend(t, l, decision(3), Synced)
	if len(f.writes) != 2 || f.writes[0] != lost || f.writes[1] != end {
		t.Errorf("wrote at %v: wanted at %d again, then at %d", f.writes, lost, end)
	}
	if l.synced != l.written.Load() || l.Ready() != nil {
		t.Errorf("synced %d of %d, ready: %v", l.synced, l.written.Load(), l.Ready())
	}
	if in := inspect(t, l.cfg.Path); in.Records != 4 { // 0, 1, recovery, 3
		t.Errorf("%d records", in.Records)
	}
}

func TestWhoGivesUpWhileQueuedLeavesNoRecord(t *testing.T) {
	l, f := withFaults(t)
	f.gate, f.writing = make(chan struct{}), make(chan struct{}, 8)
	results := make(chan error, 2)
	go func() { results <- l.Append(t.Context(), decision(0), Written) }()
	<-f.writing // the first is being written

	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error, 1)
	go func() { gaveUp <- l.Append(ctx, decision(1), Written) }()
	for { // until it is queued
		l.mu.Lock()
		n := len(l.queue)
		l.mu.Unlock()
		if n == 1 {
			break
		}
		runtime.Gosched()
	}
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	close(f.gate)
	if err := <-results; err != nil {
		t.Fatal(err)
	}
	if in := inspect(t, l.cfg.Path); in.Records != 1 {
		t.Errorf("%d records, want 1", in.Records)
	}
}

func TestReadySeesThatTheFileIsGone(t *testing.T) {
	l := mustOpen(t, Config{})
	if err := l.Ready(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(l.cfg.Path, l.cfg.Path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Ready(); err == nil || !strings.Contains(err.Error(), "moved or removed") {
		t.Errorf("%v", err)
	}
}

// TestRealFullDisk does it with a file system of 64 KiB.
func TestRealFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("needs the right to mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 32<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	l := mustOpen(t, Config{Path: filepath.Join(dir, "audit.jsonl")})
	accepted := map[string]bool{}
	refused := 0
	var wg sync.WaitGroup
	var mu sync.Mutex
	for w := range 8 {
		wg.Go(func() {
			for i := range 50 {
				r := decision(w*50 + i)
				err := l.Append(t.Context(), r, Durability(i%2))
				mu.Lock()
				if err == nil {
					accepted[r.DecisionID] = true
				} else if refused++; !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("refused because of %v", err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if refused == 0 || len(accepted) == 0 {
		t.Fatalf("%d accepted, %d refused: the disk was not full", len(accepted), refused)
	}
	sameRecords(t, l.cfg.Path, accepted)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, decision(1000), Synced)
	accepted["d-1000"] = true
	sameRecords(t, l.cfg.Path, accepted)
}

func sameRecords(t *testing.T, path string, accepted map[string]bool) {
	t.Helper()
	inspect(t, path)
	n := 0
	for _, r := range readAll(t, path) {
		if r.Type != Decision {
			continue
		}
		if n++; !accepted[r.DecisionID] {
			t.Errorf("%s was refused and is in the log", r.DecisionID)
		}
	}
	if n != len(accepted) {
		t.Errorf("%d records in the log, %d accepted", n, len(accepted))
	}
}
