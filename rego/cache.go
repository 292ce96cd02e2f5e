package rego

import "sync"

// cacheSize bounds one half of a cache. A decision and its key take some hundred
// bytes, so a full cache takes a few megabytes.
const cacheSize = 8192

// cache keeps the decisions of one generation of policies. When the young half is
// full it becomes the old one, and what was in the old one is forgotten unless it
// was used again: what is asked for often stays, and no list has to be kept.
type cache[D any] struct {
	mu         sync.Mutex
	young, old map[[32]byte]*D // guarded by mu
}

func (c *cache[D]) get(k [32]byte) *D {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.young[k]; d != nil {
		return d
	}
	d := c.old[k]
	if d != nil {
		c.keep(k, d)
	}
	return d
}

func (c *cache[D]) put(k [32]byte, d *D) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(k, d)
}

func (c *cache[D]) keep(k [32]byte, d *D) {
	if c.young == nil || len(c.young) >= cacheSize {
		c.young, c.old = make(map[[32]byte]*D), c.young
	}
	c.young[k] = d
}
