package rego

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/ast"
)

// The input is turned into Rego's own values directly: by way of JSON or Go maps
// a decision would cost a third more. How a type is turned is worked out once,
// from the same struct tags that its JSON Schema is made from, and serves twice:
// to make the value, and to write the parts a decision depends on into its key.

// layout is how one Go type of the input becomes a Rego value.
type layout struct {
	kind   reflect.Kind
	fields []fieldLayout // of structs, in the order Rego sorts keys
	named  map[string]*fieldLayout
	elem   *layout // of pointers, slices and maps
}

type fieldLayout struct {
	name  string
	key   *ast.Term
	index int
	omit  bool // left out when it is zero
	of    *layout
}

var inputLayout = layoutOf(reflect.TypeFor[Input]())

var statementType = reflect.TypeFor[Statement]()

func layoutOf(t reflect.Type) *layout {
	l := &layout{kind: t.Kind()}
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if !f.IsExported() {
				continue
			}
			name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
			l.fields = append(l.fields, fieldLayout{
				name: name, key: ast.InternedTerm(name), index: i,
				omit: opts == "omitempty", of: layoutOf(f.Type),
			})
		}
		slices.SortFunc(l.fields, func(a, b fieldLayout) int { return strings.Compare(a.name, b.name) })
		l.named = make(map[string]*fieldLayout, len(l.fields))
		for i := range l.fields {
			l.named[l.fields[i].name] = &l.fields[i]
		}
	case reflect.Pointer, reflect.Slice, reflect.Map:
		l.elem = layoutOf(t.Elem())
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64, reflect.Interface:
	default:
		panic("rego: no layout for " + t.String()) // at start, not by anything a client sends
	}
	return l
}

func absent(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	default:
		return v.IsZero()
	}
}

// value makes the Rego value of v.
func (l *layout) value(v reflect.Value) (ast.Value, error) {
	t, err := l.term(v)
	if err != nil {
		return nil, err
	}
	return t.Value, nil
}

func (l *layout) term(v reflect.Value) (*ast.Term, error) {
	switch l.kind {
	case reflect.String:
		return ast.InternedTerm(v.String()), nil
	case reflect.Bool:
		return ast.InternedTerm(v.Bool()), nil
	case reflect.Int, reflect.Int64:
		return ast.InternedTerm(int(v.Int())), nil
	case reflect.Float64:
		return ast.FloatNumberTerm(v.Float()), nil
	case reflect.Pointer:
		if s, ok := v.Interface().(*Statement); ok {
			return s.memo.term(s)
		}
		return l.elem.term(v.Elem())
	case reflect.Slice:
		terms := make([]*ast.Term, v.Len())
		for i := range terms {
			var err error
			if terms[i], err = l.elem.term(v.Index(i)); err != nil {
				return nil, err
			}
		}
		return ast.ArrayTerm(terms...), nil
	case reflect.Map:
		return l.mapTerm(v)
	case reflect.Struct:
		return l.structTerm(v)
	case reflect.Interface:
		return looseTerm(v.Interface())
	default:
		return nil, fmt.Errorf("input: a %v cannot be told to a policy", l.kind)
	}
}

func (l *layout) structTerm(v reflect.Value) (*ast.Term, error) {
	pairs := make([][2]*ast.Term, 0, len(l.fields))
	for i := range l.fields {
		f := &l.fields[i]
		fv := v.Field(f.index)
		if f.omit && absent(fv) {
			continue
		}
		t, err := f.of.term(fv)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, [2]*ast.Term{f.key, t})
	}
	return ast.ObjectTerm(pairs...), nil
}

func (l *layout) mapTerm(v reflect.Value) (*ast.Term, error) {
	pairs := make([][2]*ast.Term, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		t, err := l.elem.term(it.Value())
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, [2]*ast.Term{ast.StringTerm(it.Key().String()), t})
	}
	return ast.ObjectTerm(pairs...), nil
}

func looseTerm(x any) (*ast.Term, error) {
	v, err := ast.InterfaceToValue(x)
	if err != nil {
		return nil, fmt.Errorf("input: claims: %w", err)
	}
	return ast.NewTerm(v), nil
}

