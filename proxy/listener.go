package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// ListenerConfig is one place where clients connect: Address or Unix.
type ListenerConfig struct {
	Address     string // host:port
	Unix        string // directory, which gets .s.PGSQL.5432, or path of the socket
	Cert, Key   string // PEM files, "" for no TLS
	TLSRequired bool
}

// Listener accepts clients at one place.
type Listener struct {
	net.Listener
	tls      *certificate // nil without TLS
	required bool
}

// Listen opens a listener. A Unix socket can be used by whoever may enter its
// directory.
func Listen(ctx context.Context, cfg ListenerConfig, log zerolog.Logger) (*Listener, error) {
	l := &Listener{required: cfg.TLSRequired}
	if cfg.Cert != "" {
		l.tls = &certificate{cert: cfg.Cert, key: cfg.Key, log: log}
		if _, err := l.tls.current(); err != nil {
			return nil, err
		}
	}
	var err error
	var lc net.ListenConfig
	if cfg.Unix != "" {
		path := socketPath(cfg.Unix)
		if err := removeStale(ctx, path); err != nil {
			return nil, err
		}
		l.Listener, err = lc.Listen(ctx, "unix", path)
		if err == nil {
			// As PostgreSQL has it: the directory's permissions say who may come.
			err = os.Chmod(path, 0o777)
		}
	} else {
		l.Listener, err = lc.Listen(ctx, "tcp", cfg.Address)
	}
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

func socketPath(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return filepath.Join(path, ".s.PGSQL.5432")
	}
	return path
}

// removeStale removes a socket that a process left behind, not one in use.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("listen: %s exists and is no socket", path)
	}
	var d net.Dialer
	if conn, err := d.DialContext(ctx, "unix", path); err == nil {
		_ = conn.Close()
		return fmt.Errorf("listen: %s is in use by another process", path)
	}
	return os.Remove(path)
}

// trusted reports whether a token may come over this connection without TLS: by
// loopback or a Unix socket.
func trusted(conn net.Conn) bool {
	switch addr := conn.RemoteAddr().(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		return addr.IP.IsLoopback()
	default:
		return false
	}
}

// certificate is a certificate in files, read again when they change.
type certificate struct {
	cert, key string
	log       zerolog.Logger

	mu      sync.Mutex
	loaded  *tls.Certificate
	stamp   [2]time.Time
	checked time.Time
}

// checkEvery is how often the files are looked at: at a handshake, so that a
// rotated certificate is in use within a second and nothing has to watch.
const checkEvery = time.Second

func (c *certificate) current() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loaded != nil && time.Since(c.checked) < checkEvery {
		return c.loaded, nil
	}
	c.checked = time.Now()
	stamp, err := c.stamps()
	if err == nil && c.loaded != nil && stamp == c.stamp {
		return c.loaded, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(c.cert, c.key)
	}
	if err != nil {
		err = fmt.Errorf("certificate %s: %w", c.cert, err)
		if c.loaded != nil { // half a rotation: the old one still serves
			c.log.Error().Err(err).Msg("certificate not reloaded, the old one stays in use")
			return c.loaded, nil
		}
		return nil, err
	}
	if c.loaded != nil {
		c.log.Info().Str("cert", c.cert).Msg("certificate reloaded")
	}
	c.loaded, c.stamp = &pair, stamp
	return c.loaded, nil
}

func (c *certificate) stamps() (stamp [2]time.Time, err error) {
	for i, path := range []string{c.cert, c.key} {
		info, err := os.Stat(path)
		if err != nil {
			return stamp, err
		}
		stamp[i] = info.ModTime()
	}
	return stamp, nil
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"postgresql"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current() },
	}
}
