package query

import (
	"slices"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// maintenance handles what looks after tables without changing what they are.
func (s *state) maintenance(node *pg_query.Node) bool {
	switch n := node.GetNode().(type) {
	case *pg_query.Node_VacuumStmt:
		s.kind("analyze", "maintenance")
		if n.VacuumStmt.IsVacuumcmd {
			s.kind("vacuum", "maintenance")
		}
	case *pg_query.Node_ClusterStmt:
		s.kind("cluster", "maintenance")
		s.rows = true // their order tells of the index they are sorted by
		if n.ClusterStmt.Relation == nil {
			s.unresolved("the relations that CLUSTER sorts")
		}
	case *pg_query.Node_ReindexStmt:
		s.kind("reindex", "maintenance")
	case *pg_query.Node_CheckPointStmt:
		s.kind("checkpoint", "maintenance")
	case *pg_query.Node_RefreshMatViewStmt:
		s.kind("refresh_materialized_view", "maintenance")
		s.touchNamed(n.RefreshMatViewStmt.Relation, "update")
		return true
	default:
		return false
	}
	s.walkStatement(node, nil, nil)
	return true
}

// schemaStatement handles what changes the catalog.
func (s *state) schemaStatement(node *pg_query.Node) bool {
	if s.creation(node) || s.alteration(node) || s.privilege(node) || s.plainSchema(node) {
		s.out.Schema = true
		return true
	}
	return false
}

// creation handles what makes relations.
func (s *state) creation(node *pg_query.Node) bool {
	switch n := node.GetNode().(type) {
	case *pg_query.Node_CreateStmt:
		s.create("create_table", node, n.CreateStmt.Relation, catalog.Table)
		s.partitionOf(n.CreateStmt)
	case *pg_query.Node_CreateForeignTableStmt:
		s.create("create_foreign_table", node, n.CreateForeignTableStmt.BaseStmt.GetRelation(), catalog.ForeignTable)
	case *pg_query.Node_CreateSeqStmt:
		s.create("create_sequence", node, n.CreateSeqStmt.Sequence, catalog.Sequence)
	case *pg_query.Node_CompositeTypeStmt:
		s.create("create_type", node, n.CompositeTypeStmt.Typevar, catalog.Unknown)
	case *pg_query.Node_ViewStmt:
		s.newQuery("create_view", n.ViewStmt.Query, n.ViewStmt.View, catalog.View)
	case *pg_query.Node_CreateTableAsStmt:
		kind, relation := "create_table", catalog.Table
		if n.CreateTableAsStmt.Objtype == pg_query.ObjectType_OBJECT_MATVIEW {
			kind, relation = "create_materialized_view", catalog.MaterializedView
		}
		s.newQuery(kind, n.CreateTableAsStmt.Query, n.CreateTableAsStmt.Into.GetRel(), relation)
	default:
		return false
	}
	return true
}

func (s *state) create(kind string, node *pg_query.Node, rv *pg_query.RangeVar, relation catalog.Kind) {
	s.kind(kind, "schema")
	s.creating(rv, relation)
	s.walkStatement(node, rv, nil)
}

// newQuery is a view, or a table made of a query.
func (s *state) newQuery(kind string, query *pg_query.Node, rv *pg_query.RangeVar, relation catalog.Kind) {
	s.nested = true
	if sel := query.GetSelectStmt(); sel != nil {
		s.topSelect(sel)
	} else if !s.named(query) { // EXECUTE
		s.unknownNode(query)
	}
	s.kind(kind, "schema")
	s.creating(rv, relation)
}

// creating lists the relation that a statement makes, where it will be.
func (s *state) creating(rv *pg_query.RangeVar, kind catalog.Kind) {
	if rv == nil {
		s.unresolved("the new relation's name")
		return
	}
	s.created(rv)
	if rv.Catalogname != "" && rv.Catalogname != s.snapshot.Database {
		s.unresolved("database " + quoted(rv.Catalogname))
	}
	schema := rv.Schemaname
	if isTemporary(rv) {
		schema = catalog.TemporarySchema
	}
	if schema == "" {
		schema = s.creationSchema()
	}
	if r := s.snapshot.Relation(schema, rv.Relname); r != nil { // IF NOT EXISTS, OR REPLACE
		s.touch(r, "ddl")
		return
	}
	id := catalog.QuoteIdent(schema) + "." + catalog.QuoteIdent(rv.Relname)
	s.addTable(Table{ID: id, Schema: schema, Name: rv.Relname, Kind: kind, Access: []string{"ddl"}})
}

// creationSchema is where a new object without a schema goes: the first of the
// search path as it is set.
func (s *state) creationSchema() string {
	for _, schema := range s.env.SearchPath {
		if schema == "$user" {
			schema = s.env.User
		}
		if (s.snapshot.HasSchema(schema) || schema == catalog.TemporarySchema) && !slices.Contains(s.env.Unusable, schema) {
			return schema
		}
	}
	s.unresolved("the schema to create in")
	return ""
}

// alteration handles what changes relations, and what belongs to one.
func (s *state) alteration(node *pg_query.Node) bool {
	var main *pg_query.RangeVar
	s.rows = true
	switch n := node.GetNode().(type) {
	case *pg_query.Node_AlterTableStmt:
		s.kind("alter_"+objectWord(n.AlterTableStmt.Objtype), "schema")
		return s.alterTable(n.AlterTableStmt)
	case *pg_query.Node_IndexStmt:
		s.kind("create_index", "schema")
		main = n.IndexStmt.Relation
		s.rows = n.IndexStmt.WhereClause != nil
	case *pg_query.Node_AlterSeqStmt:
		s.kind("alter_sequence", "schema")
		s.rows = false
	case *pg_query.Node_CreateTrigStmt:
		s.kind("create_trigger", "schema")
		main = n.CreateTrigStmt.Relation
		s.namedFunction(n.CreateTrigStmt.Funcname)
	case *pg_query.Node_RuleStmt:
		s.kind("create_rule", "schema")
		s.unresolved("actions of a rule")
	case *pg_query.Node_CreatePolicyStmt:
		s.kind("create_policy", "privilege")
		main = n.CreatePolicyStmt.Table
	case *pg_query.Node_AlterPolicyStmt:
		s.kind("alter_policy", "privilege")
		main = n.AlterPolicyStmt.Table
	case *pg_query.Node_CreateStatsStmt:
		s.kind("create_statistics", "schema")
		if list := n.CreateStatsStmt.Relations; len(list) > 0 {
			main = list[0].GetRangeVar()
		}
	case *pg_query.Node_RenameStmt:
		s.kind("alter_"+objectWord(n.RenameStmt.RenameType), "schema")
		s.renamed(n.RenameStmt)
	case *pg_query.Node_AlterObjectSchemaStmt:
		s.kind("alter_"+objectWord(n.AlterObjectSchemaStmt.ObjectType), "schema")
		if n.AlterObjectSchemaStmt.ObjectType == pg_query.ObjectType_OBJECT_EXTENSION {
			s.unresolved("what alter extension does")
		}
	case *pg_query.Node_AlterOwnerStmt:
		s.kind("alter_"+objectWord(n.AlterOwnerStmt.ObjectType), "privilege")
	case *pg_query.Node_DropStmt:
		s.kind("drop", "schema")
		s.drop(n.DropStmt)
		return true
	case *pg_query.Node_CommentStmt:
		s.kind("comment", "schema")
		s.object(n.CommentStmt.Objtype, n.CommentStmt.Object, false)
		return true
	case *pg_query.Node_SecLabelStmt:
		s.kind("security_label", "privilege")
		s.object(n.SecLabelStmt.Objtype, n.SecLabelStmt.Object, false)
		return true
	default:
		return false
	}
	s.walkStatement(node, nil, main)
	return true
}

// namedFunction lists the function a trigger runs.
func (s *state) namedFunction(name []*pg_query.Node) {
	s.walkCall(&pg_query.FuncCall{Funcname: name})
}

// renamed lists what goes out from under its name. What belongs to a relation and
// is no column has no mask to lose.
func (s *state) renamed(st *pg_query.RenameStmt) {
	switch st.RenameType {
	case pg_query.ObjectType_OBJECT_SCHEMA:
		s.everyRelation(st.Subname, true)
	case pg_query.ObjectType_OBJECT_COLUMN:
		s.rows = false
		rv := st.Relation
		r := s.findRelation(rv.GetCatalogname(), rv.GetSchemaname(), rv.GetRelname())
		if r == nil {
			return
		}
		if c := r.Column(st.Subname); c != nil {
			s.mark(s.relationCell(r, c, false), derived)
		} else {
			s.unresolved("column " + quoted(st.Subname) + " of " + quoted(r.Name))
		}
	case pg_query.ObjectType_OBJECT_ATTRIBUTE:
		if st.Behavior == pg_query.DropBehavior_DROP_CASCADE {
			s.unresolved("the tables of a type")
		}
	case pg_query.ObjectType_OBJECT_TABCONSTRAINT, pg_query.ObjectType_OBJECT_TRIGGER,
		pg_query.ObjectType_OBJECT_RULE, pg_query.ObjectType_OBJECT_POLICY:
		s.rows = false
	default: // a relation itself: all of its columns
	}
}

func (s *state) alterTable(st *pg_query.AlterTableStmt) bool {
	rv := st.Relation
	if rv == nil {
		s.unresolved("ALTER TABLE")
		return true
	}
	r := s.findRelation(rv.Catalogname, rv.Schemaname, rv.Relname)
	if r == nil && st.MissingOk {
		return true
	}
	s.touchNamed(rv, "ddl")
	for _, node := range st.Cmds {
		if c := node.GetAlterTableCmd().GetDef().GetColumnDef(); c != nil {
			s.added = append(s.added, c.Colname)
		}
	}
	for _, node := range st.Cmds {
		cmd := node.GetAlterTableCmd()
		if privileged[cmd.GetSubtype()] {
			s.out.Shape.Class = "privilege"
		}
		if st.Objtype == pg_query.ObjectType_OBJECT_TYPE && cmd.GetBehavior() == pg_query.DropBehavior_DROP_CASCADE {
			s.unresolved("the tables of a type")
		}
		s.altered(r, cmd)
		s.walk(node.ProtoReflect(), rv, r)
	}
	return true
}

// privileged are the ways of ALTER TABLE that decide who sees what.
var privileged = map[pg_query.AlterTableType]bool{
	pg_query.AlterTableType_AT_ChangeOwner: true, pg_query.AlterTableType_AT_EnableRowSecurity: true,
	pg_query.AlterTableType_AT_DisableRowSecurity: true, pg_query.AlterTableType_AT_ForceRowSecurity: true,
	pg_query.AlterTableType_AT_NoForceRowSecurity: true,
}

func objectWord(o pg_query.ObjectType) string {
	switch o {
	case pg_query.ObjectType_OBJECT_MATVIEW:
		return "materialized_view"
	case pg_query.ObjectType_OBJECT_COLUMN, pg_query.ObjectType_OBJECT_TABCONSTRAINT:
		return "table"
	default:
		return strings.ToLower(strings.TrimPrefix(o.String(), "OBJECT_"))
	}
}

func (s *state) drop(st *pg_query.DropStmt) {
	for _, node := range st.Objects {
		schema := node.GetString_().GetSval()
		if st.RemoveType == pg_query.ObjectType_OBJECT_SCHEMA && !(st.MissingOk && !s.snapshot.HasSchema(schema)) {
			s.everyRelation(schema, false)
		}
		r := s.object(st.RemoveType, node, st.MissingOk)
		if st.RemoveType == pg_query.ObjectType_OBJECT_TRIGGER { // what it has written stays
			s.everyColumn(r)
		}
	}
}

// object lists the relation that a name of the given kind of object means or
// belongs to, and returns it. Of other objects only the types they name are looked up.
func (s *state) object(kind pg_query.ObjectType, node *pg_query.Node, missingOK bool) *catalog.Relation {
	belongs := false
	switch kind {
	case pg_query.ObjectType_OBJECT_TABLE, pg_query.ObjectType_OBJECT_VIEW, pg_query.ObjectType_OBJECT_MATVIEW,
		pg_query.ObjectType_OBJECT_SEQUENCE, pg_query.ObjectType_OBJECT_INDEX, pg_query.ObjectType_OBJECT_FOREIGN_TABLE:
	case pg_query.ObjectType_OBJECT_COLUMN, pg_query.ObjectType_OBJECT_TABCONSTRAINT, pg_query.ObjectType_OBJECT_TRIGGER,
		pg_query.ObjectType_OBJECT_RULE, pg_query.ObjectType_OBJECT_POLICY:
		belongs = true
	default:
		if !missingOK { // the types of signatures, casts and domains
			s.walk(node.ProtoReflect(), nil, nil)
		}
		return nil
	}
	parts, ok := names(node.GetList().GetItems())
	if belongs && len(parts) > 0 {
		parts = parts[:len(parts)-1]
	}
	database, schema, name, split := splitName(parts)
	if !ok || !split {
		s.unresolved("relation " + quoted(parts...))
		return nil
	}
	r := s.findRelation(database, schema, name)
	if r == nil {
		if !missingOK {
			s.unresolved("relation " + quoted(parts...))
		}
		return nil
	}
	s.touch(r, "ddl")
	return r
}

// privilege handles who may do what.
func (s *state) privilege(node *pg_query.Node) bool {
	switch n := node.GetNode().(type) {
	case *pg_query.Node_GrantStmt:
		s.kind(grantWord(n.GrantStmt.IsGrant), "privilege")
		s.granted(n.GrantStmt)
	case *pg_query.Node_GrantRoleStmt:
		s.kind(grantWord(n.GrantRoleStmt.IsGrant), "privilege")
	case *pg_query.Node_AlterDefaultPrivilegesStmt:
		s.kind("alter_default_privileges", "privilege")
	case *pg_query.Node_CreateRoleStmt:
		s.kind("create_role", "privilege")
	case *pg_query.Node_AlterRoleStmt:
		s.kind("alter_role", "privilege")
	case *pg_query.Node_AlterRoleSetStmt:
		s.kind("alter_role", "privilege")
		s.laterSetting(n.AlterRoleSetStmt.Setstmt)
	case *pg_query.Node_AlterDatabaseSetStmt:
		s.kind("alter_database", "privilege")
		s.laterSetting(n.AlterDatabaseSetStmt.Setstmt)
	case *pg_query.Node_DropRoleStmt:
		s.kind("drop", "privilege")
	case *pg_query.Node_DropOwnedStmt:
		s.kind("drop_owned", "privilege")
	case *pg_query.Node_ReassignOwnedStmt:
		s.kind("reassign_owned", "privilege")
	case *pg_query.Node_CreateUserMappingStmt:
		s.kind("create_user_mapping", "privilege")
	case *pg_query.Node_AlterUserMappingStmt:
		s.kind("alter_user_mapping", "privilege")
	case *pg_query.Node_DropUserMappingStmt:
		s.kind("drop", "privilege")
	default:
		return false
	}
	return true
}

func grantWord(isGrant bool) string {
	if isGrant {
		return "grant"
	}
	return "revoke"
}

func (s *state) granted(st *pg_query.GrantStmt) {
	for _, node := range st.Objects {
		if signature := node.GetObjectWithArgs(); signature != nil {
			s.walk(signature.ProtoReflect(), nil, nil)
		}
	}
	if st.Objtype == pg_query.ObjectType_OBJECT_TABLE || st.Objtype == pg_query.ObjectType_OBJECT_SEQUENCE {
		for _, node := range st.Objects {
			if rv := node.GetRangeVar(); rv != nil {
				s.touchNamed(rv, "ddl")
			} else if node.GetString_() == nil { // ALL TABLES IN SCHEMA
				s.unknownNode(node)
			}
		}
	}
}

// laterSetting refuses to have sessions start with what they may not set.
func (s *state) laterSetting(st *pg_query.VariableSetStmt) {
	name := asciiLower(st.GetName())
	set := &Setting{Name: name, Opaque: true}
	if st.GetKind() == pg_query.VariableSetKind_VAR_RESET || st.GetKind() == pg_query.VariableSetKind_VAR_RESET_ALL {
		set.Reset = true
	}
	if reason := refusedSetting(set); reason != nil {
		s.refuse(reason)
	}
}
