package proxy_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"

	"github.com/sallyport/sallyport/internal/pgtest"
	"github.com/sallyport/sallyport/proxy"
)

// tlsDSN connects with the sslmode given, trusting the authority.
func (s *sidecar) tlsDSN(mode string, a *pgtest.Authority, more ...string) string {
	dsn := s.DSN("support-agent", append([]string{"sslrootcert", a.File}, more...)...)
	return strings.Replace(dsn, "sslmode=disable", "sslmode="+mode, 1)
}

func startTLSSidecar(t testing.TB, required bool) (*sidecar, *pgtest.Authority, pgtest.Pair) {
	t.Helper()
	a := pgtest.NewAuthority(t)
	pair := a.Issue(t, "sidecar", "127.0.0.1", "localhost")
	return startSidecar(t, sidecarOptions{Listener: proxy.ListenerConfig{Address: "127.0.0.1:0", Cert: pair.CertFile, Key: pair.KeyFile,
		TLSRequired: required}}), a, pair
}

func TestClientTLS(t *testing.T) {
	s, a, _ := startTLSSidecar(t, true)
	for _, mode := range []string{"require", "verify-ca", "verify-full"} {
		t.Run(mode, func(t *testing.T) {
			conn := pgtest.Connect(t, s.tlsDSN(mode, a))
			if got := one[int](t, conn, "SELECT 1"); got != 1 {
				t.Errorf("got %d", got)
			}
			if _, ok := conn.PgConn().Conn().(*tls.Conn); !ok {
				t.Error("the connection is in clear")
			}
		})
	}
	t.Run("disable is refused", func(t *testing.T) {
		_, err := pgconn.Connect(t.Context(), s.DSN("support-agent"))
		refusedAs(t, err, "28000", "TLS is required")
	})
	t.Run("a stranger's authority is not trusted by the client", func(t *testing.T) {
		if _, err := pgconn.Connect(t.Context(), s.tlsDSN("verify-full", pgtest.NewAuthority(t))); err == nil {
			t.Error("connected")
		}
	})
	t.Run("psql", func(t *testing.T) {
		out, exit := run(t, program(t, "psql", "postgresql-client"), "-X", "-At", "-c", "SELECT 'through'", s.tlsDSN("verify-full", a))
		if exit != 0 || out != "through\n" {
			t.Errorf("exit %d: %s", exit, out)
		}
	})
	t.Run("cancel over TLS", func(t *testing.T) {
		conn, err := pgconn.Connect(t.Context(), s.tlsDSN("verify-full", a))
		must(t, err)
		defer func() { _ = conn.Close(context.Background()) }()
		ended := make(chan error, 1)
		go func() {
			_, err := conn.Exec(context.Background(), "SELECT pg_sleep(60), 'over tls'").ReadAll()
			ended <- err
		}()
		ctx, cancel := context.WithTimeout(t.Context(), conversationTime)
		defer cancel()
		must(t, awaitActivity(ctx, s.Database.DSN(), "state = 'active' AND query LIKE '%over tls%'"))
		must(t, conn.CancelRequest(ctx))
		var pg *pgconn.PgError
		if err := <-ended; !errors.As(err, &pg) || pg.Code != "57014" {
			t.Errorf("got %v", err)
		}
	})
}

func TestClientTLSOptional(t *testing.T) {
	s, a, _ := startTLSSidecar(t, false)
	for _, dsn := range []string{s.DSN("support-agent"), s.tlsDSN("prefer", a), s.tlsDSN("verify-full", a)} {
		if got := one[int](t, pgtest.Connect(t, dsn), "SELECT 1"); got != 1 {
			t.Errorf("got %d", got)
		}
	}
}

