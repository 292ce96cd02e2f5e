package identity

import (
	"crypto/sha256"
	"strconv"
	"testing"
	"time"
)

func TestCacheIsBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	keys := &keySet{now: func() time.Time { return now }, refresh: time.Hour, maxStale: time.Hour}
	snapshot := &keySnapshot{fetched: now}
	keys.current.Store(snapshot)
	i := &issuer{keys: keys}
	c := cache{entries: map[[sha256.Size]byte]*cached{}}
	put := func(n int, until time.Time) [sha256.Size]byte {
		sum := sha256.Sum256([]byte(strconv.Itoa(n)))
		c.put(sum, &cached{principal: &Principal{ExpiresAt: until}, issuer: i, keys: snapshot}, now)
		return sum
	}
	kept := put(0, now.Add(time.Minute))
	for n := 1; n < maxCached; n++ {
		put(n, now.Add(-time.Second))
	}
	last := put(maxCached, now.Add(time.Minute))
	if len(c.entries) != 2 || c.get(kept, now) == nil || c.get(last, now) == nil {
		t.Errorf("%d entries are left, want the two that are good", len(c.entries))
	}
	for n := range 2 * maxCached {
		if sum := put(n, now.Add(time.Minute)); c.get(sum, now) == nil || len(c.entries) > maxCached {
			t.Fatalf("after number %d there are %d entries, want no more than %d and the new one among them", n, len(c.entries), maxCached)
		}
	}
}
