package rewrite

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/pgtest"
)

// nasty are columns and values at the edges of their types.
var nasty = []struct{ typ, values string }{
	{"text", `('') , ('a'), ('@'), ('a@'), ('@a'), ('a@b@c'), (E'line\nbreak@x'), (E'\\'), (E'\\x@\\101'), ('ünï@cödé'), ('👩‍👩‍👧@x'), (repeat('long', 10000))`},
	{`text COLLATE "C"`, `(''), ('É@b')`},
	{"text COLLATE pgtest.nondeterministic", `(''), ('É@b'), ('abc')`},
	{"varchar(1)", `(''), ('@'), ('é')`},
	{"varchar(5)", `('a@b.c'), (''), ('12345')`},
	{"char(1)", `(''), ('x')`},
	{"char(6)", `('ab'), ('a@b'), ('')`},
	{"bpchar", `('ab  ')`},
	{"name", `(''), ('a@b')`},
	{`"char"`, `('a'), ('')`},
	{"int2", "(-32768), (32767), (0), (-1)"},
	{"int4", "(-2147483648), (2147483647), (0), (5)"},
	{"int8", "(-9223372036854775808), (9223372036854775807), (0)"},
	{"numeric", "('NaN'), ('Infinity'), ('-Infinity'), (0), (1e1000), (-1e-1000), (12345.6789)"},
	{"numeric(3,0)", "(999), (-999), (0), ('NaN')"},
	{"numeric(5,2)", "(999.99), (-999.99), (0.005)"},
	{"numeric(3,5)", "(0.00999), (-0.00999)"},
	{"numeric(3,-2)", "(99900), (-100)"},
	{"float4", "('NaN'), ('Infinity'), ('-Infinity'), (0), (3.4e38), (-3.4e38), (1.4e-45), (123.456)"},
	{"float8", "('NaN'), ('Infinity'), ('-Infinity'), (0), (1.7e308), (-1.7e308), (4.9e-324), (123.456)"},
	{"date", "('infinity'), ('-infinity'), ('4713-01-01 BC'), ('5874897-12-31'), ('2024-02-29'), ('0001-01-01'), ('0001-12-31 BC')"},
	{"timestamp", "('infinity'), ('-infinity'), ('4713-11-24 00:00:00 BC'), ('294276-12-31 23:59:59.999999'), ('2024-02-29 12:34:56.789')"},
	{"timestamp(0)", "('2024-12-31 23:59:59'), ('290000-01-01')"},
	{"timestamptz", "('infinity'), ('-infinity'), ('4713-11-24 00:00:00+00 BC'), ('294276-12-31 23:59:59.999999+00'), ('2024-02-29 12:34:56.789+02')"},
	{"timestamptz(3)", "('2024-12-31 23:59:59.999+00')"},
	{"time", "('24:00')"},
	{"interval", "('1 year -1 day')"},
	{"interval day to second(2)", "('1 day 1.5 s')"},
	{"boolean", "(true), (false)"},
	{"uuid", "('00000000-0000-0000-0000-000000000000')"},
	{"bytea", "('\\x00')"},
	{"jsonb", `('{"a": 1}')`},
	{"json", `('{"a": 1}')`},
	{"text[]", `('{a,NULL}')`},
	{"varchar(3)[]", `('{abc}')`},
	{"int4[]", `('{1}')`},
	{"money", "('1')"},
	{"inet", "('::1')"},
	{"bit(3)", "(B'101')"},
	{"varbit(3)", "(B'1')"},
	{"int4range", "('[1,2)')"},
	{"xml", "('<a/>')"},
	{"point", "('(1,2)')"},
	{"pgtest.mood", "('sad')"},
	{`pgtest."Mixed Case"`, "('x')"},
	{"pgtest.short", "('abc')"},
	{"pgtest.strict", "('x')"},
	{"pgtest.over_strict", "('x')"},
	{"pgtest.pair", "(ROW(1, 'x'))"},
	{"pgtest.pair[]", "(ARRAY[ROW(1, 'x')::pgtest.pair])"},
}

const nastyTypes = `CREATE SCHEMA pgtest;
	CREATE TYPE pgtest.mood AS ENUM ('sad');
	CREATE TYPE pgtest."Mixed Case" AS ENUM ('x');
	CREATE DOMAIN pgtest.short AS varchar(3);
	CREATE DOMAIN pgtest.strict AS text NOT NULL CHECK (VALUE <> '');
	CREATE DOMAIN pgtest.over_strict AS pgtest.strict;
	CREATE TYPE pgtest.pair AS (a int, b text);
	CREATE COLLATION pgtest.nondeterministic (provider = icu, locale = 'und-u-ks-level2', deterministic = false);`

