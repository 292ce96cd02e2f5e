package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/audit"
)

// recordTimeout bounds the last record, so that a dead disk does not keep the
// process.
const recordTimeout = 5 * time.Second

// run serves until ctx ends or something fails; then it shuts down in
// order: no new clients, running statements end or are cancelled, the API, the
// rest. started is called once clients are served.
func (s *sidecar) run(ctx context.Context, hurry <-chan struct{}, started func()) error {
	defer s.close(context.WithoutCancel(ctx)) // closing outlives whoever wanted the end
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()

	failed := make(chan error, len(s.listeners)+2)
	s.start(background, &running, failed)
	for _, l := range s.listeners {
		s.log.Info().Stringer("address", l.Addr()).Msg("serving clients")
	}
	s.log.Info().Stringer("address", s.admin.Addr()).Str("version", version).Msg("serving operators")
	if started != nil {
		started()
	}

	var why error
	select {
	case <-ctx.Done():
		why = context.Cause(ctx)
	case err := <-failed:
		why = fail(exitListen, err)
	}
	s.log.Info().Str("why", why.Error()).Msg("shutting down: no new clients, running statements may end")
	clean := s.drain(ctx, hurry)
	s.recordStopped(ctx, why.Error())
	s.log.Info().Bool("statements_cancelled", !clean).Msg("stopped")
	_, broken := errors.AsType[*failure](why)
	switch {
	case broken:
		return why
	case !clean:
		return fail(exitUnfinished, errors.New("statements that were still running were cancelled"))
	default:
		return nil
	}
}

// start runs what runs beside the sessions, and accepts clients.
func (s *sidecar) start(ctx context.Context, running *sync.WaitGroup, failed chan<- error) {
	running.Go(func() {
		s.services.Grants.Run(ctx, func(err error) { s.log.Error().Err(err).Msg("windows or approvals not closed in full yet") })
	})
	running.Go(func() { s.server.Follow(ctx) })
	report := func(err error) {
		if err != nil {
			failed <- err
		}
	}
	running.Go(func() { report(admin.Serve(ctx, s.admin, s.adminCert, s.api.Handler(), s.log)) })
	if s.probes != nil {
		running.Go(func() { report(admin.Serve(ctx, s.probes, nil, s.api.Probes(), s.log)) })
	}
	for _, l := range s.listeners {
		running.Go(func() { report(s.server.Serve(l)) })
	}
}

// drain reports whether everything that ran came to its end by itself, within the
// limit and before there is no time left for that.
func (s *sidecar) drain(ctx context.Context, hurry <-chan struct{}) bool {
	s.api.Drain()
	for _, l := range s.listeners {
		l.Close()
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Limits.DrainTimeout)
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-hurry:
			cancel()
		case <-done:
		}
	}()
	return s.server.Shutdown(patience)
}

func (s *sidecar) recordStopped(ctx context.Context, why string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout) // a record outlives its cause
	defer cancel()
	if s.audit == nil {
		return
	}
	if err := s.audit.Append(ctx, &audit.Record{Type: audit.ProxyStopped, Cause: why}, audit.Synced); err != nil {
		s.log.Error().Err(err).Msg("the end of the process is not recorded")
	}
}
