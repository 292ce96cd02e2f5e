package rego

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// text writes a condition the way the cases below have it.
func (c Condition) text() string {
	var parts []string
	for _, of := range c.Of {
		parts = append(parts, of.text())
	}
	switch {
	case c.Op == OpAll || c.Op == OpAny:
		return string(c.Op) + "(" + strings.Join(parts, ", ") + ")"
	case c.Op == OpNot:
		return "not " + strings.Join(parts, ", ")
	case c.Other != "":
		return c.Column + " " + string(c.Op) + " " + c.Other
	}
	for _, v := range c.Values {
		raw, err := json.Marshal(v)
		if err != nil {
			return err.Error()
		}
		parts = append(parts, string(raw))
	}
	return strings.TrimSpace(strings.Join(append([]string{c.Column, string(c.Op)}, parts...), " "))
}

const rowsPolicy = `package policy.one

import data.sallyport.identity

statement.allow if input.statement.kind == "select"

statement.filter contains {"table": "public.customers", "where": "data.policy.one.rows.customers"}

`

// decideRows says what is shown of public.customers.
func decideRows(t *testing.T, policy string, in *Input) (string, error) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"policy/one/one.rego": policy, "regions/data.yaml": "[eu, us]\n",
		"bindings/one/data.yaml": "policy: one\nconnection: '*'\ngrant: standing\n",
	})
	e, r := start(t, dir)
	if s := r.next(t); s.Error != "" {
		t.Fatal(s.Error)
	}
	d, err := e.DecideStatement(t.Context(), in)
	if err != nil {
		return "", err
	}
	var all []string
	for _, f := range d.Filters["public.customers"] {
		if f.Policy != "one" {
			t.Errorf("said by %q", f.Policy)
		}
		all = append(all, f.Where.text())
	}
	if len(d.Reasons) > 0 {
		return "", errors.New(d.Reasons[0].Message)
	}
	return strings.Join(all, "; "), nil
}

func caller() *Input {
	in := asking("", customers("id"), "support-agents")
	in.Identity.Claims = map[string]any{"tenant": "a'cme", "number": json.Number("9007199254740993"), "teams": []any{"x", "y"}, "none": nil}
	return in
}

func TestRowsOfARule(t *testing.T) {
	for _, c := range []struct{ name, rules, want string }{
		{"a claim", `rows.customers if input.row.tenant == input.identity.claims.tenant`, `tenant eq "a'cme"`},
		{"no claim, no row", `rows.customers if input.row.tenant == input.identity.claims.gone`, `none`},
		{"no condition, every row", "rows.customers if input.row.tenant == 1\nrows.customers if \"support-agents\" in input.identity.groups", `every`},
		{"numbers are exact", `rows.customers if input.row.tenant == input.identity.claims.number`, `tenant eq 9007199254740993`},
		{"any of all", "rows.customers if { input.row.a == 1; input.row.b > 2.50 }\nrows.customers if input.row.c <= 3", `any(all(a eq 1, b gt 2.50), c lte 3)`},
		{"mirrored", `rows.customers if { 1 < input.row.a; 2 >= input.row.b; 3 != input.row.c }`, `all(a gt 1, b lte 2, c ne 3)`},
		{"negated", `rows.customers if { not input.row.a == true; not input.row.b }`, `all(not a eq true, not b eq true)`},
		{"alone", `rows.customers if input.row.open`, `open eq true`},
		{"null", `rows.customers if { input.row.a == null; input.row.b != null; not input.row.c == null }`, `all(a is_null, not b is_null, not c is_null)`},
		{"in", `rows.customers if { input.row.a in {1, "x"}; input.row.b in data.regions }`, `all(a in 1 "x", b in "eu" "us")`},
		{"in with null", `rows.customers if input.row.a in [null, 1]`, `any(a is_null, a in 1)`},
		{"in nothing", `rows.customers if input.row.a in []`, `none`},
		{"in claims", `rows.customers if input.row.team in input.identity.claims.teams`, `team in "x" "y"`},
		{"some", `rows.customers if { some t in input.identity.claims.teams; input.row.team == t }`, `any(team eq "x", team eq "y")`},
		{"every", `rows.customers if every t in input.identity.claims.teams { input.row.hidden_from != t }`, `all(hidden_from ne "x", hidden_from ne "y")`},
		{"columns", `rows.customers if input.row.owner == input.row.creator`, `owner eq creator`},
		{"texts", `rows.customers if { startswith(input.row.a, "x"); endswith(input.row.b, "y"); contains(input.row.c, "z") }`, `all(a startswith "x", b endswith "y", c contains "z")`},
		{"helpers", "rows.customers if mine\nmine if input.row.a == 1\nmine if not theirs(input.row.b)\ntheirs(b) if b == 2", `any(a eq 1, not b eq 2)`},
		{"odd names", `rows.customers if input.row["te\"n.ant; drop"] == 1`, `te"n.ant; drop eq 1`},
		{"what is known is evaluated", `rows.customers if { regex.match("^a", input.identity.claims.tenant); input.row.a == upper(input.identity.claims.tenant) }`, `a eq "A'CME"`},
		{"false", `rows.customers := false if input.row.a == 1`, `none`},
		{"default", "default rows.customers := false\nrows.customers if input.row.a == 1", "a eq 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := decideRows(t, rowsPolicy+c.rules+"\n", caller())
			if err != nil || got != c.want {
				t.Errorf("got %s, want %s (%v)", got, c.want, err)
			}
		})
	}
}

