package audit

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
)

// entry is one record on its way. Its body is owned by whoever appended it, until
// it is queued; then by the leader, until a turn comes.
type entry struct {
	body []byte // empty: no record, only an attempt to recover
	end  int64  // where its line ends in the file
	err  error
	turn chan turn // one message, when the entry has been dealt with
}

// turn tells one who queued how it goes on.
type turn bool

const (
	written turn = false // the entry was dealt with: see err
	lead    turn = true  // the entry is still queued, and its owner leads now
)

// release gives an entry back, unless a huge statement went through it.
func (e *entry) release() {
	if cap(e.body) <= 64<<10 {
		entries.Put(e)
	}
}

var entries = sync.Pool{New: func() any { return &entry{turn: make(chan turn, 1)} }}

// submit gets an entry written, by leading or by waiting for who leads.
func (l *Log) submit(ctx context.Context, e *entry) error {
	return l.queueUp(ctx, e, false)
}

// queueUp is submit; the last entry of all may queue although the log is closed.
func (l *Log) queueUp(ctx context.Context, e *entry, last bool) error {
	e.err, e.end = nil, 0
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	if l.closed && !last {
		l.mu.Unlock()
		return errClosed
	}
	l.queue = append(l.queue, e)
	leads := !l.leading
	l.leading = true
	l.mu.Unlock()

	if !leads && !l.await(ctx, e) {
		return e.err
	}
	l.lead()
	return e.err
}

// await waits for the entry's turn and reports whether its owner leads now.
func (l *Log) await(ctx context.Context, e *entry) (leads bool) {
	select {
	case t := <-e.turn:
		return t == lead
	case <-ctx.Done():
	}
	l.mu.Lock()
	i := slices.Index(l.queue, e)
	if i >= 0 && len(e.turn) == 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
		l.mu.Unlock()
		e.err = ctx.Err()
		return false
	}
	l.mu.Unlock()
	// It is being written this moment, or it was made leader: see it through.
	return <-e.turn == lead
}

// lead writes everything that is queued, the leader's own entry with it, and passes
// the lead on. A leader serves one batch only, so that nobody works for others
// without end.
func (l *Log) lead() {
	l.mu.Lock()
	batch := l.queue
	l.queue = l.spare[:0]
	l.mu.Unlock()

	err := l.write(batch)
	for i, e := range batch {
		e.err = err
		if i > 0 { // the leader's own is always the first
			e.turn <- written
		}
	}

	clear(batch)
	l.mu.Lock()
	l.spare = batch
	if len(l.queue) > 0 {
		l.queue[0].turn <- lead
	} else {
		l.leading = false
	}
	l.mu.Unlock()
}

// write puts a batch into the file, all of it or nothing. Only the leader calls it.
func (l *Log) write(batch []*entry) error {
	c := &l.chain
	b := l.broken.Load()
	if b != nil {
		if err := l.mend(b.unsafe); err != nil {
			return l.fail(err, records(batch), false)
		}
	}
	start, seq, prev := l.written.Load(), c.seq, c.prev
	c.buf = c.buf[:0]
	var stamp [len(timeLayout)]byte
	at := appendTime(stamp[:0], l.cfg.Now())
	if b != nil {
		c.line(at, appendBody(nil, b.record(), ""))
	}
	for _, e := range batch {
		if len(e.body) > 0 {
			c.line(at, e.body)
		}
		e.end = start + int64(len(c.buf))
	}
	if _, err := l.file.WriteAt(c.buf, start); err != nil {
		c.seq, c.prev = seq, prev
		c.torn = true
		_ = l.mend(false) // now if possible, else before the next write
		return l.fail(err, records(batch), false)
	}
	l.written.Store(start + int64(len(c.buf)))
	if b != nil {
		// Not Store: an fsync may have failed meanwhile, and must not be forgotten.
		l.broken.CompareAndSwap(b, nil)
	}
	if l.copies != nil {
		// A convenience for collectors; the file is what counts.
		_, _ = l.copies.Write(c.buf)
	}
	if cap(c.buf) > 1<<20 {
		c.buf = nil
	}
	return nil
}

// records counts what is more than an attempt to recover.
func records(batch []*entry) (n int) {
	for _, e := range batch {
		if len(e.body) > 0 {
			n++
		}
	}
	return n
}

// line adds one line to the buffer and to the chain.
func (c *chain) line(at, body []byte) {
	start := len(c.buf)
	c.buf = appendHead(c.buf, c.seq+1, at, &c.prev)
	c.buf = append(c.buf, body...)
	c.prev = sha256.Sum256(c.buf[start:])
	c.seq++
	c.buf = append(c.buf, '\n')
}

// mend brings the file back to a state in which lines can be added: what was half
// written is cut away, and what a failed fsync may have lost is written again.
func (l *Log) mend(unsafe bool) error {
	c := &l.chain
	if c.torn {
		if err := l.file.Truncate(l.written.Load()); err != nil {
			return err
		}
		c.torn = false
	}
	if unsafe {
		return l.rewrite()
	}
	return nil
}

// fail remembers why records are refused, for Ready and for the record that is
// written when they are accepted again.
func (l *Log) fail(err error, refused int, unsafe bool) error {
	for {
		old := l.broken.Load()
		next := &breakage{err: err, since: l.cfg.Now(), refused: refused, unsafe: unsafe}
		if old != nil {
			next.since, next.refused, next.unsafe = old.since, old.refused+refused, old.unsafe || unsafe
		}
		if l.broken.CompareAndSwap(old, next) {
			return err
		}
	}
}

func (b *breakage) record() *Record {
	msg := b.err.Error()
	if b.refused > 0 {
		msg = fmt.Sprintf("%d records refused since %s: %v", b.refused, b.since.UTC().Format(timeLayout), b.err)
	}
	return &Record{Type: LogRecovered, Message: msg}
}
