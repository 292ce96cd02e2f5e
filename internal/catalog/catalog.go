// Package catalog holds what is known of a database's relations, columns, views
// and functions.
package catalog

import "strings"

// OID is an object identifier of the PostgreSQL catalogs.
type OID uint32

// Kind says what a relation is, in the words of the policy input. The zero value
// is a kind nobody has understood.
type Kind string

// Kinds of relations. A partitioned table is a Table.
const (
	Table            Kind = "table"
	View             Kind = "view"
	MaterializedView Kind = "materialized_view"
	ForeignTable     Kind = "foreign_table"
	Sequence         Kind = "sequence"
	Unknown          Kind = "unknown" // indexes, composite types, toast
)

// Relation is a row of pg_class with its columns.
type Relation struct {
	OID         OID
	Schema      string
	Name        string
	Kind        Kind
	Temporary   bool
	RowType     OID       // its composite type
	OfType      OID       // of a typed table: the type it was made OF
	Columns     []*Column // in order of attribute number, without dropped ones; none for indexes
	Index       bool      // an index, of Kind Unknown
	Definition  string    // of views: the SELECT, names qualified (search_path was empty when it was read)
	PrimaryKey  []int16   // attribute numbers, nil when there is none that holds at every moment
	Parents     []OID     // inheritance and partitioning
	Children    []OID
	Effects     []Effect  // what writes run, of users' making
	Rules       []Rule    // on writes
	Cascades    []Cascade // of foreign keys that refer to it
	Access      Access
	Constraints []Constraint
	// PartitionKey: attribute numbers, 0 for an expression; nil unless partitioned.
	PartitionKey []int16

	id string // made when it was loaded
}

// ID is schema.name, each part quoted as PostgreSQL's quote_ident does.
func (r *Relation) ID() string {
	if r.id != "" {
		return r.id
	}
	return QuoteIdent(r.Schema) + "." + QuoteIdent(r.Name)
}

// ColumnID is schema.name.column, quoted as ID is.
func (r *Relation) ColumnID(c *Column) string {
	if c.id != "" {
		return c.id
	}
	return r.ID() + "." + QuoteIdent(c.Name)
}

// System reports whether the relation belongs to PostgreSQL itself: pg_catalog,
// information_schema or a toast schema.
func (r *Relation) System() bool { return SystemSchema(r.Schema) }

// Column returns the column of that exact name, or nil. System columns (ctid,
// xmin…) are not columns here.
func (r *Relation) Column(name string) *Column {
	for _, c := range r.Columns {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Sources are the columns that a generated column, or one that a trigger of
// PostgreSQL's own keeps up to date, is computed from; none for others.
func (r *Relation) Sources(c *Column) []*Column {
	var sources []*Column
	for _, n := range c.MadeOf {
		if source := r.number(n); source != nil {
			sources = append(sources, source)
		}
	}
	return sources
}

func (r *Relation) number(n int16) *Column {
	if r == nil {
		return nil
	}
	for _, c := range r.Columns {
		if c.Number == n {
			return c
		}
	}
	return nil
}

// Column is a row of pg_attribute.
type Column struct {
	Number    int16
	Name      string
	Type      OID
	TypeMod   int32
	TypeName  string // as format_type writes it, qualified where needed: character varying(20)
	Collation OID    // 0: none; otherwise see Snapshot.Collations
	NotNull   bool
	Generated bool
	Readable  bool    // the role may SELECT it by a grant of the column
	Default   bool    // a new row that gives it no value gets one that can be known beforehand
	MadeOf    []int16 // the columns of its table it is computed from, when generated or kept by tsvector_update_trigger

	id string // made when it was loaded
}

// Function is a row of pg_proc.
type Function struct {
	OID             OID
	Schema          string
	Name            string
	Kind            string   // function, aggregate, window, procedure
	Args            []OID    // of input arguments
	ArgNames        []string // of input arguments, nil when none has a name
	Defaults        int      // how many of the last arguments may be left out
	Variadic        bool     // the last argument takes any number
	VariadicElem    OID      // of which type: "any" takes every type
	CallArgs        []OID    // of a procedure, what CALL gives, OUT parameters included
	CallNames       []string // and their names
	Result          OID
	ReturnsSet      bool
	OutColumns      []string // names of OUT, INOUT and TABLE columns, nil when the result is one value
	OutTypes        []OID    // their types
	Volatility      string   // immutable, stable, volatile
	Leakproof       bool
	SecurityDefiner bool
	Language        string
	Configured      bool   // with SET clauses
	Body            string // of a function in SQL that users have made: its text, whose names are looked up when it runs
	StandardBody    string // likewise, of one whose names were looked up when it was made: RETURN … or BEGIN ATOMIC … END
	DefaultArgs     string // likewise: the defaults of its last arguments, separated by commas
}

// ID is schema.name, quoted as Relation.ID is.
func (f *Function) ID() string { return QuoteIdent(f.Schema) + "." + QuoteIdent(f.Name) }

// Type is a row of pg_type.
type Type struct {
	OID       OID
	Schema    string
	Name      string
	Kind      byte  // pg_type.typtype: b base, c composite, d domain, e enum, p pseudo, r range, m multirange
	Category  byte  // pg_type.typcategory: S string, N numeric, D date/time …
	Base      OID   // of a domain
	Preferred bool  // pg_type.typispreferred
	Elem      OID   // of an array
	Part      OID   // what a subscript takes of a value that is no array: of a name, a point
	Subtype   OID   // of a range: what it is of; of a multirange: its range type
	Relation  OID   // of a composite type
	Checks    []OID // functions of users' making that a domain's own constraints call
	Checked   bool  // a domain with constraints, which may run functions
}

// Operator is a row of pg_operator.
type Operator struct {
	OID      OID
	Schema   string
	Name     string
	Left     OID // 0: prefix operator
	Right    OID
	Result   OID
	Function OID
}

// Cast is a row of pg_cast.
type Cast struct {
	Source, Target OID
	Function       OID  // 0: binary coercible, or through text
	Method         byte // pg_cast.castmethod: f by a function, i through text, b as it is
	Implicit       bool // made anywhere
	Assignment     bool // made on assignment, or anywhere
}

// firstUserOID is FirstNormalObjectId of PostgreSQL: what lies below was made by
// initdb.
const firstUserOID = 16384

// User reports whether the object was made after initdb.
func (o OID) User() bool { return o >= firstUserOID }

// TemporarySchema is the schema of a session's own temporary relations and types, in
// snapshots read by Session: names are looked up there first. Others have none.
const TemporarySchema = "pg_temp"

// SystemSchema reports whether the schema belongs to PostgreSQL itself.
func SystemSchema(name string) bool {
	return name == "pg_catalog" || name == "information_schema" || strings.HasPrefix(name, "pg_toast")
}
