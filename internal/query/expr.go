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
		if row, ok := s.starRow(n.ColumnRef, sc); ok {
			return s.rowAt(node, row)
		}
		return s.rowAt(node, s.columnRef(n.ColumnRef, sc))
	case *pg_query.Node_AExpr:
		return s.operatorExpression(n.AExpr, sc)
	case *pg_query.Node_BoolExpr:
		return s.conditions(sc, n.BoolExpr.Args...)
	case *pg_query.Node_FuncCall:
		return s.call(n.FuncCall, sc)
	case *pg_query.Node_TypeCast:
		return s.cast(n.TypeCast, sc)
	case *pg_query.Node_CollateClause:
		v := s.expression(n.CollateClause.Arg, sc)
		return value{edges: v.inside(), typ: v.typ, known: v.known, param: v.param}
	case *pg_query.Node_NullTest:
		return s.all(boolOID, sc, n.NullTest.Arg)
	case *pg_query.Node_BooleanTest:
		return s.conditions(sc, n.BooleanTest.Arg)
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
		return s.alike(sc, n.CoalesceExpr.Args)
	case *pg_query.Node_MinMaxExpr:
		v := s.alike(sc, n.MinMaxExpr.Args)
		s.compares(v)
		return v
	case *pg_query.Node_AArrayExpr:
		return s.array(n.AArrayExpr, sc)
	case *pg_query.Node_RowExpr:
		return s.rowExpression(n.RowExpr, sc)
	case *pg_query.Node_List:
		return s.all(0, sc, n.List.Items...)
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

// conditions is all of what is taken for true or false.
func (s *state) conditions(sc *scope, nodes ...*pg_query.Node) value {
	out := value{typ: boolOID}
	for _, node := range nodes {
		v := s.condition(s.expression(node, sc))
		out.edges = append(out.edges, v.inside()...)
	}
	return out
}

// alike makes a value of several that are made one type.
func (s *state) alike(sc *scope, nodes []*pg_query.Node) value {
	return s.unified(s.each(sc, nodes))
}

func (s *state) each(sc *scope, nodes []*pg_query.Node) []value {
	values := make([]value, len(nodes))
	for i, node := range nodes {
		values[i] = s.expression(node, sc)
	}
	return values
}

// unified is one of several values, made of the type they have in common.
func (s *state) unified(values []value) value {
	out := value{typ: s.common(values)}
	for i := range values {
		out.edges = append(out.edges, values[i].inside()...)
	}
	if out.typ == 0 {
		s.unsure = true
	}
	s.coerceAll(values, out.typ)
	return out
}

// array makes a value of ARRAY[…]: of arrays it is one of more dimensions.
func (s *state) array(a *pg_query.A_ArrayExpr, sc *scope) value {
	v := s.alike(sc, a.Elements)
	for _, node := range a.Elements {
		if node.GetAArrayExpr() != nil {
			return v
		}
	}
	if s.rules().element(v.typ) == 0 {
		v.typ = s.snapshot.ArrayOf(v.typ)
	}
	return v
}

// arrayOf is ARRAY[…]::type[], whose elements are cast one by one.
func (s *state) arrayOf(a *pg_query.A_ArrayExpr, typ catalog.OID, sc *scope) value {
	out := value{typ: typ}
	for _, node := range a.Elements {
		var v value
		if inner := node.GetAArrayExpr(); inner != nil {
			v = s.arrayOf(inner, typ, sc)
		} else {
			v = s.expression(node, sc)
			if target := s.rules().element(s.rules().base(typ)); v.typ == typ || s.rules().element(s.rules().base(v.typ)) != 0 {
				s.coerce(&v, typ, explicit)
			} else {
				s.coerce(&v, target, explicit)
			}
		}
		out.edges = append(out.edges, v.inside()...)
	}
	return out
}

func (s *state) rowExpression(row *pg_query.RowExpr, sc *scope) value {
	out := value{typ: recordOID, fields: []value{}}
	for _, node := range row.Args {
		if expanded, ok := s.expandStar(node, sc); ok { // ROW(t.*)
			for _, o := range expanded {
				out.fields = append(out.fields, o.value)
			}
			continue
		}
		out.fields = append(out.fields, s.expression(node, sc))
	}
	for i := range out.fields {
		out.edges = append(out.edges, out.fields[i].inside()...)
	}
	return out
}

func (s *state) constant(c *pg_query.A_Const) value {
	s.out.Shape.Literals++
	if c.Isnull {
		return value{known: true, literal: true}
	}
	switch c.Val.(type) {
	case *pg_query.A_Const_Ival:
		return value{typ: int4OID}
	case *pg_query.A_Const_Fval:
		if n, err := strconv.ParseInt(c.GetFval().Fval, 10, 64); err == nil {
			if int64(int32(n)) == n { //nolint:gosec // whether it fits is the question
				return value{typ: int4OID}
			}
			return value{typ: int8OID}
		}
		return value{typ: floatOID}
	case *pg_query.A_Const_Boolval:
		return value{typ: boolOID}
	case *pg_query.A_Const_Bsval:
		return value{typ: bitOID}
	case *pg_query.A_Const_Sval:
		return value{known: true, literal: true}
	default:
		s.unresolved("constant")
		return value{}
	}
}

