package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/pgwire"
	"github.com/sallyport/sallyport/internal/query"
)

// UpstreamConfig is one database and the credential for it.
type UpstreamConfig struct {
	Name       string
	DSN        string // holds the credential: never logged
	CatalogDSN string // the login that reads the catalog; "" for DSN
	Labels     map[string]string
	SearchPath []string // pinned for each session; nil: what the server says for the login
}

// Upstream is a database that sessions are connected to.
type Upstream struct {
	Name   string
	Labels map[string]string

	database string
	host     string
	config   *pgconn.Config
	path     []string
	catalog  *catalog.Source
	planner  *planner
	texts    texts

	// schema counts what may have changed the catalog and went through here; known is
	// the count that the snapshot was read after.
	schema, known atomic.Uint64

	mu        sync.Mutex
	analyzer_ *query.Analyzer
	snapshot  *catalog.Snapshot // that analyzer_ is for
	refreshes bucket
}

// OpenUpstream reads the database's catalog and keeps it current until Close.
func OpenUpstream(ctx context.Context, cfg UpstreamConfig, log zerolog.Logger) (*Upstream, error) {
	pg, err := pgconn.ParseConfig(cfg.DSN)
	if err != nil { // its text may quote the DSN
		return nil, fmt.Errorf("connection %s: the dsn cannot be read", cfg.Name)
	}
	if cfg.CatalogDSN == "" {
		cfg.CatalogDSN = cfg.DSN
	}
	source, err := catalog.Open(ctx, catalog.Config{DSN: cfg.CatalogDSN, Log: log.With().Str("connection", cfg.Name).Logger()})
	if err != nil {
		return nil, fmt.Errorf("connection %s: %w", cfg.Name, err)
	}
	return &Upstream{Name: cfg.Name, Labels: cfg.Labels, database: pg.Database, host: pg.Host, config: pg,
		path: cfg.SearchPath, catalog: source, planner: newPlanner(pg)}, nil
}

// Close stops following the catalog, and waits for what is being planned.
func (u *Upstream) Close() {
	u.catalog.Close()
	u.planner.close()
}

// Database is the database's own name.
func (u *Upstream) Database() string { return u.database }

// analyzer is shared by all who analyse against the same snapshot.
func (u *Upstream) analyzer(s *catalog.Snapshot) *query.Analyzer {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.snapshot != s {
		u.snapshot, u.analyzer_ = s, query.NewAnalyzer(s)
	}
	return u.analyzer_
}

// schemaChanged notes that the catalog may have changed, for every session.
func (u *Upstream) schemaChanged() { u.schema.Add(1) }

// current makes the snapshot as new as the last change that went through here.
func (u *Upstream) current(ctx context.Context) error {
	count := u.schema.Load()
	if count == u.known.Load() {
		return nil
	}
	if err := u.catalog.Refresh(ctx); err != nil {
		return err
	}
	for known := u.known.Load(); known < count && !u.known.CompareAndSwap(known, count); {
		known = u.known.Load()
	}
	return nil
}

// mayRefresh limits how often unknown names make the catalog be read again: ten
// at once, then two a second.
func (u *Upstream) mayRefresh(now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.refreshes.take(now, 10, 500*time.Millisecond)
}

// bucket is a token bucket.
type bucket struct {
	used float64
	last time.Time
}

func (b *bucket) take(now time.Time, size float64, refill time.Duration) bool {
	b.used = max(0, b.used-float64(now.Sub(b.last))/float64(refill))
	b.last = now
	if b.used+1 > size {
		return false
	}
	b.used++
	return true
}

// backend is a session's own connection to the server, ready for queries.
type backend struct {
	conn   net.Conn
	cancel *pgconn.PgConn // for cancel requests only
	params map[string]string
	role   string
	path   []string
	// unusable are the schemas the role has no USAGE on: the server passes over them
	// in the search path.
	unusable []string
}

// connectTimeout bounds connecting to the server and asking for its settings.
const connectTimeout = 15 * time.Second

// connect opens a session's connection. The server is told nothing of the
// client but what settings allow.
func (u *Upstream) connect(ctx context.Context, s settings) (*backend, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	cfg := u.config.Copy()
	for name, value := range s.server {
		cfg.RuntimeParams[name] = value
	}
	cfg.RuntimeParams["client_encoding"] = "UTF8"
	if path := u.path; path != nil && s.path == nil {
		cfg.RuntimeParams["search_path"] = query.JoinNames(path)
	}
	cfg.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) {}
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	b := &backend{}
	if err := b.ask(ctx, conn); err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	hijacked, err := conn.Hijack()
	if err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	b.conn, b.params = hijacked.Conn, hijacked.ParameterStatuses
	if hijacked.Frontend.ReadBufferLen() > 0 {
		_ = b.conn.Close()
		return nil, errors.New("the server sent something before it was asked")
	}
	for name, value := range b.params {
		if r := unsafeParameter(name, value); r != nil {
			_ = b.conn.Close()
			return nil, r
		}
	}
	if b.cancel, err = pgconn.Construct(hijacked); err != nil {
		_ = b.conn.Close()
		return nil, err
	}
	return b, b.conn.SetDeadline(time.Time{})
}

// ask learns what names will mean in the session.
func (b *backend) ask(ctx context.Context, conn *pgconn.PgConn) error {
	if e := conn.ParameterStatus("server_encoding"); e != "UTF8" {
		return &Refusal{Code: codeUnsupported, Message: "the database's encoding is " + e + ", in which names cannot be judged", Fatal: true,
			Hint: "It folds and cuts names otherwise than UTF8 does. Use a database with encoding UTF8."}
	}
	results, err := conn.Exec(ctx, `SELECT pg_catalog.current_setting('search_path'), current_user,
		(SELECT pg_catalog.string_agg(pg_catalog.quote_ident(nspname), ',') FROM pg_catalog.pg_namespace
			WHERE NOT pg_catalog.has_schema_privilege(oid, 'USAGE'))`).ReadAll()
	if err != nil {
		return err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return errors.New("the server did not tell its search path")
	}
	row := results[0].Rows[0]
	path, ok := query.SplitNames(string(row[0]))
	if !ok {
		return errors.New("the server's search path cannot be read")
	}
	b.path, b.role = append([]string{}, path...), string(row[1])
	if b.unusable, ok = query.SplitNames(string(row[2])); !ok {
		return errors.New("the server's schemas cannot be read")
	}
	return nil
}

// greeting is what the client is told once the server has let us in.
func (b *backend) greeting(key pgwire.CancelKey) []byte {
	dst := pgwire.AppendFrame(nil, pgwire.AuthRequest, []byte{0, 0, 0, 0})
	for _, name := range sortedKeys(b.params) {
		dst = pgwire.AppendParameterStatus(dst, name, b.params[name])
	}
	dst = pgwire.AppendBackendKey(dst, key)
	return pgwire.AppendReady(dst, txIdle)
}
