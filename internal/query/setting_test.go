package query

import (
	"slices"
	"testing"
)

func TestSplitIdentifiers(t *testing.T) {
	for list, want := range map[string][]string{
		`app, "Odd Schema" ,PUBLIC`: {"app", "Odd Schema", "public"},
		``:                          nil,
		`"a""b"`:                    {`a"b`},
		`"$user",public`:            {"$user", "public"},
		"a\n,\tb":                   {"a", "b"},
	} {
		if got, ok := splitIdentifiers(list); !ok || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", list, got, ok)
		}
	}
	for _, list := range []string{`a,`, `a b`, `"a`, `,a`, `a"b`, `"a"b`} {
		if got, ok := splitIdentifiers(list); ok {
			t.Errorf("%q: taken as %q", list, got)
		}
	}
}
