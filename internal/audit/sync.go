package audit

import (
	"context"
	"fmt"
	"time"
)

// syncRound is one fsync under way, and those who wait for it.
type syncRound struct {
	done   chan struct{}
	covers int64 // bytes of the file it makes durable; set before done is closed
	err    error
}

// syncTo returns when the file is durable up to end. One fsync serves all who wait.
func (l *Log) syncTo(ctx context.Context, end int64) error {
	for {
		l.syncMu.Lock()
		if l.synced >= end {
			l.syncMu.Unlock()
			return nil
		}
		r := l.round
		mine := r == nil
		if mine {
			r = &syncRound{done: make(chan struct{})}
			l.round = r
		}
		l.syncMu.Unlock()

		if mine {
			l.sync(r)
		} else {
			select {
			case <-r.done:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if r.err != nil && r.covers >= end {
			return r.err
		}
	}
}

// sync runs one round. After a failed fsync the kernel may take the lost pages for
// clean, so that the next fsync succeeds and means nothing: from a failure on, no
// round says yes until the leader has written those bytes again (see rewrite).
func (l *Log) sync(r *syncRound) {
	r.covers = l.written.Load()
	if b := l.broken.Load(); b != nil && b.unsafe {
		r.err = b.err
	} else if err := l.file.Sync(); err != nil {
		r.err = l.fail(fmt.Errorf("sync: %w", err), 0, true)
	}
	l.syncMu.Lock()
	if r.err == nil {
		l.synced = max(l.synced, r.covers)
	}
	l.round = nil
	l.syncMu.Unlock()
	close(r.done)
}

// rewrite writes again what is not known to be on the disk, and syncs it. Only the
// leader calls it, after a failed fsync.
func (l *Log) rewrite() error {
	l.syncMu.Lock()
	from := l.synced
	l.syncMu.Unlock()
	end := l.written.Load()
	buf := make([]byte, 1<<20)
	for at := from; at < end; {
		part := buf[:min(int64(len(buf)), end-at)]
		n, err := l.file.ReadAt(part, at)
		if n < len(part) {
			return fmt.Errorf("read again what could not be synced: %w", err)
		}
		if _, err := l.file.WriteAt(part, at); err != nil {
			return err
		}
		at += int64(n)
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	l.syncMu.Lock()
	l.synced = max(l.synced, end)
	l.syncMu.Unlock()
	return nil
}

// syncSoon has the syncing goroutine sync within syncEvery.
func (l *Log) syncSoon() {
	select {
	case l.wake <- struct{}{}:
	default: // it knows
	}
}

func (l *Log) syncLoop() {
	defer close(l.done)
	timer := time.NewTimer(syncEvery)
	defer timer.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-l.wake:
		}
		timer.Reset(syncEvery)
		select {
		case <-l.stop:
			return
		case <-timer.C:
		}
		// An error is kept in broken: the next Append and Ready see it.
		_ = l.syncTo(context.Background(), l.written.Load())
	}
}