// someMasks are masks with ordinary and extreme parameters.
var someMasks = []Mask{
	{Function: "null"}, {Function: "redact"}, {Function: "replace", Args: map[string]any{"value": nil}},
	{Function: "hash"}, {Function: "hash", Args: map[string]any{"length": 8, "salt": `\'"%s`}},
	{Function: "email"}, {Function: "partial"}, {Function: "partial", Args: map[string]any{"keep_first": 1, "keep_last": 2.0, "char": "\\"}},
	{Function: "partial", Args: map[string]any{"keep_last": 1000, "char": "•"}},
	{Function: "round"}, {Function: "round", Args: map[string]any{"digits": -1}}, {Function: "round", Args: map[string]any{"digits": 15}}, {Function: "round", Args: map[string]any{"digits": -15}},
	{Function: "truncate"}, {Function: "truncate", Args: map[string]any{"digits": -2, "unit": "month"}}, {Function: "truncate", Args: map[string]any{"unit": "century"}},
	{Function: "truncate", Args: map[string]any{"unit": "second"}}, {Function: "truncate", Args: map[string]any{"unit": "week"}},
}

// TestMasksOnAnyType holds each mask on each type to the rules of masking: immutable,
// never failing, of the column's own type, modifier and collation, NULL for NULL.
func TestMasksOnAnyType(t *testing.T) {
	var sql strings.Builder
	sql.WriteString(nastyTypes)
	for i, n := range nasty {
		fmt.Fprintf(&sql, "CREATE TABLE pgtest.n%[1]d (c %[2]s); INSERT INTO pgtest.n%[1]d VALUES %[3]s;\n", i, n.typ, n.values)
		if !strings.HasSuffix(n.typ, "strict") {
			fmt.Fprintf(&sql, "INSERT INTO pgtest.n%d VALUES (NULL);\n", i)
		}
	}
	d := &database{Database: pgtest.NewDatabase(t, sql.String())}
	d.load(t)
	conn := connect(t, d.Database)
	for i, n := range nasty {
		r := d.snapshot.Relation("pgtest", fmt.Sprintf("n%d", i))
		for _, mask := range someMasks {
			expression, failure := masked(r, r.Columns[0], mask, d.snapshot)
			if failure != nil {
				t.Errorf("%s of %s: %v", mask.Function, n.typ, failure)
				continue
			}
			checkQualified(t, expression)
			from := fmt.Sprintf("FROM pgtest.n%d AS t", i)
			own := ask(t, conn, "SELECT c "+from, nil, true)
			made := ask(t, conn, "SELECT "+expression+" AS c "+from, nil, true)
			if made.err != "" || made.columns[0] != own.columns[0] || len(made.rows) != len(own.rows) {
				t.Errorf("%v of %s: got %v, the column is %v\n%s", mask, n.typ, made, own, expression)
				continue
			}
			// Predicates of indexes must be immutable; making one computes the mask for every row.
			index := fmt.Sprintf("CREATE INDEX ON pgtest.n%d ((1)) WHERE (%s) IS NULL", i, strings.ReplaceAll(expression, `t."c"`, `"c"`))
			if got := ask(t, conn, index, nil, true); got.err != "" {
				t.Errorf("%v of %s: %s\n%s", mask, n.typ, got.err, index)
			}
			if c := r.Columns[0]; c.Collation != 0 {
				both := ask(t, conn, "SELECT pg_collation_for(t.c), pg_collation_for("+expression+") "+from+" LIMIT 1", nil, true)
				if halves := strings.Fields(both.rows[0]); halves[0] != halves[1] {
					t.Errorf("%v of %s: collations differ: %v", mask, n.typ, both)
				}
			}
			nulls := ask(t, conn, "SELECT 1 "+from+" WHERE c IS NULL AND ("+expression+") IS NOT NULL", nil, true)
			if len(nulls.rows) > 0 {
				t.Errorf("%v of %s: NULL became %v", mask, n.typ, nulls)
			}
		}
	}
}

// checkQualified fails unless every name in an expression says its schema.
func checkQualified(t *testing.T, expression string) {
	t.Helper()
	n, err := parseOne("SELECT " + expression)
	if err != nil {
		t.Errorf("%v: %s", err, expression)
		return
	}
	walkMessages(n, func(m any) {
		var names []*pg_query.Node
		switch m := m.(type) {
		case *pg_query.FuncCall:
			names = m.Funcname
		case *pg_query.A_Expr:
			names = m.Name
		case *pg_query.TypeName:
			names = m.Names
		case *pg_query.CollateClause:
			names = m.Collname
		case *pg_query.SubLink, *pg_query.RangeVar:
			t.Errorf("%T in %s", m, expression)
		default:
			return
		}
		if len(names) != 2 || names[0].GetString_().GetSval() != "pg_catalog" && names[0].GetString_().GetSval() != "pgtest" {
			t.Errorf("%v is not qualified in %s", names, expression)
		}
	})
}

