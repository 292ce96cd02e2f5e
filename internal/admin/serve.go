package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	readTimeout     = 10 * time.Second
	writeTimeout    = 30 * time.Second // longer than any answer takes: none waits for a person
	idleTimeout     = 2 * time.Minute
	maxHeaderBytes  = 64 << 10 // room for a token
	shutdownTimeout = 3 * time.Second
)

// Serve answers at a listener until ctx ends, and then what was asked already. A
// nil certificate is plain HTTP.
func Serve(ctx context.Context, l net.Listener, cert *Certificate, h http.Handler, log zerolog.Logger) error {
	server := &http.Server{
		Handler:     h,
		ReadTimeout: readTimeout, ReadHeaderTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:       stdlog.New(logWriter{log}, "", 0),
	}
	if cert != nil {
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: cert.get})
	}
	ended := make(chan struct{})
	stopped := context.AfterFunc(ctx, func() {
		defer close(ended)
		// ctx has ended: what is under way gets a time of its own.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if server.Shutdown(last) != nil {
			_ = server.Close() // their connections are cut: nobody is told
		}
	})
	err := server.Serve(l)
	if !stopped() {
		<-ended
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// logWriter takes what net/http has to say, which is about clients.
type logWriter struct{ log zerolog.Logger }

func (w logWriter) Write(line []byte) (int, error) {
	w.log.Debug().Str("component", "admin").Msg(Visible(string(line)))
	return len(line), nil
}

var _ io.Writer = logWriter{}

// Certificate is a certificate in files. They are read at each handshake, which is
// rare here; the last good pair serves while they are being replaced.
type Certificate struct {
	cert, key string

	mu   sync.Mutex
	last *tls.Certificate
}

// LoadCertificate reads the files once, to say early what is wrong with them.
func LoadCertificate(cert, key string) (*Certificate, error) {
	c := &Certificate{cert: cert, key: key}
	if _, err := c.get(nil); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.last = &pair
	}
	if c.last == nil {
		return nil, err
	}
	return c.last, nil
}
