package main

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/devenv"
	"github.com/sallyport/sallyport/policies"
)

// Longer than any run: what is measured is the time within a window.
const (
	benchTTL = "12h"
	tokenTTL = 12 * time.Hour
)

// Beside the shipped policies: pgbench may read its tables, within a window, and
// gets only so much.
var benchPolicy = map[string]string{
	"policy/pgbench/pgbench.rego": `# METADATA
# title: Reading pgbench's tables
package policy.pgbench

import data.sallyport.sql

session.allow := true

statement.allow if sql.read_only

statement.deny contains $"{table.id} is not pgbench's" if {
	some table in input.statement.tables
	not startswith(table.id, "public.pgbench_")
	table.schema != "pg_catalog"
}

statement.limits.rows := 1000

statement.limits.duration := "5s"
`,
	"bindings/pgbench/data.yaml": `policy: pgbench
connection: prod-replica
subjects: [pgbench]
grant: on-request
ttl: ` + benchTTL + `
record: true
`,
}

func (r *rig) devDir() string { return filepath.Join(r.dir, "dev") }

// startSallyport runs it before the server, with the shipped policies and one more.
func (r *rig) startSallyport(ctx context.Context) error {
	bundle := filepath.Join(r.dir, "policies")
	if err := writePolicies(bundle); err != nil {
		return err
	}
	binary, err := filepath.Abs(r.sallyport)
	if err != nil {
		return err
	}
	upstream := r.postgres.DSNFor(role, r.password, database)
	p, err := r.start(exec.Command(binary, "dev", "--dir", r.devDir(), "--listen", loopback+":0", "--admin", loopback+":0",
		"--upstream", upstream, "--policies", bundle, "--log-level", "warn"))
	if err != nil {
		return err
	}
	var env map[string]string
	if err := p.await(ctx, func(ctx context.Context) bool {
		env = readEnv(filepath.Join(r.devDir(), "dev.env"))
		return isReady(ctx, env["ADMIN_URL"])
	}); err != nil {
		return err
	}
	issuer, err := devenv.ReadIssuerFile(r.devDir())
	if err != nil {
		return err
	}
	token, err := issuer.RequestToken(ctx, "pgbench", devenv.RequestOptions{TTL: tokenTTL})
	if err != nil {
		return err
	}
	for name, binding := range map[string]string{throughSallyport: "pgbench", throughStream: "stream"} {
		options := "PGOPTIONS=-c sallyport.binding=" + binding + ` -c sallyport.reason=make\ bench`
		r.ways = append(r.ways, way{name, env["PROXY_DSN"], []string{"PGPASSWORD=" + token, options}})
	}
	return nil
}

// writePolicies writes the shipped bundle and benchPolicy.
func writePolicies(dir string) error {
	if err := os.CopyFS(dir, policies.Bundle); err != nil {
		return err
	}
	ours := maps.Clone(benchPolicy)
	maps.Copy(ours, streamPolicy)
	for name, text := range ours {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// readEnv reads dev.env; what is not there is empty.
func readEnv(path string) map[string]string {
	env := map[string]string{}
	content, err := os.ReadFile(path)
	if err != nil {
		return env // not written yet
	}
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		env[name] = strings.Trim(value, "'")
	}
	return env
}

// isReady asks /readyz.
func isReady(ctx context.Context, admin string) bool {
	address, err := url.JoinPath(admin, "readyz")
	if err != nil || admin == "" {
		return false
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	client := http.Client{Timeout: startTimeout}
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}
