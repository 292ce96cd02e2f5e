package query

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/pgtest"
)

func TestSplitNames(t *testing.T) {
	for list, want := range map[string][]string{
		`app, "Odd Schema" ,PUBLIC`: {"app", "Odd Schema", "public"},
		``:                          nil,
		" \t":                       nil,
		`"a""b"`:                    {`a"b`},
		`"$user",public`:            {"$user", "public"},
		"a\n,\tb\f, \rc":            {"a", "b", "c"},
		`"Ä", "` + "\u00a0" + `a"`:  {"Ä", "\u00a0a"},
		strings.Repeat("A", 63):     {strings.Repeat("a", 63)},
	} {
		got, ok := SplitNames(list)
		if !ok || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", list, got, ok)
		}
		if again, ok := SplitNames(JoinNames(got)); !ok || !slices.Equal(again, want) {
			t.Errorf("%q: joined and split it is %q, %v", list, again, ok)
		}
	}
	for _, list := range []string{
		`a,`, `a b`, `"a`, `,a`, `a"b`, `"a"b`, `""`, `a, ""`,
		"\u00a0public", "public\u00a0", "\u0085a", "\u3000a, b", "Ä", "sch\u212Aema", "a, ä", // not ASCII
		"a\v", "\va", "a,\vb", // white space since 16 only
		strings.Repeat("a", 64), `"` + strings.Repeat("a", 64) + `"`, `"` + strings.Repeat("ä", 32) + `", b`, // cut short
	} {
		if got, ok := SplitNames(list); ok {
			t.Errorf("%q: taken as %q", list, got)
		}
	}
}

// TestSplitNamesAsServer: what is taken is what a server has as its search path.
func TestSplitNamesAsServer(t *testing.T) {
	db := pgtest.NewDatabase(t, `
		CREATE SCHEMA app; CREATE SCHEMA "Odd, ""Schema"; CREATE SCHEMA "Ä"; CREATE SCHEMA "ä"; CREATE SCHEMA "\u00a0app"; CREATE SCHEMA "k";`)
	conn := db.Connect(t)
	for _, list := range []string{
		`app`, ` APP ,"Odd, ""Schema"`, `"Ä"`, "\"\u00a0app\"", "\u00a0app", "Ä", "\u212A, app", "app\u0085, k", "app\v, k", "K\t,\fapp", `app,k`, `"K"`,
	} {
		names, ok := SplitNames(list)
		if !ok {
			continue
		}
		var there []string
		for _, n := range names {
			var exists bool
			if err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, n).Scan(&exists); err != nil {
				t.Fatal(err)
			}
			if exists {
				there = append(there, n)
			}
		}
		var got []string
		if err := conn.QueryRow(t.Context(), `SELECT set_config('search_path', $1, false)`, list).Scan(nil); err != nil {
			t.Fatalf("%q: %v", list, err)
		}
		if err := conn.QueryRow(t.Context(), `SELECT current_schemas(false)::text[]`).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, there) {
			t.Errorf("%q: the server has %q, not %q", list, got, there)
		}
	}
}

