package rego

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func complaints(t *testing.T, dir string, known Known) []string {
	t.Helper()
	var out []string
	for _, c := range Check(t.Context(), dir, known) {
		out = append(out, c.String())
	}
	return out
}

func TestCheckFindsNothingWrongWithTheShippedBundle(t *testing.T) {
	got := complaints(t, shipped(t), Known{Issuers: []string{"entra-contoso"}, Connections: []string{"prod-replica"}})
	if len(got) > 0 {
		t.Errorf("complaints:\n%s", strings.Join(got, "\n"))
	}
}

// testdata/rego/check has a bundle per case; want.txt beside its files lists the
// complaints, one a line, of which each must contain what stands there.
func TestCheckComplains(t *testing.T) {
	root := filepath.Join("..", "testdata", "rego", "check")
	cases, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 5 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Name(), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(filepath.Join(root, c.Name(), "want.txt"))
			if err != nil {
				t.Fatal(err)
			}
			got := complaints(t, filepath.Join(root, c.Name()), Known{Issuers: []string{"entra-contoso"}, Connections: []string{"prod-replica", "stage"}})
			want := strings.Split(strings.TrimSpace(string(raw)), "\n")
			for _, w := range want {
				i := slices.IndexFunc(got, func(g string) bool { return strings.Contains(g, w) })
				if i < 0 {
					t.Errorf("missing: %s", w)
					continue
				}
				got = slices.Delete(got, i, i+1)
			}
			for _, g := range got {
				t.Errorf("not expected: %s", g)
			}
		})
	}
}

func TestCheckOfNoDirectory(t *testing.T) {
	got := complaints(t, filepath.Join(t.TempDir(), "gone"), Known{})
	if len(got) != 1 || !strings.Contains(got[0], "gone") {
		t.Errorf("complaints: %q", got)
	}
}

// Whatever Check finds nothing wrong with, an engine puts into use, and the other
// way about where it would not.
func TestCheckAndEngineAgree(t *testing.T) {
	root := filepath.Join("..", "testdata", "rego", "check")
	cases, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		dir := filepath.Join(root, c.Name())
		_, r := start(t, dir)
		if s := r.next(t); s.Error != "" && len(Check(t.Context(), dir, Known{})) == 0 {
			t.Errorf("%s: no complaint, but %s", c.Name(), s.Error)
		}
	}
}

func TestNearest(t *testing.T) {
	for _, c := range []struct{ word, want string }{
		{"issuer", "issuers"}, {"conection", "connection"}, {"denny", "deny"}, {"something_else", ""}, {"ttl", "ttl"},
	} {
		names := []string{"issuers", "connection", "deny", "ttl"}
		if got := nearest(c.word, names); got != c.want {
			t.Errorf("nearest(%q) = %q, want %q", c.word, got, c.want)
		}
	}
}
