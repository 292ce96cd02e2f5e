package proxy

import (
	"bufio"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/identity"
	"github.com/sallyport/sallyport/internal/pgwire"
	"github.com/sallyport/sallyport/rego"
)

// admission is a connection that has not become a session yet.
type admission struct {
	server   *Server
	listener *Listener
	conn     net.Conn
	secure   bool // TLS
	start    *pgwire.Startup
	version  uint32
	settings settings
}

// handle serves one connection from its first byte to its last.
func (s *Server) handle(l *Listener, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	leave := context.AfterFunc(s.ctx, func() { _ = conn.Close() })
	defer leave()
	a := &admission{server: s, listener: l, conn: conn}
	sess, refusal := s.login(a)
	if refusal != nil {
		refusal.Fatal = true
		s.services.metrics.refusals.WithLabelValues(refusal.Code).Inc()
		_, _ = a.conn.Write(refusal.appendTo(nil))
		return
	}
	if sess == nil {
		return
	}
	defer s.dismiss(sess)
	_ = conn.SetDeadline(time.Time{})
	if _, err := a.conn.Write(sess.backend.greeting(sess.key)); err == nil {
		sess.run()
	}
	sess.end(nil)
	sess.recordClosed()
}

// login lets a connection say who it is, within the time and number allowed.
func (s *Server) login(a *admission) (*session, *Refusal) {
	limits := s.services.Limits
	_ = a.conn.SetDeadline(time.Now().Add(limits.LoginTimeout))
	s.mu.Lock()
	crowded := s.logins >= 2*limits.Sessions
	s.logins++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.logins--
		s.mu.Unlock()
	}()
	if crowded || !a.open() {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, limits.LoginTimeout)
	defer cancel()
	return a.login(ctx)
}

// open reads up to the startup packet: TLS, cancel requests. It reports whether
// there is somebody to let in.
func (a *admission) open() bool {
	for range 4 { // GSSENC, SSL and startup at most come one after the other
		if err := a.directTLS(); err != nil {
			return false
		}
		start, err := pgwire.ReadStartup(a.conn)
		if err != nil {
			if errors.Is(err, pgwire.ErrFraming) || errors.Is(err, pgwire.ErrMalformed) {
				a.tell(&Refusal{Code: codeProtocol, Message: "this is not a startup packet of the PostgreSQL protocol"})
			}
			return false
		}
		switch start.Code {
		case pgwire.CodeGSSENC:
			if _, err := a.conn.Write([]byte{'N'}); err != nil {
				return false
			}
		case pgwire.CodeSSL:
			if !a.startTLS() {
				return false
			}
		case pgwire.CodeCancel:
			if sess := a.server.find(start.Key); sess != nil {
				sess.cancelRequest()
			}
			return false
		default:
			a.start = start
			return true
		}
	}
	return false
}

// directTLS begins TLS when the client does without asking (sslnegotiation=direct).
func (a *admission) directTLS() error {
	if a.secure || a.listener.tls == nil {
		return nil
	}
	peeked, ok := a.conn.(*peekConn)
	if !ok {
		peeked = &peekConn{Conn: a.conn, r: bufio.NewReaderSize(a.conn, 16)}
		a.conn = peeked
	}
	first, err := peeked.r.Peek(1)
	if err != nil || first[0] != 0x16 { // a TLS handshake record
		return err
	}
	return a.handshake(true)
}

// peekConn is a connection whose first byte was looked at.
type peekConn struct {
	net.Conn
	r *bufio.Reader
}

func (c *peekConn) Read(p []byte) (int, error) { return c.r.Read(p) }

func (a *admission) startTLS() bool {
	if a.listener.tls == nil || a.secure {
		_, err := a.conn.Write([]byte{'N'})
		return err == nil
	}
	if p, ok := a.conn.(*peekConn); ok && p.r.Buffered() > 0 {
		return false // bytes sent in clear before the handshake: somebody is in between
	}
	if _, err := a.conn.Write([]byte{'S'}); err != nil {
		return false
	}
	return a.handshake(false) == nil
}

