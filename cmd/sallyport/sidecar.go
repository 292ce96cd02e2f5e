package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/approval"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/grant"
	"github.com/sallyport/sallyport/internal/identity"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/rego"
)

// sidecar is everything that `serve` runs, wired.
type sidecar struct {
	cfg *config.Config
	log zerolog.Logger

	audit     *audit.Log
	store     *store.SQLite
	services  *proxy.Services
	metrics   *prometheus.Registry
	upstreams []*proxy.Upstream
	server    *proxy.Server
	api       *admin.API

	listeners []*proxy.Listener
	admin     net.Listener
	adminCert *admin.Certificate
	probes    net.Listener // nil for none
}

// openSidecar opens everything, in the order in which one part needs another, and
// serves nobody yet. Policies and issuers' keys may come later: until then
// everything is refused, and the process not ready.
func openSidecar(ctx context.Context, cfg *config.Config, log zerolog.Logger) (*sidecar, error) {
	s := &sidecar{cfg: cfg, log: log, services: &proxy.Services{Log: log, Now: time.Now, Limits: limits(cfg.Limits)}}
	for _, open := range []func(context.Context) error{
		s.openRecord, s.openIdentity, s.openState, s.openPolicies, s.openUpstreams, s.openServer, s.listen,
	} {
		if err := open(ctx); err != nil {
			s.recordStopped(ctx, err.Error())
			s.close(context.WithoutCancel(ctx)) // closing outlives whoever wanted the end
			return nil, err
		}
	}
	return s, nil
}

func limits(l config.Limits) proxy.Limits {
	return proxy.Limits{
		StatementBytes: l.StatementBytes, StatementTokens: l.StatementTokens, MessageBytes: l.MessageBytes, PreauthBytes: l.PreauthBytes,
		Sessions: l.Sessions, LoginTimeout: l.LoginTimeout, ApprovalWait: l.ApprovalWait, IdleTimeout: l.IdleTimeout,
	}
}

// openRecord is first: what cannot be recorded must not happen.
func (s *sidecar) openRecord(ctx context.Context) (err error) {
	if s.audit, err = audit.Open(ctx, s.cfg.Audit); err != nil {
		return fail(exitState, err)
	}
	s.services.Audit = s.audit
	started := &audit.Record{Type: audit.ProxyStarted, Message: "sallyport " + version}
	return fail(exitState, s.audit.Append(ctx, started, audit.Synced))
}

func (s *sidecar) openIdentity(ctx context.Context) (err error) {
	c := s.cfg.Identity
	c.Log = s.log
	s.services.Identity, err = identity.New(context.WithoutCancel(ctx), c, nil) // fetches keys until it is closed
	return fail(exitConfig, err)
}

func (s *sidecar) openState(ctx context.Context) (err error) {
	if s.store, err = store.Open(ctx, s.cfg.State.Path); err != nil {
		return fail(exitState, err)
	}
	rec := recorder{s.audit}
	s.services.Approvals = approval.New(approval.Config{Store: s.store, Events: rec.approval})
	s.services.Grants, err = grant.New(ctx, grant.Config{Store: s.store, Approvals: s.services.Approvals, Events: rec.grant})
	return fail(exitState, err)
}

func (s *sidecar) openPolicies(ctx context.Context) (err error) {
	c := rego.Config{Directory: s.cfg.Policies.Directory, Known: knownNames(s.cfg), Log: s.log, OnReload: recorder{s.audit}.policy(s.log)}
	if path := s.cfg.Policies.OPA; path != "" {
		if c.OPA, err = os.ReadFile(path); err != nil {
			return fail(exitConfig, fmt.Errorf("policies.opa: %w", err))
		}
	}
	s.services.Policy, err = rego.New(ctx, c)
	return fail(exitConfig, err)
}

// upstreamTimeout bounds reading a database's catalog for the first time.
const upstreamTimeout = 30 * time.Second

func (s *sidecar) openUpstreams(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, upstreamTimeout)
	defer cancel()
	var failed []error
	for _, c := range s.cfg.Connections {
		u, err := proxy.OpenUpstream(ctx, proxy.UpstreamConfig{Name: c.Name, DSN: c.DSN.Reveal(), CatalogDSN: c.CatalogDSN.Reveal(),
			Labels: c.Labels, SearchPath: c.SearchPath}, s.log)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		s.upstreams = append(s.upstreams, u)
	}
	return fail(exitUpstream, errors.Join(failed...))
}

func (s *sidecar) openServer(context.Context) error {
	s.metrics = newMetrics(s.services)
	s.server = proxy.NewServer(s.services, s.upstreams, s.metrics)
	s.api = admin.New(admin.Config{Services: s.services, Server: s.server, State: s.store.Ping, Metrics: s.metrics, Log: s.log})
	return nil
}

func (s *sidecar) listen(ctx context.Context) error {
	for _, c := range s.cfg.Listen {
		lc := proxy.ListenerConfig{Address: c.Address, Unix: c.Unix}
		if c.TLS != nil {
			lc.Cert, lc.Key, lc.TLSRequired = c.TLS.Cert, c.TLS.Key, c.TLS.Required
		}
		l, err := proxy.Listen(ctx, lc, s.log)
		if err != nil {
			return fail(exitListen, err)
		}
		s.listeners = append(s.listeners, l)
	}
	return s.listenAdmin(ctx)
}

func (s *sidecar) listenAdmin(ctx context.Context) (err error) {
	if c := s.cfg.Admin.TLS; c != nil {
		if s.adminCert, err = admin.LoadCertificate(c.Cert, c.Key); err != nil {
			return fail(exitListen, fmt.Errorf("admin.tls: %w", err))
		}
	}
	var lc net.ListenConfig
	if s.admin, err = lc.Listen(ctx, "tcp", s.cfg.Admin.Address); err != nil {
		return fail(exitListen, fmt.Errorf("admin: %w", err))
	}
	if s.cfg.Admin.Probes != "" {
		if s.probes, err = lc.Listen(ctx, "tcp", s.cfg.Admin.Probes); err != nil {
			return fail(exitListen, fmt.Errorf("admin.probes: %w", err))
		}
	}
	return nil
}

// close closes what was opened, last first. The record is last: closing may have
// something to record.
func (s *sidecar) close(ctx context.Context) {
	for _, l := range s.listeners {
		l.Close()
	}
	for _, l := range []net.Listener{s.admin, s.probes} {
		if l != nil {
			l.Close()
		}
	}
	for _, u := range s.upstreams {
		u.Close()
	}
	if s.services.Policy != nil {
		s.services.Policy.Close(ctx)
	}
	if s.services.Identity != nil {
		s.services.Identity.Close()
	}
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.log.Error().Err(err).Msg("state not closed")
		}
	}
	if s.audit != nil {
		if err := s.audit.Close(); err != nil {
			s.log.Error().Err(err).Msg("audit log not closed")
		}
	}
}