// parameter notes $n and the type it is given, by the client or by a cast.
func (s *state) parameter(n int, cast catalog.OID) value {
	typ := cast
	if s.unordered[n] {
		if s.parameters[n] == "" {
			s.parameters[n] = s.typeName(cast)
		}
		s.seenType(cast)
		return value{}
	}
	if n >= 1 && n <= len(s.env.ParamTypes) && s.env.ParamTypes[n-1] != 0 {
		typ = s.env.ParamTypes[n-1]
	}
	if t := s.snapshot.TypeByOID(typ); s.inside != nil && (t == nil || t.Kind == 'p') {
		return value{} // of a polymorphic function: it is what the call gives
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
	if typ == 0 {
		return value{known: true, param: n}
	}
	return value{typ: typ}
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
	if typ == 0 {
		return value{edges: s.expression(c.Arg, sc).inside()}
	}
	if a := c.Arg.GetAArrayExpr(); a != nil && s.rules().element(s.rules().base(typ)) != 0 {
		v := s.arrayOf(a, s.rules().base(typ), sc)
		v.typ = typ
		s.constraints(typ)
		return v
	}
	v := s.expression(c.Arg, sc)
	if p := c.Arg.GetParamRef(); p != nil {
		s.parameter(int(p.Number), typ)
	}
	s.coerce(&v, typ, explicit)
	if len(c.TypeName.Typmods) > 0 {
		s.sized(typ)
	}
	return value{edges: v.inside(), typ: typ}
}

// sized lists the function that fits a value into its type's length, where users
// have made it.
func (s *state) sized(typ catalog.OID) {
	for _, t := range []catalog.OID{typ, s.rules().element(typ)} {
		if cast := s.snapshot.Cast(t, t); cast != nil && cast.Function.User() {
			s.addFunction(s.snapshot.FunctionByOID(cast.Function))
		}
	}
}

func (s *state) caseExpression(c *pg_query.CaseExpr, sc *scope) value {
	var out value
	var subject *value
	if c.Arg != nil {
		v := s.expression(c.Arg, sc)
		if v.known {
			s.coerce(&v, textOID, implicit)
			v = v.settled()
		}
		subject = &v
		out.edges = append(out.edges, v.inside()...)
	}
	results := []value{{known: true, literal: true}} // without ELSE it is NULL
	for _, node := range c.Args {
		when := node.GetCaseWhen()
		if when == nil {
			s.unknownNode(node)
			continue
		}
		v := s.expression(when.Expr, sc)
		out.edges = append(out.edges, v.inside()...)
		if subject != nil {
			test := value{typ: s.operatorNamed("", "=", subject, &v)}
			s.condition(test)
		} else {
			s.condition(v)
		}
		results = append(results, s.expression(when.Result, sc))
	}
	if c.Defresult != nil {
		results[0] = s.expression(c.Defresult, sc) // its type counts first
	}
	v := s.unified(results)
	out.edges = append(out.edges, v.edges...)
	out.typ = v.typ
	return out
}

// settled is a literal or parameter that becomes text where it stands.
func (v value) settled() value {
	if v.known && v.typ == 0 {
		v.typ = textOID
	}
	v.known, v.param = false, 0
	return v
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
	outputs := s.settle(s.query(link.Subselect, sc, s.ctesOf(sc)))
	for _, o := range outputs {
		if link.SubLinkType != pg_query.SubLinkType_EXISTS_SUBLINK {
			out.edges = append(out.edges, o.value.inside()...)
		}
	}
	var first value
	if len(outputs) > 0 {
		first = value{edges: outputs[0].value.inside(), typ: outputs[0].value.typ, fields: outputs[0].value.fields, row: outputs[0].value.row,
			call: outputs[0].value.call, outs: outputs[0].value.outs}
	}
	switch link.SubLinkType {
	case pg_query.SubLinkType_EXISTS_SUBLINK:
		out.typ = boolOID
	case pg_query.SubLinkType_ANY_SUBLINK, pg_query.SubLinkType_ALL_SUBLINK:
		out.typ = boolOID
		op := "="
		schema := ""
		if len(link.OperName) > 0 {
			schema, op, _ = s.operatorName(link.OperName)
		}
		s.compareRow(schema, op, test, outputs)
	case pg_query.SubLinkType_EXPR_SUBLINK:
		edges := out.edges
		out = first
		if len(outputs) > 1 { // of SET (a, b) = (SELECT …)
			out = value{typ: recordOID}
			for _, o := range outputs {
				out.fields = append(out.fields, o.value)
			}
		}
		out.edges = edges
	case pg_query.SubLinkType_ARRAY_SUBLINK:
		out.typ = s.snapshot.ArrayOf(first.typ)
		if out.typ == 0 && s.rules().element(first.typ) != 0 {
			out.typ = first.typ
		}
	default:
		s.unresolved(fmt.Sprintf("subquery %v", link.SubLinkType))
	}
	return out
}

// compareRow compares a value, or the fields of a row, with the columns of a query.
func (s *state) compareRow(schema, op string, test *value, outputs []output) {
	if test == nil {
		return
	}
	if len(outputs) == 1 {
		s.condition(value{typ: s.operatorNamed(schema, op, test, &outputs[0].value)})
		return
	}
	for i := range outputs {
		left := value{}
		if i < len(test.fields) {
			left = test.fields[i]
		}
		s.condition(value{typ: s.operatorNamed(schema, op, &left, &outputs[i].value)})
	}
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