func TestBadMasks(t *testing.T) {
	d := &database{Database: pgtest.NewDatabase(t, `CREATE TABLE public.b (t text, v varchar(3), i int2, n numeric(4,2), f float4, b bool, u uuid, d date, z timestamptz, j json)`)}
	d.load(t)
	r := d.snapshot.Relation("public", "b")
	for _, c := range []struct {
		column, function, args, want string
	}{
		{"t", "", `{}`, `column public.b.t cannot be masked: mask "" is not known`},
		{"t", "rot13", `{}`, `column public.b.t cannot be masked: mask "rot13" is not known`},
		{"t", "null", `{"x": 1}`, `column public.b.t cannot be masked: mask "null" has no parameter x`},
		{"t", "partial", `{"keep_lst": 4}`, `column public.b.t cannot be masked: mask "partial" has no parameter keep_lst, only keep_first, keep_last and char`},
		{"t", "partial", `{"keep_last": -1}`, `column public.b.t cannot be masked: mask "partial" needs keep_last to be a whole number from 0 to 1000`},
		{"t", "partial", `{"keep_last": "4"}`, `column public.b.t cannot be masked: mask "partial" needs keep_last to be a whole number from 0 to 1000`},
		{"t", "partial", `{"char": "ab"}`, `column public.b.t cannot be masked: mask "partial" needs char to be one character`},
		{"t", "hash", `{"length": 2}`, `column public.b.t cannot be masked: mask "hash" needs length to be a whole number from 8 to 64`},
		{"t", "hash", `{"salt": 3}`, `column public.b.t cannot be masked: mask "hash" needs salt to be a string`},
		{"d", "truncate", `{"unit": "month'"}`, `column public.b.d cannot be masked: mask "truncate" needs unit to be one of second, minute, hour, day, week, month, quarter, year, decade, century`},
		{"n", "round", `{"digits": 1.5}`, `column public.b.n cannot be masked: mask "round" needs digits to be a whole number from -15 to 15`},
		{"t", "replace", `{}`, `column public.b.t cannot be masked: mask "replace" needs a value`},
		{"t", "replace", `{"value": [1]}`, `column public.b.t cannot be masked: mask "replace" needs value to be a string, a number or a boolean`},
		{"i", "replace", `{"value": 40000}`, `column public.b.i cannot be masked: mask "replace" needs value to be a whole number that fits smallint`},
		{"i", "replace", `{"value": "x"}`, `column public.b.i cannot be masked: mask "replace" needs value to be a whole number that fits smallint`},
		{"n", "replace", `{"value": 99.996}`, `column public.b.n cannot be masked: mask "replace" needs value to be a number that fits numeric(4,2)`},
		{"f", "replace", `{"value": 1e39}`, `column public.b.f cannot be masked: mask "replace" needs value to be a number that fits real`},
		{"b", "replace", `{"value": "maybe"}`, `column public.b.b cannot be masked: mask "replace" needs value to be true or false`},
		{"u", "replace", `{"value": 1}`, `column public.b.u cannot be masked: mask "replace" needs value to be a UUID`},
		{"d", "replace", `{"value": "31.12.2000"}`, `column public.b.d cannot be masked: mask "replace" needs value to be a date, as 2000-12-31, or a time, as 2000-12-31T23:59:59Z`},
	} {
		var args map[string]any
		if err := json.Unmarshal([]byte(c.args), &args); err != nil {
			t.Fatal(err)
		}
		got, err := masked(r, r.Column(c.column), Mask{Function: c.function, Args: args}, d.snapshot)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s %s on %s: got %q, %v\nwant %s", c.function, c.args, c.column, got, err, c.want)
		}
	}
}