// sslnegotiation=direct: the handshake comes without being asked for.
func TestDirectTLS(t *testing.T) {
	s, a, _ := startTLSSidecar(t, true)
	config := a.TLS(t, "localhost")
	for _, c := range []struct {
		protocols []string
		taken     bool
	}{{[]string{"postgresql"}, true}, {nil, false}, {[]string{"http/1.1"}, false}} {
		t.Run(fmt.Sprint(c.protocols), func(t *testing.T) {
			config := config.Clone()
			config.NextProtos = c.protocols
			conn := tls.Client(s.Dial(), config)
			must(t, conn.SetDeadline(time.Now().Add(conversationTime)))
			_, err := conn.Write(startupPacket(3<<16, "user", "agent", "database", "prod-replica"))
			if err == nil {
				_, err = conn.Read(make([]byte, 1))
			}
			if (err == nil) != c.taken {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Bytes in clear before the handshake are somebody else's: CVE-2021-23214.
func TestBytesBeforeTheHandshake(t *testing.T) {
	s, a, _ := startTLSSidecar(t, true)
	raw := s.Dial()
	must(t, raw.SetDeadline(time.Now().Add(conversationTime)))
	request := append(startupPacket(80877103), startupPacket(3<<16, "user", "evil")...)
	_, err := raw.Write(request)
	must(t, err)
	answer := make([]byte, 1)
	if n, err := raw.Read(answer); err == nil && answer[0] == 'S' && n == 1 {
		conn := tls.Client(raw, a.TLS(t, "localhost"))
		if err := conn.Handshake(); err == nil {
			t.Error("the handshake was made all the same")
		}
	}
}

func TestCertificateIsReloaded(t *testing.T) {
	s, a, pair := startTLSSidecar(t, true)
	must(t, pgtest.Connect(t, s.tlsDSN("verify-full", a)).Close(t.Context()))
	other := pgtest.NewAuthority(t)
	next := other.Issue(t, "sidecar", "127.0.0.1", "localhost")
	// Half a rotation: the old certificate still serves.
	replace(t, next.CertFile, pair.CertFile)
	must(t, pgtest.Connect(t, s.tlsDSN("verify-full", a)).Close(t.Context()))
	replace(t, next.KeyFile, pair.KeyFile)
	deadline := time.Now().Add(conversationTime)
	for {
		conn, err := pgconn.Connect(t.Context(), s.tlsDSN("verify-full", other))
		if err == nil {
			must(t, conn.Close(t.Context()))
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the new certificate is not in use: %v", err)
		}
	}
}

// replace puts a file in another's place, as a rotation does. Its time is set
// since two files can be made within one tick of the clock.
func replace(t testing.TB, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to+".new", content, 0o600))
	later := time.Now().Add(time.Minute)
	must(t, os.Chtimes(to+".new", later, later))
	must(t, os.Rename(to+".new", to))
}

func TestListenRefusesBadCertificates(t *testing.T) {
	a := pgtest.NewAuthority(t)
	one, two := a.Issue(t, "one"), a.Issue(t, "two")
	for name, c := range map[string]proxy.ListenerConfig{
		"no such file":       {Address: "127.0.0.1:0", Cert: "no.crt", Key: one.KeyFile},
		"another pair's key": {Address: "127.0.0.1:0", Cert: one.CertFile, Key: two.KeyFile},
	} {
		if l, err := proxy.Listen(t.Context(), c, zerolog.Nop()); err == nil {
			_ = l.Close()
			t.Errorf("%s: it listens", name)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "sp") //nolint:usetesting // t.TempDir's names are too long for a socket
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := startSidecar(t, sidecarOptions{Listener: proxy.ListenerConfig{Unix: dir}})
	dsn := fmt.Sprintf("host=%s user=agent database=prod-replica password=%s", dir, s.Token("support-agent"))
	if got := one[int](t, pgtest.Connect(t, dsn), "SELECT 1"); got != 1 {
		t.Errorf("got %d", got)
	}
	out, exit := run(t, program(t, "psql", "postgresql-client"), "-X", "-At", "-c", "SELECT 'through'", strings.Replace(dsn, "database=", "dbname=", 1))
	if exit != 0 || out != "through\n" {
		t.Errorf("psql: exit %d: %s", exit, out)
	}
	if l, err := proxy.Listen(t.Context(), proxy.ListenerConfig{Unix: dir}, zerolog.Nop()); err == nil {
		_ = l.Close()
		t.Error("a second listener took the socket over")
	}
	// What a killed process left behind is in nobody's way; other files are.
	stale := filepath.Join(dir, "stale")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale})
	must(t, err)
	left.SetUnlinkOnClose(false)
	must(t, left.Close())
	l, err := proxy.Listen(t.Context(), proxy.ListenerConfig{Unix: stale}, zerolog.Nop())
	must(t, err)
	must(t, l.Close())
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if l, err := proxy.Listen(t.Context(), proxy.ListenerConfig{Unix: file}, zerolog.Nop()); err == nil {
		_ = l.Close()
		t.Error("an ordinary file was removed")
	}
}

// A token over a network in clear is refused before it is sent.
func TestPlaintextFromAfar(t *testing.T) {
	s := startSidecar(t, sidecarOptions{})
	s.serveFrom(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5})
	conn := s.Dial()
	must(t, conn.SetDeadline(time.Now().Add(conversationTime)))
	_, err := conn.Write(startupPacket(3<<16, "user", "agent", "database", "prod-replica"))
	must(t, err)
	if first := make([]byte, 1); !readInto(t, conn, first) || first[0] != 'E' {
		t.Errorf("the first answer is %q: the client is asked for its token", first)
	}
	_, err = pgconn.Connect(t.Context(), s.DSN("support-agent"))
	refusedAs(t, err, "28000", "without TLS")
}

// farListener says of each connection that it comes from elsewhere.
type farListener struct {
	net.Listener
	from net.Addr
}

type farConn struct {
	net.Conn
	from net.Addr
}

func (l farListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return farConn{conn, l.from}, nil
}

func (c farConn) RemoteAddr() net.Addr { return c.from }

// serveFrom listens at another port, where all seem to come from the address.
func (s *sidecar) serveFrom(from net.Addr) {
	s.t.Helper()
	l, err := proxy.Listen(s.t.Context(), proxy.ListenerConfig{Address: "127.0.0.1:0"}, zerolog.Nop())
	must(s.t, err)
	l.Listener = farListener{l.Listener, from}
	s.Address = l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- s.Server.Serve(l) }()
	s.t.Cleanup(func() { _ = l.Close(); <-done })
}

// Neither is loopback what nobody knows to be.
func TestPlaintextFromAnUnknownKindOfAddress(t *testing.T) {
	s := startSidecar(t, sidecarOptions{})
	s.serveFrom(&net.UDPAddr{}) // an address of a kind nobody thought of
	_, err := pgconn.Connect(t.Context(), s.DSN("support-agent"))
	refusedAs(t, err, "28000", "without TLS")
}
