// Package query parses SQL with PostgreSQL's own parser and says what each
// statement does.
package query

import (
	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// Analysis says what one statement does, every name resolved as the server will
// resolve it. It is made once for a text and never changed.
type Analysis struct {
	Statement *Statement // what was analysed
	User      string     // the role it was analysed for
	Shape     Shape      // what policies see
	Scans     []*Scan    // every place a relation of the catalog is read in a FROM clause, for rewriting
	Targets   []*Target  // the relations whose rows it changes, each with the places that refer to its columns
	Reads     []*Read    // reads of columns that are through neither a Scan nor a TargetRef: whole rows of targets, COPY…

	Leakproof []*pg_query.A_Expr // operators that tell nothing of their operands but by the result

	Positions map[string]int // of what is unresolved in the text, in characters from 1, where known

	// Refusal is set when the statement is of a kind sallyport never forwards,
	// whatever the policy says (0A000), or cannot exist (42601).
	Refusal *Error

	// What the proxy has to know beyond the decision.
	Chain       bool          // COMMIT or ROLLBACK AND CHAIN
	Transaction string        // begin, commit, rollback, savepoint, release, rollback_to; "" for other kinds
	Setting     *Setting      // SET, RESET, and set_config where it is the whole statement
	Deallocate  *Deallocate   // SQL DEALLOCATE
	Named       *Named        // what a cursor or a prepared statement of SQL's own is made by, used by or closed by
	Discard     string        // all, plans, sequences, temporary
	Call        *Call         // sallyport.request and its like: answered by the proxy, never forwarded
	Copy        CopyKind      // which way COPY moves data through the connection
	Temporary   bool          // it makes a temporary object
	Schema      bool          // the catalog may differ afterwards: DDL, and what may run it
	Relations   []catalog.OID // every relation touched, bases of views included
}

// Shape is what policies are told of a statement: no literal, no value. Fields
// and their words are those of statement in rego/schemas/input.json.
type Shape struct {
	Kind          string
	Command       string // of Named, where Kind is that of the statement it is about
	Class         string
	Index, Count  int
	Fingerprint   string // of Fingerprint, for who asks: Analyze leaves it empty
	Complete      bool
	Unresolved    []string
	Tables        []Table
	Columns       []Column
	Functions     []Function
	Where         bool
	Limit         *int64
	Joins         int
	Subqueries    int
	CTEs          int
	SetOperations []string
	Locks         []string
	Explain       *Explain
	Parameters    []Parameter
	Literals      int
}

// Table is a relation a statement touches.
type Table struct {
	ID, Schema, Name string
	Kind             catalog.Kind
	Access           []string // read insert update delete truncate ddl lock, sorted, each once
	Via              string   // id of the view it is reached through; "" when named by the statement
}

// Column is a column a statement touches.
type Column struct {
	ID, Table, Name string
	Uses            []string // projected derived filtered joined grouped ordered aggregated written returned, sorted, each once
	Via             string   // id of the view it is reached through
}

// Function is a function a statement calls, by name or through an operator or cast.
type Function struct {
	ID, Schema, Name, Kind, Volatility, Language string
	Leakproof, SecurityDefiner                   bool
	// Transparent: it is written in SQL and is one SELECT, whose relations, columns
	// and functions are listed via Via() of its ID.
	Transparent bool
	Via         string // id of the view whose definition calls it, of the table whose trigger…, name() of the function
}

// Explain tells that the statement is only explained, or run and explained.
type Explain struct{ Analyze bool }

// Parameter is a $n of the statement.
type Parameter struct {
	Index int
	Type  string // when the statement or the client says it
}

// Scan is one relation read in a FROM clause. Rewriting replaces Node by a
// subquery that masks.
type Scan struct {
	Node     *pg_query.RangeVar // inside Analysis.Statement's tree
	Relation *catalog.Relation
	Columns  []*catalog.Column // those the statement can see of it, in column order: what is not here is not referenced
	All      bool              // every column takes part: *, NATURAL, whole row, column alias list
	WholeRow bool              // referenced as a row value, which a subquery would make a record
	Rows     []RowRef          // where it is: see RowsKnown
	System   []string          // system columns referenced: ctid, xmin, tableoid…
	Locked   bool              // under FOR UPDATE and its like
	Sampled  bool              // TABLESAMPLE
	// Copied: the relation is named by COPY TO, which reads these columns of it alone.
	Copied []*catalog.Column
	// GroupedByKey: columns neither grouped nor aggregated are legal only because the
	// primary key is grouped by, which a subquery would lose; nil when there are none.
	GroupedByKey *KeyGroup
	// Lineage: of views, materialized views, tables with parents or children and
	// tables with generated columns, per output column what columns it is made of; nil for other relations.
	Lineage map[string]Lineage

	columns  map[*catalog.Column]bool
	analyzer *Analyzer
	rows     int // references to the whole row
}

// A RowRef is a place that refers to the whole row of a scan, as name or name.*.
type RowRef struct {
	Node    *pg_query.Node // of the reference, inside Analysis.Statement's tree
	Columns []string       // the scan's, by the names they have there
}

// RowsKnown reports whether Rows are all references to the whole row.
func (scan *Scan) RowsKnown() bool { return len(scan.Rows) == scan.rows }

// Lineage is where a view's column comes from.
type Lineage struct {
	// Bases are ids of columns: of a view everything beneath, nested views'
	// columns and those of partitions, parents and children included; of a table
	// its own, what a generated one is computed from, and the same of the tables
	// that share rows with it.
	Bases []string
	Plain bool // it is one table's column as it is
}

// Target is the relation that INSERT, UPDATE, DELETE, MERGE or COPY FROM changes.
type Target struct {
	Node      *pg_query.RangeVar // inside Analysis.Statement's tree
	Relation  *catalog.Relation
	Statement any                // the *pg_query.InsertStmt, UpdateStmt, DeleteStmt, MergeStmt or CopyStmt, inside the tree
	Lineage   map[string]Lineage // as of a Scan
	Refs      []*TargetRef       // where its columns are read, and can be read masked
	Inferred  []*catalog.Column  // named by ON CONFLICT (…), which tells which index is meant and reads nothing
	Inserts   bool               // there may be new rows
	Inserted  []*catalog.Column  // columns that new rows are given
	Sets      []*Set             // how rows that are there are changed, one for each list of SET
	Deletes   bool
	set       *Set // the one being looked at
}

// Set is a list of columns that SET gives values.
type Set struct {
	Columns []*catalog.Column // given values other than their own
	Kept    []*catalog.Column // some of these, which may keep what they have
	Null    []*catalog.Column // some of these, set to a plain NULL
}

// TargetRef is one place in a statement that reads a column of its target, or
// lists columns of it by a star.
type TargetRef struct {
	Node   *pg_query.ColumnRef // inside Analysis.Statement's tree
	Column *catalog.Column     // nil for a star
	Star   []StarColumn        // what a star stands for
	How    string              // in words, for a refusal: "the WHERE clause of UPDATE"
	// Kept: the value goes nowhere but back into the column: SET email =
	// COALESCE($1, email).
	Kept bool
}

// Columns are those of the target that the place shows.
func (r *TargetRef) Columns() []*catalog.Column {
	if r.Column != nil {
		return []*catalog.Column{r.Column}
	}
	var columns []*catalog.Column
	for _, c := range r.Star {
		if c.Column != nil {
			columns = append(columns, c.Column)
		}
	}
	return columns
}

// StarColumn is a column that a star stands for.
type StarColumn struct {
	Name string
	// Qualifier has to stand before the name, which is not enough by itself; nil
	// when it is. What a star of one relation lists is qualified as the star is.
	Qualifier []string
	Column    *catalog.Column // of the target; nil for others
	Ambiguous bool            // there is no name for it but the star
}

// Read is a read of a column that is neither a Scan nor a TargetRef.
type Read struct {
	Column string // id
	How    string // in words, for a refusal: "the WHERE clause of UPDATE"
}

// Setting is a SET, RESET or set_config.
type Setting struct {
	Name   string // lower case; "all" for RESET ALL
	Values []string
	Local  bool
	Reset  bool // RESET, SET … TO DEFAULT
	Opaque bool // the value is not known from the text: a parameter, an expression
}

// Deallocate is a SQL DEALLOCATE.
type Deallocate struct {
	Name string
	All  bool
}

// Named is what a statement does with a cursor or a statement prepared by SQL.
// Of declare and prepare, Shape and Scans are those of the query they hold; fetch,
// move and execute know but the name.
type Named struct {
	Command string // declare, fetch, move, close, prepare, execute
	Name    string // "" for CLOSE ALL
	Hold    bool   // DECLARE … WITH HOLD
}

// Makes reports whether the name means something afterwards.
func (n *Named) Makes() bool { return n != nil && (n.Command == "declare" || n.Command == "prepare") }

// Uses reports whether what it does depends on what the name means.
func (n *Named) Uses() bool {
	return n != nil && (n.Command == "fetch" || n.Command == "move" || n.Command == "execute")
}

// CopyKind says which way COPY moves data through the connection.
type CopyKind int

// The zero value moves none.
const (
	CopyNone CopyKind = iota
	CopyIn
	CopyOut
)

// Call is a call of one of the proxy's own functions, alone in its statement:
// SELECT [* FROM] sallyport.name(args).
type Call struct {
	Name string
	Args []Arg
}

// Arg is a literal or a parameter.
type Arg struct {
	Value string
	Null  bool
	Param int // $n, 0 for a literal
}

// Env is what names mean depends on, besides the catalog.
type Env struct {
	SearchPath []string // as set, "$user" not yet replaced; pg_catalog is implied
	User       string   // the role that the server sees
	Unusable   []string // schemas the role has no USAGE on, which the server leaves out of the path
	ParamTypes []catalog.OID
	// Opaque: code has run in the session that may have put objects in the way, so
	// that it is not known what names in functions' bodies will mean.
	Opaque bool
}
