package query

import (
	"reflect"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v5"
)

// sameTree compares the parser's JSON with a tree, without making one of it.
func sameTree(text, sql string, want *pg_query.Node, parts map[*pg_query.Node]*Part) bool {
	r := treeReader{text: text, sql: sql, parts: parts}
	if !r.literal(`{"version":`) || r.digits() == "" || !r.literal(`,"stmts":[`) {
		return false
	}
	statement := &pg_query.RawStmt{Stmt: want}
	return r.same(statementPlan(), reflect.ValueOf(statement).Elem()) && r.literal("]}") && r.at == len(text)
}

func (r *treeReader) literal(s string) bool {
	if !strings.HasPrefix(r.text[r.at:], s) {
		return false
	}
	r.at += len(s)
	return true
}

// same reads an object and reports whether it is the message.
func (r *treeReader) same(p *treePlan, m reflect.Value) bool {
	next := 0
	same := r.each(p, func(f *treeField) bool {
		for ; &p.fields[next] != f; next++ {
			if !p.fields[next].absent(m) {
				return false
			}
		}
		next++
		return r.sameField(f, m)
	})
	for ; same && next < len(p.fields); next++ {
		same = p.fields[next].absent(m)
	}
	if same && r.unsure != nil {
		n, ok := r.integerAt(r.location)
		same = ok && n == r.unsure.Ival
		r.unsure = nil
	}
	return same
}

// absent reports whether a message lacks a field, as the JSON does.
func (f *treeField) absent(m reflect.Value) bool {
	v := m.Field(f.index)
	switch {
	case f.place:
		return true
	case f.wrapper != nil:
		return v.IsNil() || v.Elem().Type() != f.pointer
	case v.Kind() == reflect.Slice:
		return v.Len() == 0
	default:
		return v.IsZero()
	}
}

func (r *treeReader) sameField(f *treeField, m reflect.Value) bool {
	v := m.Field(f.index)
	switch f.kind {
	case treeString:
		return r.sameString(v.String())
	case treeBool:
		b, ok := r.boolean()
		return ok && b == v.Bool()
	case treeInt:
		n, ok := r.signed()
		if f.place {
			r.location = int(n)
			return ok
		}
		return ok && n == v.Int()
	case treeUint:
		n, ok := r.unsigned()
		return ok && n == v.Uint()
	case treeEnum:
		n, ok := r.enum(f)
		return ok && int64(n) == v.Int()
	case treeMessage:
		return r.sameMessage(f, v)
	case treeNode:
		n, ok := v.Interface().(*pg_query.Node)
		return ok && r.sameNode(f.message, n)
	case treeNodes:
		r.inBounds = f.bounds
		list, ok := v.Addr().Interface().(*[]*pg_query.Node)
		return ok && r.sameNodes(f, *list)
	default:
		return false
	}
}

func (r *treeReader) sameMessage(f *treeField, v reflect.Value) bool {
	if v.IsNil() {
		return false
	}
	v = v.Elem()
	if f.wrapper != nil { // v is a pointer to it
		if v.Type() != f.pointer {
			return false
		}
		v = v.Elem().Field(0)
		if i, is := v.Interface().(*pg_query.Integer); is && strings.HasPrefix(r.text[r.at:], "{}") {
			r.at += len("{}")
			r.unsure = i
			return true
		}
		v = v.Elem()
	}
	return r.same(f.message, v)
}

func (r *treeReader) sameNode(p *treePlan, want *pg_query.Node) bool {
	if want == nil {
		return false
	}
	if r.samePart(r.parts[want]) {
		return true
	}
	if !r.take('{') {
		return false
	}
	if r.take('}') {
		return want.Node == nil
	}
	name, ok := r.key()
	i, known := p.members[name]
	if !ok || !known {
		return false
	}
	f := &p.fields[i]
	w := reflect.ValueOf(want.Node)
	if want.Node == nil || w.Type() != f.pointer {
		return false
	}
	if n, is := want.Node.(*pg_query.Node_Integer); is && strings.HasPrefix(r.text[r.at:], "{}") {
		var bound pg_query.Integer
		if !r.bound(&bound) || bound.Ival != n.Integer.GetIval() {
			return false
		}
		r.at += len("{}")
		return r.take('}')
	}
	m := w.Elem().Field(0)
	return !m.IsNil() && r.same(f.message, m.Elem()) && r.take('}')
}

func (r *treeReader) sameNodes(f *treeField, list []*pg_query.Node) bool {
	if !r.take('[') {
		return false
	}
	for i, n := range list {
		if i > 0 && !r.take(',') || !r.sameNode(f.message, n) {
			return false
		}
	}
	r.inBounds = false
	return r.take(']')
}

func (r *treeReader) sameString(want string) bool {
	if rest := r.text[r.at:]; len(rest) > len(want)+1 && rest[0] == '"' && rest[1:len(want)+1] == want && rest[len(want)+1] == '"' &&
		strings.IndexByte(want, '\\') < 0 {
		r.at += len(want) + 2
		return true
	}
	got, ok := r.str()
	return ok && got == want
}
