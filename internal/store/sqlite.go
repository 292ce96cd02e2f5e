// Package store keeps grants and approvals, in SQLite.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	_ "modernc.org/sqlite" // the driver

	"github.com/sallyport/sallyport/internal/approval"
	"github.com/sallyport/sallyport/internal/grant"
)

var (
	_ grant.Store    = (*SQLite)(nil)
	_ approval.Store = (*SQLite)(nil)
)

// SQLite keeps state in one file. One process at a time can have it open: what is
// active is also held in memory, and two memories would not know of each other.
type SQLite struct {
	write *sql.DB // one connection: transactions wait for each other here, not in SQLite
	read  *sql.DB
	lock  *os.File
}

// Open opens the file, or makes it.
func Open(ctx context.Context, path string) (*SQLite, error) {
	if path == "" {
		return nil, errors.New("state.path is missing: name a file on a volume that outlives the process")
	}
	s := &SQLite{}
	if err := s.open(ctx, path); err != nil {
		_ = s.Close() // says nothing that err does not
		return nil, fmt.Errorf("state %s: %w", path, err)
	}
	return s, nil
}

func (s *SQLite) open(ctx context.Context, path string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if s.lock, err = os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if err := syscall.Flock(int(s.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return errors.New("in use by another process: each sallyport needs a state file of its own")
		}
		return fmt.Errorf("lock: %w", err)
	}
	// SQLite would make the file readable by everybody.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	pragmas := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"},
	}
	name := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}).String()
	if s.write, err = sql.Open("sqlite", name+"?"+pragmas.Encode()); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if err := migrate(ctx, s.write); err != nil {
		return err
	}
	pragmas.Add("_pragma", "query_only(1)")
	if s.read, err = sql.Open("sqlite", name+"?"+pragmas.Encode()); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(4)
	return nil
}

// Ping says whether the file can be read.
func (s *SQLite) Ping(ctx context.Context) error {
	var one int
	if err := s.read.QueryRowContext(ctx, "SELECT 1 FROM sqlite_master LIMIT 1").Scan(&one); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

// Close ends what is under way and closes the file.
func (s *SQLite) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// inTx does work in a transaction that holds the write lock from its beginning.
func (s *SQLite) inTx(ctx context.Context, work func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	defer tx.Rollback()
	if err := work(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}
