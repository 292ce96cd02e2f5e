package rego

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Filter is a condition that a policy sets on the rows of a table: other rows are
// as if they were not there.
type Filter struct {
	Policy string
	Where  Condition
}

// Op says what a Condition is. The zero value is none, and refuses.
type Op string

// The operations there are. A comparison with NULL is never true, nor is its
// opposite.
const (
	OpEvery      Op = "every" // row
	OpNone       Op = "none"  // row
	OpAll        Op = "all"   // of Of
	OpAny        Op = "any"   // of Of
	OpNot        Op = "not"   // the one in Of
	OpEq         Op = "eq"
	OpNe         Op = "ne"
	OpLt         Op = "lt"
	OpLte        Op = "lte"
	OpGt         Op = "gt"
	OpGte        Op = "gte"
	OpIn         Op = "in" // one of Values, which never hold NULL
	OpStartsWith Op = "startswith"
	OpEndsWith   Op = "endswith"
	OpContains   Op = "contains"
	OpIsNull     Op = "is_null" // no Values
)

// Condition says of a row whether it is shown. Column is compared with the one
// value there is, or with the column Other.
type Condition struct {
	Op     Op
	Column string
	Other  string
	Values []any // string, bool or json.Number
	Of     []Condition
}

// rawFilter is a filter as the policies say it.
type rawFilter struct {
	table, policy string
	where         ast.Value
}

// compileRows makes the condition of a rule that is named by its path.
type compileRows func(path string) (Condition, error)

// filters makes what the decision says of rows, by table.
func filters(raw []rawFilter, compile compileRows) (map[string][]Filter, error) {
	var out map[string][]Filter
	for _, f := range raw {
		var where Condition
		var err error
		if path, ok := f.where.(ast.String); ok {
			where, err = compile(string(path))
		} else {
			where, err = decodeCondition(f.where, 0)
		}
		if err != nil {
			return nil, fmt.Errorf("the filter of %s by policy %s: %w", f.table, f.policy, err)
		}
		if out == nil {
			out = map[string][]Filter{}
		}
		out[f.table] = append(out[f.table], Filter{f.policy, where})
	}
	return out, nil
}

// rawFilters returns nil where the decision does not speak of filters.
func rawFilters(o *object) []rawFilter {
	v := o.get("filters")
	if v == nil {
		return nil
	}
	out := []rawFilter{}
	if !each(v, func(t *ast.Term) {
		f := newObject("filter", t.Value)
		raw := rawFilter{table: f.text("table"), policy: f.text("policy"), where: f.get("where")}
		switch {
		case raw.table == "":
			f.fail(".table is missing")
		case raw.where == nil:
			f.fail(".where is missing")
		}
		if err := f.done(); err != nil {
			o.fail(": %w", err)
		}
		out = append(out, raw)
	}) {
		o.fail(".filters is %s, want a set", ast.ValueName(v))
	}
	return out
}

// maxDepthOfConditions bounds how deep conditions nest.
const maxDepthOfConditions = 32

// comparisons are what a condition written as data may compare a column by.
var comparisons = []Op{OpEq, OpNe, OpLt, OpLte, OpGt, OpGte}

// decodeCondition reads a condition written as data, as {"column": "a", "eq": 1} or
// {"any": [...]}. No values at all are no row; but every row has to be said, and is
// no condition.
func decodeCondition(v ast.Value, depth int) (Condition, error) {
	m, ok := v.(ast.Object)
	if !ok || depth > maxDepthOfConditions {
		return Condition{}, fmt.Errorf("%v is no condition on rows", v)
	}
	if m.Len() == 1 {
		return decodeGroup(m, depth)
	}
	column := m.Get(ast.InternedTerm("column"))
	if m.Len() != 2 || column == nil {
		return Condition{}, fmt.Errorf("%v is no condition on rows: want a column and one comparison", v)
	}
	name, ok := column.Value.(ast.String)
	if !ok || name == "" {
		return Condition{}, fmt.Errorf("%v is no name of a column", column)
	}
	c := Condition{Column: string(name)}
	var err error
	m.Foreach(func(k, t *ast.Term) {
		if op, ok := k.Value.(ast.String); !ok {
			err = fmt.Errorf("nobody knows the comparison %v", k)
		} else if op != "column" {
			c, err = c.compared(Op(op), t.Value)
		}
	})
	return c, err
}

