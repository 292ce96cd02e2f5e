package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/devenv"
	"github.com/sallyport/sallyport/policies"
)

type devCommands struct {
	Run   devCommand      `cmd:"" default:"withargs" help:"Run everything until interrupted."`
	Token devTokenCommand `cmd:"" help:"Print a token of the development issuer."`
}

type devCommand struct {
	Seed          string `placeholder:"FILE" help:"SQL to run on the throwaway server instead of the sample data."`
	Policies      string `placeholder:"DIR" help:"Policies; default: a copy of the shipped ones, to edit."`
	Upstream      string `placeholder:"DSN" help:"A server to use instead of a throwaway one."`
	CredentialDSN string `name:"credential-dsn" placeholder:"DSN" help:"The login that reads the catalog; default: the one that statements run with."`
	Listen        string `placeholder:"HOST:PORT" help:"Where to serve clients; default 127.0.0.1:6432, port 0 for a free one."`
	Admin         string `placeholder:"HOST:PORT" help:"Where to serve operators; default 127.0.0.1:6433."`
	Dir           string `placeholder:"DIR" help:"Where to write everything; default ${devdir}."`
	LogLevel      string `default:"info" enum:"trace,debug,info,warn,error" help:"How much to log (${enum})."`
}

// Run is serve with everything around it that serve needs.
func (c *devCommand) Run(ctx context.Context, p *program) error {
	log := newLog(p.stderr, config.Log{Level: c.LogLevel, Format: "auto"})
	e, err := devenv.Prepare(ctx, devenv.Options{
		Dir: c.Dir, Listen: c.Listen, Admin: c.Admin, Seed: c.Seed, Upstream: c.Upstream, CredentialDSN: c.CredentialDSN,
		Policies: c.Policies, ShippedPolicies: policies.Bundle, Log: log,
	})
	if err != nil {
		return err
	}
	defer e.Close()
	cfg, err := loadConfig(e.Config)
	if err != nil {
		return err
	}
	ctx, stop := untilLost(ctx, e)
	defer stop()
	return serve(ctx, p, cfg, log, func() { _ = e.WriteUsage(p.stdout) }) // nobody reads it: it serves all the same
}

// untilLost gives a context that ends when the throwaway server does.
func untilLost(ctx context.Context, e *devenv.Environment) (context.Context, func()) {
	ctx, end := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-e.Lost():
			end(fail(exitUpstream, errors.New("the throwaway PostgreSQL has ended")))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { end(nil); <-watched }
}

type devTokenCommand struct {
	Client   string        `required:"" placeholder:"NAME" help:"Whose token: one that sallyport dev lists, or any name."`
	Group    []string      `sep:"none" placeholder:"NAME" help:"A group besides the client's own; may be given more than once."`
	TTL      time.Duration `name:"ttl" placeholder:"DURATION" help:"How long it is good for; negative for one that has expired; default 1h."`
	Claim    []string      `sep:"none" placeholder:"NAME=VALUE" help:"A claim to set, its value JSON or a string; null removes it; may be given more than once."`
	Audience string        `placeholder:"AUDIENCE" help:"Whom it is for; default: this sallyport."`
	Kind     string        `default:"" enum:",workload,user" help:"workload or user; default: as the client is."`
	Env      string        `placeholder:"FILE" help:"dev.env of the environment; default ${devdir}/dev.env."`
}

func (c *devTokenCommand) Run(ctx context.Context, p *program) error {
	claims, err := parseClaims(c.Claim)
	if err != nil {
		return err
	}
	issuer, err := devenv.ReadIssuerFile(c.dir(p))
	if err != nil {
		return err
	}
	token, err := issuer.RequestToken(ctx, c.Client, devenv.RequestOptions{
		TTL: c.TTL, Audience: c.Audience, Kind: c.Kind, Groups: c.Group, Claims: claims})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, token)
	return err
}

// dir is that of the environment: the file's, the one that dev.env names, or the
// default.
func (c *devTokenCommand) dir(p *program) string {
	if c.Env != "" {
		if info, err := os.Stat(c.Env); err == nil && info.IsDir() {
			return c.Env
		}
		return filepath.Dir(c.Env)
	}
	if dir := p.getenv("DEV_DIR"); dir != "" {
		return dir
	}
	return devenv.DefaultDir
}

func parseClaims(given []string) (map[string]any, error) {
	if len(given) == 0 {
		return nil, nil
	}
	claims := map[string]any{}
	for _, one := range given {
		name, text, ok := strings.Cut(one, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--claim %q is not NAME=VALUE", one)
		}
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			value = text
		}
		claims[name] = value
	}
	return claims, nil
}

// joinNegative lets a duration be negative without an equals sign: --ttl -5m.
func joinNegative(args []string) []string {
	var joined []string
	for i := 0; i < len(args); i++ {
		if args[i] == "--ttl" && i+1 < len(args) && strings.HasPrefix(args[i+1], "-") {
			joined = append(joined, args[i]+"="+args[i+1])
			i++
			continue
		}
		joined = append(joined, args[i])
	}
	return joined
}
