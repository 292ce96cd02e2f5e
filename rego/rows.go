package rego

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// A rule below data.policy.NAME.rows says which rows are shown, over input.row. It is
// evaluated partially, with the row unknown: what is left are comparisons of columns,
// and these become a Condition. That is what OPA's compile package does as well, whose
// UCAST however has numbers by way of float64, in which neighbouring identifiers are
// the same, and which ends in a panic on some fragments.

// rowsRoot is what the rules that choose rows are below of; the third part is any.
var rowsRoot = ast.MustParseRef("data.policy[_].rows")

// row is what is not known while such a rule is evaluated.
var row = ast.MustParseRef("input.row")

// fragmentError is OPA's word for a rule that cannot be made a filter.
const fragmentError = "pe_fragment_error"

// rowRules are the rules that choose rows, by their path.
type rowRules map[string]rowRule

type rowRule struct {
	ref      ast.Ref
	location *ast.Location
	query    rego.PreparedPartialQuery
	err      error // why there is no query
}

func prepareRows(ctx context.Context, compiler *ast.Compiler, options []func(*rego.Rego)) rowRules {
	prepared := rowRules{}
	for _, rule := range compiler.GetRulesDynamicWithOpts(rowsRoot, ast.RulesOptions{}) {
		r := rowRule{ref: rule.Ref().GroundPrefix(), location: rule.Location}
		if _, known := prepared[r.ref.String()]; known {
			continue
		}
		shown := ast.Equality.Expr(ast.NewTerm(r.ref), ast.InternedTerm(true))
		r.query, r.err = rego.New(append(slices.Clone(options), rego.ParsedQuery(ast.NewBody(shown)))...).PrepareForPartial(ctx)
		if r.err != nil {
			r.err = fmt.Errorf("%v must be true or false", r.ref)
		}
		prepared[r.ref.String()] = r
	}
	return prepared
}

// condition evaluates the rule of that path for what is known of the caller.
func (r rowRules) condition(ctx context.Context, path string, input ast.Value, now time.Time) (Condition, error) {
	ref, err := rowsPath(path)
	if err != nil {
		return Condition{}, err
	}
	rule, known := r[ref.String()]
	switch {
	case !known:
		return Condition{}, fmt.Errorf("there is no rule %v", ref)
	case rule.err != nil:
		return Condition{}, rule.err
	}
	left, err := rule.query.Partial(ctx,
		rego.EvalParsedInput(input),
		rego.EvalTime(now),
		rego.EvalParsedUnknowns([]*ast.Term{ast.NewTerm(row)}),
		rego.EvalRuleIndexing(false),
		rego.EvalNondeterministicBuiltins(true))
	if err != nil {
		return Condition{}, err
	}
	return conditionOf(left.Queries)
}

// rowsPath reads the path of a rule that chooses rows.
func rowsPath(path string) (ast.Ref, error) {
	ref, err := ast.ParseRef(path)
	if err != nil || !ref.IsGround() || len(ref) < 4 || !ref[:2].Equal(rowsRoot[:2]) || !ref[3].Equal(rowsRoot[3]) {
		return nil, fmt.Errorf("%q names no rule below data.policy.NAME.rows", path)
	}
	return ref, nil
}

// conditionOf makes a condition of what partial evaluation left: any of the bodies,
// and of each all expressions. No body is no row; an empty one is every row.
func conditionOf(bodies []ast.Body) (Condition, error) {
	any := Condition{Op: OpAny}
	for _, body := range bodies {
		all := Condition{Op: OpAll}
		for _, e := range body {
			c, err := comparison(e)
			if err != nil {
				return Condition{}, err
			}
			all.Of = append(all.Of, c)
		}
		switch len(all.Of) {
		case 0:
			return Condition{Op: OpEvery}, nil
		case 1:
			any.Of = append(any.Of, all.Of[0])
		default:
			any.Of = append(any.Of, all)
		}
	}
	switch len(any.Of) {
	case 0:
		return Condition{Op: OpNone}, nil
	case 1:
		return any.Of[0], nil
	default:
		return any, nil
	}
}

