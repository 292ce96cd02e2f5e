package grant

import (
	"maps"
	"sync/atomic"
	"time"
)

// clock reads two clocks that fail in different ways: the wall clock can be set
// back, and elapsed time stands still while the machine sleeps. A window is over
// when either says so.
type clock struct {
	now     func() time.Time
	elapsed func() time.Duration // nil: Go's monotonic clock, since start
	start   time.Time
	real    bool // now is time.Now: one reading serves both
}

func newClock(now func() time.Time, elapsed func() time.Duration) clock {
	c := clock{now: now, elapsed: elapsed, start: time.Now(), real: now == nil && elapsed == nil}
	if c.now == nil {
		c.now = time.Now
	}
	return c
}

func (c *clock) read() (wall time.Time, elapsed time.Duration) {
	wall = c.now()
	switch {
	case c.real:
		return wall, wall.Sub(c.start)
	case c.elapsed != nil:
		return wall, c.elapsed()
	default:
		return wall, time.Since(c.start)
	}
}

// slot is a place that holds one window at most.
type slot struct{ key, connection string }

// window is an active grant with its deadline on the second clock. It never changes.
type window struct {
	grant Grant
	until time.Duration
}

// over reports whether the window's time has passed.
func (w *window) over(c *clock) bool {
	wall, elapsed := c.read()
	return !wall.Before(w.grant.ExpiresAt) || elapsed >= w.until
}

// windows are the active grants. Reading takes no lock: each statement asks.
type windows struct {
	current atomic.Pointer[map[slot]*window]
}

// find returns the window at a slot that is not over.
func (ws *windows) find(s slot, c *clock) *window {
	m := ws.current.Load()
	if m == nil {
		return nil
	}
	w := (*m)[s]
	if w == nil || w.over(c) {
		return nil
	}
	return w
}

// put and remove copy: windows come and go seldom, compared with statements. The
// caller holds the keeper's lock.
func (ws *windows) put(w *window) {
	next := ws.copied()
	next[slot{w.grant.Principal.Key, w.grant.Connection}] = w
	ws.current.Store(&next)
}

func (ws *windows) remove(g *Grant) {
	s := slot{g.Principal.Key, g.Connection}
	m := ws.current.Load()
	if m == nil || (*m)[s] == nil || (*m)[s].grant.ID != g.ID {
		return
	}
	next := ws.copied()
	delete(next, s)
	ws.current.Store(&next)
}

func (ws *windows) copied() map[slot]*window {
	if m := ws.current.Load(); m != nil {
		return maps.Clone(*m)
	}
	return map[slot]*window{}
}

// overdue lists the active windows whose time has passed.
func (ws *windows) overdue(c *clock) []Grant {
	var due []Grant
	if m := ws.current.Load(); m != nil {
		for _, w := range *m {
			if w.over(c) {
				due = append(due, w.grant)
			}
		}
	}
	return due
}

// next is how long until the first window is over, at most limit.
func (ws *windows) next(c *clock, limit time.Duration) time.Duration {
	if m := ws.current.Load(); m != nil {
		now, elapsed := c.read()
		for _, w := range *m {
			limit = min(limit, w.grant.ExpiresAt.Sub(now), w.until-elapsed)
		}
	}
	return max(limit, 0)
}

// admit makes the window of an active grant. After a restart the second clock knows
// nothing of the time before: what the wall clock says is left counts, but never
// more than the whole ttl, however far back the wall clock was set meanwhile.
func admit(g Grant, c *clock) *window {
	wall, elapsed := c.read()
	return &window{grant: g, until: elapsed + min(g.ExpiresAt.Sub(wall), g.TTL)}
}
