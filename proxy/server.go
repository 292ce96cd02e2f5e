// Package proxy stands between client and server and forwards only what a
// decision permits.
package proxy

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport/sallyport/internal/grant"
	"github.com/sallyport/sallyport/internal/pgwire"
)

// Limits bound what a client may cost. None may be zero but IdleTimeout (never),
// StatementBytes and StatementTokens (what the parser is proven to survive).
type Limits struct {
	StatementBytes  int
	StatementTokens int
	MessageBytes    int // of one message kept whole
	PreauthBytes    int // of one message before the client is known
	Sessions        int
	LoginTimeout    time.Duration
	ApprovalWait    time.Duration // a statement is held at most
	IdleTimeout     time.Duration
}

// Server accepts clients and runs their sessions.
type Server struct {
	services  *Services
	upstreams map[string]*Upstream

	mu       sync.Mutex
	sessions map[uint32]*session
	logins   int // connections that have not said yet who they are
	draining bool
	ended    bool // nothing new is started

	conns sync.WaitGroup
	ctx   context.Context //nolint:containedctx // the server's own lifetime: ends when nothing may run any longer
	stop  context.CancelFunc
}

// NewServer makes a server for the databases. Call Serve for each listener, and
// Follow, which makes windows close.
func NewServer(services *Services, upstreams []*Upstream, r prometheus.Registerer) *Server {
	services.metrics = newMetrics(r)
	if services.Now == nil {
		services.Now = time.Now
	}
	s := &Server{services: services, upstreams: map[string]*Upstream{}, sessions: map[uint32]*session{}}
	for _, u := range upstreams {
		s.upstreams[u.Name] = u
	}
	// Sessions outlive whoever called: Shutdown ends them.
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Upstream returns the connection of that name.
func (s *Server) Upstream(name string) (*Upstream, bool) {
	u, ok := s.upstreams[name]
	return u, ok
}

// upstream finds the connection a client asks for: by its name, or by that of its
// database where only one connection has it.
func (s *Server) upstream(database string) *Upstream {
	if u := s.upstreams[database]; u != nil {
		return u
	}
	var found *Upstream
	for _, u := range s.upstreams {
		if u.database == database {
			if found != nil {
				return nil
			}
			found = u
		}
	}
	return found
}

// Serve accepts clients from a listener until it is closed.
func (s *Server) Serve(l *Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			var temporary interface{ Temporary() bool }
			if errors.As(err, &temporary) && temporary.Temporary() {
				s.services.Log.Warn().Err(err).Msg("client not accepted")
				time.Sleep(10 * time.Millisecond) //nolint:forbidigo // out of descriptors: there is nothing to wait for but others closing some
				continue
			}
			return err
		}
		if !s.start(func() { s.handle(l, conn) }) {
			_ = conn.Close()
		}
	}
}

// start runs what Shutdown waits for, and reports false when that has begun to wait.
func (s *Server) start(run func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.conns.Go(run)
	return true
}

// Follow closes windows in open sessions as they expire, end or are revoked,
// until ctx ends.
func (s *Server) Follow(ctx context.Context) {
	moved, cancel := s.services.Grants.Watch()
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return
		case w, ok := <-moved:
			if !ok {
				return
			}
			s.windowMoved(w)
		}
	}
}

func (s *Server) windowMoved(w grant.Grant) {
	if w.State.Open() {
		return
	}
	for _, sess := range s.all() {
		g := sess.gate
		if g.principal.Key() != w.Principal.Key || g.upstream.Name != w.Connection {
			continue
		}
		if w.State == grant.Revoked && (g.binding == "" || g.binding == w.Binding) {
			r := &Refusal{Code: codeRevoked, Message: "window " + w.ID + " was revoked", Fatal: true,
				Hint: "Ask the person who revoked it before asking again.", Detail: Detail{Grant: w.ID, Effect: "revoked"}}
			if w.Cause != "" {
				r.Message += ": " + w.Cause
			}
			s.start(func() { sess.kill(r) })
			continue
		}
		s.start(sess.closeWindow)
	}
}

