package query

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/sqlgen"
)

// FuzzAnalyze: no text makes parsing or analysing panic, every statement has a
// kind, a class and text of its own, and none is understood without being complete.
func FuzzAnalyze(f *testing.F) {
	for _, sql := range caseStatements(f) {
		f.Add(sql)
	}
	for _, c := range readChains(f) {
		f.Add(c.text(3))
	}
	grammar := sqlgen.NewGrammar(grammarNames)
	for n := range uint64(300) {
		f.Add(grammar.Statement(sqlgen.Random(3, n)))
	}
	snapshot := testSnapshot(f)
	analyzers := []*Analyzer{NewAnalyzer(snapshot), NewAnalyzer(&catalog.Snapshot{})}
	f.Fuzz(func(t *testing.T, sql string) {
		statements, err := Parse(sql, Limits{})
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Code == "" || e.Message == "" {
				t.Errorf("an error without code or message: %#v", err)
			}
			return
		}
		for _, st := range statements {
			if !strings.Contains(sql, st.Text) || st.Text == "" {
				t.Errorf("text %q is not of the source", st.Text)
			}
			for _, a := range analyzers {
				checkAnalysis(t, a.Analyze(st, testEnv))
			}
		}
	})
}

func checkAnalysis(t *testing.T, a *Analysis) {
	t.Helper()
	s := &a.Shape
	if s.Kind == "" || s.Class == "" {
		t.Errorf("no kind: %+v", s)
	}
	if s.Complete != (len(s.Unresolved) == 0) {
		t.Errorf("complete is %v with %v", s.Complete, s.Unresolved)
	}
	for _, c := range s.Columns {
		if len(c.Uses) == 0 || c.ID == "" {
			t.Errorf("a column without use: %+v", c)
		}
	}
	for _, scan := range a.Scans {
		if scan.Node == nil || scan.Relation == nil {
			t.Errorf("a scan of nothing: %+v", scan)
		}
	}
	if a.Call != nil && (len(a.Scans) > 0 || s.Class != "read") {
		t.Errorf("a call of our own that does more: %+v", a)
	}
}

const (
	pointSelect = `SELECT id, name, email FROM app.customers WHERE id = $1`
	fiveTables  = `SELECT c.id, c.name, o.id AS order_id, o.total, l.sku, l.qty * l.price AS amount, s.amount AS salary, t.total AS all_orders
		FROM app.customers c
		JOIN app.orders o ON o.customer_id = c.id
		JOIN app.order_lines l ON l.order_id = o.id
		LEFT JOIN hr.salaries s ON s.employee = c.name
		LEFT JOIN (SELECT customer_id, sum(total) AS total FROM app.orders WHERE placed > '2020-01-01' GROUP BY customer_id) t ON t.customer_id = c.id
		WHERE c.plan = 'gold' AND o.total > 100 AND l.qty BETWEEN 1 AND 10 AND c.created > now() - interval '30 days'
		ORDER BY o.total DESC, c.name LIMIT 50`
)

func BenchmarkParse(b *testing.B) {
	for name, sql := range map[string]string{"point": pointSelect, "join": fiveTables} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Parse(sql, Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAnalyze(b *testing.B) {
	analyzer := NewAnalyzer(testSnapshot(b))
	for name, sql := range map[string]string{"point": pointSelect, "join": fiveTables, "view": `SELECT loud FROM app.nested WHERE who = 'x'`} {
		statements, err := Parse(sql, Limits{})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if a := analyzer.Analyze(statements[0], testEnv); !a.Shape.Complete {
					b.Fatal(a.Shape.Unresolved)
				}
			}
		})
	}
}
