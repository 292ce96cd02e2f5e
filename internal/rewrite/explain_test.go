package rewrite

import (
	"regexp"
	"strings"
	"testing"
)

// TestExplain explains what reads masked columns: neither what the server expects of
// their values nor how a hash is made is shown.
func TestExplain(t *testing.T) {
	d := newDatabase(t)
	masks := readMasks(t, "texts")
	conn := connect(t, d.Database)
	estimates := regexp.MustCompile(`(?i)cost|rows=|width|plan rows|plan-rows`)
	for _, c := range []struct{ sql, made string }{
		{"EXPLAIN SELECT nick FROM customers WHERE nick = 'x'", "EXPLAIN (COSTS OFF)  SELECT nick"},
		{"explain(format json)SELECT nick FROM customers", "explain(format json, COSTS OFF)SELECT nick"},
		{"EXPLAIN VERBOSE SELECT nick FROM customers", "EXPLAIN (VERBOSE, COSTS OFF) SELECT nick"},
		{"EXPLAIN (SELECT nick FROM customers)", "EXPLAIN (COSTS OFF)  (SELECT nick"},
		{"EXPLAIN (COSTS ON, FORMAT YAML, VERBOSE) SELECT nick FROM customers", "EXPLAIN (COSTS ON, FORMAT YAML, VERBOSE, COSTS OFF) SELECT nick"},
		{"EXPLAIN (ANALYZE false, FORMAT XML) SELECT nick FROM customers", "EXPLAIN (ANALYZE false, FORMAT XML, COSTS OFF) SELECT nick"},
		{"EXPLAIN UPDATE customers SET name = nick WHERE id = 1 RETURNING nick", "EXPLAIN (COSTS OFF)  UPDATE customers SET name = (CAST("},
		{"EXPLAIN UPDATE customers SET nick = COALESCE(NULL, nick)", "EXPLAIN (COSTS OFF)  UPDATE customers SET nick = COALESCE(NULL, nick)"},
		{"EXPLAIN DELETE FROM customers WHERE nick = 'x'", "EXPLAIN (COSTS OFF)  DELETE"},
		{"EXPLAIN INSERT INTO other.customers SELECT id, nick FROM customers", "EXPLAIN (COSTS OFF)  INSERT"},
		{"EXPLAIN CREATE TABLE copied AS SELECT nick FROM customers", "EXPLAIN (COSTS OFF)  CREATE TABLE"},
		{"EXPLAIN SELECT id FROM customers", ""},
		{"EXPLAIN (ANALYZE) SELECT id FROM customers", ""},
		{"EXPLAIN UPDATE customers SET nick = 'x' WHERE id = 1", ""},
	} {
		result, err := d.made(t, c.sql, masks)
		if err != nil {
			t.Errorf("%s: %v", c.sql, err)
			continue
		}
		if c.made == "" {
			if result.Changed {
				t.Errorf("%s\nmade %s", c.sql, result.SQL)
			}
			continue
		}
		if !strings.HasPrefix(result.SQL, c.made) || strings.Contains(result.SQL, `pe\`) {
			t.Errorf("%s\nmade %s", c.sql, result.SQL)
		}
		plan := ask(t, conn, result.SQL, nil, true)
		if plan.err != "" || len(plan.rows) == 0 || estimates.MatchString(strings.Join(plan.rows, "\n")) || strings.Contains(plan.String(), "pper") {
			t.Errorf("%s\nshows %s", c.sql, plan)
		}
	}
	for sql, want := range map[string]string{
		"EXPLAIN ANALYZE SELECT nick FROM customers":                           "column app.customers.nick is masked and may not be read by EXPLAIN ANALYZE, which tells of the real values by memory, pages and time",
		"EXPLAIN (ANALYZE, TIMING off) DELETE FROM customers WHERE nick = 'x'": "column app.customers.nick is masked and may not be read by EXPLAIN ANALYZE, which tells of the real values by memory, pages and time",
		"EXPLAIN CREATE MATERIALIZED VIEW v AS SELECT nick FROM customers":     "column app.customers.nick is masked and may not be stored by CREATE MATERIALIZED VIEW, which REFRESH would fill with the real values",
	} {
		if result, err := d.made(t, sql, masks); err == nil || err.Error() != want {
			t.Errorf("%s: %v, %v", sql, result, err)
		}
	}
}

// TestExplainIsAsDirect holds plans to those of the client's statement: a mask on
// other columns costs no index.
func TestExplainIsAsDirect(t *testing.T) {
	d := newDatabase(t)
	masks := readMasks(t, "texts")
	conn := connect(t, d.Database)
	exec(t, conn, "SET enable_seqscan = off; SET enable_bitmapscan = off")
	for sql, want := range map[string]string{
		"EXPLAIN SELECT email FROM customers WHERE id = 1":                                                            "Index Scan using customers_pkey on customers",
		"EXPLAIN UPDATE customers SET name = email WHERE id = 1 RETURNING email":                                      "Index Scan using customers_pkey on customers",
		"EXPLAIN DELETE FROM orders USING customers c WHERE c.id = orders.customer_id AND c.id = 1 RETURNING c.email": "Index Scan using customers_pkey on customers",
		"EXPLAIN INSERT INTO other.customers SELECT id, email FROM customers WHERE id = 1":                            "Index Scan using customers_pkey on customers",
	} {
		result, err := d.made(t, sql, masks)
		if err != nil {
			t.Fatal(err)
		}
		if plan := ask(t, conn, result.SQL, nil, true); !strings.Contains(plan.String(), want) {
			t.Errorf("%s\nshows %s", sql, plan)
		}
	}
}
