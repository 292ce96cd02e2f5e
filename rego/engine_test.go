package rego

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

const tinySession = `package sallyport.session

decision := {"effect": "deny", "reasons": [], "grant": null, "binding": null, "policies": []}
`

// tiny is a library of one's own whose decisions name the generation twice: in
// the rule and in the data.
func tiny(n int) map[string]string {
	return map[string]string{
		"sallyport/session.rego": tinySession,
		"sallyport/statement.rego": fmt.Sprintf(`package sallyport.statement

decision := {
	"effect": "allow", "reasons": [], "masks": {}, "approval": null, "record": true, "policies": [],
	"binding": sprintf("%%v %%v", [%d, data.generation]), "limits": {"rows": count(input.statement.tables)},
}
`, n),
		"data.json": fmt.Sprintf(`{"generation": %d}`, n),
	}
}

func TestEditGovernsTheNextStatement(t *testing.T) {
	dir := shipped(t)
	e, r := start(t, dir)
	r.next(t)
	changed := e.Changed()
	in := asking("support-desk", customers("email"), "support-agents")
	if d, err := e.DecideStatement(t.Context(), in); err != nil || d.Masks["public.customers.email"].Name != "email" {
		t.Fatalf("%+v, %v", d, err)
	}
	write(t, dir, map[string]string{"classification/data.yaml": "public.customers.email: [national_id]\n"})
	if s := r.next(t); s.Generation != 2 || s.Error != "" {
		t.Fatalf("%+v", s)
	}
	select {
	case <-changed:
	default:
		t.Error("Changed was not closed")
	}
	d, err := e.DecideStatement(t.Context(), in)
	if err != nil || d.Masks["public.customers.email"].Name != "redact" || d.Generation != 2 {
		t.Fatalf("%+v, %v", d, err)
	}

	// a directory that was not there before is followed too
	write(t, dir, map[string]string{"policy/extra/extra.rego": "package policy.extra\n\nstatement.deny contains \"not today\"\n"})
	r.next(t)
	write(t, dir, map[string]string{"bindings/extra/data.yaml": "policy: extra\n"})
	r.next(t)
	if d, err := e.DecideStatement(t.Context(), in); err != nil || d.Effect != Deny || d.Reasons[0].Message != "not today" {
		t.Fatalf("%+v, %v", d, err)
	}
}

func TestBrokenBundleChangesNothing(t *testing.T) {
	const guardrails = "policy/guardrails/guardrails.rego"
	for name, breakage := range map[string]struct {
		file, content, complaint string
	}{
		"syntax":              {guardrails, "package policy.guardrails\n\nstatement.deny contains \"x\" if {", "rego_parse_error"},
		"type":                {guardrails, "package policy.guardrails\n\nstatement.deny contains x if x := 1 + \"a\"\n", "rego_type_error"},
		"unsafe":              {guardrails, "package policy.guardrails\n\nstatement.deny contains x if y\n", "unsafe"},
		"no entrypoint":       {"sallyport/statement/statement.rego", "package sallyport.statement\n\ndecisions := {}\n", "no rule data.sallyport.statement.decision"},
		"undefined":           {"sallyport/statement/statement.rego", "package sallyport.statement\n\ndecision := {} if false\n", "undefined"},
		"no decision":         {"sallyport/statement/statement.rego", "package sallyport.statement\n\ndecision := {\"effect\": \"allow\"}\n", "decision.record"},
		"unknown binding key": {"bindings/support-desk/data.yaml", "policy: support-desk\nconnection: prod-*\nissuer: [a]\ngrant: standing\n", `unknown key "issuer" (did you mean issuers?)`},
		"binding type":        {"bindings/support-desk/data.yaml", "policy: support-desk\ngroups: support-agents\n", "groups must be a list of strings"},
		"binding ttl":         {"bindings/support-desk/data.yaml", "policy: support-desk\nconnection: prod-*\ngrant: on-request\n", "needs a ttl"},
		"yaml":                {"bindings/support-desk/data.yaml", "policy: [\n", "yaml"},
		"manifest":            {".manifest", `{"roots": ["policy"]}`, "roots"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := shipped(t)
			e, r := start(t, dir)
			first := r.next(t)
			good, err := os.ReadFile(filepath.Join(dir, breakage.file))
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, map[string]string{breakage.file: breakage.content})
			s := r.next(t)
			if !s.Ready || s.Generation != 1 || s.Revision != first.Revision || !strings.Contains(s.Error, breakage.complaint) {
				t.Fatalf("status %+v, want %q in it", s, breakage.complaint)
			}
			d, err := e.DecideStatement(t.Context(), asking("support-desk", customers("ssn"), "support-agents"))
			if err != nil || d.Effect != Mask || d.Generation != 1 {
				t.Fatalf("%+v, %v", d, err)
			}
			write(t, dir, map[string]string{breakage.file: string(good)})
			if s := r.next(t); s.Error != "" || s.Generation != 2 || s.Revision != first.Revision {
				t.Fatalf("not mended: %+v", s)
			}
			if e.Status().Error != "" {
				t.Error("the status still complains")
			}
		})
	}
}

