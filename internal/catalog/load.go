package catalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// load reads the whole catalog in one transaction.
func load(ctx context.Context, conn *pgx.Conn) (*Snapshot, error) {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("reading the catalog: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // read only; a connection it breaks is noticed at its next use
	return read(ctx, tx)
}

// Session reads the catalog as a session sees it, on the session's own connection:
// with its temporary objects, and with what it has changed in the transaction that
// it is in. What it sets meanwhile it sets back.
func Session(ctx context.Context, conn *pgx.Conn, inTransaction bool) (*Snapshot, error) {
	if !inTransaction {
		tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
		if err != nil {
			return nil, fmt.Errorf("reading the session's catalog: %w", err)
		}
		s, err := pathless(ctx, tx)
		if err != nil {
			return nil, err
		}
		return s, tx.Rollback(ctx)
	}
	return pathless(ctx, conn)
}

// pathless reads with an empty search path, so that definitions are written with
// every name qualified, and with constants in a form that any session reads alike.
func pathless(ctx context.Context, tx querier) (*Snapshot, error) {
	const all = `SELECT pg_catalog.array_agg(pg_catalog.current_setting(s) ORDER BY n) FROM pg_catalog.unnest($1::text[]) WITH ORDINALITY u (s, n)`
	var names, values []string
	for _, setting := range slices.Concat(writing, patience) {
		names, values = append(names, setting.name), append(values, setting.value)
	}
	var before []string
	if err := tx.QueryRow(ctx, all, names).Scan(&before); err != nil {
		return nil, fmt.Errorf("reading the session's settings: %w", err)
	}
	set := func(to []string) error {
		var now int
		return tx.QueryRow(ctx, `SELECT pg_catalog.count(pg_catalog.set_config(s, v, true)) FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) u (s, v)`, names, to).Scan(&now)
	}
	if err := set(values); err != nil {
		return nil, fmt.Errorf("setting how the session's catalog is written: %w", err)
	}
	s, err := read(ctx, tx)
	if err != nil {
		return nil, err
	}
	return s, set(before)
}

// writing is how the server has to write definitions.
var writing = []struct{ name, value string }{
	{"search_path", ""}, {"quote_all_identifiers", "off"}, {"standard_conforming_strings", "on"}, {"datestyle", "ISO, YMD"},
	{"intervalstyle", "postgres"}, {"extra_float_digits", "3"}, {"bytea_output", "hex"},
}

// patience is how long reading may take, whatever the session has set for its own
// statements; in milliseconds.
var patience = []struct{ name, value string }{{"statement_timeout", "20000"}, {"lock_timeout", "0"}}

// querier is a transaction, or a connection in one.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func read(ctx context.Context, tx querier) (*Snapshot, error) {
	l := &loader{ctx: ctx, tx: tx, s: &Snapshot{
		schemas: map[string]bool{}, usable: map[string]bool{}, relations: map[name]*Relation{}, relationsByOID: map[OID]*Relation{},
		functions: map[name][]*Function{}, functionsByOID: map[OID]*Function{},
		types: map[name]*Type{}, typesByOID: map[OID]*Type{}, arrays: map[OID]OID{},
		operators: map[string][]*Operator{}, casts: map[OID][]Cast{}, collations: map[OID]string{},
		comparable:  map[OID]bool{},
		castBetween: map[[2]OID]*Cast{}, compared: map[OID][]OID{}, relabels: map[OID][]OID{}, multiranges: map[OID]OID{},
	}}
	err := tx.QueryRow(ctx, `SELECT pg_catalog.current_database()::text, pg_catalog.current_setting('server_version_num')::int`).
		Scan(&l.s.Database, &l.s.ServerVersion)
	if err != nil {
		return nil, fmt.Errorf("reading the catalog: %w", err)
	}
	steps := []struct {
		what string
		read func() error
	}{
		{"schemas", l.schemas}, {"relations", l.relations}, {"columns", l.columns}, {"generated columns", l.generated}, {"copying triggers", l.copying},
		{"partition keys", l.partitionKeys}, {"views", l.views},
		{"inheritance", l.inheritance}, {"primary keys", l.primaryKeys}, {"types", l.types},
		{"ranges", l.ranges}, {"functions", l.functions}, {"functions' bodies", l.bodies}, {"operators", l.operators}, {"casts", l.casts},
		{"comparisons", l.comparisons}, {"collations", l.collations},
		{"effects of writes", l.effects}, {"constraints", l.constraints}, {"defaults", l.defaults}, {"comparable types", l.comparable}, {"privileges", l.access},
	}
	for _, step := range steps {
		if err := step.read(); err != nil {
			return nil, fmt.Errorf("reading the catalog's %s: %w", step.what, err)
		}
	}
	return l.s, nil
}

