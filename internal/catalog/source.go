package catalog

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
)

// Config says where the catalog is read from.
type Config struct {
	DSN      string        // of the database whose catalog it is; any role that may connect will do
	Interval time.Duration // how often to look for changes, default one second
	Log      zerolog.Logger
}

// Source keeps a snapshot of one database's catalog up to date. Looking for
// changes is cheap: the statistics of the catalog tables say how many of their
// rows have ever been written. They can lag by seconds, so once in a while the
// rows' own transaction numbers are summed as well.
//
// While the server cannot be reached the last snapshot stays.
type Source struct {
	config   Config
	snapshot atomic.Pointer[Snapshot]
	stop     context.CancelFunc
	done     chan struct{}

	mu         sync.Mutex // guards what follows, held for as long as the server is asked
	conn       *pgx.Conn
	generation uint64
	written    int64 // rows written to the catalog, by the statistics
	digest     string
	digestCost time.Duration
	digestAt   time.Time
}

// Open reads the catalog for the first time and starts to follow its changes.
func Open(ctx context.Context, config Config) (*Source, error) {
	if config.Interval <= 0 {
		config.Interval = time.Second
	}
	follow, stop := context.WithCancel(context.WithoutCancel(ctx)) // follows until Close, not until ctx ends
	s := &Source{config: config, stop: stop, done: make(chan struct{})}
	if err := s.Refresh(ctx); err != nil {
		stop()
		s.disconnect()
		return nil, err
	}
	go s.follow(follow)
	return s, nil
}

// Snapshot returns the newest snapshot.
func (s *Source) Snapshot() *Snapshot { return s.snapshot.Load() }

// Refresh reads the catalog anew if it has changed, and returns when Snapshot
// gives what was committed before the call.
func (s *Source) Refresh(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connected(ctx, func(conn *pgx.Conn) error {
		return s.refreshByDigest(ctx, conn)
	})
}

// Close ends the following of changes and waits for it.
func (s *Source) Close() {
	s.stop()
	<-s.done
	s.disconnect()
}

const maxBackoff = 30 * time.Second

func (s *Source) follow(ctx context.Context) {
	defer close(s.done)
	wait, failing := s.config.Interval, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		switch err := s.look(ctx); {
		case err == nil:
			if failing {
				s.config.Log.Info().Msg("catalog: the server can be reached again")
			}
			wait, failing = s.config.Interval, false
		case ctx.Err() != nil:
			return
		default:
			if !failing {
				s.config.Log.Warn().Err(err).Msg("catalog: cannot look for changes, keeping the last snapshot and trying again")
			}
			wait, failing = min(2*wait, max(maxBackoff, s.config.Interval)), true
		}
	}
}

// look refreshes if the statistics have moved, or if it is time to look closer.
func (s *Source) look(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connected(ctx, func(conn *pgx.Conn) error {
		var written int64
		if err := conn.QueryRow(ctx, writtenQuery).Scan(&written); err != nil {
			return fmt.Errorf("asking for catalog statistics: %w", err)
		}
		every := max(5*s.config.Interval, 100*s.digestCost)
		if written == s.written && time.Since(s.digestAt) < every {
			return nil
		}
		if err := s.refreshByDigest(ctx, conn); err != nil {
			return err
		}
		s.written = written
		return nil
	})
}

func (s *Source) refreshByDigest(ctx context.Context, conn *pgx.Conn) error {
	start := time.Now()
	var digest string
	if err := conn.QueryRow(ctx, digestQuery).Scan(&digest); err != nil {
		return fmt.Errorf("looking for catalog changes: %w", err)
	}
	s.digestAt, s.digestCost = start, time.Since(start)
	if digest == s.digest && s.snapshot.Load() != nil {
		return nil
	}
	// The digest is older than the snapshot: a change in between is seen next time.
	next, err := load(ctx, conn)
	if err != nil {
		return err
	}
	s.generation++
	next.Generation = s.generation
	s.digest = digest
	s.snapshot.Store(next)
	s.config.Log.Debug().Uint64("generation", next.Generation).Int("relations", len(next.relationsByOID)).
		Dur("took", time.Since(start)).Msg("catalog: read")
	return nil
}

// connected calls ask with a connection, and once more with a new one if the old
// one turns out to be broken.
func (s *Source) connected(ctx context.Context, ask func(*pgx.Conn) error) error {
	if s.conn != nil {
		err := ask(s.conn)
		if err == nil || ctx.Err() != nil || !s.conn.IsClosed() {
			return err
		}
	}
	conn, err := connect(ctx, s.config.DSN)
	if err != nil {
		return err
	}
	s.conn = conn
	return ask(conn)
}

func (s *Source) disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.conn.Close(ctx) // there is nothing to be done about it
	}
}

// connect opens a connection with an empty search path, so that view definitions
// are written with every name qualified.
func connect(ctx context.Context, dsn string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errorWithoutDSN(err)
	}
	config.RuntimeParams["search_path"] = ""
	config.RuntimeParams["application_name"] = "sallyport catalog"
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connecting to read the catalog: %w", err)
	}
	// Not every pooler or role setting honours the startup parameters.
	settings := []string{`SET statement_timeout = '30s'`, `SET jit = off`}
	for _, setting := range writing {
		settings = append(settings, "SELECT pg_catalog.set_config('"+setting.name+"', '"+setting.value+"', false)")
	}
	for _, setting := range settings {
		if _, err := conn.Exec(ctx, setting); err != nil {
			_ = conn.Close(ctx)
			return nil, fmt.Errorf("preparing the catalog connection: %w", err)
		}
	}
	return conn, nil
}

// errorWithoutDSN drops pgx's error text, which can repeat the DSN.
func errorWithoutDSN(error) error {
	return fmt.Errorf("the catalog's DSN cannot be parsed: write postgres://user:password@host:port/database, or key=value pairs")
}
