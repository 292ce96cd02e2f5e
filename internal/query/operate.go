package query

import (
	pg_query "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sallyport/sallyport/internal/catalog"
)

// operatorExpression analyses an operator and the constructs PostgreSQL turns into
// one.
func (s *state) operatorExpression(e *pg_query.A_Expr, sc *scope) value {
	operations, leaks := s.operations, s.leaks
	v := s.operated(e, sc)
	if s.operations > operations && s.leaks == leaks {
		s.out.Leakproof = append(s.out.Leakproof, e)
	}
	return v
}

func (s *state) operated(e *pg_query.A_Expr, sc *scope) value {
	schema, op, ok := s.operatorName(e.Name)
	switch e.Kind {
	case pg_query.A_Expr_Kind_AEXPR_BETWEEN, pg_query.A_Expr_Kind_AEXPR_BETWEEN_SYM,
		pg_query.A_Expr_Kind_AEXPR_NOT_BETWEEN, pg_query.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		return s.between(e, sc)
	case pg_query.A_Expr_Kind_AEXPR_IN:
		return s.in(e, schema, op, sc)
	default:
	}
	if link := rowSubLink(e); link != nil {
		return s.rowCompared(e, link, schema, op, sc)
	}
	var left *value
	out := value{typ: boolOID}
	if e.Lexpr != nil {
		v := s.expression(e.Lexpr, sc)
		left = &v
		out.edges = append(out.edges, v.inside()...)
	}
	right := s.expression(e.Rexpr, sc)
	out.edges = append(out.edges, right.inside()...)
	if !ok {
		return out
	}
	switch e.Kind {
	case pg_query.A_Expr_Kind_AEXPR_OP:
		if left != nil && left.fields != nil && right.fields != nil {
			s.compareFields(schema, op, left, &right)
			break
		}
		out.typ = s.operatorNamed(schema, op, left, &right)
	case pg_query.A_Expr_Kind_AEXPR_OP_ANY, pg_query.A_Expr_Kind_AEXPR_OP_ALL:
		s.anyElement(schema, op, left, right)
	case pg_query.A_Expr_Kind_AEXPR_DISTINCT, pg_query.A_Expr_Kind_AEXPR_NOT_DISTINCT:
		if left != nil && left.fields != nil && right.fields != nil {
			s.compareFields(schema, op, left, &right)
			break
		}
		s.condition(value{typ: s.operatorNamed(schema, op, left, &right)})
	case pg_query.A_Expr_Kind_AEXPR_LIKE, pg_query.A_Expr_Kind_AEXPR_ILIKE, pg_query.A_Expr_Kind_AEXPR_SIMILAR:
		out.typ = s.operatorNamed(schema, op, left, &right)
	case pg_query.A_Expr_Kind_AEXPR_NULLIF:
		made := s.operation(schema, op, left, &right)
		s.condition(value{typ: made.typ})
		out.typ = made.left
	default:
		s.unresolved("expression " + e.Kind.String())
	}
	return out
}

// rowSubLink is the subquery that a row is compared with.
func rowSubLink(e *pg_query.A_Expr) *pg_query.SubLink {
	link := e.Rexpr.GetSubLink()
	if e.Kind != pg_query.A_Expr_Kind_AEXPR_OP || e.Lexpr.GetRowExpr() == nil ||
		link.GetSubLinkType() != pg_query.SubLinkType_EXPR_SUBLINK {
		return nil
	}
	return link
}

func (s *state) rowCompared(e *pg_query.A_Expr, link *pg_query.SubLink, schema, op string, sc *scope) value {
	out := value{typ: boolOID}
	left := s.expression(e.Lexpr, sc)
	s.out.Shape.Subqueries++
	outputs := s.settle(s.query(link.Subselect, sc, s.ctesOf(sc)))
	out.edges = append(out.edges, left.inside()...)
	for _, o := range outputs {
		out.edges = append(out.edges, o.value.inside()...)
	}
	if len(outputs) == 1 { // a column whose value is a row
		s.unsure = true
	}
	s.compareRow(schema, op, &left, outputs)
	return out
}

// compareFields compares two rows field by field.
func (s *state) compareFields(schema, op string, left, right *value) {
	for i := range left.fields {
		if i < len(right.fields) {
			s.condition(value{typ: s.operatorNamed(schema, op, &left.fields[i], &right.fields[i])})
		}
	}
}

// anyElement compares with the elements of an array.
func (s *state) anyElement(schema, op string, left *value, array value) {
	element := value{known: array.known, typ: s.rules().element(s.rules().base(array.typ)), row: array.row}
	if array.typ != 0 && element.typ == 0 {
		element.known = false
	}
	s.condition(value{typ: s.operatorNamed(schema, op, left, &element)})
	if array.param != 0 && left != nil { // it is an array of what the operator takes
		s.fix(&array, s.snapshot.ArrayOf(s.rules().base(left.typ)))
	}
}

