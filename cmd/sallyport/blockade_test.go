package main

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport/sallyport/internal/pgtest"
)

// lock is a lock that the test holds, so that a statement runs until it says.
type lock struct{ conn *pgx.Conn }

func blockade(t *testing.T) *lock {
	t.Helper()
	l := &lock{connect(t, pgtest.Start(t).DSN("postgres"))}
	if _, err := l.conn.Exec(t.Context(), "SELECT pg_advisory_lock(4711)"); err != nil {
		t.Fatal(err)
	}
	return l
}

// awaitWaiter returns once somebody waits for the lock.
func (l *lock) awaitWaiter(t *testing.T) {
	t.Helper()
	for late := time.Now().Add(patience); time.Now().Before(late); {
		var waits bool
		err := l.conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted)").Scan(&waits)
		if err != nil {
			t.Fatal(err)
		}
		if waits {
			return
		}
	}
	t.Fatal("nobody waits for the lock")
}

// release is the end of the connection, which frees the lock.
func (l *lock) release() { _ = l.conn.Close(context.Background()) }
