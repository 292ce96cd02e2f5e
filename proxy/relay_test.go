package proxy_test

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/pgtest"
)

// relay stands between a sidecar and its server, sees what passes and can break.
type relay struct {
	t        testing.TB
	listener net.Listener
	server   string
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	count int
	sent  bytes.Buffer // to the server
	dead  bool
	heard int // bytes from the server
	limit int // of bytes from the server to the client, after which all breaks; -1 for none
}

// throughRelay is a DSN option that puts a relay in between.
func throughRelay(t testing.TB) (*relay, func(*pgtest.Database) string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r := &relay{t: t, listener: l, limit: -1}
	t.Cleanup(func() { r.Kill(); r.wg.Wait() })
	return r, func(d *pgtest.Database) string {
		u, err := url.Parse(d.DSN())
		must(t, err)
		r.server = u.Host
		u.Host = l.Addr().String()
		r.wg.Go(r.accept)
		return u.String()
	}
}

func (r *relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.mu.Lock()
		dead := r.dead
		r.count++
		r.mu.Unlock()
		server, err := net.Dial("tcp", r.server)
		if err != nil || dead {
			_ = client.Close()
			continue
		}
		r.mu.Lock()
		r.conns = append(r.conns, client, server)
		r.mu.Unlock()
		r.wg.Go(func() { r.pass(server, client, true) })
		r.wg.Go(func() { r.pass(client, server, false) })
	}
}

func (r *relay) pass(to, from net.Conn, noted bool) {
	defer func() { _ = to.Close(); _ = from.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		r.mu.Lock()
		out := buf[:n]
		if noted {
			r.sent.Write(out)
		} else {
			r.heard += n
			if r.limit >= 0 {
				out = out[:min(len(out), r.limit)]
				r.limit -= len(out)
			}
		}
		broken := !noted && r.limit == 0
		r.mu.Unlock()
		if _, werr := to.Write(out); werr != nil || err != nil || broken {
			return
		}
	}
}

// Connections is how many were opened so far.
func (r *relay) Connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// Sent reports whether the server was sent the text.
func (r *relay) Sent(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Contains(r.sent.Bytes(), []byte(text))
}

// Heard is how many bytes the server has sent.
func (r *relay) Heard() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heard
}

// CutAfter breaks the connection after so many bytes more from the server.
func (r *relay) CutAfter(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limit = n
}

// Kill breaks all connections and takes none any more.
func (r *relay) Kill() {
	_ = r.listener.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead = true
	for _, c := range r.conns {
		_ = c.Close()
	}
}

// eventually asks until it is so; what it waits for happens in another goroutine
// or process that tells nobody.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	limit := time.After(conversationTime)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("it did not come to pass: %s", what)
		}
	}
}
