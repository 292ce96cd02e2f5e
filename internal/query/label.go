package query

import (
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v5"
)

// OutputName is the name PostgreSQL gives a column without AS.
func OutputName(node *pg_query.Node) string {
	name, _ := figureName(node)
	if name == "" {
		return "?column?"
	}
	return name
}

// figureName also says how good the name is: 2 for a real name, 1 for a type's or
// a construct's.
func figureName(node *pg_query.Node) (string, int) {
	switch n := node.GetNode().(type) {
	case *pg_query.Node_ColumnRef:
		return lastName(n.ColumnRef.Fields)
	case *pg_query.Node_AIndirection:
		if name, strength := lastName(n.AIndirection.Indirection); name != "" {
			return name, strength
		}
		return figureName(n.AIndirection.Arg)
	case *pg_query.Node_FuncCall:
		return lastName(n.FuncCall.Funcname)
	case *pg_query.Node_AExpr:
		if n.AExpr.Kind == pg_query.A_Expr_Kind_AEXPR_NULLIF {
			return "nullif", 2
		}
	case *pg_query.Node_TypeCast:
		name, strength := figureName(n.TypeCast.Arg)
		if strength <= 1 {
			if typ, s := lastName(n.TypeCast.TypeName.GetNames()); s > 0 {
				return typ, 1
			}
		}
		return name, strength
	case *pg_query.Node_CollateClause:
		return figureName(n.CollateClause.Arg)
	case *pg_query.Node_SubLink:
		return subLinkName(n.SubLink)
	case *pg_query.Node_CaseExpr:
		if name, strength := figureName(n.CaseExpr.Defresult); strength > 1 {
			return name, strength
		}
		return "case", 1
	default:
		if name := constructName(node); name != "" {
			return name, 2
		}
	}
	return "", 0
}

func subLinkName(link *pg_query.SubLink) (string, int) {
	switch link.SubLinkType {
	case pg_query.SubLinkType_EXISTS_SUBLINK:
		return "exists", 2
	case pg_query.SubLinkType_ARRAY_SUBLINK:
		return "array", 2
	case pg_query.SubLinkType_EXPR_SUBLINK:
		sel := link.Subselect.GetSelectStmt()
		for sel.GetOp() > pg_query.SetOperation_SETOP_NONE {
			sel = sel.Larg
		}
		if list := sel.GetTargetList(); len(list) > 0 {
			target := list[0].GetResTarget()
			if target.GetName() != "" {
				return target.Name, 2
			}
			return figureName(target.GetVal())
		}
	default: // the others have no name of their own
	}
	return "", 0
}

// lastName is the last string of a list, passing over subscripts.
func lastName(nodes []*pg_query.Node) (string, int) {
	for i := len(nodes) - 1; i >= 0; i-- {
		if name := nodes[i].GetString_(); name != nil {
			return name.Sval, 2
		}
	}
	return "", 0
}

func constructName(node *pg_query.Node) string {
	switch n := node.GetNode().(type) {
	case *pg_query.Node_GroupingFunc:
		return "grouping"
	case *pg_query.Node_AArrayExpr:
		return "array"
	case *pg_query.Node_RowExpr:
		return "row"
	case *pg_query.Node_CoalesceExpr:
		return "coalesce"
	case *pg_query.Node_MinMaxExpr:
		if n.MinMaxExpr.Op == pg_query.MinMaxOp_IS_LEAST {
			return "least"
		}
		return "greatest"
	case *pg_query.Node_SqlvalueFunction:
		name := strings.TrimPrefix(n.SqlvalueFunction.Op.String(), "SVFOP_")
		return strings.ToLower(strings.TrimSuffix(name, "_N"))
	case *pg_query.Node_XmlExpr:
		return map[pg_query.XmlExprOp]string{
			pg_query.XmlExprOp_IS_XMLCONCAT: "xmlconcat", pg_query.XmlExprOp_IS_XMLELEMENT: "xmlelement",
			pg_query.XmlExprOp_IS_XMLFOREST: "xmlforest", pg_query.XmlExprOp_IS_XMLPARSE: "xmlparse",
			pg_query.XmlExprOp_IS_XMLPI: "xmlpi", pg_query.XmlExprOp_IS_XMLROOT: "xmlroot",
		}[n.XmlExpr.Op]
	case *pg_query.Node_XmlSerialize:
		return "xmlserialize"
	case *pg_query.Node_JsonObjectConstructor:
		return "json_object"
	case *pg_query.Node_JsonArrayConstructor, *pg_query.Node_JsonArrayQueryConstructor:
		return "json_array"
	case *pg_query.Node_JsonObjectAgg:
		return "json_objectagg"
	case *pg_query.Node_JsonArrayAgg:
		return "json_arrayagg"
	default:
		return ""
	}
}

// nodeName is the kind of a node, for messages: CreateStmt.
func nodeName(node *pg_query.Node) string {
	if node.GetNode() == nil {
		return "nothing"
	}
	message := node.ProtoReflect()
	field := message.WhichOneof(message.Descriptor().Oneofs().Get(0))
	if field == nil {
		return "nothing"
	}
	return string(field.Message().Name())
}
