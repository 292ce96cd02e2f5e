package rego

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// unmarked are builtins that answer differently over time although OPA does not
// mark them nondeterministic: certificates are verified at the present time.
var unmarked = map[string]bool{
	ast.CryptoX509ParseAndVerifyCertificates.Name:            true,
	ast.CryptoX509ParseAndVerifyCertificatesWithOptions.Name: true,
}

// dependencies is what the rules reachable from an entrypoint may look at.
type dependencies struct {
	inputs    []ast.Ref  // prefixes: the decision depends on nothing of input outside of these
	volatile  []use      // calls that make it depend on more than policy, data and input
	rest      [][]string // inputs as keys below input, those below input.statement left out
	statement [][]string // inputs below input.statement, as keys below it
	clock     bool       // it depends on the moment, so that no two questions are equal
}

// use is a call of a builtin whose result is not determined by its arguments.
type use struct {
	builtin  string
	location *ast.Location
}

// cacheable reports whether equal keys lead to equal decisions, and ever occur.
func (d *dependencies) cacheable() bool { return len(d.volatile) == 0 && !d.clock }

// dependenciesOf walks the rules an entrypoint can reach. It relies on the
// compiler's own rule graph, in which a reference that is not constant leads to
// every rule it could stand for, and takes the constant prefix of every reference
// into input. Values reach a rule by no other way, so what it reports is never
// too little. Rules that the entrypoint only names in a text are given as well.
func dependenciesOf(c *ast.Compiler, entrypoint ast.Ref, named ...*ast.Rule) *dependencies {
	w := reach(c, entrypoint)
	for _, r := range named {
		w.rule(r)
	}
	d := w.found
	d.inputs = minimal(w.inputs)
	for _, ref := range d.inputs {
		d.split(keysOf(ref))
	}
	return d
}

// reach walks the rules that a reference leads to.
func reach(c *ast.Compiler, ref ast.Ref) *walker {
	w := &walker{compiler: c, seen: map[*ast.Rule]bool{}, found: &dependencies{}}
	for _, r := range c.GetRules(ref) {
		w.rule(r)
	}
	return w
}

func (d *dependencies) split(path []string) {
	switch {
	case len(path) == 0, path[0] == "time" && (len(path) == 1 || path[1] == "now_ns" || path[1] == "rfc3339"):
		d.clock = true
		d.rest = append(d.rest, path)
	case path[0] == "statement":
		d.statement = append(d.statement, path[1:])
	default:
		d.rest = append(d.rest, path)
	}
}

// keysOf is the longest start of a reference that is made of object keys.
func keysOf(ref ast.Ref) []string {
	var path []string
	for _, t := range ref[1:] {
		s, ok := t.Value.(ast.String)
		if !ok {
			break
		}
		path = append(path, string(s))
	}
	return path
}

type walker struct {
	compiler *ast.Compiler
	skip     func(*ast.Rule) bool // rules not to enter; nil for none
	seen     map[*ast.Rule]bool
	inputs   []ast.Ref
	found    *dependencies
}

func (w *walker) rule(r *ast.Rule) {
	if w.seen[r] || w.skip != nil && w.skip(r) {
		return
	}
	w.seen[r] = true
	var v *ast.GenericVisitor
	v = ast.NewGenericVisitor(func(x any) bool { return w.node(v, x) })
	v.Walk(r)
	for next := range w.compiler.Graph.Dependencies(r) {
		if rule, ok := next.(*ast.Rule); ok {
			w.rule(rule)
		}
	}
	if r.Else != nil {
		w.rule(r.Else)
	}
}

func (w *walker) node(v *ast.GenericVisitor, x any) bool {
	switch x := x.(type) {
	case *ast.Expr:
		if x.IsCall() {
			w.call(x.Operator(), x.Location)
		}
	case ast.Call:
		if op, ok := x[0].Value.(ast.Ref); ok {
			w.call(op, x[0].Location)
		}
	case *ast.With:
		if ref, ok := x.Value.Value.(ast.Ref); ok {
			w.call(ref, x.Location)
		}
	case ast.Ref:
		if x[0].Equal(ast.InputRootDocument) {
			w.inputs = append(w.inputs, x.ConstantPrefix())
		} else if _, ok := x[0].Value.(ast.Var); !ok {
			v.Walk(x[0]) // a call, a comprehension
		}
		for _, t := range x[1:] {
			v.Walk(t)
		}
		return true
	case ast.Var:
		if x.Equal(ast.InputRootDocument.Value) {
			w.inputs = append(w.inputs, ast.InputRootRef)
		}
	}
	return false
}

func (w *walker) call(op ast.Ref, loc *ast.Location) {
	name := op.String()
	b, ok := ast.BuiltinMap[name]
	if ok && (b.IsNondeterministic() || unmarked[name]) {
		w.found.volatile = append(w.found.volatile, use{name, loc})
	}
}

// minimal drops references below others.
func minimal(refs []ast.Ref) []ast.Ref {
	slices.SortFunc(refs, ast.RefCompare)
	var out []ast.Ref
	for _, r := range refs {
		if len(out) > 0 && r.HasPrefix(out[len(out)-1]) {
			continue
		}
		out = append(out, r)
	}
	return out
}

// key condenses the parts of the input the decision can depend on.
func (d *dependencies) key(in *Input) ([32]byte, error) {
	space, _ := keySpace.Get().(*[]byte)
	defer keySpace.Put(space)
	b := (*space)[:0]
	var err error
	v := reflect.ValueOf(in).Elem()
	for _, path := range d.rest {
		if b, err = appendPart(b, inputLayout, v, path); err != nil {
			return [32]byte{}, err
		}
	}
	switch s := in.Statement; {
	case s == nil:
		b = append(b, 0)
	default:
		sum, err := d.statementSum(s)
		if err != nil {
			return [32]byte{}, err
		}
		b = append(append(b, 1), sum[:]...)
	}
	*space = b
	return sha256.Sum256(b), nil
}

var keySpace = sync.Pool{New: func() any { return new(make([]byte, 0, 512)) }}

func (d *dependencies) statementSum(s *Statement) ([32]byte, error) {
	if k := s.memo.key.Load(); k != nil && k.of == d {
		return k.sum, nil
	}
	var b []byte
	var err error
	v := reflect.ValueOf(s).Elem()
	for _, path := range d.statement {
		if b, err = appendPart(b, statementLayout, v, path); err != nil {
			return [32]byte{}, fmt.Errorf("statement: %w", err)
		}
	}
	k := &statementKey{of: d, sum: sha256.Sum256(b)}
	s.memo.key.Store(k)
	return k.sum, nil
}

func appendPart(b []byte, l *layout, v reflect.Value, path []string) ([]byte, error) {
	l, v, ok := l.find(v, path)
	if !ok {
		return append(b, 0), nil // undefined, or part of the path is
	}
	return l.appendKey(append(b, 1), v)
}
