package main

import (
	"context"
	"errors"

	"github.com/rs/zerolog"

	"github.com/sallyport/sallyport/internal/config"
)

type serveCommand struct {
	Config string `required:"" placeholder:"FILE" env:"SALLYPORT_CONFIG" help:"Configuration file (sallyport.yaml)."`
}

func (c *serveCommand) Run(ctx context.Context, p *program) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	return serve(ctx, p, cfg, newLog(p.stderr, cfg.Log), nil)
}

// serve opens everything and serves until ctx ends. started is called once clients
// are served.
func serve(ctx context.Context, p *program, cfg *config.Config, log zerolog.Logger, started func()) error {
	s, err := openSidecar(ctx, cfg, log)
	if err == nil {
		return s.run(ctx, p.hurry, started)
	}
	if _, asked := errors.AsType[interrupted](context.Cause(ctx)); asked {
		log.Info().Err(err).Msg("interrupted while starting")
		return nil
	}
	return err
}

// loadConfig gives a configuration that has no fault.
func loadConfig(path string) (*config.Config, error) {
	cfg, complaints := config.Read(path)
	if len(complaints) > 0 {
		return nil, fail(exitConfig, located(path, complaints))
	}
	return cfg, nil
}