func (s *Server) all() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.sessions))
}

// SessionInfo is an open session as operators see it.
type SessionInfo struct {
	ID          string    `json:"id"`
	Key         string    `json:"-"` // identity.Principal.Key
	Tenant      string    `json:"tenant,omitempty"`
	Subject     string    `json:"subject"`
	Name        string    `json:"name,omitempty"`
	Issuer      string    `json:"issuer"`
	Connection  string    `json:"connection"`
	Application string    `json:"application,omitempty"`
	Client      string    `json:"client,omitempty"`
	StartedAt   time.Time `json:"started_at"`
	State       string    `json:"state"`
	Statements  int64     `json:"statements"`
	Grant       string    `json:"grant,omitempty"`
}

// Sessions lists the open sessions, oldest first.
func (s *Server) Sessions() []SessionInfo {
	out := []SessionInfo{}
	for _, sess := range s.all() {
		g := sess.gate
		sess.mu.Lock()
		state := sess.m.state.String()
		if sess.m.state == ready && len(sess.m.expects) > 0 {
			state = "running"
		}
		sess.mu.Unlock()
		w, _ := g.window()
		out = append(out, SessionInfo{ID: g.id, Key: g.principal.Key(), Tenant: g.principal.Tenant, Subject: g.principal.Subject, Name: g.principal.Name, Issuer: g.principal.Issuer,
			Connection: g.upstream.Name, Application: g.application, Client: g.client, StartedAt: g.started,
			State: state, Statements: g.statements.Load(), Grant: w.ID})
	}
	slices.SortFunc(out, func(a, b SessionInfo) int { return a.StartedAt.Compare(b.StartedAt) })
	return out
}

// admit gives a session its cancel key and counts it.
func (s *Server) admit(sess *session, version uint32) *Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return shuttingDown()
	}
	if len(s.sessions) >= s.services.Limits.Sessions {
		return &Refusal{Code: codeLimit, Message: "too many sessions", Fatal: true, Hint: "Close sessions that are not used, and try again.",
			Detail: Detail{Effect: "limit", Retryable: true}}
	}
	size := 4
	if version >= pgwire.Protocol32 {
		size = 32
	}
	secret := make([]byte, 4+size)
	for {
		_, _ = rand.Read(secret) // never fails
		sess.key = pgwire.CancelKey{Process: binary.BigEndian.Uint32(secret) >> 1, Secret: string(secret[4:])}
		if _, taken := s.sessions[sess.key.Process]; !taken && sess.key.Process != 0 {
			break
		}
	}
	s.sessions[sess.key.Process] = sess
	s.services.metrics.sessions.Inc()
	return nil
}

func (s *Server) dismiss(sess *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, sess.key.Process)
	s.services.metrics.sessions.Dec()
}

// find returns the session a cancel request is for.
func (s *Server) find(k pgwire.CancelKey) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	sess := s.sessions[k.Process]
	if sess == nil || !sameSecret(sess.key.Secret, k.Secret) {
		return nil
	}
	return sess
}

func shuttingDown() *Refusal {
	return &Refusal{Code: codeRevoked, Message: "shutting down", Fatal: true, Hint: "Reconnect in a moment.",
		Detail: Detail{Effect: "shutdown", Retryable: true}}
}

// Shutdown lets running statements end until ctx does, then cancels them. The
// listeners must be closed before. It reports whether all ended by themselves.
func (s *Server) Shutdown(ctx context.Context) (clean bool) {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	clean = true
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		busy := false
		for _, sess := range s.all() {
			if sess.idle() {
				sess.kill(shuttingDown())
			} else {
				busy = true
			}
		}
		if !busy {
			break
		}
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
		}
		clean = false
		for _, sess := range s.all() {
			sess.kill(shuttingDown())
		}
		break
	}
	s.stop()
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.conns.Wait()
	return clean
}
