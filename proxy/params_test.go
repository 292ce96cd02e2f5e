package proxy

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sallyport/sallyport/internal/pgtest"
	"github.com/sallyport/sallyport/internal/pgwire"
)

func startup(pairs ...string) *pgwire.Startup {
	s := &pgwire.Startup{}
	for i := 0; i < len(pairs); i += 2 {
		s.Params = append(s.Params, pgwire.StartupParam{Name: pairs[i], Value: pairs[i+1]})
	}
	return s
}

// TestParamsSearchPath: the server gets the names that were understood, each
// quoted, and nothing that it might split or fold otherwise.
func TestParamsSearchPath(t *testing.T) {
	for value, want := range map[string][]string{
		`app, public`:  {"app", "public"},
		`APP,"Odd, x"`: {"app", "Odd, x"},
		``:             {},
	} {
		out, r := readSettings(startup("user", "u", "SEARCH_PATH", value))
		if r != nil || !slices.Equal(out.path, want) || out.path == nil {
			t.Errorf("%q: %q, %v", value, out.path, r)
			continue
		}
		var quoted []string
		for _, n := range want {
			quoted = append(quoted, `"`+n+`"`)
		}
		if sent := out.server["search_path"]; sent != strings.Join(quoted, ", ") {
			t.Errorf("%q: sent as %q", value, sent)
		}
	}
	for _, value := range []string{"\u00a0public,app", "app\u0085", "Ä", "\u212A", "app\v", strings.Repeat("a", 64), `""`, "a,"} {
		if out, r := readSettings(startup("user", "u", "search_path", value)); r == nil {
			t.Errorf("%q: taken as %q", value, out.path)
		}
		if out, r := readSettings(startup("user", "u", "options", "-csearch_path="+strings.ReplaceAll(value, " ", `\ `))); r == nil && value != "app\v" {
			t.Errorf("options %q: taken as %q", value, out.path)
		}
	}
}

// TestParamsFoldASCII: other letters that lower case makes ASCII are not.
func TestParamsFoldASCII(t *testing.T) {
	if out, r := readSettings(startup("user", "u", "loc\u212A_timeout", "1s")); r == nil {
		t.Errorf("taken: %v", out.server)
	}
	if out, r := readSettings(startup("user", "u", "LOCK_timeout", "1s")); r != nil || out.server["lock_timeout"] != "1s" {
		t.Errorf("%v, %v", out.server, r)
	}
}

// TestParamsAsk: the session learns which schemas its role may not use, as the
// server passes over them in the search path.
func TestParamsAsk(t *testing.T) {
	db := pgtest.NewDatabase(t, `CREATE SCHEMA open_to_all; GRANT USAGE ON SCHEMA open_to_all TO PUBLIC; CREATE SCHEMA "Closed, x";
		CREATE TABLE "Closed, x".t (); CREATE TABLE open_to_all.t ();`)
	db.Exec(t, `DROP ROLE IF EXISTS params_asker; CREATE ROLE params_asker LOGIN PASSWORD 'asker'`)
	t.Cleanup(func() { db.Exec(t, `DROP ROLE params_asker`) })
	conn, err := pgconn.Connect(t.Context(), db.DSNFor("params_asker", "asker"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `SET search_path = "Closed, x", open_to_all`).ReadAll(); err != nil {
		t.Fatal(err)
	}
	var b backend
	if err := b.ask(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(b.path, []string{"Closed, x", "open_to_all"}) || b.role != "params_asker" ||
		!slices.Contains(b.unusable, "Closed, x") || slices.Contains(b.unusable, "open_to_all") || slices.Contains(b.unusable, "pg_catalog") {
		t.Errorf("%+v", b)
	}
	results, err := conn.Exec(t.Context(), `SELECT 't'::regclass::oid::regclass, pg_catalog.array_to_string(current_schemas(false), ';')`).ReadAll()
	if err != nil || string(results[0].Rows[0][1]) != "open_to_all" {
		t.Errorf("the server uses another path: %v", err)
	}
}

// TestParamsEncoding: where the database folds names otherwise, there is no session.
func TestParamsEncoding(t *testing.T) {
	db := pgtest.NewDatabase(t, ``)
	db.Exec(t, `DROP DATABASE IF EXISTS params_latin`)
	db.Exec(t, `CREATE DATABASE params_latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`)
	t.Cleanup(func() { db.Exec(t, `DROP DATABASE params_latin`) })
	cfg, err := pgconn.ParseConfig(db.DSN())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Database = "params_latin"
	conn, err := pgconn.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := new(backend).ask(t.Context(), conn); err == nil || !strings.Contains(err.Error(), "LATIN1") {
		t.Errorf("%v", err)
	}
}
