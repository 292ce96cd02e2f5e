package rego

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/plugins/discovery"
	"github.com/open-policy-agent/opa/v1/runtime/info"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	opacache "github.com/open-policy-agent/opa/v1/topdown/cache"
	"github.com/rs/zerolog"
)

// ErrNoPolicy is returned for every decision until a usable policy was loaded.
var ErrNoPolicy = errors.New("no policy is loaded")

// pluginName is what the engine reports its state under in OPA's status.
const pluginName = "sallyport"

// Config says where policies come from.
type Config struct {
	Directory string         `yaml:"directory"` // followed while running; "" for none
	OPA       []byte         `yaml:"-"`         // contents of an opa.yaml, optional
	Log       zerolog.Logger `yaml:"-"`
	Known     Known          `yaml:"-"` // names that bindings may use, for warnings about the others
	OnReload  func(Status)   `yaml:"-"` // told, in order, of every bundle put into use or refused
}

// Status tells which policy is in use, and why a newer one is not.
type Status struct {
	Ready      bool
	Generation uint64 // of the policy in use, 0 for none
	Revision   string
	Error      string   // why the newest bundle was refused; "" when it is the one in use
	Warnings   []string // what Check complains of in the directory's bundle that is in use
}

// Engine makes decisions with the newest usable policy. It is safe for
// concurrent use.
//
// OPA's plugin manager does what any OPA does with an opa.yaml: discovery, bundles
// over HTTP, OCI and from disk, signatures, status. Whenever a bundle is activated
// the engine takes an immutable snapshot of rules and data, proves that it can
// decide, and only then puts it into use; otherwise the last good one stays, and
// the log, the status and OnReload say so.
type Engine struct {
	manager  *plugins.Manager
	log      zerolog.Logger
	builtins builtinCaches
	current  atomic.Pointer[snapshot]
	news     *news
	end      context.CancelFunc

	mu       sync.Mutex
	refused  string        // why the newest bundle is not in use; guarded by mu
	warnings []string      // about the directory's bundle in use; guarded by mu
	changed  chan struct{} // closed at the next generation; guarded by mu
}

// New starts an engine. It returns once the plugins run: a directory that cannot
// be used is no error, the engine is just not ready. Close ends it.
func New(ctx context.Context, cfg Config) (*Engine, error) {
	runtime, err := info.New()
	if err != nil {
		return nil, fmt.Errorf("opa: %w", err)
	}
	raw := cfg.OPA
	if len(raw) == 0 {
		raw = []byte("{}")
	}
	log := opaLog{cfg.Log.With().Str("component", "opa").Logger()}
	m, err := plugins.New(raw, "sallyport",
		inmem.NewWithOpts(inmem.OptRoundTripOnWrite(false), inmem.OptReturnASTValuesOnRead(true)),
		plugins.Info(runtime),
		plugins.Logger(log),
		plugins.ConsoleLogger(log),
		plugins.WithParserOptions(ast.ParserOptions{ProcessAnnotation: true, RegoVersion: ast.RegoV1}),
	)
	if err != nil {
		return nil, fmt.Errorf("opa configuration: %w", err)
	}
	// What runs in the background ends with Close, not with the caller's start-up.
	background, end := context.WithCancel(context.WithoutCancel(ctx))
	e := &Engine{
		end:     end,
		manager: m,
		log:     cfg.Log,
		builtins: builtinCaches{
			queries: opacache.NewInterQueryCacheWithContext(background, m.InterQueryBuiltinCacheConfig()),
			values:  opacache.NewInterQueryValueCache(background, m.InterQueryBuiltinCacheConfig()),
		},
		news:    startNews(m, cfg.OnReload),
		changed: make(chan struct{}),
	}
	m.RegisterCompilerTrigger(func(txn storage.Transaction) { e.activated(background, txn) })
	d, err := discovery.New(m)
	if err != nil {
		e.Close(ctx)
		return nil, fmt.Errorf("opa configuration: %w", err)
	}
	m.Register(discovery.Name, d)
	if cfg.Directory != "" {
		m.Register(directoryName, newDirectory(m, cfg.Directory, e.refuse, func(files *bundleFiles) { e.warn(apparent(files, cfg.Known)) }))
	}
	if err := m.Start(background); err != nil {
		e.Close(ctx)
		return nil, fmt.Errorf("opa: %w", err)
	}
	return e, nil
}

