package query

import (
	"slices"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// A statement that changes the schema can tell what is in a column without reading
// it: by moving it out from under its mask, by an error about a row, by a constraint
// that a value meets. So it uses every column of the relations it is about, except
// where it is of a form known to tell nothing.

// everyColumn lists all columns of a relation as used.
func (s *state) everyColumn(r *catalog.Relation) {
	if r == nil {
		return
	}
	for _, c := range r.Columns {
		s.mark(s.relationCell(r, c, false), derived)
	}
}

// everyRelation lists what is in a schema that a statement renames or drops.
func (s *state) everyRelation(schema string, columns bool) {
	if !s.snapshot.HasSchema(schema) {
		s.unresolved("schema " + quoted(schema))
		return
	}
	for _, r := range s.snapshot.InSchema(schema) {
		s.touch(r, "ddl")
		if columns {
			s.everyColumn(r)
		}
	}
}

// harmless are the ways of ALTER TABLE that tell nothing of any column but the one
// they name. All others use every column.
var harmless = map[pg_query.AlterTableType]bool{
	pg_query.AlterTableType_AT_AddColumn: true, pg_query.AlterTableType_AT_DropColumn: true,
	pg_query.AlterTableType_AT_ColumnDefault: true, pg_query.AlterTableType_AT_DropConstraint: true,
	pg_query.AlterTableType_AT_DropNotNull: true, pg_query.AlterTableType_AT_SetNotNull: true,
	pg_query.AlterTableType_AT_SetStatistics: true, pg_query.AlterTableType_AT_SetStorage: true,
	pg_query.AlterTableType_AT_SetCompression: true, pg_query.AlterTableType_AT_SetOptions: true,
	pg_query.AlterTableType_AT_ResetOptions: true, pg_query.AlterTableType_AT_AddIdentity: true,
	pg_query.AlterTableType_AT_SetIdentity: true, pg_query.AlterTableType_AT_DropIdentity: true,
	pg_query.AlterTableType_AT_AlterConstraint: true, pg_query.AlterTableType_AT_ClusterOn: true,
	pg_query.AlterTableType_AT_DropCluster: true, pg_query.AlterTableType_AT_SetLogged: true,
	pg_query.AlterTableType_AT_SetUnLogged: true, pg_query.AlterTableType_AT_SetAccessMethod: true,
	pg_query.AlterTableType_AT_SetTableSpace: true, pg_query.AlterTableType_AT_SetRelOptions: true,
	pg_query.AlterTableType_AT_ResetRelOptions: true, pg_query.AlterTableType_AT_ReplaceRelOptions: true,
	pg_query.AlterTableType_AT_EnableTrig: true, pg_query.AlterTableType_AT_EnableAlwaysTrig: true,
	pg_query.AlterTableType_AT_EnableReplicaTrig: true, pg_query.AlterTableType_AT_DisableTrig: true,
	pg_query.AlterTableType_AT_EnableTrigAll: true, pg_query.AlterTableType_AT_DisableTrigAll: true,
	pg_query.AlterTableType_AT_EnableTrigUser: true, pg_query.AlterTableType_AT_DisableTrigUser: true,
	pg_query.AlterTableType_AT_ChangeOwner: true, pg_query.AlterTableType_AT_EnableRowSecurity: true,
	pg_query.AlterTableType_AT_DisableRowSecurity: true, pg_query.AlterTableType_AT_ForceRowSecurity: true,
	pg_query.AlterTableType_AT_NoForceRowSecurity: true,
}

// altered lists the columns that one command of ALTER TABLE uses.
func (s *state) altered(r *catalog.Relation, cmd *pg_query.AlterTableCmd) {
	if r == nil {
		return
	}
	named := r.Column(cmd.GetName())
	switch kind := cmd.GetSubtype(); {
	case !harmless[kind] || kind == pg_query.AlterTableType_AT_AddColumn && computedColumn(cmd.Def.GetColumnDef()):
		s.everyColumn(r)
	case named == nil:
	case kind == pg_query.AlterTableType_AT_SetNotNull: // fails where there is a NULL
		s.mark(s.relationCell(r, named, false), derived)
	default:
		s.mark(s.relationCell(r, named, false), written)
	}
}

// computedColumn reports whether a new column comes with an expression over others.
func computedColumn(def *pg_query.ColumnDef) bool {
	for _, node := range def.GetConstraints() {
		switch node.GetConstraint().GetContype() {
		case pg_query.ConstrType_CONSTR_NULL, pg_query.ConstrType_CONSTR_NOTNULL, pg_query.ConstrType_CONSTR_DEFAULT,
			pg_query.ConstrType_CONSTR_IDENTITY, pg_query.ConstrType_CONSTR_PRIMARY, pg_query.ConstrType_CONSTR_UNIQUE,
			pg_query.ConstrType_CONSTR_FOREIGN, pg_query.ConstrType_CONSTR_ATTR_DEFERRABLE,
			pg_query.ConstrType_CONSTR_ATTR_NOT_DEFERRABLE, pg_query.ConstrType_CONSTR_ATTR_DEFERRED,
			pg_query.ConstrType_CONSTR_ATTR_IMMEDIATE:
		default:
			return true
		}
	}
	return def == nil
}

// referenced lists the columns that a foreign key looks its values up in: whoever
// may insert where it stands learns which values there are.
func (s *state) referenced(key *pg_query.Constraint) {
	rv := key.Pktable
	r := s.findRelation(rv.Catalogname, rv.Schemaname, rv.Relname)
	if r == nil {
		return // listed as unresolved where it is named
	}
	columns, ok := names(key.PkAttrs)
	switch {
	case !ok:
		s.everyColumn(r)
	case len(columns) == 0: // its primary key
		s.numbered(r, r.PrimaryKey)
	}
	for _, name := range columns {
		if c := r.Column(name); c != nil {
			s.mark(s.relationCell(r, c, false), derived)
		}
	}
}

func (s *state) numbered(r *catalog.Relation, numbers []int16) {
	for _, c := range r.Columns {
		if slices.Contains(numbers, c.Number) {
			s.mark(s.relationCell(r, c, false), derived)
		}
	}
}

// partitionOf lists what making a partition tells: whether the default partition has
// rows that belong into it.
func (s *state) partitionOf(st *pg_query.CreateStmt) {
	if st.Partbound == nil || len(st.InhRelations) == 0 {
		return
	}
	rv := st.InhRelations[0].GetRangeVar()
	r := s.findRelation(rv.GetCatalogname(), rv.GetSchemaname(), rv.GetRelname())
	if r == nil {
		return
	}
	if slices.Contains(r.PartitionKey, 0) { // an expression
		s.everyColumn(r)
	}
	s.numbered(r, r.PartitionKey)
}

// rowless are the kinds of statements whose expressions have no table's row to read.
var rowless = map[string]bool{
	"create_domain": true, "alter_domain": true, "create_function": true, "create_procedure": true,
}

// reference lists the columns that a name in an expression of a statement about a
// relation means: a column, else the whole row.
func (s *state) reference(fields []*pg_query.Node, made *pg_query.RangeVar, main *catalog.Relation) {
	parts, ok := names(fields)
	switch {
	case main != nil && ok && len(parts) > 0 && main.Column(parts[len(parts)-1]) != nil:
		s.mark(s.relationCell(main, main.Column(parts[len(parts)-1]), false), derived)
	case main != nil:
		s.everyColumn(main)
		if ok && len(parts) > 0 && !ofRow(parts, main) && !slices.Contains(s.added, parts[len(parts)-1]) {
			s.unresolved("column " + quoted(parts...) + " of " + quoted(main.Name))
		}
	case made == nil && !rowless[s.out.Shape.Kind]: // a new relation has no rows yet
		s.unresolved("column " + quoted(parts...))
	}
}

// ofRow reports whether a name that is no column of a relation means its row, one of
// its system columns or the end of a partition's bounds.
func ofRow(parts []string, main *catalog.Relation) bool {
	name := parts[len(parts)-1]
	if _, system := systemColumns[name]; system {
		return true
	}
	return name == main.Name || name == "new" || name == "old" || len(parts) == 1 && (name == "minvalue" || name == "maxvalue")
}

// alteredDomain lists the columns whose values a new constraint of a domain is tried
// on: its error tells of them.
func (s *state) alteredDomain(st *pg_query.AlterDomainStmt) {
	if st.Subtype == "T" || st.Subtype == "N" || st.Subtype == "X" { // DEFAULT, DROP NOT NULL, DROP CONSTRAINT
		return
	}
	parts, ok := names(st.TypeName)
	_, schema, name, split := splitName(parts)
	typ := s.lookupType(schema, name)
	if !ok || !split || typ == nil {
		s.unresolved("type " + quoted(parts...))
		return
	}
	for _, h := range s.snapshot.Holding(typ.OID) {
		s.touch(h.Relation, "read")
		for _, c := range h.Columns {
			s.mark(s.relationCell(h.Relation, c, false), derived)
		}
	}
}
