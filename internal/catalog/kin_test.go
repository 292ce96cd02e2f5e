package catalog

import (
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/pgtest"
)

// names of relations without their schema.
func relationNames(list []*Relation) []string {
	var all []string
	for _, r := range list {
		all = append(all, r.Name)
	}
	return all
}

func TestKin(t *testing.T) {
	db := pgtest.NewDatabase(t, `
		CREATE SCHEMA tree;
		CREATE TABLE tree.top (id int);
		CREATE TABLE tree.side (id int);
		CREATE TABLE tree.mid () INHERITS (tree.top);
		CREATE TABLE tree.other () INHERITS (tree.top);
		CREATE TABLE tree.leaf () INHERITS (tree.mid, tree.side);
		CREATE TABLE tree.alone (id int);
		CREATE VIEW tree.seen AS SELECT id FROM tree.leaf;
		CREATE TYPE tree.pair AS (a int)`)
	s := open(t, db.DSN(), time.Hour).Snapshot()
	for name, want := range map[string][]string{
		"top":   {"leaf", "mid", "other", "side"},
		"side":  {"leaf", "mid", "top"},
		"mid":   {"leaf", "side", "top"},
		"other": {"top"},
		"leaf":  {"mid", "side", "top"},
		"alone": nil,
		"seen":  nil,
	} {
		kin := s.Kin(s.Relation("tree", name))
		got := relationNames(kin)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("kin of %s: %v, want %v", name, got, want)
		}
		for _, k := range kin { // what shares rows shares them both ways
			if !slices.Contains(s.Kin(k), s.Relation("tree", name)) {
				t.Errorf("%s is kin of %s, not the other way round", k.Name, name)
			}
		}
	}
	if got := relationNames(s.Descendants(s.Relation("tree", "top"))); len(got) != 3 || got[2] != "leaf" {
		t.Errorf("descendants: %v", got)
	}
	if got := relationNames(s.InSchema("tree")); !slices.Equal(got, []string{"alone", "leaf", "mid", "other", "seen", "side", "top"}) {
		t.Errorf("in the schema: %v", got)
	}
}

func TestCopyingTriggersAndPartitionKeys(t *testing.T) {
	db := pgtest.NewDatabase(t, `
		CREATE TABLE notes (id int, "E mail" text, phone text, config regconfig, a tsvector, b tsvector, c tsvector);
		CREATE TRIGGER x BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger(a, 'pg_catalog.simple', 'E mail', phone);
		CREATE TRIGGER y BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger_column(b, config, phone);
		CREATE TRIGGER odd BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger();
		CREATE TRIGGER nowhere BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger(nowhere, 'pg_catalog.simple', phone);
		ALTER TABLE notes DISABLE TRIGGER x;
		CREATE TABLE parts (a int, b int, c int) PARTITION BY RANGE (c, (a + 1))`)
	s := open(t, db.DSN(), time.Hour).Snapshot()
	notes := s.Relation("public", "notes")
	for column, want := range map[string][]int16{"a": {2, 3}, "b": {3}, "c": nil} {
		if got := notes.Column(column).MadeOf; !slices.Equal(got, want) {
			t.Errorf("%s is made of %v, want %v", column, got, want)
		}
	}
	if got := s.Relation("public", "parts").PartitionKey; !slices.Equal(got, []int16{3, 0}) || notes.PartitionKey != nil {
		t.Errorf("partition key %v", got)
	}
}

func TestHolding(t *testing.T) {
	db := pgtest.NewDatabase(t, `
		CREATE DOMAIN d AS text;
		CREATE DOMAIN over AS d;
		CREATE TYPE a AS (n int, v over);
		CREATE TYPE b AS (x a[]);
		CREATE TABLE t (n int, one d, two over[], three a, four b, five text);
		CREATE TABLE u (n int);
		CREATE VIEW v AS SELECT one FROM t`)
	s := open(t, db.DSN(), time.Hour).Snapshot()
	held := s.Holding(s.Type("public", "d").OID)
	if len(held) != 1 || held[0].Relation.Name != "t" {
		t.Fatalf("%+v", held)
	}
	var got []string
	for _, c := range held[0].Columns {
		got = append(got, c.Name)
	}
	if !slices.Equal(got, []string{"one", "two", "three", "four"}) {
		t.Errorf("held by %v", got)
	}
}