type loader struct {
	ctx context.Context //nolint:containedctx // lives for one load
	tx  querier
	s   *Snapshot
}

// each runs a query and calls row after each row has been scanned into dest.
func (l *loader) each(query string, dest []any, row func() error) error {
	rows, err := l.tx.Query(l.ctx, query)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, dest, row)
	return err
}

func (l *loader) schemas() error {
	var schema string
	var usable bool
	return l.each(`SELECT `+ownSchema+`, pg_catalog.has_schema_privilege(n.oid, 'USAGE') FROM pg_catalog.pg_namespace n`, []any{&schema, &usable}, func() error {
		l.s.schemas[schema] = true
		l.s.usable[schema] = usable
		return nil
	})
}

// ownSchema names the schema of an object, n, as sessions do: that of their own
// temporary objects is pg_temp.
const ownSchema = `CASE WHEN n.oid = pg_catalog.pg_my_temp_schema() THEN '` + TemporarySchema + `' ELSE n.nspname::text END`

func (l *loader) relations() error {
	var r Relation
	var kind, persistence string
	return l.each(`SELECT c.oid, `+ownSchema+`, c.relname::text, c.relkind::text, c.relpersistence::text, c.reltype, c.reloftype
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace`,
		[]any{&r.OID, &r.Schema, &r.Name, &kind, &persistence, &r.RowType, &r.OfType}, func() error {
			relation := r
			relation.Kind = relationKind(kind)
			relation.Index = kind == "i" || kind == "I"
			relation.Temporary = persistence == "t"
			relation.id = relation.ID()
			l.s.relationsByOID[r.OID] = &relation
			if !relation.Temporary || relation.Schema == TemporarySchema {
				l.s.relations[name{r.Schema, r.Name}] = &relation
			}
			return nil
		})
}

func relationKind(relkind string) Kind {
	switch relkind {
	case "r", "p":
		return Table
	case "v":
		return View
	case "m":
		return MaterializedView
	case "f":
		return ForeignTable
	case "S":
		return Sequence
	default:
		return Unknown
	}
}

func (l *loader) columns() error {
	var relation OID
	var c Column
	return l.each(`SELECT a.attrelid, a.attnum, a.attname::text, a.atttypid, a.atttypmod,
			pg_catalog.format_type(a.atttypid, a.atttypmod), a.attcollation, a.attnotnull, a.attgenerated <> ''
		FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
		WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind NOT IN ('i', 'I')
		ORDER BY a.attrelid, a.attnum`,
		[]any{&relation, &c.Number, &c.Name, &c.Type, &c.TypeMod, &c.TypeName, &c.Collation, &c.NotNull, &c.Generated}, func() error {
			if r := l.s.relationsByOID[relation]; r != nil {
				column := c
				column.id = r.ColumnID(&column)
				r.Columns = append(r.Columns, &column)
			}
			return nil
		})
}

// generated reads what generated columns are made of. Where the server keeps it
// has changed with its versions: as dependencies of the column, or of its default.
func (l *loader) generated() error {
	var relation OID
	var number, from int16
	return l.each(`SELECT d.objid, d.objsubid::int2, d.refobjsubid::int2
		FROM pg_catalog.pg_depend d
		JOIN pg_catalog.pg_attribute a ON a.attrelid = d.objid AND a.attnum = d.objsubid AND a.attgenerated <> ''
		WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
			AND d.refobjid = d.objid AND d.refobjsubid > 0
		UNION
		SELECT e.adrelid, e.adnum, d.refobjsubid::int2
		FROM pg_catalog.pg_depend d
		JOIN pg_catalog.pg_attrdef e ON e.oid = d.objid
		JOIN pg_catalog.pg_attribute a ON a.attrelid = e.adrelid AND a.attnum = e.adnum AND a.attgenerated <> ''
		WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
			AND d.refobjid = e.adrelid AND d.refobjsubid > 0 AND d.refobjsubid <> e.adnum
		ORDER BY 1, 2, 3`,
		[]any{&relation, &number, &from}, func() error {
			if c := l.s.relationsByOID[relation].number(number); c != nil {
				c.MadeOf = append(c.MadeOf, from)
			}
			return nil
		})
}

