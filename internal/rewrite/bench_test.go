package rewrite

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/pgtest"
	"github.com/sallyport/sallyport/internal/query"
)

// What the cost of a statement is told of in docs/PERFORMANCE.md, on the sample shop.
const (
	pointSelect = "SELECT id, name, email, city FROM customers WHERE id = $1"
	fiveTables  = `SELECT c.id, c.name, c.email, c.city, o.id AS order_id, o.status, o.placed_at,
       p.name AS product, p.sku, i.quantity, i.price, y.amount, y.card_number
  FROM customers c
  JOIN orders o ON o.customer_id = c.id
  JOIN order_items i ON i.order_id = o.id
  JOIN products p ON p.id = i.product_id
  LEFT JOIN payments y ON y.order_id = o.id AND y.customer_id = c.id
 WHERE c.city = 'Berlin' AND o.placed_at >= '2026-01-01' AND o.status IN ('paid', 'shipped') AND i.quantity > 1
 ORDER BY o.placed_at DESC, c.id
 LIMIT 100`
)

var benchMasks = map[string]Mask{
	"public.customers.email":      {Function: "email"},
	"public.customers.phone":      {Function: "partial", Args: map[string]any{"keep_last": 2.0}},
	"public.customers.ssn":        {Function: "null"},
	"public.payments.card_number": {Function: "partial", Args: map[string]any{"keep_last": 4.0}},
}

func BenchmarkPointSelect(b *testing.B) { benchmark(b, pointSelect) }

func BenchmarkJoin(b *testing.B) { benchmark(b, fiveTables) }

// benchmark measures what a statement costs before it runs: each step, and all. Look
// at the median: it hardly moves with what else the machine does.
func benchmark(b *testing.B, sql string) {
	schema, err := os.ReadFile("../devenv/sample.sql")
	if err != nil {
		b.Fatal(err)
	}
	tables, _, found := strings.Cut(string(schema), "CREATE FUNCTION") // rows come after
	if !found {
		b.Fatal("the sample's tables were not found")
	}
	db := pgtest.NewDatabase(b, tables)
	source, err := catalog.Open(b.Context(), catalog.Config{DSN: db.DSN(), Log: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	source.Close()
	snapshot := source.Snapshot()
	analyzer := query.NewAnalyzer(snapshot)
	env := query.Env{SearchPath: []string{"$user", "public"}, User: "agent"}
	parse := func(b *testing.B) *query.Statement {
		statements, err := query.Parse(sql, query.Limits{})
		if err != nil || len(statements) != 1 {
			b.Fatalf("%d statements, %v", len(statements), err)
		}
		return statements[0]
	}
	write := func(b *testing.B, a *query.Analysis) {
		result, err := Statement(Request{Analysis: a, Snapshot: snapshot, Masks: told(benchMasks, a)})
		if err != nil || !result.Changed {
			b.Fatalf("%+v, %v", result, err)
		}
	}
	step := func(name string, once func()) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				once()
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2]), "median-ns/op")
		})
	}
	st := parse(b)
	a := analyzer.Analyze(st, env)
	step("Parse", func() { parse(b) })
	step("Analyze", func() { analyzer.Analyze(st, env) })
	step("Rewrite", func() { write(b, a) })
	step("All", func() { write(b, analyzer.Analyze(parse(b), env)) })
	step("Record", func() { // what the record wants besides
		query.Normalize(sql)
		query.Fingerprint(sql)
	})
}
