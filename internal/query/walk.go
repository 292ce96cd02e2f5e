package query

import (
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sallyport/sallyport/internal/catalog"
)

// plainSchema handles the statements about objects that are no relations. Types,
// functions and relations they name are listed by walk.
func (s *state) plainSchema(node *pg_query.Node) bool {
	name := nodeName(node)
	kind, known := plainSchemaKinds[name]
	if !known {
		return false
	}
	s.kind(kind, "schema")
	s.rows = true
	switch n := node.GetNode().(type) {
	case *pg_query.Node_DefineStmt:
		s.kind("create_"+objectWord(n.DefineStmt.Kind), "schema")
		s.define(n.DefineStmt)
		return true
	case *pg_query.Node_CreateFunctionStmt:
		if n.CreateFunctionStmt.IsProcedure {
			s.kind("create_procedure", "schema")
		}
	case *pg_query.Node_AlterDomainStmt:
		s.alteredDomain(n.AlterDomainStmt)
	case *pg_query.Node_CreatePublicationStmt:
		if n.CreatePublicationStmt.ForAllTables {
			s.unresolved("the tables of a publication")
		}
	case *pg_query.Node_CreateExtensionStmt, *pg_query.Node_AlterExtensionStmt, *pg_query.Node_AlterExtensionContentsStmt,
		*pg_query.Node_ImportForeignSchemaStmt, *pg_query.Node_CreateSubscriptionStmt, *pg_query.Node_AlterSubscriptionStmt:
		s.unresolved("what " + strings.ReplaceAll(kind, "_", " ") + " does")
	}
	s.walkStatement(node, nil, nil)
	return true
}

var plainSchemaKinds = map[string]string{
	"DefineStmt": "create", "CreateSchemaStmt": "create_schema", "CreateFunctionStmt": "create_function",
	"AlterFunctionStmt": "alter_function", "CreateDomainStmt": "create_domain", "AlterDomainStmt": "alter_domain",
	"CreateEnumStmt": "create_type", "AlterEnumStmt": "alter_type", "CreateRangeStmt": "create_type",
	"AlterTypeStmt": "alter_type", "AlterOperatorStmt": "alter_operator", "CreateCastStmt": "create_cast",
	"CreateConversionStmt": "create_conversion", "CreateTransformStmt": "create_transform",
	"CreateOpClassStmt": "create_operator_class", "CreateOpFamilyStmt": "create_operator_family",
	"AlterOpFamilyStmt": "alter_operator_family", "AlterCollationStmt": "alter_collation",
	"AlterTSDictionaryStmt": "alter_text_search_dictionary", "AlterTSConfigurationStmt": "alter_text_search_configuration",
	"AlterStatsStmt": "alter_statistics", "AlterObjectDependsStmt": "alter_object_depends",
	"CreateExtensionStmt": "create_extension", "AlterExtensionStmt": "alter_extension",
	"AlterExtensionContentsStmt": "alter_extension", "CreateFdwStmt": "create_foreign_data_wrapper",
	"AlterFdwStmt": "alter_foreign_data_wrapper", "CreateForeignServerStmt": "create_server",
	"AlterForeignServerStmt": "alter_server", "ImportForeignSchemaStmt": "import_foreign_schema",
	"CreateEventTrigStmt": "create_event_trigger", "AlterEventTrigStmt": "alter_event_trigger",
	"CreatePLangStmt": "create_language", "CreateAmStmt": "create_access_method",
	"CreatePublicationStmt": "create_publication", "AlterPublicationStmt": "alter_publication",
	"CreateSubscriptionStmt": "create_subscription", "AlterSubscriptionStmt": "alter_subscription",
	"DropSubscriptionStmt": "drop", "CreatedbStmt": "create_database", "DropdbStmt": "drop",
	"AlterDatabaseStmt": "alter_database", "AlterDatabaseRefreshCollStmt": "alter_database",
	"CreateTableSpaceStmt": "create_tablespace", "DropTableSpaceStmt": "drop",
	"AlterTableSpaceOptionsStmt": "alter_tablespace", "AlterTableMoveAllStmt": "alter_table",
	"ReplicaIdentityStmt": "alter_table",
}

// walkStatement lists everything a statement about objects names. New is the
// relation it makes, main the one its column names mean.
func (s *state) walkStatement(node *pg_query.Node, made, main *pg_query.RangeVar) {
	var r *catalog.Relation
	if main != nil {
		r = s.findRelation(main.Catalogname, main.Schemaname, main.Relname)
	}
	inner := node.ProtoReflect()
	field := inner.WhichOneof(inner.Descriptor().Oneofs().Get(0))
	if field == nil {
		s.unknownNode(node)
		return
	}
	s.walkFields(inner.Get(field).Message(), made, r)
}