// decodeGroup reads {"all": [...]} and {"any": [...]}.
func decodeGroup(m ast.Object, depth int) (Condition, error) {
	key := m.Keys()[0]
	name, ok := key.Value.(ast.String)
	op := Op(name)
	if !ok || op != OpAll && op != OpAny {
		return Condition{}, fmt.Errorf("%v is no condition on rows: there are all and any, and a column with one comparison", m)
	}
	c := Condition{Op: op}
	var errs error
	if !each(m.Get(key).Value, func(t *ast.Term) {
		part, err := decodeCondition(t.Value, depth+1)
		if err != nil && errs == nil {
			errs = err
		}
		c.Of = append(c.Of, part)
	}) {
		return Condition{}, fmt.Errorf("%s of %s: want an array or a set of conditions", op, ast.ValueName(m.Get(key).Value))
	}
	if len(c.Of) == 0 {
		if op == OpAll {
			return Condition{}, fmt.Errorf("all of no conditions would show every row: leave the filter out if that is meant")
		}
		return Condition{Op: OpNone}, nil
	}
	return c, errs
}

func (c Condition) compared(op Op, v ast.Value) (Condition, error) {
	switch {
	case slices.Contains(comparisons, op):
		value, err := scalar(v)
		if err == nil && value == nil {
			err = fmt.Errorf("%s is compared with null: write is_null for that", c.Column)
		}
		c.Op, c.Values = op, []any{value}
		return c, err
	case op == OpIn:
		return c.among(v)
	case op == OpIsNull:
		is, ok := v.(ast.Boolean)
		if !ok {
			return c, fmt.Errorf("is_null of %s is %v, want true or false", c.Column, v)
		}
		c.Op = OpIsNull
		if !is {
			return Condition{Op: OpNot, Of: []Condition{c}}, nil
		}
		return c, nil
	default:
		return c, fmt.Errorf("nobody knows the comparison %q, only eq, ne, lt, lte, gt, gte, in and is_null", string(op))
	}
}

// among makes the column one of the members of a collection, null among them.
func (c Condition) among(v ast.Value) (Condition, error) {
	var errs error
	null := false
	add := func(t *ast.Term) {
		value, err := scalar(t.Value)
		switch {
		case err != nil:
			errs = err
		case value == nil:
			null = true
		default:
			c.Values = append(c.Values, value)
		}
	}
	if m, ok := v.(ast.Object); ok { // `in` asks for the values of an object
		m.Foreach(func(_, t *ast.Term) { add(t) })
	} else if !each(v, add) {
		return c, fmt.Errorf("%s is in %s, want an array or a set", c.Column, ast.ValueName(v))
	}
	c.Op = OpIn
	isNull := Condition{Op: OpIsNull, Column: c.Column}
	switch {
	case errs != nil:
		return c, errs
	case len(c.Values) == 0 && null:
		return isNull, nil
	case len(c.Values) == 0:
		return Condition{Op: OpNone}, nil
	case null:
		return Condition{Op: OpAny, Of: []Condition{isNull, c}}, nil
	default:
		return c, nil
	}
}

// scalar takes numbers as they are written: a float64 would make one identifier of
// two.
func scalar(v ast.Value) (any, error) {
	switch v := v.(type) {
	case ast.Null:
		return nil, nil
	case ast.String:
		return string(v), nil
	case ast.Boolean:
		return bool(v), nil
	case ast.Number:
		return json.Number(v), nil
	default:
		return nil, fmt.Errorf("a column cannot be compared with %s", ast.ValueName(v))
	}
}