func (l *loader) views() error {
	var oid OID
	var definition *string
	return l.each(`SELECT c.oid, pg_catalog.pg_get_viewdef(c.oid)
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')`,
		[]any{&oid, &definition}, func() error {
			if r := l.s.relationsByOID[oid]; r != nil && definition != nil {
				r.Definition = *definition
			}
			return nil
		})
}

func (l *loader) inheritance() error {
	var child, parent OID
	return l.each(`SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits ORDER BY inhrelid, inhseqno`,
		[]any{&child, &parent}, func() error {
			c, p := l.s.relationsByOID[child], l.s.relationsByOID[parent]
			if c != nil && p != nil {
				c.Parents = append(c.Parents, parent)
				p.Children = append(p.Children, child)
			}
			return nil
		})
}

func (l *loader) primaryKeys() error {
	var oid OID
	var key []int16
	return l.each(`SELECT indrelid, indkey::int2[] FROM pg_catalog.pg_index WHERE indisprimary AND indimmediate`,
		[]any{&oid, &key}, func() error {
			if r := l.s.relationsByOID[oid]; r != nil {
				r.PrimaryKey = append([]int16(nil), key...)
			}
			return nil
		})
}

func (l *loader) types() error {
	var t Type
	var kind, category string
	var array OID
	return l.each(`SELECT t.oid, `+ownSchema+`, t.typname::text, t.typtype::text, t.typcategory::text, t.typispreferred, t.typbasetype,
			t.typarray, CASE WHEN t.typlen = -1 THEN t.typelem ELSE 0::oid END, t.typelem, t.typrelid,
			EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid) OR t.typtype = 'd' AND t.typnotnull
		FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace`,
		[]any{&t.OID, &t.Schema, &t.Name, &kind, &category, &t.Preferred, &t.Base, &array, &t.Elem, &t.Part, &t.Relation, &t.Checked}, func() error {
			typ := t
			typ.Kind, typ.Category = kind[0], category[0]
			l.s.types[name{t.Schema, t.Name}] = &typ
			l.s.typesByOID[t.OID] = &typ
			if array != 0 {
				l.s.arrays[t.OID] = array
			}
			return nil
		})
}

func (l *loader) functions() error {
	var f Function
	var args, all []OID
	var names, modes []string
	var kind, volatility string
	return l.each(`SELECT p.oid, n.nspname::text, p.proname::text, p.prokind::text, p.proargtypes::oid[], p.pronargdefaults::int,
			p.provariadic, p.prorettype, p.proretset, p.proallargtypes, p.proargnames::text[], p.proargmodes::text[],
			p.provolatile::text, p.proleakproof, p.prosecdef, l.lanname::text
		FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
			JOIN pg_catalog.pg_language l ON l.oid = p.prolang`,
		[]any{&f.OID, &f.Schema, &f.Name, &kind, &args, &f.Defaults, &f.VariadicElem, &f.Result, &f.ReturnsSet,
			&all, &names, &modes, &volatility, &f.Leakproof, &f.SecurityDefiner, &f.Language}, func() error {
			function := f
			function.Args = append([]OID(nil), args...)
			function.Kind = map[string]string{"f": "function", "a": "aggregate", "w": "window", "p": "procedure"}[kind]
			function.Volatility = map[string]string{"i": "immutable", "s": "stable", "v": "volatile"}[volatility]
			function.Variadic = f.VariadicElem != 0
			function.OutColumns, function.OutTypes = outColumns(names, modes, all)
			function.argNames(names, modes, all)
			key := name{f.Schema, f.Name}
			l.s.functions[key] = append(l.s.functions[key], &function)
			l.s.functionsByOID[f.OID] = &function
			return nil
		})
}

// outColumns gives names and types of what a function with OUT, INOUT or TABLE
// parameters returns; PostgreSQL calls those without a name column1, column2….
func outColumns(names, modes []string, all []OID) ([]string, []OID) {
	var columns []string
	var types []OID
	for i, mode := range modes {
		if mode != "o" && mode != "b" && mode != "t" {
			continue
		}
		column := ""
		if i < len(names) {
			column = names[i]
		}
		if column == "" {
			column = fmt.Sprintf("column%d", len(columns)+1)
		}
		columns = append(columns, column)
		types = append(types, all[i])
	}
	return columns, types
}