func (a *admission) handshake(direct bool) error {
	cfg := a.listener.tls.config()
	conn := tls.Server(a.conn, cfg)
	if err := conn.Handshake(); err != nil {
		return err
	}
	if direct && conn.ConnectionState().NegotiatedProtocol != "postgresql" {
		return errors.New("direct TLS needs ALPN postgresql")
	}
	a.conn, a.secure = conn, true
	return nil
}

func (a *admission) tell(r *Refusal) {
	r.Fatal = true
	_, _ = a.conn.Write(r.appendTo(nil))
}

// login makes a session of the connection, or says why not.
func (a *admission) login(ctx context.Context) (*session, *Refusal) {
	p, r := a.introduce(ctx)
	if r != nil {
		a.recordRefused(ctx, nil, p, r)
		return nil, r
	}
	return a.enter(ctx, p)
}

// introduce learns who is there and what it wants.
func (a *admission) introduce(ctx context.Context) (*identity.Principal, *Refusal) {
	if a.listener.required && !a.secure {
		return nil, &Refusal{Code: codeIdentity, Message: "TLS is required here", Hint: "Connect with sslmode=require or stricter."}
	}
	version, answer, err := a.start.Negotiate()
	if err != nil {
		return nil, &Refusal{Code: codeUnsupported, Message: err.Error()}
	}
	a.version = version
	var r *Refusal
	if a.settings, r = readSettings(a.start); r != nil {
		return nil, r
	}
	if _, err := a.conn.Write(answer); err != nil {
		return nil, protocolViolation("the client is gone")
	}
	return a.authenticate(ctx)
}

// enter asks the policies whether the principal may open a session, connects it
// and records that.
func (a *admission) enter(ctx context.Context, p *identity.Principal) (*session, *Refusal) {
	u := a.server.upstream(a.settings.database)
	if u == nil {
		r := &Refusal{Code: "3D000", Message: "connection " + quote(a.settings.database) + " does not exist",
			Hint: "Give the name of a connection as the database: " + a.server.names() + "."}
		a.recordRefused(ctx, nil, p, r)
		return nil, r
	}
	g := &gate{Services: a.server.services, id: newID("s"), principal: p, upstream: u, started: a.server.services.Now(),
		application: a.settings.server["application_name"], client: address(a.conn), binding: a.settings.binding}
	if r := g.enter(ctx, a.settings); r != nil {
		a.recordRefused(ctx, g, p, r)
		return nil, r
	}
	b, err := u.connect(ctx, a.settings)
	if err != nil {
		r := upstreamRefusal(err)
		a.server.services.Log.Error().Str("connection", u.Name).Str("session", g.id).Err(redactDSN(err)).Msg("database not reached")
		a.recordRefused(ctx, g, p, r)
		return nil, r
	}
	g.role, g.unusable = b.role, b.unusable
	return a.session(ctx, g, b)
}

func (a *admission) session(ctx context.Context, g *gate, b *backend) (*session, *Refusal) {
	sess := &session{gate: g, client: a.conn, server: b.conn, backend: b, limits: g.Limits, since: g.started,
		m: newMachine(b.path, g.Now), done: make(chan struct{})}
	sess.m.schemaDone = g.upstream.schemaChanged
	g.borrow = sess.borrow
	sess.room = sync.NewCond(&sess.mu)
	sess.ctx, sess.stop = context.WithCancel(a.server.ctx)
	if r := a.server.admit(sess, a.version); r != nil {
		_ = b.conn.Close()
		a.recordRefused(ctx, g, g.principal, r)
		return nil, r
	}
	rec := g.record(audit.SessionOpened, nil, nil, nil)
	w, _ := g.window()
	rec.Grant, rec.Binding = w.ID, w.Binding
	if err := g.Audit.Append(ctx, rec, audit.Synced); err != nil {
		g.Log.Error().Err(err).Msg("session not recorded: refused")
		a.server.dismiss(sess)
		_ = b.conn.Close()
		return nil, notRecorded()
	}
	return sess, nil
}