// Close stops following policies and waits for what it started.
func (e *Engine) Close(ctx context.Context) {
	e.manager.Stop(ctx)
	e.news.close()
	e.end()
}

// Ready reports whether there is a policy to decide by.
func (e *Engine) Ready() bool { return e.current.Load() != nil }

// Generation counts the policies put into use so far.
func (e *Engine) Generation() uint64 {
	if s := e.current.Load(); s != nil {
		return s.generation
	}
	return 0
}

// Changed is closed when the next generation is put into use. Get it before
// looking at the generation, and again afterwards.
func (e *Engine) Changed() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.changed
}

// Status tells which policy is in use.
func (e *Engine) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status()
}

func (e *Engine) status() Status {
	st := Status{Error: e.refused, Warnings: e.warnings}
	if s := e.current.Load(); s != nil {
		st.Ready, st.Generation, st.Revision = true, s.generation, s.revision
	}
	return st
}

// DecideStatement says what becomes of a statement. Any error means: refuse.
func (e *Engine) DecideStatement(ctx context.Context, in *Input) (*StatementDecision, error) {
	s := e.current.Load()
	switch {
	case s == nil:
		return nil, ErrNoPolicy
	case in.Phase != PhaseStatement || in.Statement == nil:
		return nil, errors.New("deciding a statement: the input holds none")
	}
	d, err := s.statement.decide(ctx, in, s)
	if err != nil {
		return nil, fmt.Errorf("deciding a statement: %w", err)
	}
	return d, nil
}

// DecideSession says whether a session or a grant may be opened, and how. Any
// error means: refuse.
func (e *Engine) DecideSession(ctx context.Context, in *Input) (*SessionDecision, error) {
	s := e.current.Load()
	switch {
	case s == nil:
		return nil, ErrNoPolicy
	case in.Phase != PhaseSession || in.Statement != nil:
		return nil, errors.New("deciding a session: the input is about something else")
	}
	d, err := s.session.decide(ctx, in, s)
	if err != nil {
		return nil, fmt.Errorf("deciding a session: %w", err)
	}
	return d, nil
}

// activated runs inside the commit of every bundle activation.
func (e *Engine) activated(ctx context.Context, txn storage.Transaction) {
	s, err := newSnapshot(ctx, e.manager, txn, e.builtins)
	switch {
	case errors.Is(err, errNothing):
	case err != nil:
		e.refuse(err)
	default:
		e.use(s)
	}
}

// use puts a snapshot into use. Activations come one at a time.
func (e *Engine) use(s *snapshot) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.generation = 1
	if last := e.current.Load(); last != nil {
		s.generation = last.generation + 1
	}
	e.current.Store(s)
	e.refused, e.warnings = "", nil
	close(e.changed)
	e.changed = make(chan struct{})
	e.log.Info().Uint64("generation", s.generation).Str("revision", s.revision).
		Bool("statements_cached", s.statement.depends.cacheable()).Msg("policy put into use")
	e.news.tell(e.status())
}

// warn tells what is odd about the bundle that has just been put into use: a rule
// that nobody asks for, a binding to what is not there.
func (e *Engine) warn(complaints []Complaint) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refused != "" {
		return // OPA has taken it, we have not
	}
	if s := e.current.Load(); s != nil {
		complaints = append(complaints, s.faults...)
	}
	for _, c := range complaints {
		e.warnings = append(e.warnings, c.String())
		e.log.Warn().Str("complaint", c.String()).Msg("policy in use, but it may not say what is meant")
	}
}

// refuse keeps what is in use, and says so.
func (e *Engine) refuse(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refused = err.Error()
	st := e.status()
	e.log.Error().Err(err).Uint64("generation_kept", st.Generation).Str("revision_kept", st.Revision).
		Msg("policy refused: the last good one stays in use")
	e.news.tell(st)
}
