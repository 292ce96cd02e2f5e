package query

import (
	"fmt"
	"strconv"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// expression says of which columns a value is made. Every kind of node has a case;
// the default makes the statement unresolved.
func (s *state) expression(node *pg_query.Node, sc *scope) value {
	if node == nil || node.Node == nil {
		s.unresolved("empty expression")
		return value{}
	}
	switch n := node.Node.(type) {
	case *pg_query.Node_AConst:
		return s.constant(n.AConst)
	case *pg_query.Node_ParamRef:
		return s.parameter(int(n.ParamRef.Number), 0)
	case *pg_query.Node_ColumnRef:
		return s.columnRef(n.ColumnRef, sc)
	case *pg_query.Node_AExpr:
		return s.operatorExpression(n.AExpr, sc)
	case *pg_query.Node_BoolExpr:
		return s.all(boolOID, sc, n.BoolExpr.Args...)
	case *pg_query.Node_FuncCall:
		return s.call(n.FuncCall, sc)
	case *pg_query.Node_TypeCast:
		return s.cast(n.TypeCast, sc)
	case *pg_query.Node_CollateClause:
		v := s.expression(n.CollateClause.Arg, sc)
		return value{edges: v.inside(), typ: v.typ, known: v.known}
	case *pg_query.Node_NullTest:
		return s.all(boolOID, sc, n.NullTest.Arg)
	case *pg_query.Node_BooleanTest:
		return s.all(boolOID, sc, n.BooleanTest.Arg)
	case *pg_query.Node_SubLink:
		return s.subLink(n.SubLink, sc)
	case *pg_query.Node_AIndirection:
		if v, ok := s.fieldOfRow(n.AIndirection, sc); ok {
			return v
		}
		return s.indirect(s.expression(n.AIndirection.Arg, sc), n.AIndirection.Indirection, sc)
	case *pg_query.Node_SetToDefault:
		return value{known: true}
	case *pg_query.Node_CurrentOfExpr:
		s.refuse(unsupported("WHERE CURRENT OF is not supported", "Name the row by its key."))
		return value{}
	default:
		return s.compound(node, sc)
	}
}

// compound handles the nodes that are only made of others.
func (s *state) compound(node *pg_query.Node, sc *scope) value {
	switch n := node.Node.(type) {
	case *pg_query.Node_CaseExpr:
		return s.caseExpression(n.CaseExpr, sc)
	case *pg_query.Node_CoalesceExpr:
		return s.alike(sc, n.CoalesceExpr.Args).settled()
	case *pg_query.Node_MinMaxExpr:
		return s.alike(sc, n.MinMaxExpr.Args).settled()
	case *pg_query.Node_AArrayExpr:
		v := s.alike(sc, n.AArrayExpr.Elements)
		if !v.known { // an array of literals takes the type it is cast to
			v.typ = s.snapshot.ArrayOf(v.typ)
		}
		v.known = false
		return v
	case *pg_query.Node_RowExpr:
		v := s.all(0, sc, n.RowExpr.Args...)
		return v
	case *pg_query.Node_List:
		return s.all(0, sc, n.List.Items...)
	case *pg_query.Node_NamedArgExpr: // not at the position of its parameter: its type says nothing
		return value{edges: s.expression(n.NamedArgExpr.Arg, sc).inside()}
	case *pg_query.Node_GroupingFunc:
		return s.all(int4OID, sc, n.GroupingFunc.Args...)
	case *pg_query.Node_SqlvalueFunction:
		return s.valueFunction(n.SqlvalueFunction)
	case *pg_query.Node_MultiAssignRef:
		return s.expression(n.MultiAssignRef.Source, sc)
	case *pg_query.Node_XmlExpr, *pg_query.Node_XmlSerialize:
		return s.xml(node, sc)
	default:
		return s.json(node, sc)
	}
}

// all makes a value of several expressions together.
func (s *state) all(typ catalog.OID, sc *scope, nodes ...*pg_query.Node) value {
	out := value{typ: typ}
	for _, node := range nodes {
		if expanded, ok := s.expandStar(node, sc); ok { // ROW(t.*), f(t.*)
			for _, o := range expanded {
				out.edges = append(out.edges, o.value.inside()...)
			}
			continue
		}
		v := s.expression(node, sc)
		out.edges = append(out.edges, v.inside()...)
	}
	return out
}

// alike makes a value of several that have one type.
func (s *state) alike(sc *scope, nodes []*pg_query.Node) value {
	out := value{known: true}
	mixed := false
	for _, node := range nodes {
		v := s.expression(node, sc)
		out.edges = append(out.edges, v.inside()...)
		switch {
		case v.known && v.typ == 0:
		case out.known:
			out.typ, out.known = v.typ, false
		case out.typ != v.typ:
			mixed = true
		}
	}
	if mixed {
		out.typ = 0
	}
	return out
}

func (s *state) constant(c *pg_query.A_Const) value {
	s.out.Shape.Literals++
	if c.Isnull {
		return value{known: true}
	}
	switch c.Val.(type) {
	case *pg_query.A_Const_Ival:
		return value{typ: int4OID}
	case *pg_query.A_Const_Fval:
		if _, err := strconv.ParseInt(c.GetFval().Fval, 10, 64); err == nil {
			return value{typ: int8OID}
		}
		return value{typ: floatOID}
	case *pg_query.A_Const_Boolval:
		return value{typ: boolOID}
	case *pg_query.A_Const_Bsval:
		return value{typ: bitOID}
	case *pg_query.A_Const_Sval:
		return value{known: true}
	default:
		s.unresolved("constant")
		return value{}
	}
}

// parameter notes $n and the type it is given, by the client or by a cast.
func (s *state) parameter(n int, cast catalog.OID) value {
	typ := cast
	if n >= 1 && n <= len(s.env.ParamTypes) && s.env.ParamTypes[n-1] != 0 {
		typ = s.env.ParamTypes[n-1]
	}
	if typ == 0 {
		typ = s.given[n] // what has given it a type fixes it
	} else if s.given[n] == 0 {
		if s.given == nil {
			s.given = map[int]catalog.OID{}
		}
		s.given[n] = typ
	}
	name := s.typeName(typ)
	if s.parameters[n] == "" {
		s.parameters[n] = name
	}
	s.seenType(typ)
	return value{typ: typ, known: typ == 0}
}

func (s *state) typeName(oid catalog.OID) string {
	t := s.snapshot.TypeByOID(oid)
	if t == nil {
		return ""
	}
	if t.Elem != 0 && t.Category == 'A' {
		return s.typeName(t.Elem) + "[]"
	}
	if t.Schema == "pg_catalog" {
		return t.Name
	}
	return catalog.QuoteIdent(t.Schema) + "." + catalog.QuoteIdent(t.Name)
}

func (s *state) cast(c *pg_query.TypeCast, sc *scope) value {
	typ := s.findType(c.TypeName)
	if p := c.Arg.GetParamRef(); p != nil {
		s.parameter(int(p.Number), typ)
		s.castTo(typ)
		return value{typ: typ}
	}
	v := s.expression(c.Arg, sc)
	s.castTo(typ)
	return value{edges: v.inside(), typ: typ}
}

func (s *state) caseExpression(c *pg_query.CaseExpr, sc *scope) value {
	var out value
	var subject *value
	if c.Arg != nil {
		v := s.expression(c.Arg, sc)
		subject = &v
		out.edges = append(out.edges, v.inside()...)
	}
	results := make([]*pg_query.Node, 0, len(c.Args)+1)
	for _, node := range c.Args {
		when := node.GetCaseWhen()
		if when == nil {
			s.unknownNode(node)
			continue
		}
		v := s.expression(when.Expr, sc)
		out.edges = append(out.edges, v.inside()...)
		if subject != nil {
			s.operatorNamed("", "=", subject, &v)
		}
		results = append(results, when.Result)
	}
	if c.Defresult != nil {
		results = append(results, c.Defresult)
	}
	v := s.alike(sc, results)
	out.edges = append(out.edges, v.edges...)
	out.typ = v.settled().typ
	return out
}

// operatorExpression analyses an operator and the constructs PostgreSQL turns into
// one.
func (s *state) operatorExpression(e *pg_query.A_Expr, sc *scope) value {
	var left *value
	var edges []edge
	if e.Lexpr != nil {
		v := s.operand(e.Lexpr, sc)
		left = &v
		edges = append(edges, v.inside()...)
	}
	right := s.operand(e.Rexpr, sc)
	edges = append(edges, right.inside()...)
	out := value{edges: edges, typ: boolOID}
	switch e.Kind {
	case pg_query.A_Expr_Kind_AEXPR_OP:
		out.typ = s.operator(e.Name, left, &right)
	case pg_query.A_Expr_Kind_AEXPR_OP_ANY, pg_query.A_Expr_Kind_AEXPR_OP_ALL:
		s.operator(e.Name, left, s.element(right))
	case pg_query.A_Expr_Kind_AEXPR_DISTINCT, pg_query.A_Expr_Kind_AEXPR_NOT_DISTINCT,
		pg_query.A_Expr_Kind_AEXPR_IN, pg_query.A_Expr_Kind_AEXPR_LIKE, pg_query.A_Expr_Kind_AEXPR_ILIKE,
		pg_query.A_Expr_Kind_AEXPR_SIMILAR:
		s.operator(e.Name, left, &right)
	case pg_query.A_Expr_Kind_AEXPR_NULLIF:
		s.operator(e.Name, left, &right)
		out.typ = 0 // the left operand's as the operator takes it
		if left != nil && left.typ == right.typ {
			out.typ = s.compared(left.typ)
		}
	case pg_query.A_Expr_Kind_AEXPR_BETWEEN, pg_query.A_Expr_Kind_AEXPR_BETWEEN_SYM,
		pg_query.A_Expr_Kind_AEXPR_NOT_BETWEEN, pg_query.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		for _, op := range []string{"<", "<=", ">", ">="} {
			s.operatorNamed("", op, left, &right)
		}
	default:
		s.unresolved("expression " + e.Kind.String())
	}
	return out
}

// compared is the type in which = compares values of a type: varchar as text,
// others as they are, domains as something not looked into.
func (s *state) compared(typ catalog.OID) catalog.OID {
	if typ == varcharOID {
		return textOID
	}
	if t := s.snapshot.TypeByOID(typ); t == nil || t.Kind == 'd' {
		return 0
	}
	return typ
}

// settled is a value of literals only, which becomes text where it stands.
func (v value) settled() value {
	if v.known && v.typ == 0 {
		v.typ = textOID
	}
	v.known = false
	return v
}

// operand is one side of an operator: a list, of IN or BETWEEN, has its elements'
// type where they have one.
func (s *state) operand(node *pg_query.Node, sc *scope) value {
	if list := node.GetList(); list != nil {
		return s.alike(sc, list.Items)
	}
	return s.expression(node, sc)
}

// element is an element of an array value.
func (s *state) element(v value) *value {
	t := s.snapshot.TypeByOID(v.typ)
	out := value{edges: v.edges, known: v.known}
	if t != nil {
		out.typ = t.Elem
	}
	return &out
}

func (s *state) subLink(link *pg_query.SubLink, sc *scope) value {
	s.out.Shape.Subqueries++
	var out value
	var test *value
	if link.Testexpr != nil {
		v := s.expression(link.Testexpr, sc)
		test = &v
		out.edges = append(out.edges, v.inside()...)
	}
	outputs := s.query(link.Subselect, sc, s.ctesOf(sc))
	var first value
	for i, o := range outputs {
		if i == 0 {
			first = value{edges: o.value.inside(), typ: o.value.typ, known: o.value.known}
		}
		if link.SubLinkType != pg_query.SubLinkType_EXISTS_SUBLINK {
			out.edges = append(out.edges, o.value.inside()...)
		}
	}
	switch link.SubLinkType {
	case pg_query.SubLinkType_EXISTS_SUBLINK:
		out.typ = boolOID
	case pg_query.SubLinkType_ANY_SUBLINK, pg_query.SubLinkType_ALL_SUBLINK:
		out.typ = boolOID
		if len(link.OperName) > 0 {
			s.operator(link.OperName, test, &first)
		} else {
			s.operatorNamed("", "=", test, &first)
		}
	case pg_query.SubLinkType_EXPR_SUBLINK:
		out.typ = first.typ
	case pg_query.SubLinkType_ARRAY_SUBLINK:
		out.typ = s.snapshot.ArrayOf(first.typ)
	default:
		s.unresolved(fmt.Sprintf("subquery %v", link.SubLinkType))
	}
	return out
}

func (s *state) ctesOf(sc *scope) *cteScope {
	if sc == nil {
		return nil
	}
	return sc.ctes
}

// unknownNode makes the statement unresolved by the node's name.
func (s *state) unknownNode(node *pg_query.Node) {
	s.unresolved("syntax " + nodeName(node))
}