// enter decides on the session, and asks for a window where the client gave a
// reason.
func (g *gate) enter(ctx context.Context, s settings) *Refusal {
	in := g.input(nil)
	in.Phase, in.Statement = rego.PhaseSession, nil
	d, err := g.Policy.DecideSession(ctx, in)
	if err != nil {
		g.Log.Error().Err(err).Msg("policies failed on a session")
		return policyFailed(err)
	}
	if d.Effect.Refuses() {
		return sessionDenied(d)
	}
	if s.reason == "" || (d.Grant != nil && d.Grant.Mode == rego.ModeStanding) {
		return nil
	}
	if _, open := g.window(); open {
		return nil
	}
	_, r := g.RequestWindow(ctx, g.upstream, g.principal, g.binding, s.reason, s.ttl)
	return r
}

// authenticate asks for the token and verifies it.
func (a *admission) authenticate(ctx context.Context) (*identity.Principal, *Refusal) {
	if !a.secure && !trusted(a.conn) {
		return nil, &Refusal{Code: codeIdentity, Message: "a token must not come over a network without TLS",
			Hint: "Connect with sslmode=require or stricter."}
	}
	ask := pgwire.AppendFrame(nil, pgwire.AuthRequest, []byte{0, 0, 0, 3})
	if _, err := a.conn.Write(ask); err != nil {
		return nil, protocolViolation("the client is gone")
	}
	token, r := a.readToken()
	if r != nil {
		return nil, r
	}
	p, err := a.server.services.Identity.Verify(ctx, token)
	if err == nil {
		return p, nil
	}
	r = &Refusal{Code: codeIdentity, Message: "the token could not be verified", Hint: "Get a new token and send it as the password."}
	var ie *identity.Error
	if errors.As(err, &ie) {
		r.Message, r.Detail.Rule, r.Detail.Retryable = ie.Message, string(ie.Reason), ie.Retryable()
	}
	a.server.services.Log.Info().Err(err).Str("client", address(a.conn)).Msg("token refused")
	return nil, r
}

func (a *admission) readToken() (identity.Token, *Refusal) {
	// Not a byte is read beyond the message: what follows belongs to the session.
	head := make([]byte, pgwire.HeaderSize)
	if _, err := io.ReadFull(a.conn, head); err != nil {
		return "", protocolViolation("no password came")
	}
	r := pgwire.NewReader(io.MultiReader(newReader(head), a.conn), pgwire.HeaderSize)
	h, err := r.Next()
	if err != nil || h.Type != pgwire.Password {
		return "", protocolViolation("a password message was expected")
	}
	f, err := r.Read(h, a.server.services.Limits.PreauthBytes)
	if err != nil {
		var large *pgwire.TooLargeError
		if errors.As(err, &large) {
			return "", &Refusal{Code: codeTooLarge, Message: "the password is too long to be a token"}
		}
		return "", protocolViolation("the password message is malformed")
	}
	body := f.Body()
	if len(body) == 0 || body[len(body)-1] != 0 {
		return "", protocolViolation("the password message is malformed")
	}
	return identity.Token(body[:len(body)-1]), nil
}

// recordRefused records that somebody was not let in.
func (a *admission) recordRefused(ctx context.Context, g *gate, p *identity.Principal, r *Refusal) {
	rec := &audit.Record{Type: audit.SessionRefused, Client: address(a.conn), Connection: a.settings.database,
		Application: a.settings.server["application_name"]}
	if g != nil {
		rec = g.record(audit.SessionRefused, nil, nil, nil)
	} else if p != nil {
		rec.Identity = auditIdentity(p)
	}
	if r.Detail.DecisionID == "" {
		r.Detail.DecisionID = newID("d")
	}
	rec.DecisionID, rec.SQLState, rec.Effect, rec.Reasons = r.Detail.DecisionID, r.Code, "deny", []string{r.Message}
	rec.Policy, rec.Rule = r.Detail.Policy, r.Detail.Rule
	if err := a.server.services.Audit.Append(ctx, rec, audit.Synced); err != nil {
		a.server.services.Log.Error().Err(err).Msg("refused login not recorded")
	}
}

func (s *Server) names() string {
	names := ""
	for _, name := range slices.Sorted(maps.Keys(s.upstreams)) {
		if names != "" {
			names += ", "
		}
		names += name
	}
	return names
}

func address(conn net.Conn) string {
	if addr := conn.RemoteAddr(); addr != nil && addr.Network() != "unix" {
		return addr.String()
	}
	return "local"
}

func sameSecret(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
