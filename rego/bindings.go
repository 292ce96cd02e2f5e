package rego

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// fault is something wrong with a binding. A misspelt key would lift the
// restriction it was meant to be, so that any fault turns the whole bundle down.
type fault struct {
	binding string
	key     string // "" when it is about no single one
	message string
}

func (f fault) String() string { return fmt.Sprintf("binding %s: %s", f.binding, f.message) }

// bindingKeys are the keys of a binding, and what may stand there. The schema in
// schemas/bindings.json says the same; a test holds the two together.
var bindingKeys = map[string]func(ast.Value) string{
	"policy":     oneOrMore,
	"connection": oneOrMore,
	"issuers":    list,
	"groups":     list,
	"subjects":   list,
	"approvers":  list,
	"grant":      grantMode,
	"ttl":        ttl,
	"record":     boolean,
}

var durationForm = regexp.MustCompile(`^([0-9]+(\.[0-9]+)?(s|m|h))+$`)

func oneOrMore(v ast.Value) string {
	if _, ok := v.(ast.String); ok || list(v) == "" {
		return ""
	}
	return "must be a string or a list of strings"
}

func list(v ast.Value) string {
	ok := true
	if each(v, func(t *ast.Term) {
		_, text := t.Value.(ast.String)
		ok = ok && text
	}) && ok {
		return ""
	}
	return "must be a list of strings"
}

func grantMode(v ast.Value) string {
	switch s, _ := v.(ast.String); string(s) {
	case ModeStanding, ModeOnRequest, ModeApproval:
		return ""
	default:
		return "must be one of standing, on-request, approval"
	}
}

func ttl(v ast.Value) string {
	s, ok := v.(ast.String)
	if !ok || !durationForm.MatchString(string(s)) || !strings.ContainsAny(string(s), "123456789") {
		return "must be a duration such as 30m or 1h30m"
	}
	return ""
}

func boolean(v ast.Value) string {
	if _, ok := v.(ast.Boolean); !ok {
		return "must be true or false"
	}
	return ""
}

// bindingFaults lists everything wrong with data.bindings, in order.
func bindingFaults(bindings ast.Value) []fault {
	all, ok := bindings.(ast.Object)
	if !ok {
		return []fault{{binding: "?", message: "bindings must be one document per binding: bindings/NAME/data.yaml"}}
	}
	var faults []fault
	all.Foreach(func(k, t *ast.Term) {
		name, _ := k.Value.(ast.String)
		for _, f := range oneBindingFaults(t.Value) {
			f.binding = string(name)
			faults = append(faults, f)
		}
	})
	return faults
}

func oneBindingFaults(v ast.Value) []fault {
	b, ok := v.(ast.Object)
	if !ok {
		return []fault{{message: "must be keys and values: policy, connection, grant, ttl, record"}}
	}
	var faults []fault
	b.Foreach(func(k, t *ast.Term) {
		key, _ := k.Value.(ast.String)
		check, known := bindingKeys[string(key)]
		if !known {
			faults = append(faults, fault{key: string(key), message: unknownKey(string(key))})
		} else if wrong := check(t.Value); wrong != "" {
			faults = append(faults, fault{key: string(key), message: string(key) + " " + wrong})
		}
	})
	has := func(key string) bool { return b.Get(ast.InternedTerm(key)) != nil }
	if !has("policy") {
		faults = append(faults, fault{message: "policy is missing: name the policy it binds"})
	}
	if has("grant") && !has("connection") {
		faults = append(faults, fault{key: "grant", message: "a grant needs a connection"})
	}
	if g := b.Get(ast.InternedTerm("grant")); g != nil && !g.Equal(ast.InternedTerm(ModeStanding)) && !has("ttl") {
		faults = append(faults, fault{key: "grant", message: "a just-in-time grant needs a ttl"})
	}
	return faults
}

func unknownKey(key string) string {
	names := make([]string, 0, len(bindingKeys))
	for name := range bindingKeys {
		names = append(names, name)
	}
	slices.Sort(names)
	if near := nearest(key, names); near != "" {
		return fmt.Sprintf("unknown key %q (did you mean %s?)", key, near)
	}
	return fmt.Sprintf("unknown key %q: there are %s", key, strings.Join(names, ", "))
}

// nearest returns the name that differs from the word least, if it is close.
func nearest(word string, names []string) string {
	best, least := "", len(word)/3+2
	for _, name := range names {
		if d := distance(word, name); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is the number of letters to change, add or leave out to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