// argNames keeps by what names a call may give arguments.
func (f *Function) argNames(names, modes []string, all []OID) {
	name := func(i int) string {
		if i < len(names) {
			return names[i]
		}
		return ""
	}
	if len(all) != len(modes) { // some of PostgreSQL's own have modes and no list of all types
		modes = nil
	}
	if modes == nil {
		f.CallArgs = f.Args
		for i := range f.Args {
			f.CallNames = append(f.CallNames, name(i))
		}
		f.ArgNames = f.CallNames
	}
	for i, mode := range modes {
		if mode == "i" || mode == "b" || mode == "v" {
			f.ArgNames = append(f.ArgNames, name(i))
		}
		if mode != "t" {
			f.CallArgs, f.CallNames = append(f.CallArgs, all[i]), append(f.CallNames, name(i))
		}
	}
	if len(names) == 0 {
		f.ArgNames, f.CallNames = nil, nil
	}
	if f.Kind != "procedure" {
		f.CallArgs, f.CallNames = nil, nil
	}
}

// ranges reads what ranges and multiranges are of. Multiranges are there from 14 on.
func (l *loader) ranges() error {
	multi := "rngmultitypid"
	if l.s.ServerVersion < 140000 {
		multi = "0::oid"
	}
	var typ, subtype, multirange OID
	return l.each(`SELECT rngtypid, rngsubtype, `+multi+` FROM pg_catalog.pg_range`,
		[]any{&typ, &subtype, &multirange}, func() error {
			if t := l.s.typesByOID[typ]; t != nil {
				t.Subtype = subtype
			}
			if t := l.s.typesByOID[multirange]; t != nil {
				t.Subtype = typ
				l.s.multiranges[typ] = multirange
			}
			return nil
		})
}

func (l *loader) operators() error {
	var o Operator
	return l.each(`SELECT o.oid, n.nspname::text, o.oprname::text, o.oprleft, o.oprright, o.oprresult, o.oprcode::oid
		FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace`,
		[]any{&o.OID, &o.Schema, &o.Name, &o.Left, &o.Right, &o.Result, &o.Function}, func() error {
			operator := o
			l.s.operators[o.Name] = append(l.s.operators[o.Name], &operator)
			return nil
		})
}

func (l *loader) casts() error {
	var c Cast
	var how, method string
	return l.each(`SELECT castsource, casttarget, castfunc, castcontext::text, castmethod::text FROM pg_catalog.pg_cast`,
		[]any{&c.Source, &c.Target, &c.Function, &how, &method}, func() error {
			cast := c
			cast.Method = method[0]
			l.s.castBetween[[2]OID{c.Source, c.Target}] = &cast
			cast.Implicit, cast.Assignment = how == "i", how != "e"
			l.s.casts[c.Source] = append(l.s.casts[c.Source], cast)
			if cast.Implicit && method == "b" && (c.Source.User() || c.Target.User()) {
				l.s.relabels[c.Source] = append(l.s.relabels[c.Source], c.Target)
			}
			if c.Function.User() {
				l.s.userCasts = append(l.s.userCasts, cast)
			}
			return nil
		})
}

// comparisons reads which functions of users' making sort, group and compare values
// of a type: those of its default operator classes.
func (l *loader) comparisons() error {
	var typ, function OID
	return l.each(`
		WITH classes AS (
			SELECT c.opcintype, c.opcfamily FROM pg_catalog.pg_opclass c JOIN pg_catalog.pg_am a ON a.oid = c.opcmethod
			WHERE c.opcdefault AND a.amname IN ('btree', 'hash'))
		SELECT c.opcintype, p.amproc::oid FROM classes c
		JOIN pg_catalog.pg_amproc p ON p.amprocfamily = c.opcfamily AND p.amproclefttype = c.opcintype AND p.amprocrighttype = c.opcintype
		WHERE p.amproc::oid >= 16384
		UNION
		SELECT c.opcintype, o.oprcode::oid FROM classes c
		JOIN pg_catalog.pg_amop m ON m.amopfamily = c.opcfamily AND m.amoplefttype = c.opcintype AND m.amoprighttype = c.opcintype
		JOIN pg_catalog.pg_operator o ON o.oid = m.amopopr
		WHERE o.oprcode::oid >= 16384
		ORDER BY 1, 2`,
		[]any{&typ, &function}, func() error {
			l.s.compared[typ] = append(l.s.compared[typ], function)
			return nil
		})
}

func (l *loader) collations() error {
	var oid OID
	var schema, collation string
	return l.each(`SELECT c.oid, n.nspname::text, c.collname::text
		FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace`,
		[]any{&oid, &schema, &collation}, func() error {
			l.s.collations[oid] = QuoteIdent(schema) + "." + QuoteIdent(collation)
			return nil
		})
}
