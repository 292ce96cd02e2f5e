package identity

import (
	"crypto/sha256"
	"sync"
	"time"
)

const maxCached = 4096

// cached is a token found good with one snapshot of its issuer's keys.
type cached struct {
	principal *Principal
	from      time.Time
	issuer    *issuer
	keys      *keySnapshot
}

// good compares the clock each time and wants the very keys: once they are fetched again, the signature is checked again.
func (c *cached) good(now time.Time) bool {
	return !c.principal.Expired(now) && !now.Before(c.from) && c.issuer.keys.fresh() == c.keys
}

// cache remembers verified tokens by their hash, so that no token is kept.
type cache struct {
	mu      sync.Mutex
	entries map[[sha256.Size]byte]*cached
}

func (c *cache) get(sum [sha256.Size]byte, now time.Time) *Principal {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry := c.entries[sum]
	if entry == nil {
		return nil
	}
	if !entry.good(now) {
		delete(c.entries, sum)
		return nil
	}
	return entry.principal
}

func (c *cache) put(sum [sha256.Size]byte, entry *cached, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= maxCached {
		c.makeRoom(now)
	}
	c.entries[sum] = entry
}

// makeRoom drops what is no longer good, and where that is little, some of the rest too, so that it is not called at each put.
func (c *cache) makeRoom(now time.Time) {
	for sum, entry := range c.entries {
		if !entry.good(now) {
			delete(c.entries, sum)
		}
	}
	for sum := range c.entries {
		if len(c.entries) <= maxCached*3/4 {
			return
		}
		delete(c.entries, sum)
	}
}
