package rego

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// asked are the rules of a policy that the library asks for.
var asked = map[string][]string{
	"session":   {"allow", "deny", "require_approval", "privileges", "ttl"},
	"statement": {"allow", "deny", "require_approval", "mask", "filter", "limits", "opaque", "trusted_functions", "trusted_kinds", "trusted_relations", "without_estimate"},
}

// collecting are those of them that must be sets.
var collecting = []string{"deny", "require_approval", "mask", "filter", "privileges", "trusted_functions", "trusted_kinds", "trusted_relations"}

var limitNames = []string{"rows", "bytes", "duration"}

// lint complains of rules of a policy that OPA takes and nobody asks for: they
// would allow or, worse, deny nothing without a word.
func (c *checker) lint(m *ast.Module) {
	name := m.Package.Path.String()
	if !strings.HasPrefix(name, "data.policy.") {
		return
	}
	for _, r := range m.Rules {
		words := headWords(r.Head)
		known, phase := asked[words[0]]
		switch {
		case !phase && slices.Contains(asked["statement"], words[0]):
			c.at(r.Location, "nobody asks for %[1]s: write statement.%[1]s or session.%[1]s", words[0])
		case !phase:
			if near := nearest(words[0], []string{"session", "statement"}); near != "" && len(words) > 1 {
				c.at(r.Location, "nobody asks for %s (did you mean %s?)", strings.Join(words, "."), near)
			}
		case len(words) < 2:
		case !slices.Contains(known, words[1]):
			c.unasked(r, words, known)
		case slices.Contains(collecting, words[1]) && !collects(r.Head):
			c.at(r.Location, "%[1]s.%[2]s must be a set: write `%[1]s.%[2]s contains ...`", words[0], words[1])
		case words[1] == "limits" && len(words) > 2 && !slices.Contains(limitNames, words[2]):
			c.at(r.Location, "statement.limits.%s is not understood: there are rows, bytes and duration", words[2])
		}
	}
}

func (c *checker) unasked(r *ast.Rule, words, known []string) {
	if near := nearest(words[1], known); near != "" {
		c.at(r.Location, "nobody asks for %s.%s (did you mean %s?)", words[0], words[1], near)
		return
	}
	c.at(r.Location, "nobody asks for %s.%s: there are %s; name helpers otherwise", words[0], words[1], strings.Join(known, ", "))
}

// headWords are the constant parts of a rule's name: statement, limits, rows.
func headWords(h *ast.Head) []string {
	ref := h.Ref()
	words := []string{strings.Trim(ref[0].String(), `"`)}
	for _, t := range ref[1:] {
		s, ok := t.Value.(ast.String)
		if !ok {
			break
		}
		words = append(words, string(s))
	}
	return words
}

// collects reports whether the head is that of a set, or gives a whole set at once.
func collects(h *ast.Head) bool {
	if h.RuleKind() == ast.MultiValue {
		return true
	}
	if h.Value == nil {
		return false
	}
	switch h.Value.Value.(type) {
	case ast.Set, *ast.SetComprehension, ast.Ref, ast.Call, ast.Var:
		return true // as far as can be told without running it
	default:
		return false
	}
}
