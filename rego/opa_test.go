package rego

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/open-policy-agent/opa/v1/loader"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/tester"
)

// The shipped bundle as plain OPA sees it: what `opa fmt --fail`, `opa check
// --strict --schema rego/schemas policies` and `opa test policies` do.

var shippedRoot = filepath.Join("..", "policies")

func eachRego(t *testing.T, root string, f func(path string, content []byte)) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".rego" {
			return err
		}
		content, err := os.ReadFile(path)
		seen++
		f(path, content)
		return err
	})
	if err != nil || seen == 0 {
		t.Fatalf("%s: %d files, %v", root, seen, err)
	}
}

func TestRegoIsFormatted(t *testing.T) {
	for _, root := range []string{shippedRoot, filepath.Join("..", ".regal")} {
		eachRego(t, root, func(path string, content []byte) {
			want, err := format.SourceWithOpts(path, content, format.Opts{RegoVersion: ast.RegoV1})
			if err != nil {
				t.Error(err)
			} else if !bytes.Equal(content, want) {
				t.Errorf("%s is not formatted: run opa fmt -w %s", path, path)
			}
		})
	}
}

func TestRegoPassesStrictCheck(t *testing.T) {
	modules := map[string]*ast.Module{}
	eachRego(t, shippedRoot, func(path string, content []byte) {
		m, err := ast.ParseModuleWithOpts(path, string(content), ast.ParserOptions{ProcessAnnotation: true, RegoVersion: ast.RegoV1})
		if err != nil {
			t.Fatal(err)
		}
		modules[path] = m
	})
	set, err := loader.Schemas("schemas") // as the flag reads it
	if err != nil {
		t.Fatal(err)
	}
	c := ast.NewCompiler().WithStrict(true).WithSchemas(set).WithUseTypeCheckAnnotations(true).SetErrorLimit(0)
	if c.Compile(modules); c.Failed() {
		t.Error(c.Errors)
	}
}

func TestRegoTests(t *testing.T) {
	modules, store, err := tester.Load([]string{shippedRoot}, nil)
	if err != nil {
		t.Fatal(err)
	}
	coverage := cover.New()
	ctx := t.Context()
	var passed int
	err = storage.Txn(ctx, store, storage.TransactionParams{}, func(txn storage.Transaction) error {
		results, err := tester.NewRunner().SetStore(store).SetModules(modules).SetCoverageQueryTracer(coverage).
			SetParallel(1).CapturePrintOutput(true).RaiseBuiltinErrors(true).RunTests(ctx, txn)
		if err != nil {
			return err
		}
		for r := range results {
			switch {
			case r.Error != nil:
				t.Errorf("%s.%s: %v", r.Package, r.Name, r.Error)
			case !r.Pass():
				t.Errorf("%s.%s failed:%s", r.Package, r.Name, failing(r))
			default:
				passed++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	report := coverage.Report(modules)
	t.Logf("%d tests, coverage %.1f %%", passed, report.Coverage)
	if report.Coverage < 95 {
		for file, c := range report.Files {
			if strings.HasSuffix(file, "_test.rego") || len(c.NotCovered) == 0 {
				continue
			}
			for _, r := range c.NotCovered {
				t.Logf("%s:%d not covered", file, r.Start.Row)
			}
		}
		t.Errorf("coverage is %.1f %%, want 95", report.Coverage)
	}
}

func failing(r *tester.Result) string {
	var names []string
	for name, sub := range r.SubResults {
		if sub.Fail {
			names = append(names, " "+name)
		}
	}
	return strings.Join(names, ",")
}

// Bundles that were written against the first draft of the library go on working
// with it as it was.
func TestBundleWithTheDraftsLibrary(t *testing.T) {
	e, r := start(t, filepath.Join("..", "testdata", "rego", "draft"))
	if s := r.next(t); s.Error != "" {
		t.Fatal(s.Error)
	}
	d, err := e.DecideStatement(t.Context(), asking("support-desk", customers("id", "email"), "support-agents"))
	if err != nil || d.Effect != Mask || d.Masks["public.customers.email"].Name != "redact" {
		t.Errorf("%+v, %v", d, err)
	}
	update := customers("city")
	update.Kind, update.Class, update.Tables[0].Access = "update", "write", []string{"read", "update"}
	d, err = e.DecideStatement(t.Context(), asking("support-desk", update, "support-agents"))
	if err != nil || d.Effect != RequireApproval || len(d.Approval.Approvers) != 2 {
		t.Errorf("%+v, %v", d, err)
	}
	in := agent(PhaseSession, "support-agents")
	in.Grant = &Grant{State: "requested", Binding: "support-desk", RequestedTTL: "5m"}
	s, err := e.DecideSession(t.Context(), in)
	if err != nil || s.Effect != RequireApproval || s.Grant.TTL.String() != "5m0s" || s.Grant.Mode != ModeApproval {
		t.Errorf("%+v, %v", s, err)
	}
}

// The schema of bindings, which editors and plain OPA use, and what the engine
// holds them against must say the same.
func TestBindingsSchemaAgrees(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("schemas", "bindings.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, binding string
		valid         bool
	}{
		{"seed", `{"policy": "jit-schema-checks", "connection": "prod-replica", "grant": "on-request", "ttl": "30m", "record": true}`, true},
		{"guardrails", `{"policy": "guardrails"}`, true},
		{"lists", `{"policy": ["a", "b"], "connection": ["x"], "grant": "standing", "groups": [], "subjects": ["s"], "issuers": ["i"]}`, true},
		{"approval", `{"policy": "a", "connection": "x", "grant": "approval", "ttl": "1h30m", "approvers": ["group:x"]}`, true},
		{"no policy", `{"connection": "x"}`, false},
		{"unknown key", `{"policy": "a", "issuer": ["x"]}`, false},
		{"no connection", `{"policy": "a", "grant": "standing"}`, false},
		{"no ttl", `{"policy": "a", "connection": "x", "grant": "on-request"}`, false},
		{"unknown grant", `{"policy": "a", "connection": "x", "ttl": "1m", "grant": "never"}`, false},
		{"ttl of days", `{"policy": "a", "connection": "x", "ttl": "1d", "grant": "approval"}`, false},
		{"no ttl at all", `{"policy": "a", "connection": "x", "ttl": "0s", "grant": "approval"}`, false},
		{"groups no list", `{"policy": "a", "groups": "x"}`, false},
		{"record no boolean", `{"policy": "a", "record": "yes"}`, false},
		{"policy no string", `{"policy": 7}`, false},
		{"no binding", `"a"`, false},
	} {
		value := ast.MustParseTerm(`{"one": ` + c.binding + `}`)
		faults := bindingFaults(value.Value)
		if (len(faults) == 0) != c.valid {
			t.Errorf("%s: faults %v, want valid %v", c.name, faults, c.valid)
		}
		if got := matchesSchema(t, value, raw); got != c.valid {
			t.Errorf("%s: schema says %v, want %v", c.name, got, c.valid)
		}
	}
}

func matchesSchema(t *testing.T, value *ast.Term, schema []byte) bool {
	t.Helper()
	return regoBool(t, `json.match_schema(input.value, input.schema)[0]`, ast.NewObject(
		[2]*ast.Term{ast.StringTerm("value"), value},
		[2]*ast.Term{ast.StringTerm("schema"), ast.StringTerm(string(schema))},
	))
}