// The kubelet mounts a ConfigMap as a hidden directory behind a symlink it swaps.
func TestConfigMapSwap(t *testing.T) {
	dir := t.TempDir()
	swap := func(stamp string, n int) {
		write(t, filepath.Join(dir, stamp), tiny(n))
		tmp := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(stamp, tmp); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	swap("..2026_1", 1)
	for _, name := range []string{"sallyport", "data.json"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	e, r := start(t, dir)
	for n := 1; n <= 3; n++ {
		if n > 1 {
			swap(fmt.Sprint("..2026_", n), n)
			if err := os.RemoveAll(filepath.Join(dir, fmt.Sprint("..2026_", n-1))); err != nil {
				t.Fatal(err)
			}
		}
		if s := r.next(t); s.Error != "" || s.Generation != uint64(n) {
			t.Fatalf("%+v", s)
		}
		d, err := e.DecideStatement(t.Context(), asking("", customers("id")))
		if want := fmt.Sprint(n, " ", n); err != nil || d.Binding != want {
			t.Fatalf("%+v, %v, want %q", d, err, want)
		}
	}
}

func TestDirectoryThatAppearsAndIsReplaced(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "policies")
	e, r := start(t, dir)
	if s := r.next(t); s.Ready {
		t.Fatalf("%+v", s)
	}
	staged := func(n int) string {
		d := filepath.Join(parent, fmt.Sprint("staged", n))
		write(t, d, tiny(n))
		return d
	}
	if err := os.Rename(staged(1), dir); err != nil {
		t.Fatal(err)
	}
	if s := r.next(t); s.Generation != 1 {
		t.Fatalf("%+v", s)
	}
	next := staged(2)
	if err := os.Rename(dir, filepath.Join(parent, "old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, dir); err != nil {
		t.Fatal(err)
	}
	for s := r.next(t); s.Generation != 2; s = r.next(t) {
		if s.Error == "" {
			t.Fatalf("%+v", s)
		}
	}
	if d, err := e.DecideStatement(t.Context(), asking("", customers("id"))); err != nil || d.Binding != "2 2" {
		t.Fatalf("%+v, %v", d, err)
	}
}

func TestDecisionsAreNotTornByReloads(t *testing.T) {
	dir := t.TempDir()
	// swap puts all files of a generation into place at once, as the kubelet does.
	swap := func(stamp string, files map[string]string) {
		write(t, filepath.Join(dir, stamp), files)
		tmp := filepath.Join(dir, "..data_tmp")
		if err := errors.Join(os.Symlink(stamp, tmp), os.Rename(tmp, filepath.Join(dir, "..data"))); err != nil {
			t.Fatal(err)
		}
	}
	swap("..1", tiny(1))
	e, r := start(t, dir)
	r.next(t)
	const enough = 5000
	var decided, torn atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			shared := customers("id") // asked again and again: answered from the cache
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				s := shared
				if i%2 == 0 {
					s = &Statement{Kind: fmt.Sprint("kind ", i), Class: "read"}
				}
				d, err := e.DecideStatement(context.Background(), asking("", s))
				if err != nil {
					t.Error(err)
					return
				}
				rule, data, _ := strings.Cut(d.Binding, " ")
				if rule != data || int(*d.Limits.Rows) != len(s.Tables) {
					torn.Add(1)
				}
				decided.Add(1)
			}
		})
	}
	generation := uint64(1)
	for n := 2; n <= 16 || decided.Load() < enough; n++ {
		if n%4 == 0 { // a broken one among them
			swap(fmt.Sprint("..broken", n), map[string]string{"sallyport/statement.rego": "package broken {"})
			if s := r.next(t); s.Error == "" {
				t.Errorf("a broken bundle was put into use: %+v", s)
			}
			continue
		}
		swap(fmt.Sprint("..", n), tiny(n))
		generation++
		if s := r.next(t); s.Error != "" || s.Generation != generation {
			t.Errorf("%+v", s)
		}
	}
	close(stop)
	wg.Wait()
	if torn.Load() > 0 {
		t.Errorf("%d of %d decisions were made of two generations", torn.Load(), decided.Load())
	}
	t.Logf("%d decisions over %d generations", decided.Load(), generation)
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