// find follows a path of keys into v as far as it leads to one value. Within
// arrays, and below what has no layout, it stops early: what it returns then
// holds more than was asked for, never less.
func (l *layout) find(v reflect.Value, path []string) (*layout, reflect.Value, bool) {
	for {
		if l.kind == reflect.Pointer {
			if v.IsNil() {
				return nil, v, false
			}
			l, v = l.elem, v.Elem()
			continue
		}
		if len(path) == 0 {
			return l, v, true
		}
		switch l.kind {
		case reflect.Struct:
			f := l.named[path[0]]
			if f == nil || f.omit && absent(v.Field(f.index)) {
				return nil, v, false
			}
			l, v, path = f.of, v.Field(f.index), path[1:]
		case reflect.Map:
			e := v.MapIndex(reflect.ValueOf(path[0]))
			if !e.IsValid() {
				return nil, v, false
			}
			l, v, path = l.elem, e, path[1:]
		default:
			return l, v, true
		}
	}
}

// appendKey writes v so that different values are written differently.
func (l *layout) appendKey(b []byte, v reflect.Value) ([]byte, error) {
	switch l.kind {
	case reflect.String:
		return appendText(b, 's', v.String()), nil
	case reflect.Bool:
		if v.Bool() {
			return append(b, 't'), nil
		}
		return append(b, 'f'), nil
	case reflect.Int, reflect.Int64:
		return binary.BigEndian.AppendUint64(append(b, 'd'), uint64(v.Int())), nil
	case reflect.Float64:
		return binary.BigEndian.AppendUint64(append(b, 'f'), math.Float64bits(v.Float())), nil
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, 'n'), nil
		}
		return l.elem.appendKey(append(b, 'p'), v.Elem())
	case reflect.Slice:
		b = appendSize(b, 'a', v.Len())
		for i := range v.Len() {
			var err error
			if b, err = l.elem.appendKey(b, v.Index(i)); err != nil {
				return nil, err
			}
		}
		return b, nil
	case reflect.Struct:
		for i := range l.fields {
			var err error
			if b, err = l.fields[i].of.appendKey(b, v.Field(l.fields[i].index)); err != nil {
				return nil, err
			}
		}
		return b, nil
	default: // maps and claims, in Rego's order
		t, err := l.term(v)
		if err != nil {
			return nil, err
		}
		return appendValue(b, t.Value)
	}
}

func appendValue(b []byte, v ast.Value) ([]byte, error) {
	switch v := v.(type) {
	case ast.Null:
		return append(b, 'N'), nil
	case ast.Boolean:
		if v {
			return append(b, 'T'), nil
		}
		return append(b, 'F'), nil
	case ast.Number:
		return appendText(b, 'D', string(v)), nil
	case ast.String:
		return appendText(b, 'S', string(v)), nil
	case *ast.Array:
		b = appendSize(b, 'A', v.Len())
		var err error
		for i := 0; i < v.Len() && err == nil; i++ {
			b, err = appendValue(b, v.Elem(i).Value)
		}
		return b, err
	case ast.Object:
		b = appendSize(b, 'O', v.Len())
		err := v.Iter(func(k, e *ast.Term) (err error) {
			if b, err = appendValue(b, k.Value); err == nil {
				b, err = appendValue(b, e.Value)
			}
			return err
		})
		return b, err
	default:
		return nil, fmt.Errorf("input: %T has no key", v)
	}
}

func appendText(b []byte, kind byte, s string) []byte {
	return append(appendSize(b, kind, len(s)), s...)
}

func appendSize(b []byte, kind byte, n int) []byte {
	return binary.BigEndian.AppendUint64(append(b, kind), uint64(n))
}

// memo keeps what was worked out of a Statement.
type memo struct {
	made atomic.Pointer[ast.Term]
	key  atomic.Pointer[statementKey]
}

// statementKey is the statement's share of the cache key, for one analysis of
// the policies.
type statementKey struct {
	of  *dependencies
	sum [32]byte
}

func (m *memo) term(s *Statement) (*ast.Term, error) {
	if t := m.made.Load(); t != nil {
		return t, nil
	}
	t, err := statementLayout.structTerm(reflect.ValueOf(s).Elem())
	if err != nil {
		return nil, err
	}
	m.made.Store(t)
	return t, nil
}

var statementLayout = layoutOf(statementType)

// value is the input as Rego sees it.
func (in *Input) value() (ast.Value, error) {
	return inputLayout.value(reflect.ValueOf(in).Elem())
}
