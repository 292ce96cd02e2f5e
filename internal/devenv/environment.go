package devenv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
)

// DefaultDir is where an environment is written, below the working directory.
const DefaultDir = "sallyport-dev"

// Options says what to prepare. The zero value, with ShippedPolicies, is good.
type Options struct {
	Dir             string // where everything is written; default DefaultDir
	Listen          string // where the sidecar will serve clients; default 127.0.0.1:6432, port 0 takes a free one
	Admin           string // where it will serve operators; default 127.0.0.1:6433
	Seed            string // SQL file that is run instead of the sample data
	Upstream        string // DSN of a server to use instead of a throwaway one
	CredentialDSN   string // login that reads the catalog; default the one that statements run with
	Policies        string // directory of policies; default a copy of the shipped ones
	ShippedPolicies fs.FS
	Log             zerolog.Logger
}

// readHeaderTimeout keeps a client that says nothing from staying.
const readHeaderTimeout = 10 * time.Second

// Environment is all that a sidecar needs to be tried: a database, an issuer and
// a configuration. The sidecar itself is run by whoever prepared it, with Config.
type Environment struct {
	Dir      string
	Config   string // path of sallyport.yaml
	Policies string // directory of the policies in force

	Listen, Admin string
	ProxyDSN      string // without a password: that is a token
	AdminURL      string
	IssuerURL     string
	TokenURL      string

	database *database
	issuer   *Issuer
	server   *http.Server
	served   chan struct{}
}

// Prepare starts what is needed and writes the directory. The context bounds
// the preparation; Close ends what was started.
func Prepare(ctx context.Context, o Options) (*Environment, error) {
	if o.Upstream != "" && o.Seed != "" {
		return nil, errors.New("a seed is run on a throwaway server only: give either an upstream or a seed")
	}
	e := &Environment{}
	if err := e.prepare(ctx, o); err != nil {
		e.Close()
		return nil, fmt.Errorf("preparing the development environment: %w", err)
	}
	return e, nil
}

func (e *Environment) prepare(ctx context.Context, o Options) error {
	var err error
	if e.Dir, err = filepath.Abs(orElse(o.Dir, DefaultDir)); err != nil {
		return err
	}
	e.Config = filepath.Join(e.Dir, configFile)
	if err := prepareDir(e.Dir); err != nil {
		return err
	}
	if e.Policies, err = placePolicies(e.Dir, o); err != nil {
		return err
	}
	if e.Listen, err = fixPort(orElse(o.Listen, "127.0.0.1:6432")); err != nil {
		return err
	}
	if e.Admin, err = fixPort(orElse(o.Admin, "127.0.0.1:6433")); err != nil {
		return err
	}
	e.AdminURL = "http://" + e.Admin
	e.ProxyDSN = fmt.Sprintf("postgres://agent@%s/%s?sslmode=disable", e.Listen, Connection)
	if e.database, err = openDatabase(ctx, o); err != nil {
		return err
	}
	if err := e.serveIssuer(); err != nil {
		return err
	}
	return e.writeFiles()
}

// serveIssuer runs the issuer on a free port. Any client may have a token under
// one shared secret, so that outside tools bring their own subjects.
func (e *Environment) serveIssuer() error {
	listener, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return err
	}
	e.issuer, err = NewIssuer(IssuerOptions{
		URL: "http://" + listener.Addr().String(), Clients: DefaultClients(), AllowAny: true, SharedSecret: NewClientSecret(),
	})
	if err != nil {
		listener.Close()
		return err
	}
	e.IssuerURL, e.TokenURL = e.issuer.IssuerURL(), e.issuer.TokenURL()
	e.server = &http.Server{Handler: e.issuer, ReadHeaderTimeout: readHeaderTimeout}
	e.served = make(chan struct{})
	go func() {
		defer close(e.served)
		_ = e.server.Serve(listener) // ends by Close only
	}()
	return nil
}

// Close ends the issuer and the throwaway server. The directory stays, for
// whoever wants to read the record.
func (e *Environment) Close() {
	if e.server != nil {
		_ = e.server.Close() // nobody waits for an answer any more
		<-e.served
	}
	if e.database != nil && e.database.server != nil {
		e.database.server.Stop()
	}
}

// Lost is closed when the throwaway server ends by itself; it is nil, and so
// blocks, for a server that is not ours.
func (e *Environment) Lost() <-chan struct{} {
	if e.database.server == nil {
		return nil
	}
	return e.database.server.Done()
}

// fixPort replaces port 0 by one that is free, so that it can be written down.
func fixPort(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("%q is not host:port: %w", address, err)
	}
	if port != "0" {
		return address, nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func orElse(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
