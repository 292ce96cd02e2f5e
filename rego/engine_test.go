package rego

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/sallyport/sallyport/policies"
)

// reloads collects what an engine tells of its bundles.
type reloads chan Status

// next waits for the next thing that is told.
func (r reloads) next(t testing.TB) Status {
	t.Helper()
	select {
	case s := <-r:
		return s
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was put into use or refused")
		return Status{}
	}
}

// start runs an engine over a directory.
func start(t testing.TB, dir string) (*Engine, reloads) {
	t.Helper()
	r := make(reloads, 4096)
	e, err := New(t.Context(), Config{Directory: dir, Log: zerolog.Nop(), OnReload: func(s Status) { r <- s }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	return e, r
}

// write puts files into a directory, each whole or not at all.
func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+".tmp", []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".tmp", path); err != nil {
			t.Fatal(err)
		}
	}
}

// shipped copies the shipped bundle into a directory of its own.
func shipped(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, policies.Bundle); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(path, 0o755) // embedded files cannot be written
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func agent(phase string, groups ...string) *Input {
	in := &Input{
		Version: 1, Phase: phase, Time: At(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)),
		Identity: Identity{
			Issuer: "entra-contoso", Subject: "spn-7", Kind: "workload", Name: "support-agent", Known: true,
			Groups: groups, GroupsComplete: true, Claims: map[string]any{"azp": "x", "ver": 2.0},
		},
		Connection: Connection{Name: "prod-replica", Database: "shop", Labels: map[string]string{"env": "prod"}},
		Session:    Session{ID: "s-1", Application: "psql"},
	}
	return in
}

func asking(binding string, statement *Statement, groups ...string) *Input {
	in := agent(PhaseStatement, groups...)
	in.Grant = &Grant{ID: "g-1", Binding: binding, State: "active"}
	in.Statement = statement
	return in
}

func customers(columns ...string) *Statement {
	s := &Statement{
		Kind: "select", Class: "read", Protocol: "extended", Count: 1, Fingerprint: "f", Digest: "d",
		Analysis: Analysis{Complete: true}, Where: true,
		Tables: []Table{{ID: "public.customers", Schema: "public", Name: "customers", Kind: "table", Access: []string{"read"}}},
		Functions: []Function{{
			ID: "pg_catalog.int4eq", Schema: "pg_catalog", Name: "int4eq", Kind: "function",
			Volatility: "immutable", Leakproof: true, Language: "internal",
		}},
		Parameters: []Parameter{{Index: 1, Type: "integer"}},
	}
	for _, c := range columns {
		s.Columns = append(s.Columns, Column{ID: "public.customers." + c, Table: "public.customers", Name: c, Uses: []string{"projected"}})
	}
	return s
}

func TestShippedBundleDecides(t *testing.T) {
	e, r := start(t, shipped(t))
	if s := r.next(t); !s.Ready || s.Generation != 1 || s.Error != "" || !strings.HasPrefix(s.Revision, "sha256:") {
		t.Fatalf("status %+v", s)
	}
	ctx := t.Context()

	masked, err := e.DecideStatement(ctx, asking("support-desk", customers("id", "email", "ssn"), "support-agents"))
	if err != nil {
		t.Fatal(err)
	}
	if masked.Effect != Mask || masked.Masks["public.customers.email"].Name != "email" ||
		masked.Masks["public.customers.ssn"].Name != "redact" || len(masked.Masks) != 2 {
		t.Errorf("%+v", masked)
	}
	if *masked.Limits.Rows != 200 || masked.Limits.Duration != 10*time.Second || !masked.Record || masked.Generation != 1 {
		t.Errorf("%+v", masked)
	}
	if !slices.Equal(masked.Policies, []string{"guardrails", "support_desk"}) || !slices.Contains(masked.Rules, "support-desk/masks") {
		t.Errorf("policies %v, rules %v", masked.Policies, masked.Rules)
	}

	denied, err := e.DecideStatement(ctx, asking("jit-schema-checks", customers("id")))
	if err != nil {
		t.Fatal(err)
	}
	if denied.Effect != Deny || len(denied.Reasons) != 1 || denied.Reasons[0].Rule != "jit-schema-checks/catalog-only" ||
		denied.Reasons[0].Policy != "jit_schema_checks" || denied.Reasons[0].Hint == "" {
		t.Errorf("%+v", denied)
	}

	update := customers("city")
	update.Kind, update.Class, update.Tables[0].Access = "update", "write", []string{"read", "update"}
	held, err := e.DecideStatement(ctx, asking("support-desk", update, "support-agents"))
	if err != nil {
		t.Fatal(err)
	}
	if held.Effect != RequireApproval || !slices.Equal(held.Approval.Approvers, []string{"group:support-leads"}) ||
		held.Approval.MaxWait != 2*time.Minute || held.Reasons[0].MaxWait != "2m" {
		t.Errorf("%+v", held)
	}
	released := asking("support-desk", update, "support-agents")
	released.Approval = &Approval{ID: "a-1", State: "approved"}
	if d, err := e.DecideStatement(ctx, released); err != nil || d.Effect != Allow {
		t.Errorf("%+v, %v", d, err)
	}

	session, err := e.DecideSession(ctx, agent(PhaseSession))
	if err != nil {
		t.Fatal(err)
	}
	if session.Effect != Allow || session.Grant.Mode != ModeOnRequest || session.Grant.TTL != 30*time.Minute ||
		!session.Grant.Record || session.Binding != "jit-schema-checks" || string(session.Grant.Privileges) != "[]" {
		t.Errorf("%+v", session)
	}
	several, err := e.DecideSession(ctx, agent(PhaseSession, "support-agents"))
	if err != nil {
		t.Fatal(err)
	}
	if several.Effect != Deny || several.Grant != nil || !strings.Contains(several.Reasons[0].Hint, "sallyport.binding=NAME") {
		t.Errorf("%+v", several)
	}
}

