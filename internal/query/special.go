package query

import (
	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// valueFunction handles CURRENT_USER, CURRENT_DATE and their like, which the
// grammar knows by name.
func (s *state) valueFunction(f *pg_query.SQLValueFunction) value {
	switch f.Op {
	case pg_query.SQLValueFunctionOp_SVFOP_CURRENT_DATE:
		return value{typ: 1082}
	case pg_query.SQLValueFunctionOp_SVFOP_CURRENT_TIME, pg_query.SQLValueFunctionOp_SVFOP_CURRENT_TIME_N:
		return value{typ: 1266}
	case pg_query.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP, pg_query.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP_N:
		return value{typ: 1184}
	case pg_query.SQLValueFunctionOp_SVFOP_LOCALTIME, pg_query.SQLValueFunctionOp_SVFOP_LOCALTIME_N:
		return value{typ: 1083}
	case pg_query.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP, pg_query.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP_N:
		return value{typ: 1114}
	case pg_query.SQLValueFunctionOp_SVFOP_CURRENT_ROLE, pg_query.SQLValueFunctionOp_SVFOP_CURRENT_USER,
		pg_query.SQLValueFunctionOp_SVFOP_USER, pg_query.SQLValueFunctionOp_SVFOP_SESSION_USER,
		pg_query.SQLValueFunctionOp_SVFOP_CURRENT_CATALOG, pg_query.SQLValueFunctionOp_SVFOP_CURRENT_SCHEMA:
		return value{typ: 19}
	default:
		s.unresolved("function " + f.Op.String())
		return value{}
	}
}

func (s *state) xml(node *pg_query.Node, sc *scope) value {
	switch n := node.Node.(type) {
	case *pg_query.Node_XmlExpr:
		out := value{typ: xmlOID}
		named := len(n.XmlExpr.NamedArgs)
		for i, arg := range append(append([]*pg_query.Node(nil), n.XmlExpr.NamedArgs...), n.XmlExpr.Args...) {
			if target := arg.GetResTarget(); target != nil {
				arg = target.Val
			}
			v := s.expression(arg, sc)
			s.coerce(&v, xmlArgument(n.XmlExpr.Op, i-named), assignment)
			out.edges = append(out.edges, v.inside()...)
		}
		if n.XmlExpr.Op == pg_query.XmlExprOp_IS_DOCUMENT {
			out.typ = boolOID
		}
		return out
	case *pg_query.Node_XmlSerialize:
		v := s.expression(n.XmlSerialize.Expr, sc)
		s.coerce(&v, xmlOID, assignment)
		typ := s.findType(n.XmlSerialize.TypeName)
		s.coerce(&value{typ: textOID}, typ, assignment)
		return value{edges: v.inside(), typ: typ}
	default:
		s.unknownNode(node)
		return value{}
	}
}

// xmlArgument is what the i-th argument of an XML construct is made; 0 where it is
// taken as it is.
func xmlArgument(op pg_query.XmlExprOp, i int) catalog.OID {
	switch {
	case i < 0:
		return 0
	case op == pg_query.XmlExprOp_IS_XMLCONCAT, op == pg_query.XmlExprOp_IS_DOCUMENT, op == pg_query.XmlExprOp_IS_XMLROOT && i == 0:
		return xmlOID
	case op == pg_query.XmlExprOp_IS_XMLPARSE && i == 0, op == pg_query.XmlExprOp_IS_XMLPI, op == pg_query.XmlExprOp_IS_XMLROOT && i == 1:
		return textOID
	default:
		return 0
	}
}

// json handles the SQL/JSON constructors and predicates.
func (s *state) json(node *pg_query.Node, sc *scope) value {
	s.unsure = true // what is given may be cast to json
	switch node.Node.(type) {
	case *pg_query.Node_JsonObjectConstructor, *pg_query.Node_JsonArrayConstructor, *pg_query.Node_JsonArrayQueryConstructor,
		*pg_query.Node_JsonObjectAgg, *pg_query.Node_JsonArrayAgg, *pg_query.Node_JsonIsPredicate, *pg_query.Node_JsonValueExpr:
		s.sqlJSON()
	}
	switch n := node.Node.(type) {
	case *pg_query.Node_JsonObjectConstructor:
		return s.jsonOf(n.JsonObjectConstructor.Output, s.all(0, sc, n.JsonObjectConstructor.Exprs...))
	case *pg_query.Node_JsonArrayConstructor:
		return s.jsonOf(n.JsonArrayConstructor.Output, s.all(0, sc, n.JsonArrayConstructor.Exprs...))
	case *pg_query.Node_JsonArrayQueryConstructor:
		s.out.Shape.Subqueries++
		var v value
		for _, o := range s.query(n.JsonArrayQueryConstructor.Query, sc, s.ctesOf(sc)) {
			v.edges = append(v.edges, o.value.inside()...)
		}
		return s.jsonOf(n.JsonArrayQueryConstructor.Output, v)
	case *pg_query.Node_JsonKeyValue:
		out := value{}
		if n.JsonKeyValue.Key != nil {
			v := s.expression(n.JsonKeyValue.Key, sc)
			out.edges = append(out.edges, v.inside()...)
		}
		if n.JsonKeyValue.Value != nil {
			v := s.jsonValue(n.JsonKeyValue.Value, sc)
			out.edges = append(out.edges, v.inside()...)
		}
		return out
	case *pg_query.Node_JsonValueExpr:
		return s.jsonValue(n.JsonValueExpr, sc)
	case *pg_query.Node_JsonIsPredicate:
		return s.all(boolOID, sc, n.JsonIsPredicate.Expr)
	case *pg_query.Node_JsonObjectAgg:
		arg := n.JsonObjectAgg.Arg
		return s.jsonAggregate(n.JsonObjectAgg.Constructor, sc, arg.GetKey(), valueNode(arg.GetValue()))
	case *pg_query.Node_JsonArrayAgg:
		return s.jsonAggregate(n.JsonArrayAgg.Constructor, sc, valueNode(n.JsonArrayAgg.Arg))
	default:
		s.unknownNode(node)
		return value{}
	}
}

// sqlJSON makes what only the grammar of 16 knows unresolved on an older server,
// where json_array(x) is a call of whatever function the search path gives.
func (s *state) sqlJSON() {
	if s.snapshot.ServerVersion < sqlJSONVersion {
		s.unresolved("SQL/JSON, which this server reads as ordinary functions")
	}
}

const sqlJSONVersion = 160000

func valueNode(v *pg_query.JsonValueExpr) *pg_query.Node {
	return &pg_query.Node{Node: &pg_query.Node_JsonValueExpr{JsonValueExpr: v}}
}

func (s *state) jsonValue(v *pg_query.JsonValueExpr, sc *scope) value {
	if v == nil || v.RawExpr == nil {
		s.unresolved("JSON value")
		return value{}
	}
	inner := s.expression(v.RawExpr, sc)
	return value{edges: inner.inside(), typ: inner.typ, known: inner.known}
}

// jsonOf gives a constructor's value the type of its RETURNING.
func (s *state) jsonOf(o *pg_query.JsonOutput, v value) value {
	v.typ = jsonOID
	if o != nil && o.TypeName != nil {
		v.typ = s.findType(o.TypeName)
		s.castTo(v.typ)
	}
	return v
}

func (s *state) jsonAggregate(c *pg_query.JsonAggConstructor, sc *scope, args ...*pg_query.Node) value {
	s.aggregates++
	v := s.all(0, sc, args...)
	for _, node := range c.GetAggOrder() {
		if sort := node.GetSortBy(); sort != nil {
			s.use(s.expression(sort.Node, sc), ordered)
		} else {
			s.unknownNode(node)
		}
	}
	if c.GetAggFilter() != nil {
		s.use(s.expression(c.AggFilter, sc), filtered)
	}
	s.aggregates--
	s.window(c.GetOver(), sc)
	for i := range v.edges {
		s.mark(v.edges[i].to, aggregated)
		v.edges[i].agg = c.GetOver() == nil
	}
	return s.jsonOf(c.GetOutput(), v)
}

const (
	jsonOID = catalog.OID(114)
	xmlOID  = catalog.OID(142)
)
