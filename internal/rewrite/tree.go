package rewrite

import (
	"fmt"
	"reflect"
	"sync"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/query"
)

// walk visits a tree's nodes, outer ones first.
func walk(n *pg_query.Node, visit func(*pg_query.Node)) {
	query.Walk(n, func(m any) {
		if n, ok := m.(*pg_query.Node); ok {
			visit(n)
		}
	})
}

// walkMessages visits every message of a tree, those in typed fields too.
func walkMessages(n *pg_query.Node, visit func(any)) { query.Walk(n, visit) }

// firstLocation is the first place in the text that a tree tells of, -1 when none does.
func firstLocation(n *pg_query.Node) int32 {
	first := int32(-1)
	walkMessages(n, func(m any) {
		if at, ok := m.(interface{ GetLocation() int32 }); ok {
			if l := at.GetLocation(); l >= 0 && (first < 0 || l < first) {
				first = l
			}
		}
	})
	return first
}

// match compares two trees, places in the text aside, and returns where they first
// differ, "" if nowhere.
func match(a, b *pg_query.Node) string {
	return differ(reflect.ValueOf(a), reflect.ValueOf(b))
}

func differ(a, b reflect.Value) string {
	switch a.Kind() {
	case reflect.Interface:
		if a.IsNil() || b.IsNil() || a.Elem().Type() != b.Elem().Type() {
			return unless(a.IsNil() && b.IsNil(), a)
		}
		return differ(a.Elem(), b.Elem())
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			return unless(a.IsNil() && b.IsNil(), a)
		}
		return differMessage(a, b)
	case reflect.Slice:
		if a.Len() != b.Len() {
			return unless(false, a)
		}
		for i := range a.Len() {
			if at := differ(a.Index(i), b.Index(i)); at != "" {
				return at
			}
		}
		return ""
	case reflect.String:
		return unless(a.String() == b.String(), a)
	case reflect.Bool:
		return unless(a.Bool() == b.Bool(), a)
	case reflect.Int32, reflect.Int64:
		return unless(a.Int() == b.Int(), a)
	case reflect.Uint32, reflect.Uint64:
		return unless(a.Uint() == b.Uint(), a)
	default:
		return fmt.Sprintf("a field of unknown kind %s", a.Kind()) // none exists today
	}
}

func differMessage(a, b reflect.Value) string {
	for _, f := range fieldsOf(a.Type().Elem()) {
		if at := differ(a.Elem().Field(f.index), b.Elem().Field(f.index)); at != "" {
			if f.name == "Node" {
				return at // the one-of inside a node says nothing
			}
			return f.name + "." + at
		}
	}
	return ""
}

// unless names the type at which two trees differ.
func unless(equal bool, v reflect.Value) string {
	if equal {
		return ""
	}
	return v.Type().String()
}

type field struct {
	index int
	name  string
}

// plans holds the fields of each message type that mean something: protobuf's own
// are not exported, and places in the text are left out.
var plans sync.Map // reflect.Type to []field

func fieldsOf(t reflect.Type) []field {
	if plan, ok := plans.Load(t); ok {
		if fields, ok := plan.([]field); ok {
			return fields
		}
	}
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		place := f.Type.Kind() == reflect.Int32 && (f.Name == "Location" || f.Name == "StmtLocation" || f.Name == "StmtLen")
		if f.IsExported() && !place {
			fields = append(fields, field{i, f.Name})
		}
	}
	plans.Store(t, fields)
	return fields
}
