package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/devenv"
)

// recordFlags say where the record is.
type recordFlags struct {
	Audit  string `placeholder:"FILE" help:"The audit log; default: that of the configuration, else of sallyport dev."`
	Config string `placeholder:"FILE" env:"SALLYPORT_CONFIG" help:"Configuration file that names the audit log."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

func (f *recordFlags) path(p *program) (string, error) {
	if f.Audit != "" {
		return f.Audit, nil
	}
	file := f.Config
	if file == "" {
		file = devSetting(p, "SALLYPORT_CONFIG")
	}
	if file == "" {
		return "", fmt.Errorf("which record? Give --audit or --config (there is no %s here)", filepath.Join(devenv.DefaultDir, "dev.env"))
	}
	// Whatever else is wrong with it: the record can be read on another machine too.
	cfg, complaints := config.Read(file)
	if cfg.Audit.Path == "" {
		return "", fail(exitConfig, errors.Join(errors.New("the configuration names no audit log"), located(file, complaints)))
	}
	return cfg.Audit.Path, nil
}

type sessionsCommand struct {
	Who        string        `placeholder:"TEXT" help:"Only those of a subject or name that contains this."`
	Connection string        `placeholder:"NAME" help:"Only those at this connection."`
	Effect     string        `default:"" enum:",allow,mask,require_approval,deny" placeholder:"EFFECT" help:"Only those with a statement that was decided so: allow, mask, require_approval or deny."`
	Relation   string        `placeholder:"NAME" help:"Only those with a statement that touched this relation (schema.table)."`
	Since      time.Duration `placeholder:"DURATION" help:"Only those of this last time, such as 24h."`
	Open       bool          `help:"Only those not closed yet."`
	Limit      int           `default:"100" help:"How many at most, the latest."`
	recordFlags
}

func (c *sessionsCommand) Run(p *program) error {
	path, err := c.path(p)
	if err != nil {
		return err
	}
	f := audit.Filter{Subject: c.Who, Connection: c.Connection, Effect: c.Effect, Relation: c.Relation, Open: c.Open, Limit: c.Limit}
	if c.Since > 0 {
		f.Since = time.Now().Add(-c.Since)
	}
	sessions, err := audit.Sessions(path, f)
	if err != nil {
		return err
	}
	if c.JSON {
		err = audit.WriteSessionsJSON(p.stdout, sessions)
	} else {
		err = audit.WriteSessions(p.stdout, sessions)
	}
	return errors.Join(err, intact(path))
}

// intact says that what was shown cannot be relied on, when it cannot.
func intact(path string) error {
	if err := audit.Verify(path); err != nil {
		return fmt.Errorf("do not rely on the above: the record was changed, or is damaged: %w", err)
	}
	return nil
}

type replayCommand struct {
	ID string `arg:"" help:"The session (s-…)."`
	recordFlags
}

func (c *replayCommand) Run(p *program) error {
	path, err := c.path(p)
	if err != nil {
		return err
	}
	history, err := audit.Session(path, c.ID)
	if errors.Is(err, audit.ErrNoSession) {
		return fmt.Errorf("there is no session %s in %s; sallyport sessions lists them", c.ID, path)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		err = audit.WriteReplayJSON(p.stdout, history)
	} else {
		err = audit.WriteReplay(p.stdout, history)
	}
	return errors.Join(err, intact(path))
}
