package query

import (
	"reflect"

	pg_query "github.com/pganalyze/pg_query_go/v5"
)

// Walk visits every message of a tree, outer ones first.
func Walk(n *pg_query.Node, visit func(message any)) {
	walkNode(nodePlan(), n, visit)
}

func walkNode(p *treePlan, n *pg_query.Node, visit func(any)) {
	if n == nil {
		return
	}
	visit(n)
	if n.Node == nil {
		return
	}
	w := reflect.ValueOf(n.Node).Elem()
	walkMessage(p.fields[p.types[w.Type()]].message, w.Field(0), visit)
}

// walkMessage visits what a pointer points to.
func walkMessage(p *treePlan, v reflect.Value, visit func(any)) {
	if v.IsNil() {
		return
	}
	visit(v.Interface())
	m := v.Elem()
	for _, i := range p.inner {
		f := &p.fields[i]
		v := m.Field(f.index)
		switch {
		case v.IsNil():
		case f.kind == treeNode:
			n, _ := v.Interface().(*pg_query.Node)
			walkNode(f.message, n, visit)
		case f.kind == treeNodes:
			if list, ok := v.Addr().Interface().(*[]*pg_query.Node); ok {
				for _, n := range *list {
					walkNode(f.message, n, visit)
				}
			}
		case f.kind == treeMessages:
			for j := range v.Len() {
				walkMessage(f.message, v.Index(j), visit)
			}
		case f.wrapper == nil:
			walkMessage(f.message, v, visit)
		case v.Elem().Type() == f.pointer:
			walkMessage(f.message, v.Elem().Elem().Field(0), visit)
		}
	}
}
