package query

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestGrowth: short texts that say much do not take long.
func TestGrowth(t *testing.T) {
	analyzer := NewAnalyzer(testSnapshot(t))
	stars, ctes := "app.customers", "WITH x0 AS (SELECT * FROM app.customers)"
	for i := range 60 {
		stars = fmt.Sprintf("(SELECT *, * FROM %s) x", stars)
		ctes += fmt.Sprintf(", x%d AS (SELECT a.email || b.email AS email FROM x%d a, x%d b)", i+1, i, i)
	}
	for name, sql := range map[string]string{
		"nested stars":         "SELECT * FROM " + stars,
		"doubling CTEs":        ctes + " SELECT email FROM x60",
		"chain of whole rows":  "SELECT c" + strings.Repeat(" || c", 300) + " FROM app.customers c",
		"row of whole rows":    "SELECT " + strings.Repeat("row(c, ", 150) + "c" + strings.Repeat(")", 150) + " FROM app.customers c",
		"cross join of tables": "SELECT * FROM app.customers" + strings.Repeat(", app.customers", 500),
		"joins of all":         "SELECT * FROM app.customers" + strings.Repeat(" NATURAL JOIN app.customers", 300),
		"nested scalars":       "SELECT " + strings.Repeat("(SELECT ", 150) + "1" + strings.Repeat(")", 150),
		"views":                "SELECT * FROM app.nested" + strings.Repeat(" UNION ALL SELECT * FROM app.nested", 300),
	} {
		statements, err := Parse(sql, Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		start := time.Now()
		a := analyzer.Analyze(statements[0], testEnv)
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%s took %v", name, took)
		}
		t.Logf("%s: %v, refused %v, unresolved %.60v", name, time.Since(start), a.Refusal, a.Shape.Unresolved)
	}
}
