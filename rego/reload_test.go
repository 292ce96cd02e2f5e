package rego

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

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
		"binding key twice":   {"bindings/support-desk/data.yaml", "policy: support-desk\nconnection: prod-*\ngrant: on-request\nttl: 15m\nttl: 59m\n", "already defined"},
		"binding not read":    {"bindings/extra.yaml", "policy: guardrails\n", "name it bindings/NAME/data.yaml"},
		"yaml":                {"bindings/support-desk/data.yaml", "policy: [\n", "yaml"},
		"manifest":            {".manifest", `{"roots": ["policy"]}`, "roots"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := shipped(t)
			e, r := start(t, dir)
			first := r.next(t)
			good, err := os.ReadFile(filepath.Join(dir, breakage.file))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
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
			if good == nil {
				if err := os.Remove(filepath.Join(dir, breakage.file)); err != nil {
					t.Fatal(err)
				}
			} else {
				write(t, dir, map[string]string{breakage.file: string(good)})
			}
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
// What is legal but may not say what is meant is put into use, and said.
func TestOddBundleIsWarnedOf(t *testing.T) {
	dir := shipped(t)
	e, told := start(t, dir)
	told.next(t)
	if w := e.Status().Warnings; len(w) > 0 {
		t.Fatalf("warnings about nothing: %q", w)
	}
	write(t, dir, map[string]string{"policy/odd/odd.rego": "package policy.odd\n\nstatement.denny contains \"never asked\"\n"})
	if st := told.next(t); st.Error != "" {
		t.Fatal(st.Error)
	}
	// The files are looked at after they are in use, so as not to delay that.
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for i := 0; len(e.Status().Warnings) == 0 && i < 1000; i++ {
		<-look.C
	}
	if w := strings.Join(e.Status().Warnings, "; "); !strings.Contains(w, "denny") || !strings.Contains(w, "policy/odd/odd.rego:3") {
		t.Errorf("warnings: %q", w)
	}
}

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
