package query

import "testing"

func TestPlanned(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT 1":                    "SELECT 1",
		" /* a */ UPDATE t SET a = 1": " /* a */ UPDATE t SET a = 1",
		"WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x": "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
		"EXPLAIN (ANALYZE) SELECT a FROM t":                     "SELECT a FROM t",
		"EXPLAIN EXPLAIN SELECT 1":                              "",
		"COPY (SELECT a FROM t) TO STDOUT":                      "SELECT a FROM t",
		"COPY s.t (a, b) TO STDOUT":                             "SELECT * FROM s.t",
		"COPY ONLY t TO STDOUT":                                 "",
		"COPY t FROM STDIN":                                     "",
		"CREATE TABLE u AS SELECT a FROM t":                     "SELECT a FROM t",
		"DECLARE c CURSOR FOR SELECT 1":                         "DECLARE c CURSOR FOR SELECT 1",
		"CREATE TABLE t (a int)":                                "",
		"CALL p()":                                              "",
		"BEGIN":                                                 "",
		"SELECT 1; SELECT 2":                                    "",
		"":                                                      "",
		"SELEC":                                                 "",
	} {
		if got := Planned(sql); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
}
