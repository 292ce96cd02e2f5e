// Package audit is the log of who was let do what: JSON lines, chained by hash,
// written before anything runs.
package audit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Durability says how far a record must have come when Append returns.
type Durability int

// The zero value is the stricter one.
const (
	Synced  Durability = iota // on the disk: survives the machine
	Written                   // with the kernel: survives the process; on the disk within syncEvery
)

// syncEvery is how long a record that is only Written may wait for the disk.
const syncEvery = 100 * time.Millisecond

// What of a statement is kept.
const (
	StatementsNormalized = "normalized" // without literals; the default
	StatementsFull       = "full"       // as the client sent it, literals and all
	StatementsNone       = "none"
)

// ErrNotRecorded is in every error of Append: what was to be recorded must not happen.
var ErrNotRecorded = errors.New("not recorded")

var errClosed = errors.New("the audit log is closed")

// Config says where the log is and what it keeps.
type Config struct {
	Path       string `yaml:"path"`
	Stdout     bool   `yaml:"stdout"`     // a copy of each line on standard output
	Statements string `yaml:"statements"` // normalized (default), full or none

	Now func() time.Time `yaml:"-"`
}

// Check says what is wrong with the configuration, touching nothing.
func (c Config) Check() error {
	if c.Path == "" {
		return errors.New("audit.path is missing: without a log nothing may run; name a file on a volume that outlives the process")
	}
	switch c.Statements {
	case "", StatementsNormalized, StatementsFull, StatementsNone:
		return nil
	default:
		return fmt.Errorf("audit.statements is %q: must be normalized, full or none", c.Statements)
	}
}

// file is what the log needs of an *os.File; tests put faults between.
type file interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

// Log is an open log. One process at a time can have a log open.
//
// There is no writer goroutine: of those who append, one leads, writes what has
// queued up in one write(2), and hands the lead to the first who queued meanwhile.
// Alone, a caller pays for its own write and no switch of goroutines; in a crowd
// one call writes for many. Measured against a mutex around each write and against
// a writer goroutine: as good alone as the mutex, in a crowd as the goroutine.
type Log struct {
	cfg    Config
	copies io.Writer // nil without Config.Stdout
	info   os.FileInfo
	file   file
	wake   chan struct{} // there is something to sync
	stop   chan struct{}
	done   chan struct{} // closed when the syncing goroutine has ended

	mu      sync.Mutex
	queue   []*entry
	spare   []*entry // the last batch's memory
	leading bool
	closed  bool

	chain chain // of the leader alone

	written atomic.Int64 // bytes of the file that hold accepted lines
	broken  atomic.Pointer[breakage]

	syncMu sync.Mutex
	synced int64
	round  *syncRound
}

// chain is what the next line depends on.
type chain struct {
	buf  []byte
	seq  uint64 // of the last line
	prev [sha256.Size]byte
	torn bool // the file may be longer than written
}

// breakage is why records are being refused, and since when.
type breakage struct {
	err     error
	since   time.Time
	refused int
	unsafe  bool // fsync failed: what lies between synced and written must be written again
}

// Open opens the log, or makes it, and continues its chain. A line that was cut off
// in the middle of being written is cut away, and that is recorded.
func Open(ctx context.Context, cfg Config) (*Log, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := openLocked(cfg.Path)
	if err != nil {
		return nil, err
	}
	l, err := open(cfg, f)
	if err != nil {
		f.Close()
		return nil, err
	}
	if l.broken.Load() != nil {
		_ = l.probe(ctx) // if the disk is full even now, Ready and Append say so
	}
	return l, nil
}

func open(cfg Config, f *os.File) (*Log, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	end, err := readEnd(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("audit log %s: %w; look at it with `sallyport audit verify`, and move it away to start a new one", cfg.Path, err)
	}
	l := &Log{
		cfg: cfg, info: info, file: f,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		chain: chain{seq: end.seq, prev: end.hash},
	}
	if cfg.Stdout {
		l.copies = os.Stdout
	}
	l.written.Store(end.size)
	if torn := info.Size() - end.size; torn > 0 {
		l.chain.torn = true
		l.broken.Store(&breakage{err: fmt.Errorf("a line was half written when the process ended: %d bytes cut away", torn), since: cfg.Now()})
	}
	go l.syncLoop()
	return l, nil
}

func openLocked(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("audit log %s is in use by another process: each sallyport needs a log of its own", path)
		}
		return nil, fmt.Errorf("audit log %s: lock: %w", path, err)
	}
	// The file's name must outlive the machine too, not only what is in it.
	dir, err := os.Open(filepath.Dir(path))
	if err == nil {
		err = dir.Sync()
		dir.Close()
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("audit log: sync directory: %w", err)
	}
	return f, nil
}

// Append writes a record and returns when it is as durable as asked. On an error
// the record must be taken as not written, and what it speaks of must not happen.
// A later Append tries again by itself: nothing needs to be restarted when the
// disk has room again.
func (l *Log) Append(ctx context.Context, r *Record, d Durability) error {
	if !known[r.Type] {
		return fmt.Errorf("audit: %w: unknown type of record %q", ErrNotRecorded, r.Type)
	}
	e := entries.Get().(*entry)
	e.body = appendBody(e.body[:0], r, l.statement(r))
	err := l.submit(ctx, e)
	end := e.end
	e.release()
	if err == nil && d != Written {
		err = l.syncTo(ctx, end)
	}
	if err != nil {
		return fmt.Errorf("audit: %w: %w", ErrNotRecorded, err)
	}
	if d == Written {
		l.syncSoon()
	}
	return nil
}

func (l *Log) statement(r *Record) string {
	switch l.cfg.Statements {
	case StatementsFull:
		return r.Statement
	case StatementsNone:
		return ""
	default:
		return r.Normalized
	}
}

// Ready says whether a record would be accepted now, and if not, why. If the last
// attempt failed it tries again, so that a sidecar that is taken out of service
// because of a full disk comes back by itself.
func (l *Log) Ready() error {
	if now, err := os.Stat(l.cfg.Path); err != nil || !os.SameFile(l.info, now) {
		return fmt.Errorf("audit log %s was moved or removed while it is in use: restart sallyport to begin a new one", l.cfg.Path)
	}
	if l.broken.Load() == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.closed {
			return errClosed
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := l.probe(ctx); err != nil {
		return fmt.Errorf("audit log %s: %w", l.cfg.Path, err)
	}
	return nil
}

// probe has the leader try again and write that records were refused.
func (l *Log) probe(ctx context.Context) error {
	e := entries.Get().(*entry)
	e.body = e.body[:0]
	err := l.submit(ctx, e)
	e.release()
	return err
}

// Close waits for what is being written, syncs and closes the file.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		<-l.done
		return nil
	}
	l.closed = true
	busy := l.leading
	l.mu.Unlock()
	if busy {
		// Whoever leads now finishes; an entry that queues behind is the last.
		_ = l.queueUp(context.Background(), &entry{turn: make(chan turn, 1)}, true)
	}
	close(l.stop)
	<-l.done
	err := l.syncTo(context.Background(), l.written.Load())
	return errors.Join(err, l.file.Close())
}
