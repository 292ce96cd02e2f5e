package query

import (
	"slices"
	"testing"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/pgtest"
)

// columnsOf lists the ids of the columns that a statement is said to touch.
func columnsOf(t *testing.T, a *Analyzer, sql string) []string {
	t.Helper()
	statements, err := Parse(sql, Limits{})
	if err != nil || len(statements) != 1 {
		t.Fatalf("%s: %v", sql, err)
	}
	var ids []string
	for _, c := range a.Analyze(statements[0], testEnv).Shape.Columns {
		ids = append(ids, c.ID)
	}
	return slices.Compact(ids)
}

func analyzerOf(t *testing.T, schema string) *Analyzer {
	t.Helper()
	source, err := catalog.Open(t.Context(), catalog.Config{DSN: pgtest.NewDatabase(t, schema).DSN()})
	if err != nil {
		t.Fatal(err)
	}
	source.Close()
	return NewAnalyzer(source.Snapshot())
}

// TestChildComputes reads a column through the parent that a child fills from
// another, which a second parent has too: all of them are listed, whatever masks them.
// Triggers say so on every version; a column generated in the child only is refused
// by newer ones.
func TestChildComputes(t *testing.T) {
	a := analyzerOf(t, `
		CREATE TABLE base (id int, tsv tsvector);
		CREATE TABLE more (secret text);
		CREATE TABLE kid () INHERITS (base, more);
		CREATE TRIGGER t BEFORE INSERT ON kid FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger(tsv, 'pg_catalog.simple', secret)`)
	for sql, want := range map[string][]string{
		"SELECT tsv FROM public.base":      {"public.base.tsv", "public.kid.secret", "public.kid.tsv", "public.more.secret"},
		"SELECT tsv FROM public.kid":       {"public.base.tsv", "public.kid.secret", "public.kid.tsv", "public.more.secret"},
		"SELECT tsv FROM ONLY public.base": {"public.base.tsv"},
	} {
		if got := columnsOf(t, a, sql); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", sql, got, want)
		}
	}
}

// TestColumnsThatFillEachOther must come to an end.
func TestColumnsThatFillEachOther(t *testing.T) {
	a := analyzerOf(t, `
		CREATE TABLE loop (a tsvector, b tsvector);
		CREATE TABLE kid () INHERITS (loop);
		CREATE TRIGGER x BEFORE INSERT ON loop FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger(a, 'pg_catalog.simple', b);
		CREATE TRIGGER y BEFORE INSERT ON loop FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger(b, 'pg_catalog.simple', a);
		CREATE TRIGGER x BEFORE INSERT ON kid FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger(a, 'pg_catalog.simple', b);
		CREATE TRIGGER y BEFORE INSERT ON kid FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger(b, 'pg_catalog.simple', a)`)
	want := []string{"public.kid.a", "public.kid.b", "public.loop.a", "public.loop.b"}
	for _, sql := range []string{
		"SELECT a FROM public.loop", "SELECT b FROM public.kid", "SELECT x.a FROM ONLY public.loop x, public.loop y WHERE y.b IS NULL",
	} {
		if got := columnsOf(t, a, sql); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", sql, got, want)
		}
	}
}