func fragment(loc *ast.Location, format string, args ...any) error {
	return ast.NewError(fragmentError, loc, format, args...)
}

// comparison makes a condition of one expression.
func comparison(e *ast.Expr) (Condition, error) {
	c, err := positive(e)
	if err == nil && e.Negated {
		c = Condition{Op: OpNot, Of: []Condition{c}}
	}
	return c, err
}

func positive(e *ast.Expr) (Condition, error) {
	if len(e.With) > 0 {
		return Condition{}, fragment(e.Loc(), "`with` cannot be made a filter of rows")
	}
	if t, ok := e.Terms.(*ast.Term); ok { // the column alone, which has to be true
		if column, ok := columnOf(t.Value); ok {
			return Condition{Op: OpEq, Column: column, Values: []any{true}}, nil
		}
		return Condition{}, fragment(e.Loc(), "%v cannot be made a filter of rows: has it a `default`, an `else` or several values?", e)
	}
	if !e.IsCall() {
		return Condition{}, fragment(e.Loc(), "%v cannot be made a filter of rows", e)
	}
	f, known := rowOperators[e.Operator().String()]
	if !known || len(e.Operands()) != 2 {
		return Condition{}, fragment(e.Loc(), "%v cannot be made a filter of rows: columns are compared by ==, !=, <, <=, >, >=, in, startswith, endswith and contains", e.Operator())
	}
	left, right := e.Operand(0).Value, e.Operand(1).Value
	column, first := columnOf(left)
	other, second := columnOf(right)
	switch {
	case first && second && slices.Contains(comparisons, f.op):
		return Condition{Op: f.op, Column: column, Other: other}, nil
	case first && !second:
		return comparedWith(e, f.op, column, right)
	case second && !first && f.mirrored != "":
		return comparedWith(e, f.mirrored, other, left)
	default:
		return Condition{}, fragment(e.Loc(), "%v cannot be made a filter of rows: has it a `default`, an `else`, or a column where there should be a value?", e)
	}
}

// rowOperators are the functions that compare a column, with the operation when the
// column stands on the other side.
var rowOperators = map[string]struct{ op, mirrored Op }{
	ast.Equality.Name:      {OpEq, OpEq},
	ast.Equal.Name:         {OpEq, OpEq},
	ast.NotEqual.Name:      {OpNe, OpNe},
	ast.LessThan.Name:      {OpLt, OpGt},
	ast.LessThanEq.Name:    {OpLte, OpGte},
	ast.GreaterThan.Name:   {OpGt, OpLt},
	ast.GreaterThanEq.Name: {OpGte, OpLte},
	ast.Member.Name:        {OpIn, ""},
	ast.StartsWith.Name:    {OpStartsWith, ""},
	ast.EndsWith.Name:      {OpEndsWith, ""},
	ast.Contains.Name:      {OpContains, ""},
}

func comparedWith(e *ast.Expr, op Op, column string, v ast.Value) (Condition, error) {
	c := Condition{Op: op, Column: column}
	if op == OpIn {
		c, err := c.among(v)
		if err != nil {
			return c, fragment(e.Loc(), "%v cannot be made a filter of rows: %v", e, err)
		}
		return c, nil
	}
	value, err := scalar(v)
	switch {
	case err != nil:
		return c, fragment(e.Loc(), "%v cannot be made a filter of rows: %v", e, err)
	case value != nil:
		c.Values = []any{value}
		return c, nil
	case op == OpEq:
		return Condition{Op: OpIsNull, Column: column}, nil
	case op == OpNe:
		return Condition{Op: OpNot, Of: []Condition{{Op: OpIsNull, Column: column}}}, nil
	default:
		return c, fragment(e.Loc(), "%s is compared with null", column)
	}
}

// columnOf reads input.row.COLUMN.
func columnOf(v ast.Value) (string, bool) {
	ref, ok := v.(ast.Ref)
	if !ok || len(ref) != len(row)+1 || !ref.HasPrefix(row) {
		return "", false
	}
	column, ok := ref[len(row)].Value.(ast.String)
	return string(column), ok && column != ""
}

// filterRules is what policies say of rows.
var filterRules = ast.MustParseRef("data.policy[_].statement.filter")