func (s *state) walkFields(m protoreflect.Message, made *pg_query.RangeVar, main *catalog.Relation) {
	fields := m.Descriptor().Fields() // in their order: Range has none
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.Message() == nil || !m.Has(field) {
			continue
		}
		v := m.Get(field)
		if !field.IsList() {
			s.walk(v.Message(), made, main)
			continue
		}
		for j := range v.List().Len() {
			s.walk(v.List().Get(j).Message(), made, main)
		}
	}
}

func (s *state) walk(m protoreflect.Message, made *pg_query.RangeVar, main *catalog.Relation) {
	switch n := m.Interface().(type) {
	case *pg_query.RangeVar:
		if n != made {
			if r := s.touchNamed(n, "ddl"); s.rows {
				s.everyColumn(r)
			}
		}
		return
	case *pg_query.Constraint:
		if n.Pktable != nil {
			s.referenced(n)
			before := s.rows
			s.rows = false
			s.walkFields(m, made, main)
			s.rows = before
			return
		}
	case *pg_query.PublicationObjSpec:
		if n.Pubobjtype != pg_query.PublicationObjSpecType_PUBLICATIONOBJ_TABLE &&
			n.Pubobjtype != pg_query.PublicationObjSpecType_PUBLICATIONOBJ_CONTINUATION {
			s.unresolved("the tables of a publication")
		}
	case *pg_query.PublicationTable:
		if rv := n.Relation; rv != nil {
			main = s.findRelation(rv.Catalogname, rv.Schemaname, rv.Relname)
		}
	case *pg_query.TypeName:
		if !serial(n) {
			s.findType(n)
		}
		return
	case *pg_query.SelectStmt:
		for _, o := range s.selectStatement(n, nil, nil) {
			s.use(o.value, derived)
		}
		return
	case *pg_query.FuncCall:
		s.walkCall(n)
	case *pg_query.TypeCast:
		s.castTo(s.findType(n.TypeName))
	case *pg_query.A_Expr:
		s.walkOperator(n)
	case *pg_query.CaseExpr:
		if n.Arg != nil {
			s.operatorNamed("", "=", &value{}, &value{})
		}
	case *pg_query.SubLink:
		if n.Testexpr != nil && len(n.OperName) == 0 {
			s.operatorNamed("", "=", &value{}, &value{})
		} else if n.Testexpr != nil {
			s.operator(n.OperName, &value{}, &value{})
		}
	case *pg_query.A_Const:
		s.out.Shape.Literals++
	case *pg_query.ColumnRef:
		s.reference(n.Fields, made, main)
	case *pg_query.IndexElem:
		if main == nil {
			break // of a new relation
		}
		if c := main.Column(n.Name); c != nil {
			s.mark(s.relationCell(main, c, false), derived)
		} else {
			s.everyColumn(main)
		}
	case *pg_query.JsonObjectConstructor, *pg_query.JsonArrayConstructor, *pg_query.JsonArrayQueryConstructor,
		*pg_query.JsonObjectAgg, *pg_query.JsonArrayAgg, *pg_query.JsonIsPredicate, *pg_query.JsonValueExpr:
		s.sqlJSON()
	default:
		if name := string(m.Descriptor().Name()); strings.HasSuffix(name, "Stmt") && name != "CreateStmt" {
			s.unresolved("statement inside a statement: " + name)
		}
	}
	s.walkFields(m, made, main)
}

func (s *state) walkCall(fc *pg_query.FuncCall) {
	parts, ok := names(fc.Funcname)
	_, schema, name, split := splitName(parts)
	candidates := s.candidates(schema, name, len(fc.Args))
	if !ok || !split || len(candidates) == 0 {
		s.unresolved("function " + quoted(parts...))
		return
	}
	for _, f := range candidates {
		s.addFunction(f)
	}
}

func (s *state) walkOperator(e *pg_query.A_Expr) {
	var left *value
	if e.Lexpr != nil {
		left = &value{}
	}
	switch e.Kind {
	case pg_query.A_Expr_Kind_AEXPR_BETWEEN, pg_query.A_Expr_Kind_AEXPR_BETWEEN_SYM,
		pg_query.A_Expr_Kind_AEXPR_NOT_BETWEEN, pg_query.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		for _, op := range []string{"<", "<=", ">", ">="} {
			s.operatorNamed("", op, left, &value{})
		}
	default:
		s.operator(e.Name, left, &value{})
	}
}

// serial types exist only in the grammar of column definitions.
func serial(t *pg_query.TypeName) bool {
	if len(t.Names) != 1 {
		return false
	}
	switch t.Names[0].GetString_().GetSval() {
	case "serial", "serial2", "serial4", "serial8", "bigserial", "smallserial":
		return true
	default:
		return false
	}
}
