package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/rego"
)

type checkCommand struct {
	Config string `required:"" placeholder:"FILE" env:"SALLYPORT_CONFIG" help:"Configuration file (sallyport.yaml)."`
}

// Run says everything at once, faults of the configuration first.
func (c *checkCommand) Run(ctx context.Context, p *program) error {
	cfg, complaints := config.Read(c.Config)
	for _, complaint := range complaints {
		fmt.Fprintln(p.stdout, locate(c.Config, complaint))
	}
	policies := checkPolicies(ctx, cfg)
	for _, complaint := range policies {
		fmt.Fprintln(p.stdout, complaint)
	}
	switch {
	case len(complaints) > 0:
		return fail(exitConfig, fmt.Errorf("%s", count(len(complaints)+len(policies))))
	case len(policies) > 0:
		return fail(exitPolicies, fmt.Errorf("%s", count(len(policies))))
	}
	checked := "policies in " + cfg.Policies.Directory
	if cfg.Policies.Directory == "" {
		checked = "policies come by " + cfg.Policies.OPA + " and are not checked here"
	}
	fmt.Fprintf(p.stdout, "%s: no faults; %s; %s\n", c.Config, checked, connectionNames(cfg))
	return nil
}

func count(n int) string {
	if n == 1 {
		return "1 fault"
	}
	return fmt.Sprintf("%d faults", n)
}

func connectionNames(cfg *config.Config) string {
	var names []string
	for _, c := range cfg.Connections {
		names = append(names, c.Name)
	}
	return "connections: " + strings.Join(names, ", ")
}

// knownNames are the names that bindings may use.
func knownNames(cfg *config.Config) rego.Known {
	known := rego.Known{}
	for _, i := range cfg.Identity.Issuers {
		known.Issuers = append(known.Issuers, i.Name)
	}
	for _, c := range cfg.Connections {
		known.Connections = append(known.Connections, c.Name)
	}
	return known
}

// checkPolicies looks at the directory that a configuration names, in spite of
// faults elsewhere in it.
func checkPolicies(ctx context.Context, cfg *config.Config) []string {
	dir := cfg.Policies.Directory
	if info, err := os.Stat(dir); dir == "" || err != nil || !info.IsDir() {
		return nil // the configuration has a complaint about that
	}
	var lines []string
	for _, c := range rego.Check(ctx, dir, knownNames(cfg)) {
		if c.File != "" {
			c.File = filepath.Join(dir, c.File) // so that it can be opened
		}
		lines = append(lines, c.String())
	}
	return lines
}

// locate names the file of a complaint as it was given, so that it can be opened.
func locate(path string, c config.Complaint) string {
	c.File = filepath.Join(filepath.Dir(path), c.File)
	return c.String()
}

// located is all complaints as one error.
func located(path string, complaints config.Complaints) error {
	lines := make([]string, len(complaints))
	for i, c := range complaints {
		lines[i] = locate(path, c)
	}
	return fmt.Errorf("the configuration has faults:\n%s", strings.Join(lines, "\n"))
}
