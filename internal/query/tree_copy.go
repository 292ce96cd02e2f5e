package query

import (
	"reflect"

	pg_query "github.com/pganalyze/pg_query_go/v5"
)

// Copy copies the statement's tree, with places counted from the beginning of its
// own text. When it is done it visits each pair of a message and its copy, outer ones
// first.
func (st *Statement) Copy(visit func(original, made any)) *pg_query.Node {
	c := treeCopier{from: int64(st.start), pairs: make([]treePair, 0, usualPairs)}
	made := c.node(nodePlan(), st.Node)
	for _, pair := range c.pairs {
		visit(pair.original, pair.made)
	}
	return made
}

type treeCopier struct {
	from  int64
	pairs []treePair
}

// usualPairs are what a short statement has.
const usualPairs = 64

type treePair struct{ original, made any }

func (c *treeCopier) visit(original, made any) {
	c.pairs = append(c.pairs, treePair{original, made})
}

func (c *treeCopier) node(p *treePlan, n *pg_query.Node) *pg_query.Node {
	if n == nil {
		return nil
	}
	if n.Node == nil {
		made := &pg_query.Node{}
		c.visit(n, made)
		return made
	}
	w := reflect.ValueOf(n.Node)
	f := &p.fields[p.types[w.Type().Elem()]]
	whole := reflect.New(f.whole).Elem()
	node, wrapper, message := whole.Field(0), whole.Field(1), whole.Field(2)
	node.Field(f.index).Set(wrapper.Addr())
	made, _ := node.Addr().Interface().(*pg_query.Node)
	original := w.Elem().Field(0)
	if !original.IsNil() {
		wrapper.Field(0).Set(message.Addr())
		message.Set(original.Elem())
	}
	c.visit(n, made)
	if !original.IsNil() {
		c.inside(f.message, original, message)
	}
	return made
}

// message copies what a field points to.
func (c *treeCopier) message(p *treePlan, original reflect.Value) reflect.Value {
	made := reflect.New(p.typ)
	made.Elem().Set(original.Elem())
	c.inside(p, original, made.Elem())
	return made
}

// inside has the fields of a message that was copied copied too.
func (c *treeCopier) inside(p *treePlan, original, made reflect.Value) {
	c.visit(original.Interface(), made.Addr().Interface())
	c.places(p, made)
	for _, i := range p.inner { // the others are copied by value
		f := &p.fields[i]
		v := made.Field(f.index)
		switch {
		case v.IsNil():
		case f.kind == treeNode:
			n, _ := v.Interface().(*pg_query.Node)
			v.Set(reflect.ValueOf(c.node(f.message, n)))
		case f.kind == treeNodes:
			c.nodes(f.message, v)
		case f.kind == treeMessages:
			list := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
			for i := range v.Len() {
				list.Index(i).Set(c.message(f.message, v.Index(i)))
			}
			v.Set(list)
		case f.wrapper == nil:
			v.Set(c.message(f.message, v))
		case v.Elem().Type() == f.pointer:
			w := reflect.New(f.wrapper)
			w.Elem().Field(0).Set(c.message(f.message, v.Elem().Elem().Field(0)))
			v.Set(w)
		}
	}
}

func (c *treeCopier) places(p *treePlan, made reflect.Value) {
	if c.from == 0 {
		return
	}
	for i := range p.fields {
		if !p.fields[i].place {
			continue
		}
		v := made.Field(p.fields[i].index)
		if at := v.Int(); at >= 0 {
			v.SetInt(at - c.from)
		}
	}
}

func (c *treeCopier) nodes(p *treePlan, v reflect.Value) {
	list, ok := v.Addr().Interface().(*[]*pg_query.Node)
	if !ok {
		return
	}
	made := make([]*pg_query.Node, len(*list))
	for i, n := range *list {
		made[i] = c.node(p, n)
	}
	*list = made
}
