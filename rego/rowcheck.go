package rego

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// Whether a rule can be made a filter shows in full only when it is evaluated for a
// caller. What can be told before is told here, with everything of the input unknown,
// so that an author hears of it before an agent is refused.

// faults are complaints about the rules that choose rows.
func (r rowRules) faults(ctx context.Context, compiler *ast.Compiler) []Complaint {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := &checker{}
	for _, rule := range r {
		if rule.err != nil {
			c.at(rule.location, "%v", rule.err)
			continue
		}
		c.chosenOtherwise(compiler, rule.ref)
		left, err := rule.query.Partial(ctx, rego.EvalParsedUnknowns([]*ast.Term{ast.NewTerm(ast.InputRootRef)}), rego.EvalRuleIndexing(false))
		if err != nil {
			continue // it is told at run time
		}
		at := rule.location
		for _, body := range left.Queries {
			c.fragments(at, body)
		}
		for _, support := range left.Support {
			for _, rule := range support.Rules {
				c.fragments(at, rule.Body)
			}
		}
	}
	return c.sorted()
}

// chosenOtherwise complains of rules over a row that have a default or an else:
// partial evaluation leaves these as they are.
func (c *checker) chosenOtherwise(compiler *ast.Compiler, ref ast.Ref) {
	for rule := range reach(compiler, ref).seen {
		plain := rule.Ref().Equal(ref) && rule.Head.Value.Value.Compare(ast.Boolean(false)) == 0
		if rule.Default && !plain && slices.ContainsFunc(compiler.GetRulesExact(rule.Ref()), func(r *ast.Rule) bool { return overRow(compiler, r) }) {
			c.at(rule.Location, "%s: a rule over input.row cannot have such a default: rows that no rule chooses are not shown", fragmentError)
		}
		if rule.Else != nil && overRow(compiler, rule) {
			c.at(rule.Location, "%s: a rule over input.row cannot have an else: write rules side by side", fragmentError)
		}
	}
}

// overRow reports whether a rule looks at the row, itself or by others.
func overRow(compiler *ast.Compiler, rule *ast.Rule) bool {
	w := &walker{compiler: compiler, seen: map[*ast.Rule]bool{}, found: &dependencies{}}
	w.rule(rule)
	return slices.ContainsFunc(w.inputs, func(ref ast.Ref) bool { return ref.HasPrefix(row) })
}

// fragments complains of expressions over the row that are no comparisons of columns.
func (c *checker) fragments(at *ast.Location, body ast.Body) {
	for _, e := range withoutAliases(body) {
		if every, ok := e.Terms.(*ast.Every); ok {
			c.fragments(at, every.Body)
			continue
		}
		if !mentionsRow(e) {
			continue
		}
		_, err := comparison(settled(e))
		var fault *ast.Error
		if !errors.As(err, &fault) {
			continue
		}
		loc := fault.Location
		if loc == nil || loc.File == "" {
			loc = at
		}
		c.at(loc, "%s: %s", fault.Code, fault.Message)
	}
}

// withoutAliases puts columns in the place of variables that stand for them, as they
// are left in bodies of every.
func withoutAliases(body ast.Body) []*ast.Expr {
	aliases := map[ast.Var]*ast.Term{}
	var rest []*ast.Expr
	for _, e := range body {
		if e.IsEquality() && !e.Negated {
			alias, isVar := e.Operand(0).Value.(ast.Var)
			if _, isColumn := columnOf(e.Operand(1).Value); isVar && isColumn {
				aliases[alias] = e.Operand(1)
				continue
			}
		}
		rest = append(rest, e)
	}
	for i, e := range rest {
		if terms, ok := e.Terms.([]*ast.Term); ok && len(aliases) > 0 {
			e = e.Copy()
			terms = slices.Clone(terms)
			for j, t := range terms {
				if alias, ok := t.Value.(ast.Var); ok && aliases[alias] != nil {
					terms[j] = aliases[alias]
				}
			}
			e.Terms = terms
			rest[i] = e
		}
	}
	return rest
}

func mentionsRow(x any) bool {
	found := false
	ast.WalkRefs(x, func(ref ast.Ref) bool {
		found = found || ref.HasPrefix(row)
		return found
	})
	return found
}

// settled puts values in the place of what will be known at run time.
func settled(e *ast.Expr) *ast.Expr {
	if !e.IsCall() {
		return e
	}
	e = e.Copy()
	terms, ok := e.Terms.([]*ast.Term)
	if !ok {
		return e
	}
	value := ast.InternedTerm(1)
	if e.Operator().String() == ast.Member.Name {
		value = ast.SetTerm(value)
	}
	for i, operand := range e.Operands() {
		open := false
		ast.WalkTerms(operand, func(t *ast.Term) bool {
			switch t.Value.(type) {
			case ast.Ref, ast.Var, ast.Call, *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
				open = true
			}
			return open
		})
		if open && !mentionsRow(operand) {
			terms[i+1] = value
		}
	}
	return e
}

// filterRule complains of what a statement.filter says. The modules are as they were
// parsed.
func (c *checker) filterRule(compiler *ast.Compiler, r *ast.Rule) {
	ast.WalkRefs(r, func(ref ast.Ref) bool {
		if ref.HasPrefix(claims) && len(ref) > len(claims) {
			c.at(r.Location, "statement.filter is not there for callers without %v, who are shown all rows: choose the rows by a rule below data.policy.NAME.rows, or use object.get(%v, …, null)", ref, claims)
		}
		return false
	})
	said := r.Head.Key
	if said == nil {
		return
	}
	filter, isObject := said.Value.(ast.Object)
	if !isObject {
		return // as far as can be told without running it
	}
	for _, key := range filter.Keys() {
		if name, isName := key.Value.(ast.String); isName && name != "table" && name != "where" {
			c.at(r.Location, "statement.filter has a key nobody knows: %v; there are table and where", key)
		}
	}
	where := filter.Get(ast.InternedTerm("where"))
	if where == nil {
		c.at(r.Location, "statement.filter needs a where")
		return
	}
	path, ok := where.Value.(ast.String)
	if !ok {
		return
	}
	ref, err := rowsPath(string(path))
	switch {
	case err != nil:
		c.at(r.Location, "statement.filter: %v", err)
	case len(compiler.GetRulesExact(ref)) == 0:
		c.at(r.Location, "statement.filter: there is no rule %v", ref)
	}
}

// claims is what a caller may or may not have.
var claims = ast.MustParseRef("input.identity.claims")

// filterRules complains of the filters that the policies of a bundle say.
func (c *checker) filterRules(compiler *ast.Compiler, modules map[string]*ast.Module) {
	for _, m := range modules {
		if !strings.HasPrefix(m.Package.Path.String(), "data.policy.") {
			continue
		}
		for _, r := range m.Rules {
			if words := headWords(r.Head); len(words) > 1 && words[0] == "statement" && words[1] == "filter" {
				c.filterRule(compiler, r)
			}
		}
	}
}
