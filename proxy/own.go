package proxy

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/query"
)

// ownCatalog is the catalog as one session sees it: with its temporary objects, and
// with what it has changed in a transaction that is not committed.
type ownCatalog struct {
	snapshot *catalog.Snapshot
	analyzer *query.Analyzer
	texts    texts
	at       ownEpoch
}

// ownEpoch is what a session's own catalog depends on.
type ownEpoch struct {
	changes uint64 // by the session
	schema  uint64 // by whoever is behind this sidecar
	catalog uint64 // by anybody
}

// ownGenerations numbers the sessions' own snapshots, apart from all others.
var ownGenerations atomic.Uint64

const firstOwnGeneration = 1 << 63

// snapshot is the catalog that the session's statements are judged against.
func (g *gate) snapshot() *catalog.Snapshot {
	if g.own != nil {
		return g.own.snapshot
	}
	return g.upstream.catalog.Snapshot()
}

// current makes the catalog as new as the statement that is to be judged needs it.
func (g *gate) current(ctx context.Context, j *job) *Refusal {
	if !j.own {
		g.own = nil
		if err := g.upstream.current(ctx); err != nil {
			g.Log.Warn().Err(err).Msg("catalog not read again after a schema change")
			return &Refusal{Code: codeUpstream, Message: "the catalog could not be read again after a schema change",
				Hint: "Try again in a moment.", Detail: Detail{Retryable: true}}
		}
		return nil
	}
	at := ownEpoch{changes: j.changes, schema: g.upstream.schema.Load()}
	if s := g.upstream.catalog.Snapshot(); s != nil {
		at.catalog = s.Generation
	}
	if g.own != nil && g.own.at == at {
		return nil
	}
	if !j.borrowable {
		// What others change beside sallyport is noticed late by every session; what
		// went through here is not to be missed. See judge.
		j.unsure = g.own == nil || g.own.at.changes != at.changes || g.own.at.schema != at.schema
		return nil
	}
	own := &ownCatalog{at: at}
	j.borrowed = true
	err := g.borrow(ctx, func(ctx context.Context, conn *pgx.Conn) (err error) {
		own.snapshot, err = catalog.Session(ctx, conn, j.tx == txOpen)
		return err
	})
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			g.Log.Warn().Err(err).Str("session", g.id).Msg("the session's own catalog was not read")
		}
		return &Refusal{Code: codeUpstream, Message: "the catalog as this session sees it could not be read", Fatal: true,
			Hint: "Reconnect and try again.", Detail: Detail{Effect: "error", Retryable: true}}
	}
	own.snapshot.Generation = firstOwnGeneration + ownGenerations.Add(1)
	own.analyzer = query.NewAnalyzer(own.snapshot)
	g.own = own
	return nil
}