func TestRowsThatCannotBeChosenRefuse(t *testing.T) {
	for _, c := range []struct{ name, rules, want string }{
		{"pattern", `rows.customers if regex.match("^a", input.row.a)`, "regex.match"},
		{"computed", `rows.customers if lower(input.row.a) == "x"`, "lower"},
		{"default", "default rows.customers := true\nrows.customers := false if input.row.a == 1", "default"},
		{"helper with a default", "default open := false\nopen if input.row.a == 1\nrows.customers if open", "default"},
		{"text", `rows.customers := "yes" if input.row.a == 1`, "true or false"},
		{"else", "rows.customers if { input.row.a == 1 } else := false", "cannot be made a filter"},
		{"deeper", `rows.customers if input.row.a.b == 1`, "cannot be made a filter"},
		{"member of a column", `rows.customers if "x" in input.row.tags`, "cannot be made a filter"},
		{"column among columns", `rows.customers if input.row.a in [input.row.b, 1]`, "compared with ref"},
		{"object", `rows.customers if input.row.a == {"x": 1}`, "compared with object"},
		{"order of null", `rows.customers if input.row.a > input.identity.claims.none`, "null"},
		{"whole row", `rows.customers if count(input.row) > 1`, "cannot be made a filter"},
		{"a failing function", `rows.customers if { input.row.a == 1; not to_number(input.identity.claims.tenant) == 1 }`, "to_number"},
		{"set", `rows.customers contains 1 if input.row.a == 1`, "true or false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := decideRows(t, rowsPolicy+c.rules+"\n", caller())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
}

func TestFiltersWrittenAsData(t *testing.T) {
	for _, c := range []struct{ where, want string }{
		{`{"column": "a", "eq": 1}`, `a eq 1`},
		{`{"column": "a", "ne": "x"}`, `a ne "x"`},
		{`{"column": "a", "lt": 1.5}`, `a lt 1.5`},
		{`{"column": "a", "in": {"x", 2}}`, `a in 2 "x"`},
		{`{"column": "a", "in": []}`, `none`},
		{`{"column": "a", "is_null": true}`, `a is_null`},
		{`{"column": "a", "is_null": false}`, `not a is_null`},
		{`{"any": [{"column": "a", "gte": 1}, {"all": [{"column": "b", "eq": true}, {"column": "c", "lte": 2}]}]}`, `any(a gte 1, all(b eq true, c lte 2))`},
		{`{"any": []}`, `none`},
		{`{"column": "a", "eq": object.get(input.identity.claims, "tenant", null)}`, `a eq "a'cme"`},
		{`{"column": "a", "eq": object.get(input.identity.claims, "gone", null)}`, "! compared with null"},
		{`{"all": []}`, "! every row"},
		{`{}`, "! no condition"},
		{`{"column": "a"}`, "! no condition"},
		{`{"column": "a", "eq": 1, "ne": 2}`, "! no condition"},
		{`{"column": "a", "like": "x%"}`, "! nobody knows the comparison"},
		{`{"column": 1, "eq": 1}`, "! no name"},
		{`{"column": "a", "eq": [1]}`, "! compared with array"},
		{`{"column": "a", "in": "x"}`, "! want an array"},
		{`{"column": "a", "is_null": 1}`, "! want true or false"},
		{`{"any": {"column": "a", "eq": 1}}`, "! want an array"},
		{`{"not": {"column": "a", "eq": 1}}`, "! no condition"},
		{`{"any": [true]}`, "! no condition"},
		{`true`, "! not understood"},
		{`"tenant = 1"`, "! not understood"},
		{`"data.policy.one.helper"`, "! names no rule"},
		{`"data.policy.one.rows[x]"`, "! names no rule"},
		{`"data.policy.one.rows.gone"`, "! there is no rule"},
	} {
		policy := "package policy.one\n\nstatement.allow if true\n\nstatement.filter contains {\"table\": \"public.customers\", \"where\": " + c.where + "}\n"
		got, err := decideRows(t, policy, caller())
		if complaint, refused := strings.CutPrefix(c.want, "! "); refused {
			if err == nil || !strings.Contains(err.Error(), complaint) {
				t.Errorf("%s: got %s, %v", c.where, got, err)
			}
		} else if err != nil || got != c.want {
			t.Errorf("%s: got %s, %v", c.where, got, err)
		}
	}
}

// A decision that was kept must not be another caller's.
func TestFiltersAreNotMixedUpByTheCache(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"policy/one/one.rego":    rowsPolicy + "rows.customers if input.row.tenant == input.identity.claims.tenant\n",
		"bindings/one/data.yaml": "policy: one\nconnection: '*'\ngrant: standing\n",
	})
	e, r := start(t, dir)
	r.next(t)
	if !e.current.Load().statement.depends.cacheable() {
		t.Fatal("filters of claims should be kept")
	}
	for _, tenant := range []string{"a", "b", "a"} {
		in := caller()
		in.Identity.Claims["tenant"] = tenant
		d, err := e.DecideStatement(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Filters["public.customers"][0].Where.text(); got != `tenant eq "`+tenant+`"` {
			t.Errorf("%s is shown %s", tenant, got)
		}
	}
	write(t, dir, map[string]string{"policy/one/one.rego": rowsPolicy + "rows.customers if input.row.at < time.now_ns()\n"})
	r.next(t)
	if e.current.Load().statement.depends.cacheable() {
		t.Error("filters of the clock must not be kept")
	}
}

func TestFiltersOfUntouchedTablesAreLeftOut(t *testing.T) {
	in := caller()
	in.Statement.Tables[0].ID = "public.others"
	got, err := decideRows(t, rowsPolicy+"rows.customers if regex.match(`a`, input.row.a)\n", in)
	if err != nil || got != "" {
		t.Errorf("got %s, %v", got, err)
	}
}

// Otherwise a library from before there were filters would pass them over.
func TestALibraryThatDoesNotAskForFiltersIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "testdata", "rego", "draft"))); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"policy/one/one.rego": rowsPolicy + "rows.customers if input.row.a == 1\n"})
	_, r := start(t, dir)
	if s := r.next(t); !strings.Contains(s.Error, "does not ask for it") {
		t.Errorf("%+v", s)
	}
}
