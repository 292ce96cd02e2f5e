package rego

import "reflect"

// Statement is what one SQL statement does. It must not be changed once it has
// been decided on: its value and its share of the cache key are kept with it, so
// that the same statement costs one lookup. Share one *Statement for one text.
type Statement struct {
	Kind          string      `json:"kind"`                                                        // command tag in lower case: select, insert, update, delete, merge, copy, create_table, drop, grant, set, begin, ...
	Command       string      `json:"command,omitempty" enum:"declare,fetch,move,prepare,execute"` // how the statement is made, where it is given a name first; kind is that of the statement itself
	Class         string      `json:"class" enum:"read,write,schema,privilege,transaction,setting,maintenance,procedural,other"`
	Protocol      string      `json:"protocol,omitempty" enum:"simple,extended,copy,function_call"`
	Index         int         `json:"index" optional:"true"` // position within a multi-statement query
	Count         int         `json:"count,omitempty"`       // statements in that query
	Fingerprint   string      `json:"fingerprint,omitempty"` // pg_query fingerprint: literals removed
	Digest        string      `json:"digest,omitempty"`      // SHA-256 of the text
	Analysis      Analysis    `json:"analysis"`
	Tables        []Table     `json:"tables"`
	Columns       []Column    `json:"columns"`
	Functions     []Function  `json:"functions"`
	Where         bool        `json:"where" optional:"true"` // true when every UPDATE or DELETE in the statement, and the outer SELECT, has a WHERE clause
	Limit         *int64      `json:"limit,omitempty"`       // literal LIMIT of the outer SELECT; absent when there is none
	Joins         int         `json:"joins" optional:"true"`
	Subqueries    int         `json:"subqueries" optional:"true"`
	CTEs          int         `json:"ctes" optional:"true"`
	SetOperations []string    `json:"set_operations,omitempty"`
	Locks         []string    `json:"locks,omitempty"`
	Explain       *Explain    `json:"explain,omitempty"`
	Setting       *Setting    `json:"setting,omitempty"` // what SET, RESET, SHOW or set_config names; never the value
	Parameters    []Parameter `json:"parameters,omitempty"`
	Literals      int         `json:"literals" optional:"true"`
	Estimate      *Estimate   `json:"estimate,omitempty"`    // only where a policy in force refers to it
	Unestimated   string      `json:"unestimated,omitempty"` // why there is no estimate although a policy in force refers to it

	memo memo
}

// Analysis says whether the statement is understood whole.
type Analysis struct {
	Complete   bool     `json:"complete"` // every relation, column and function was resolved
	Unresolved []string `json:"unresolved,omitempty"`
}

// Table is a relation the statement touches.
type Table struct {
	ID     string   `json:"id"` // schema.name, each part quoted as PostgreSQL's quote_ident() does
	Schema string   `json:"schema"`
	Name   string   `json:"name"`
	Kind   string   `json:"kind" enum:"table,view,materialized_view,foreign_table,sequence,unknown"`
	Access []string `json:"access" enum:"read,insert,update,delete,truncate,ddl,lock"`
	Via    string   `json:"via,omitempty"` // id of the view, or id() of the function, through which it is reached; absent when the statement names it
}

// Column is a column the statement touches.
type Column struct {
	ID    string   `json:"id"`    // schema.table.column, quoted like table ids
	Table string   `json:"table"` // id of the table
	Name  string   `json:"name"`
	Uses  []string `json:"uses" enum:"projected,derived,filtered,joined,grouped,ordered,aggregated,written,returned"`
	Via   string   `json:"via,omitempty"` // id of the view, or id() of the function, through which it is reached; absent when the statement names it
}

// Function is a function the statement calls, by name or through an operator or a cast.
type Function struct {
	ID              string `json:"id"`
	Schema          string `json:"schema,omitempty"`
	Name            string `json:"name,omitempty"`
	Kind            string `json:"kind,omitempty" enum:"function,aggregate,window,procedure"`
	Volatility      string `json:"volatility" enum:"immutable,stable,volatile,unknown"`
	Leakproof       bool   `json:"leakproof" optional:"true"`
	SecurityDefiner bool   `json:"security_definer" optional:"true"`
	Language        string `json:"language,omitempty"`
	Transparent     bool   `json:"transparent" optional:"true"` // written in SQL and seen through: all that it reads and calls is listed, via id()
	Via             string `json:"via,omitempty"`               // id of the view whose definition calls it, of the table whose trigger, default or check does, or id() of the function whose body does; absent when the statement calls it
}

// Explain is there when the statement is only explained, or run and explained.
type Explain struct {
	Analyze bool `json:"analyze" optional:"true"`
}

// Estimate is what the planner expects of the statement that would run, masks
// included. It is a guess made from statistics.
type Estimate struct {
	Rows int64   `json:"rows"` // returned, or changed where that is more
	Cost float64 `json:"cost"` // total, in the planner's units
}

// Setting is a run-time parameter of the server.
type Setting struct {
	Name  string `json:"name"` // in lower case; all for RESET ALL and SHOW ALL
	Local bool   `json:"local" optional:"true"`
	Reset bool   `json:"reset" optional:"true"`
}

// Parameter is a $n of the statement.
type Parameter struct {
	Index int    `json:"index" optional:"true"`
	Type  string `json:"type,omitempty"`
}

// Estimated is the statement with an estimate, or with why there is none.
func (s *Statement) Estimated(e *Estimate, why string) *Statement {
	out := new(Statement)
	from, to := reflect.ValueOf(s).Elem(), reflect.ValueOf(out).Elem()
	for i := range from.NumField() {
		if statementType.Field(i).IsExported() { // what is kept with the other stays there
			to.Field(i).Set(from.Field(i))
		}
	}
	out.Estimate, out.Unestimated = e, why
	return out
}