// between is two comparisons, of which SYMMETRIC makes four.
func (s *state) between(e *pg_query.A_Expr, sc *scope) value {
	out := value{typ: boolOID}
	left := s.expression(e.Lexpr, sc)
	out.edges = append(out.edges, left.inside()...)
	bounds := s.each(sc, e.Rexpr.GetList().GetItems())
	for i := range bounds {
		out.edges = append(out.edges, bounds[i].inside()...)
	}
	if len(bounds) != 2 {
		s.unresolved("BETWEEN")
		return out
	}
	low, high := ">=", "<="
	if e.Kind == pg_query.A_Expr_Kind_AEXPR_NOT_BETWEEN || e.Kind == pg_query.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM {
		low, high = "<", ">"
	}
	compare := func(op string, bound *value) {
		if left.fields != nil && bound.fields != nil {
			s.compareFields("", op, &left, bound)
			return
		}
		s.condition(value{typ: s.operatorNamed("", op, &left, bound)})
	}
	compare(low, &bounds[0])
	compare(high, &bounds[1])
	if e.Kind == pg_query.A_Expr_Kind_AEXPR_BETWEEN_SYM || e.Kind == pg_query.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM {
		compare(low, &bounds[1])
		compare(high, &bounds[0])
	}
	return out
}

// in compares with each of a list: with an array of those that are no columns, if
// they are several and of one type, else one by one.
func (s *state) in(e *pg_query.A_Expr, schema, op string, sc *scope) value {
	out := value{typ: boolOID}
	left := s.expression(e.Lexpr, sc)
	out.edges = append(out.edges, left.inside()...)
	nodes := e.Rexpr.GetList().GetItems()
	items := s.each(sc, nodes)
	var together, rest []*value
	for i := range items {
		out.edges = append(out.edges, items[i].inside()...)
		switch columns := columnsIn(nodes[i], sc); columns {
		case noColumns:
			together = append(together, &items[i])
		case someColumns:
			rest = append(rest, &items[i])
		default: // of this level or of another: both ways are listed
			together, rest = append(together, &items[i]), append(rest, &items[i])
		}
	}
	if len(together) < 2 || !s.inArray(schema, op, &left, together) {
		rest = append(together, rest...)
	}
	for _, item := range rest {
		if left.fields != nil && item.fields != nil {
			s.compareFields(schema, op, &left, item)
			continue
		}
		s.condition(value{typ: s.operatorNamed(schema, op, &left, item)})
	}
	return out
}

// inArray compares with the elements of an array of the values, if they have a type
// in common that there are arrays of.
func (s *state) inArray(schema, op string, left *value, items []*value) bool {
	types := []catalog.OID{left.input()}
	for _, item := range items {
		types = append(types, item.input())
	}
	typ, ok := s.rules().common(types)
	if !ok || typ == recordOID {
		return false
	}
	for _, t := range types {
		if !s.rules().coercibleTo(t, typ, implicit) {
			return false
		}
	}
	if typ != 0 && s.snapshot.ArrayOf(typ) == 0 {
		return false
	}
	for _, item := range items {
		s.coerce(item, typ, implicit)
	}
	s.condition(value{typ: s.operatorNamed(schema, op, left, &value{typ: typ})})
	return true
}

type levelColumns int

const (
	noColumns    levelColumns = iota // none of the level of the query
	someColumns                      // columns of the level
	maybeColumns                     // a subquery, which may refer to some
)

// columnsIn tells whether an expression has columns of the innermost query.
func columnsIn(node *pg_query.Node, sc *scope) levelColumns {
	switch n := node.GetNode().(type) {
	case nil, *pg_query.Node_AConst, *pg_query.Node_ParamRef:
		return noColumns
	case *pg_query.Node_TypeCast:
		return columnsIn(n.TypeCast.Arg, sc)
	case *pg_query.Node_SubLink:
		return maybeColumns
	case *pg_query.Node_ColumnRef:
		if ofLevel(n.ColumnRef, sc) {
			return someColumns
		}
		return noColumns
	}
	found := noColumns
	forNodes(node.ProtoReflect(), func(inner *pg_query.Node) {
		found = max(found, columnsIn(inner, sc))
	})
	return found
}

// ofLevel reports whether a reference may mean something of the innermost query.
func ofLevel(ref *pg_query.ColumnRef, sc *scope) bool {
	if sc == nil {
		return false
	}
	level := &scope{entries: sc.entries, columns: sc.columns}
	parts, ok := names(ref.Fields)
	if !ok || len(parts) == 0 {
		return true
	}
	if column, ambiguous := level.findColumn(parts[0]); column != nil || ambiguous {
		return true
	}
	for _, e := range sc.entries {
		for _, part := range parts {
			if e.alias == part {
				return true
			}
		}
	}
	return false
}

// forNodes calls do for the nodes directly beneath a message.
func forNodes(m protoreflect.Message, do func(*pg_query.Node)) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Kind() != protoreflect.MessageKind {
			return true
		}
		visit := func(inner protoreflect.Message) {
			if node, ok := inner.Interface().(*pg_query.Node); ok {
				do(node)
			} else {
				forNodes(inner, do)
			}
		}
		if !f.IsList() {
			visit(v.Message())
			return true
		}
		for i := range v.List().Len() {
			visit(v.List().Get(i).Message())
		}
		return true
	})
}