func TestNothingIsDecidedWithoutPolicy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there")
	e, r := start(t, dir)
	if s := r.next(t); s.Ready || s.Error == "" {
		t.Fatalf("status %+v", s)
	}
	if e.Ready() || e.Generation() != 0 {
		t.Error("ready without a policy")
	}
	if _, err := e.DecideStatement(t.Context(), asking("x", customers("id"))); !errors.Is(err, ErrNoPolicy) {
		t.Error(err)
	}
	if _, err := e.DecideSession(t.Context(), agent(PhaseSession)); !errors.Is(err, ErrNoPolicy) {
		t.Error(err)
	}
}

func TestInputOfTheOtherPhaseIsRefused(t *testing.T) {
	e, _ := start(t, shipped(t))
	if _, err := e.DecideSession(t.Context(), asking("support-desk", customers("id"))); err == nil {
		t.Error("a statement was decided as a session")
	}
	if _, err := e.DecideStatement(t.Context(), agent(PhaseSession)); err == nil {
		t.Error("a session was decided as a statement")
	}
}

// A builtin that fails must not make a denial disappear.
func TestBuiltinErrorsRefuse(t *testing.T) {
	dir := shipped(t)
	write(t, dir, map[string]string{"policy/guardrails/guardrails.rego": `package policy.guardrails

statement.deny contains "too late" if time.parse_rfc3339_ns(input.grant.expires_at) < input.time.now_ns
`})
	e, r := start(t, dir)
	r.next(t)
	in := asking("support-desk", customers("id"), "support-agents")
	in.Grant.ExpiresAt = "garbage"
	if d, err := e.DecideStatement(t.Context(), in); err == nil {
		t.Fatalf("decided in spite of a failing builtin: %+v", d)
	}
}

func TestTeamsDirectoryNeedsNoLibrary(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"policy/readers/readers.rego":      "package policy.readers\n\nimport data.sallyport.sql\n\nsession.allow := true\n\nstatement.allow if sql.read_only\n",
		"bindings/readers/data.yaml":       "policy: readers\nconnection: \"*\"\ngrant: standing\n",
		".manifest":                        `{"roots": ["policy", "bindings"], "revision": "team-7"}`,
		"NOTES.md":                         "no policy",
		"policy/readers/readers_test.rego": "package policy.readers_test\n\nnot rego",
	})
	e, r := start(t, dir)
	if s := r.next(t); s.Error != "" || s.Revision != "team-7" {
		t.Fatalf("%+v", s)
	}
	d, err := e.DecideStatement(t.Context(), asking("readers", customers("id")))
	if err != nil || d.Effect != Allow || d.Binding != "readers" {
		t.Fatalf("%+v, %v", d, err)
	}
}

func TestOPAConfiguration(t *testing.T) {
	if _, err := New(t.Context(), Config{OPA: []byte("services: 7"), Log: zerolog.Nop()}); err == nil {
		t.Error("a bad opa.yaml was taken")
	}
	dir := shipped(t)
	r := make(reloads, 16)
	e, err := New(t.Context(), Config{
		OPA:       []byte("labels: {region: west}\nbundles: {}\n"),
		Directory: dir, Log: zerolog.Nop(), OnReload: func(s Status) { r <- s },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close(context.Background())
	if s := r.next(t); s.Error != "" {
		t.Fatalf("%+v", s)
	}
}

func TestCloseEndsWhatWasStarted(t *testing.T) {
	dir := shipped(t)
	before := runtime.NumGoroutine()
	for range 3 {
		e, err := New(t.Context(), Config{Directory: dir, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		if !e.Ready() {
			t.Fatal(e.Status().Error)
		}
		e.Close(t.Context())
		e.Close(t.Context()) // once more does nothing
	}
	for began := time.Now(); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Since(began) > 10*time.Second {
			buf := make([]byte, 1<<16)
			t.Fatalf("goroutines were %d, are %d:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
		}
	}
}

func TestConfigurationThatCannotStart(t *testing.T) {
	for _, opa := range []string{
		"bundles: {main: {service: nowhere, resource: bundle.tar.gz}}",
		"discovery: {resource: x}",
		"plugins: {gone: {}}",
	} {
		e, err := New(t.Context(), Config{OPA: []byte(opa), Log: zerolog.Nop()})
		if err == nil {
			e.Close(t.Context())
			t.Errorf("%s was taken", opa)
		}
	}
}