// TestSettingExactly: a search path that the server would have otherwise than the
// text says is opaque, or no setting at all.
func TestSettingExactly(t *testing.T) {
	analyzer := NewAnalyzer(testSnapshot(t))
	long := strings.Repeat("a", 64)
	for sql, want := range map[string][]string{
		`SET search_path = app, "Odd Schema"`:                          {"app", "Odd Schema"},
		`SET search_path = 'Odd Schema', PUBLIC`:                       {"Odd Schema", "public"},
		`SET search_path = ` + long:                                    {long[:63]}, // cut by the parser, as by the server
		`SELECT set_config('SEARCH_PATH', 'APP, public', false)`:       {"app", "public"},
		`SELECT set_config('search_path'::text, 'app'::text, false)`:   {"app"},
		`SET search_path = '` + long + `'`:                             nil,
		`SET search_path = app, 1E5`:                                   nil,
		`SET search_path = 12`:                                         nil,
		`SELECT set_config('search_path', '` + long + `', false)`:      nil,
		`SELECT set_config('search_path', U&'\00A0app', false)`:        nil,
		`SELECT set_config('search_path', 'Ä, pg_catalog', false)`:     nil,
		`SELECT set_config('search_path', U&'\212A', false)`:           nil,
		`SELECT set_config('search_path', 'app, public', false || $1)`: nil,
	} {
		a := analyzeOne(t, analyzer, sql)
		switch {
		case a.Refusal != nil:
			if want != nil {
				t.Errorf("%s: refused: %v", sql, a.Refusal)
			}
		case a.Setting == nil || a.Setting.Name != "search_path":
			t.Errorf("%s: %+v", sql, a.Setting)
		case a.Setting.Opaque != (want == nil) || !slices.Equal(a.Setting.Values, want):
			t.Errorf("%s: %+v, want %q", sql, a.Setting, want)
		}
	}
	for _, sql := range []string{ // the server casts first
		`SELECT set_config('search_path', 'apple'::varchar(3), false)`,
		`SELECT set_config('search_path', 'apple'::char(3), false)`,
		`SELECT set_config('search_path', '` + long + `'::name, false)`,
		`SELECT set_config('search_pathological'::varchar(11), 'app', false)`,
	} {
		if a := analyzeOne(t, analyzer, sql); a.Refusal == nil {
			t.Errorf("%s: taken as %+v", sql, a.Setting)
		}
	}
	if a := analyzeOne(t, analyzer, `SELECT set_config(U&'bac\212Aslash_quote', 'x', false)`); a.Setting.Name == "backslash_quote" {
		t.Error("the Kelvin sign is folded")
	}
}

// TestLongNames: the parser cuts names as the server does, at a character.
func TestLongNames(t *testing.T) {
	long := strings.Repeat("n", 70)
	accents := strings.Repeat("é", 40)
	db := pgtest.NewDatabase(t, `CREATE SCHEMA "`+long+`"; CREATE TABLE "`+long+`"."`+long+`" ("`+long+`" int, "`+accents+`" text);`)
	source, err := catalog.Open(t.Context(), catalog.Config{DSN: db.DSN()})
	if err != nil {
		t.Fatal(err)
	}
	source.Close()
	a := analyzeOne(t, NewAnalyzer(source.Snapshot()), `SELECT x."`+long+`", `+accents+` AS `+long+`z FROM `+long+`.`+long+` x`)
	if !a.Shape.Complete || len(a.Shape.Columns) != 2 || a.Shape.Tables[0].Name != long[:63] {
		t.Errorf("%+v", a.Shape)
	}
	for _, c := range a.Shape.Columns {
		if c.Name != long[:63] && c.Name != strings.Repeat("é", 31) {
			t.Errorf("column %q", c.Name)
		}
	}
}

func analyzeOne(t testing.TB, analyzer *Analyzer, sql string) *Analysis {
	t.Helper()
	statements, err := Parse(sql, Limits{})
	if err != nil || len(statements) != 1 {
		t.Fatalf("%s: %d statements, %v", sql, len(statements), err)
	}
	return analyzer.Analyze(statements[0], testEnv)
}

// TestUnusableSchemas: the server passes over schemas of the path that the role may
// not use, and so does the analysis.
func TestUnusableSchemas(t *testing.T) {
	analyzer := NewAnalyzer(testSnapshot(t))
	env := Env{SearchPath: []string{"public", "app"}, User: "agent", Unusable: []string{"hr", "public"}}
	for sql, want := range map[string]string{`SELECT id FROM customers`: "app.customers", `CREATE TABLE fresh (id int)`: "app.fresh"} {
		statements, err := Parse(sql, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if a := analyzer.Analyze(statements[0], env); len(a.Shape.Tables) != 1 || a.Shape.Tables[0].ID != want {
			t.Errorf("%s: %+v", sql, a.Shape.Tables)
		}
	}
}
