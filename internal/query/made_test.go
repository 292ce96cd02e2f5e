package query

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/pgtest"
)

func snapshotOf(t testing.TB, schema string) *catalog.Snapshot {
	t.Helper()
	db := pgtest.NewDatabase(t, schema)
	source, err := catalog.Open(t.Context(), catalog.Config{DSN: db.DSN()})
	if err != nil {
		t.Fatal(err)
	}
	source.Close()
	return source.Snapshot()
}

func called(a *Analysis, id string) bool {
	return slices.ContainsFunc(a.Shape.Functions, func(f Function) bool { return f.ID == id })
}

// TestMadeByUsersIsListed: a function, operator or cast of a pg_catalog name that
// users have made is listed where the server takes it, and where types are not known.
func TestMadeByUsersIsListed(t *testing.T) {
	snapshot := snapshotOf(t, `
		CREATE SCHEMA app;
		CREATE TYPE app.thing AS (a text, b int);
		CREATE TABLE app.t (id int, v varchar(10), c char(3), thing app.thing, things app.thing[]);
		CREATE FUNCTION app.length(text) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
		CREATE FUNCTION app.lower(text, int DEFAULT 1) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
		CREATE FUNCTION app.eq(varchar, text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
		CREATE OPERATOR app.= (FUNCTION = app.eq, LEFTARG = varchar, RIGHTARG = text);
		CREATE FUNCTION app.to_thing(int) RETURNS app.thing LANGUAGE sql AS 'SELECT NULL::app.thing';
		CREATE CAST (int AS app.thing) WITH FUNCTION app.to_thing(int) AS ASSIGNMENT;
		CREATE FUNCTION app.get(OUT t app.thing, OUT n int) LANGUAGE sql AS 'SELECT NULL::app.thing, 1';
		CREATE PROCEDURE app.proc(int, OUT text) LANGUAGE plpgsql AS 'BEGIN END';
		CREATE FUNCTION app.round(int) RETURNS text LANGUAGE sql AS 'SELECT 1';
		CREATE FUNCTION app.set_config(text, text, text) RETURNS app.thing LANGUAGE sql AS 'SELECT NULL::app.thing';
		CREATE FUNCTION app.set_config(text, text, int) RETURNS int LANGUAGE sql AS 'SELECT 1';
	`)
	analyzer := NewAnalyzer(snapshot)
	for sql, want := range map[string]string{
		`SELECT app.length('a'::bpchar)`:                         "app.length",
		`SELECT app.length(c) FROM t`:                            "app.length",
		`SELECT app.length(NULLIF('a'::varchar, 'b'))`:           "app.length",
		`SELECT lower('x'::text, 2)`:                             "app.lower",
		`SELECT $1::varchar, $1 = $q$x$q$::text`:                 "app.eq",
		`SELECT 'a'::varchar = 'b'::text`:                        "app.eq",
		`SELECT 1 FROM t WHERE v IN ('a', 'b'::text)`:            "app.eq",
		`SELECT v = 'x' FROM t`:                                  "app.eq",
		`SELECT CASE v WHEN 'x'::text THEN 2 END FROM t`:         "app.eq",
		`SELECT round(1)`:                                        "app.round",
		`SELECT NULLIF(v, 'x'::text) FROM t`:                     "app.eq",
		`INSERT INTO t (thing) VALUES (1)`:                       "app.to_thing",
		`UPDATE t SET things[1] = 1`:                             "app.to_thing",
		`CALL app.proc(1, NULL)`:                                 "app.proc",
		`SELECT OPERATOR(app.=) 1`:                               "",
		`SELECT 'a'::varchar OPERATOR(app.=) 'b'::bpchar`:        "app.eq",
		`SELECT app.length(1::bigint)`:                           "app.length",
		`SELECT app.length(NULLIF($1::bpchar, $2)) FROM t`:       "app.length",
		`SELECT id FROM t WHERE v = ANY (ARRAY['x'::text])`:      "app.eq",
		`SELECT id FROM t JOIN t u USING (id) ORDER BY round(1)`: "app.round",
		`ALTER TABLE t ADD CHECK (id IN (1, 2))`:                 "app.eq",
		`ALTER TABLE t ADD CHECK (id IS DISTINCT FROM 1)`:        "app.eq",
		`ALTER TABLE t ADD CHECK (id = ANY ('{1}'))`:             "app.eq",
		`CREATE INDEX ON t ((CASE id WHEN 1 THEN 2 END))`:        "app.eq",
		`CREATE INDEX ON t ((NULLIF(id, 1)))`:                    "app.eq",
		`CREATE POLICY p ON t USING (id IN (SELECT 1))`:          "app.eq",
	} {
		a := analyzeOne(t, analyzer, sql)
		if want == "" {
			if a.Shape.Complete {
				t.Errorf("%s: complete", sql)
			}
		} else if !called(a, want) {
			t.Errorf("%s: %s is not among %+v", sql, want, a.Shape.Functions)
		}
	}
	// Of pg_catalog's own, what cannot be meant is left out still.
	if a := analyzeOne(t, analyzer, `SELECT upper('x'::text), 1 < 2, abs(1)`); len(a.Shape.Functions) != 2 {
		t.Errorf("%+v", a.Shape.Functions)
	}
	for _, sql := range []string{`SELECT length('a'::bpchar)`, `SELECT lower('x'::text)`, `SELECT 1 = 2`, `SELECT round(1.5)`, `SELECT 1 IN (1, 2)`,
		`INSERT INTO t (id) VALUES (1)`} {
		for _, f := range analyzeOne(t, analyzer, sql).Shape.Functions {
			if f.Schema == "app" {
				t.Errorf("%s: %s is listed, the server takes PostgreSQL's own", sql, f.ID)
			}
		}
	}
	if a := analyzeOne(t, analyzer, `SELECT set_config('search_path', 'app', false), 1`); a.Refusal == nil {
		t.Error("set_config beside others of its name is let through")
	}
	st, err := Parse(`SELECT $1::varchar, $1`, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	s := analyzer.newState(st[0], testEnv)
	if outputs := s.topSelect(st[0].Node.GetSelectStmt()); outputs[1].value.typ != varcharOID || outputs[1].value.known {
		t.Errorf("the parameter's type is forgotten: %+v", outputs[1].value)
	}
}

// TestDefineNamesFunctions: what CREATE OPERATOR and AGGREGATE take for functions
// are functions, though there be a type of the name.
func TestDefineNamesFunctions(t *testing.T) {
	analyzer := NewAnalyzer(snapshotOf(t, `
		CREATE TYPE public.evil AS ENUM ('x');
		CREATE FUNCTION public.evil(varchar, text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
		CREATE FUNCTION public.step(text, text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
		CREATE TYPE public.only_type AS ENUM ('x');
	`))
	for sql, want := range map[string]string{
		`CREATE OPERATOR public.= (FUNCTION = evil, LEFTARG = varchar, RIGHTARG = text)`:              "public.evil",
		`CREATE OPERATOR public.= (PROCEDURE = public.evil, LEFTARG = varchar, RIGHTARG = text)`:      "public.evil",
		`CREATE OPERATOR public.= ("function" = 'evil', LEFTARG = varchar, RIGHTARG = text)`:          "public.evil",
		`CREATE AGGREGATE public.a (text) (SFUNC = step, STYPE = text, FINALFUNC = pg_catalog.lower)`: "public.step",
		`CREATE OPERATOR public.= (FUNCTION = only_type, LEFTARG = varchar, RIGHTARG = text)`:         "",
		`CREATE OPERATOR public.= (FUNCTION = evil, LEFTARG = nothing, RIGHTARG = text)`:              "",
	} {
		a := analyzeOne(t, analyzer, sql)
		if a.Shape.Complete != (want != "") || want != "" && !called(a, want) {
			t.Errorf("%s: unresolved %q, functions %+v", sql, a.Shape.Unresolved, a.Shape.Functions)
		}
	}
}

// TestSQLJSON: what only the grammar of 16 knows is an ordinary call on an older server.
func TestSQLJSON(t *testing.T) {
	snapshot := *snapshotOf(t, `CREATE FUNCTION public.json_object(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
		CREATE TABLE public.t (a text, j text)`)
	constructs := []string{
		`SELECT json_array('x')`, `SELECT json_array(SELECT a FROM t)`, `SELECT json_arrayagg(a) FROM t`, `SELECT json_objectagg(a: j) FROM t`,
		`SELECT json_object('a': 'b')`, `SELECT j IS JSON FROM t`, `SELECT json_object()`, `SELECT json_array()`,
		`CREATE INDEX ON t ((json_array(a)))`, `ALTER TABLE t ADD CHECK (j IS JSON)`, `CREATE VIEW v AS SELECT json_array(a) FROM t`,
	}
	for version, complete := range map[int]bool{150000: false, 159999: false, 160000: true, 170000: true} {
		snapshot.ServerVersion = version
		analyzer := NewAnalyzer(&snapshot)
		for _, sql := range constructs {
			if a := analyzeOne(t, analyzer, sql); a.Shape.Complete != complete && (!complete || strings.HasPrefix(sql, "SELECT")) {
				t.Errorf("%d: %s: complete=%v %q", version, sql, a.Shape.Complete, a.Shape.Unresolved)
			}
		}
		a := analyzeOne(t, analyzer, `SELECT json_object('{a,b}')`)
		if called(a, `public."json_object"`) == complete || called(a, `pg_catalog."json_object"`) != complete {
			t.Errorf("%d: json_object may be %+v", version, a.Shape.Functions)
		}
	}
}

const effectsSchema = `
	CREATE SCHEMA app;
	CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
	CREATE FUNCTION app.gone() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
	CREATE FUNCTION app.emptied() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
	CREATE FUNCTION app.off() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
	CREATE FUNCTION app.cond(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
	CREATE FUNCTION app.filled() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
	CREATE FUNCTION app.computed(int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
	CREATE FUNCTION app.checks(text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
	CREATE FUNCTION app.indexed(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
	CREATE FUNCTION app.partly(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
	CREATE FUNCTION app.allowed(int) RETURNS bool LANGUAGE plpgsql STABLE AS 'BEGIN RETURN true; END';
	CREATE FUNCTION app.domain_check(text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
	CREATE FUNCTION app.op(int, int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
	CREATE OPERATOR app.### (FUNCTION = app.op, LEFTARG = int, RIGHTARG = int);
	CREATE FUNCTION app.key(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
	CREATE DOMAIN app.inner_domain AS text CHECK (app.domain_check(VALUE));
	CREATE DOMAIN app.outer_domain AS app.inner_domain;

	CREATE TABLE app.plain (id serial PRIMARY KEY, at timestamptz DEFAULT now(), u uuid DEFAULT gen_random_uuid(),
		low text GENERATED ALWAYS AS (repeat('X', 2)) STORED, CHECK (id > 0 AND length(low) > 0));
	CREATE INDEX ON app.plain (reverse(low)) WHERE id > 1;
	CREATE TABLE app.notes (
		id int PRIMARY KEY, body text DEFAULT app.filled(), made text GENERATED ALWAYS AS (app.computed(id)) STORED,
		CHECK (app.checks(body)), CHECK (id OPERATOR(app.###) 1));
	CREATE INDEX ON app.notes (app.indexed(body)) WHERE app.partly(id);
	CREATE TRIGGER a BEFORE INSERT OR UPDATE ON app.notes FOR EACH ROW WHEN (app.cond(NEW.id)) EXECUTE FUNCTION app.touch();
	CREATE TRIGGER b AFTER DELETE ON app.notes FOR EACH ROW EXECUTE FUNCTION app.gone();
	CREATE TRIGGER c AFTER TRUNCATE ON app.notes EXECUTE FUNCTION app.emptied();
	CREATE TRIGGER d BEFORE INSERT ON app.notes FOR EACH ROW EXECUTE FUNCTION app.off();
	ALTER TABLE app.notes DISABLE TRIGGER d;
	CREATE VIEW app.notes_view AS SELECT id, body FROM app.notes;
	CREATE TABLE app.rls (id int);
	CREATE POLICY p ON app.rls USING (app.allowed(id));
	CREATE TABLE app.domains (v app.outer_domain[]);
	CREATE TABLE app.parted (id int) PARTITION BY RANGE (app.key(id));
	CREATE TABLE app.part PARTITION OF app.parted FOR VALUES FROM (0) TO (10);
	CREATE TRIGGER p BEFORE INSERT ON app.part FOR EACH ROW EXECUTE FUNCTION app.touch();
	CREATE TABLE app.top (id int PRIMARY KEY);
	CREATE TABLE app.sub (id int PRIMARY KEY, top int REFERENCES app.top ON DELETE CASCADE ON UPDATE CASCADE);
	CREATE TABLE app.subsub (id int, sub int REFERENCES app.sub ON DELETE SET NULL);
	CREATE TRIGGER s BEFORE UPDATE ON app.subsub FOR EACH ROW EXECUTE FUNCTION app.touch();
	CREATE TRIGGER s BEFORE UPDATE ON app.sub FOR EACH ROW EXECUTE FUNCTION app.off();
	CREATE TABLE app.ruled (id int);
	CREATE RULE r AS ON INSERT TO app.ruled DO ALSO INSERT INTO app.top VALUES (NEW.id);
	CREATE VIEW app.instead AS SELECT 1 AS one;
	CREATE TRIGGER i INSTEAD OF INSERT ON app.instead FOR EACH ROW EXECUTE FUNCTION app.touch();
`

// TestWhatWritesRun: functions of users' making that a write runs by itself are
// listed, with the table they belong to.
func TestWhatWritesRun(t *testing.T) {
	analyzer := NewAnalyzer(snapshotOf(t, effectsSchema))
	const written = "checks computed cond filled indexed op partly touch"
	for sql, want := range map[string]string{
		`INSERT INTO app.plain DEFAULT VALUES`:                                           "",
		`UPDATE app.plain SET at = DEFAULT`:                                              "",
		`SELECT id FROM app.notes`:                                                       "",
		`INSERT INTO app.notes (id) VALUES (1)`:                                          written,
		`UPDATE app.notes SET body = 'x' WHERE id = 1`:                                   written,
		`DELETE FROM app.notes WHERE id = 1`:                                             "gone",
		`TRUNCATE app.notes`:                                                             "emptied",
		`COPY app.notes (id) FROM STDIN`:                                                 written,
		`COPY app.notes (id) TO STDOUT`:                                                  "",
		`INSERT INTO app.notes_view (id) VALUES (1)`:                                     written,
		`INSERT INTO app.top VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 2`:           "off",
		`MERGE INTO app.notes n USING app.top t ON n.id = t.id WHEN MATCHED THEN DELETE`: "gone",
		`WITH w AS (DELETE FROM app.notes RETURNING id) SELECT id FROM w`:                "gone",
		`EXPLAIN ANALYZE DELETE FROM app.notes`:                                          "gone",
		`DELETE FROM app.rls`:                                                            "allowed",
		`INSERT INTO app.domains VALUES ('{}')`:                                          "domain_check",
		`INSERT INTO app.parted VALUES (1)`:                                              "key touch",
		`INSERT INTO app.part VALUES (1)`:                                                "touch",
		`DELETE FROM app.top`:                                                            "touch", // and sub's rows, and SET NULL in subsub
		`UPDATE app.top SET id = 1`:                                                      "off",
		`INSERT INTO app.top VALUES (1)`:                                                 "",
		`DELETE FROM app.ruled`:                                                          "",
		`INSERT INTO app.instead VALUES (1)`:                                             "touch",
	} {
		a := analyzeOne(t, analyzer, sql)
		var got []string
		for _, f := range a.Shape.Functions {
			if f.Schema == "app" {
				got = append(got, f.Name)
				if f.Via == "" || !strings.HasPrefix(f.Via, "app.") {
					t.Errorf("%s: %s via %q", sql, f.ID, f.Via)
				}
			}
		}
		slices.Sort(got)
		if strings.Join(slices.Compact(got), " ") != want || !a.Shape.Complete {
			t.Errorf("%s: runs %q, want %q; unresolved %q", sql, got, want, a.Shape.Unresolved)
		}
		if a.Schema {
			t.Errorf("%s: may change the schema", sql)
		}
	}
	for _, f := range analyzeOne(t, analyzer, `DELETE FROM app.notes`).Shape.Functions {
		if f.Via != "app.notes" {
			t.Errorf("%+v", f)
		}
	}
	if a := analyzeOne(t, analyzer, `INSERT INTO app.ruled VALUES (1)`); a.Shape.Complete {
		t.Error("what a rule does is not known")
	}
}
