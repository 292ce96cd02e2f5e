package rego

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

func regoBool(t *testing.T, query string, input ast.Value) bool {
	t.Helper()
	rs, err := rego.New(rego.Query(query), rego.ParsedInput(input), rego.StrictBuiltinErrors(true)).Eval(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return rs.Allowed()
}

// full has every field set.
func full(t *testing.T) *Input {
	t.Helper()
	in := &Input{}
	fill(reflect.ValueOf(in).Elem())
	in.Version, in.Phase = 1, PhaseStatement
	in.Identity.Claims = map[string]any{"a": []any{"x", json.Number("1"), nil, true}, "b": map[string]any{"c": "d"}}
	return in
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		e := reflect.New(v.Type().Elem()).Elem()
		fill(e)
		v.SetMapIndex(reflect.ValueOf("k"), e)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	}
}

// What a policy sees is what the JSON of the input says: replays and decision logs
// are made of that.
func TestValueIsTheJSON(t *testing.T) {
	for name, in := range map[string]*Input{
		"full":      full(t),
		"session":   agent(PhaseSession, "g"),
		"statement": asking("b", customers("id", "ssn"), "g"),
	} {
		raw, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		want, err := ast.ValueFromReader(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		got, err := in.value()
		if err != nil {
			t.Fatal(err)
		}
		if got.Compare(want) != 0 {
			t.Errorf("%s:\n got %v\nwant %v", name, got, want)
		}
	}
}

func TestAbsentListsAreEmptyLists(t *testing.T) {
	v, err := (&Input{Phase: PhaseStatement, Statement: &Statement{}}).value()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"statement.tables", "statement.columns", "statement.functions", "identity.groups"} {
		if !regoBool(t, "input."+path+" == []", v) {
			t.Errorf("%s is not an empty array", path)
		}
	}
	if !regoBool(t, "input.identity.claims == {}", v) || regoBool(t, "input.grant", v) {
		t.Error("claims or grant")
	}
}

func TestInputFitsItsSchema(t *testing.T) {
	for name, in := range map[string]*Input{
		"session":   agent(PhaseSession, "g"),
		"statement": asking("b", customers("id"), "g"),
		"canary":    canaryInput(PhaseStatement),
	} {
		v, err := in.value()
		if err != nil {
			t.Fatal(err)
		}
		if !matchesSchema(t, ast.NewTerm(v), inputSchema) {
			t.Errorf("%s does not fit schemas/input.json", name)
		}
	}
}
