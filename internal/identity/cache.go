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
		for key, old := range c.entries {
			if !old.good(now) {
				delete(c.entries, key)
			}
		}
	}
	for key := range c.entries {
		if len(c.entries) < maxCached {
			break
		}
		delete(c.entries, key)
	}
	c.entries[sum] = entry
}