// TestReplaceTakes puts constants into columns of many types.
func TestReplaceTakes(t *testing.T) {
	d := &database{Database: pgtest.NewDatabase(t, `CREATE TABLE public.b (t text, v varchar(3), i int2, n numeric(4,2), w numeric(3,-2), f float4, b bool, u uuid, d date, s timestamp, z timestamptz, j json);
		INSERT INTO public.b VALUES ('', '', 0, 0, 0, 0, true, '00000000-0000-0000-0000-000000000000', 'now', 'now', 'now', '{}')`)}
	d.load(t)
	r := d.snapshot.Relation("public", "b")
	conn := connect(t, d.Database)
	for _, c := range []struct {
		column string
		value  any
		want   string
	}{
		{"t", `it's \ "x"`, `"it's \\ \"x\""`}, {"t", 1.5, `"1.5"`}, {"t", true, `"true"`}, {"v", "abcdef", `"abc"`},
		{"i", -32767.0, `"-32767"`}, {"i", json.Number("7"), `"7"`}, {"n", 99.994, `"99.99"`}, {"n", "-1", `"-1.00"`}, {"w", 12345, `"12300"`},
		{"f", 0.5, `"0.5"`}, {"b", false, `"f"`}, {"b", "true", `"t"`}, {"u", "6B1F3A2E-0000-4000-8000-000000000001", `"6b1f3a2e-0000-4000-8000-000000000001"`},
		{"d", "2000-12-31", `"2000-12-31"`}, {"s", "2000-12-31T01:02:03", `"2000-12-31 01:02:03"`}, {"z", "2000-12-31T01:02:03+02:00", `"2000-12-31 08:02:03+09"`},
		{"j", "x", "NULL"}, {"t", nil, "NULL"},
	} {
		expression, err := masked(r, r.Column(c.column), Mask{Function: "replace", Args: map[string]any{"value": c.value}}, d.snapshot)
		if err != nil {
			t.Errorf("%v in %s: %v", c.value, c.column, err)
			continue
		}
		got := ask(t, conn, "SELECT "+expression+" FROM public.b AS t", nil, true)
		if len(got.rows) != 1 || got.rows[0] != c.want {
			t.Errorf("%v in %s: got %v, want %s", c.value, c.column, got, c.want)
		}
	}
}

// TestMasksOfEveryShortText compares masks with what their definitions say, for all
// texts of up to five letters of a small alphabet.
func TestMasksOfEveryShortText(t *testing.T) {
	d := &database{Database: pgtest.NewDatabase(t, `CREATE SCHEMA pgtest; CREATE TABLE pgtest.texts (c text);
		INSERT INTO pgtest.texts VALUES (NULL), ('');
		INSERT INTO pgtest.texts WITH RECURSIVE words AS (SELECT '' AS w UNION ALL
			SELECT w || l FROM words, unnest(ARRAY['a', '@', 'é', E'\n', '%', E'\\']) AS l WHERE length(w) < 5) SELECT w FROM words`)}
	d.load(t)
	conn := connect(t, d.Database)
	r := d.snapshot.Relation("pgtest", "texts")
	stars := func(n int) string { return strings.Repeat("*", n) }
	email := func(x string, runes []rune) string {
		at := strings.LastIndex(x, "@")
		if at < 1 || at == len(x)-1 {
			return "***"
		}
		return string(runes[0]) + "***" + x[at:]
	}
	for name, c := range map[string]struct {
		mask Mask
		want func(x string, runes []rune) string
	}{
		"email":   {Mask{Function: "email"}, email},
		"partial": {Mask{Function: "partial"}, func(_ string, runes []rune) string { return stars(len(runes)) }},
		"partial first": {Mask{Function: "partial", Args: map[string]any{"keep_first": 2.0}}, func(_ string, runes []rune) string {
			if len(runes) <= 2 {
				return stars(len(runes))
			}
			return string(runes[:2]) + stars(len(runes)-2)
		}},
		"partial both": {Mask{Function: "partial", Args: map[string]any{"keep_first": 1.0, "keep_last": 2.0}}, func(_ string, runes []rune) string {
			if len(runes) <= 3 {
				return stars(len(runes))
			}
			return string(runes[:1]) + stars(len(runes)-3) + string(runes[len(runes)-2:])
		}},
		"hash": {Mask{Function: "hash"}, func(x string, _ []rune) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(x))) }},
		"salted hash": {Mask{Function: "hash", Args: map[string]any{"salt": `s\'`, "length": 9.0}}, func(x string, _ []rune) string {
			return fmt.Sprintf("%x", sha256.Sum256([]byte(`s\'`+x)))[:9]
		}},
		"partial of many":        {Mask{Function: "partial", Args: map[string]any{"keep_first": 4.0, "keep_last": 1000.0}}, func(_ string, runes []rune) string { return stars(len(runes)) }},
		"email on an old server": {Mask{Function: "email"}, email},
	} {
		snapshot := *d.snapshot
		if strings.Contains(name, "old server") {
			snapshot.ServerVersion = 130000
		}
		expression, err := masked(r, r.Columns[0], c.mask, &snapshot)
		if err != nil {
			t.Fatal(err)
		}
		result := conn.ExecParams(t.Context(), "SELECT c, "+expression+" FROM pgtest.texts AS t", nil, nil, nil, nil).Read()
		if result.Err != nil || len(result.Rows) < 9000 {
			t.Fatalf("%s: %d rows, %v", name, len(result.Rows), result.Err)
		}
		for _, row := range result.Rows {
			switch x := string(row[0]); {
			case row[0] == nil && row[1] != nil:
				t.Errorf("%s of NULL is %q", name, row[1])
			case row[0] != nil && (row[1] == nil || string(row[1]) != c.want(x, []rune(x))):
				t.Errorf("%s of %q is %q, want %q", name, x, row[1], c.want(x, []rune(x)))
			}
		}
	}
}
