package rewrite

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/pgtest"
)

// generator writes random SELECTs over the cases' database. Their order of rows is
// told, or does not matter.
type generator struct {
	*rand.Rand
	aliases int
}

// source is something in FROM, with its columns by type.
type source struct {
	alias  string
	text   []string
	number []string
}

func (g *generator) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g *generator) alias() string {
	g.aliases++
	return fmt.Sprintf("a%d", g.aliases)
}

// table returns an item for FROM.
func (g *generator) table(depth int) (string, source) {
	s := source{alias: g.alias()}
	choice := g.IntN(8)
	if depth <= 0 {
		choice %= 6
	}
	switch choice {
	case 0, 1, 2:
		s.text, s.number = []string{"name", "email", "ssn", "nick", "phone"}, []string{"id", "points"}
		return g.pick("customers", "app.customers", "ONLY customers") + " " + g.pick("", "AS ") + s.alias, s
	case 3:
		s.text, s.number = []string{"email"}, []string{"id", "customer_id"}
		return "orders " + s.alias, s
	case 4:
		if g.IntN(2) == 0 {
			s.text, s.number = []string{"kind", "secret"}, []string{"id"}
			return g.pick("events", "events_2024") + " " + s.alias, s
		}
		s.text, s.number = []string{"name", "secret"}, []string{"id"}
		return g.pick("people", "staff", "ONLY people") + " " + s.alias, s
	case 5:
		s.text, s.number = []string{"name", "email", "tel", "loud"}, []string{"id"}
		return "contacts " + s.alias, s
	default:
		s.text, s.number = []string{"x", "y"}, []string{"n"}
		return g.pick("", "LATERAL ") + "(" + g.query(depth-1, nil) + ") " + s.alias, s
	}
}

func (g *generator) textColumn(from []source) string {
	s := from[g.IntN(len(from))]
	return s.alias + "." + g.pick(s.text...)
}

func (g *generator) numberColumn(from []source) string {
	s := from[g.IntN(len(from))]
	return s.alias + "." + g.pick(s.number...)
}

func (g *generator) text(from []source, depth int) string {
	if depth <= 0 {
		return g.textColumn(from) + "::text"
	}
	switch g.IntN(9) {
	case 0:
		return "upper(" + g.text(from, depth-1) + ")"
	case 1:
		return "coalesce(" + g.text(from, depth-1) + ", 'none')"
	case 2:
		return "(" + g.text(from, depth-1) + " || " + g.text(from, depth-1) + ")"
	case 3:
		return "CASE WHEN " + g.condition(from, depth-1) + " THEN " + g.text(from, depth-1) + " ELSE 'else' END"
	case 4:
		return "(SELECT max(q.x) FROM (" + g.query(depth-1, from) + ") q)"
	case 5:
		return "left(" + g.text(from, depth-1) + ", 3)"
	default:
		return g.textColumn(from) + "::text"
	}
}

func (g *generator) number(from []source, depth int) string {
	switch g.IntN(4) {
	case 0:
		return "length(" + g.text(from, depth-1) + ")"
	case 1:
		return "(" + g.numberColumn(from) + " + 1)"
	default:
		return g.numberColumn(from) + "::int"
	}
}

func (g *generator) condition(from []source, depth int) string {
	if depth <= 0 {
		return g.numberColumn(from) + " > 1"
	}
	switch g.IntN(8) {
	case 0:
		return g.text(from, depth-1) + g.pick(" LIKE 'a%'", " IS NULL", " IS NOT NULL", " > 'b'", " ~ '@'", " IN ('[redacted]', 'ada@example.com')")
	case 1:
		return "(" + g.condition(from, depth-1) + g.pick(" AND ", " OR ") + g.condition(from, depth-1) + ")"
	case 2:
		return g.text(from, depth-1) + g.pick(" = ", " < ", " IS DISTINCT FROM ") + g.text(from, depth-1)
	case 3:
		return g.pick("", "NOT ") + "EXISTS (" + g.query(depth-1, from) + ")"
	case 4:
		return g.text(from, depth-1) + " IN (SELECT q.x FROM (" + g.query(depth-1, from) + ") q)"
	default:
		return g.number(from, depth-1) + g.pick(" = ", " < ", " >= ") + g.pick("1", "2", "3")
	}
}

// query writes a SELECT of columns n, x and y; it may refer to outer sources.
func (g *generator) query(depth int, outer []source) string {
	if depth > 0 && g.IntN(6) == 0 {
		return g.query(depth-1, outer) + g.pick(" UNION ", " UNION ALL ", " EXCEPT ", " INTERSECT ") + g.query(depth-1, outer)
	}
	first, s := g.table(depth)
	from, sources := first, []source{s}
	for range g.IntN(2 + depth/2) {
		item, s := g.table(depth - 1)
		sources = append(sources, s)
		kind := g.pick(" JOIN ", " LEFT JOIN ", " CROSS JOIN ", ", ")
		from += kind + item
		if strings.Contains(kind, "JOIN") && kind != " CROSS JOIN " {
			from += " ON " + g.pick(sources[0].alias+"."+g.pick(sources[0].number...)+" = "+s.alias+"."+g.pick(s.number...),
				sources[0].alias+"."+g.pick(sources[0].text...)+"::text = "+s.alias+"."+g.pick(s.text...)+"::text")
		}
		if kind == ", " { // the comma binds less: what was joined before is out of reach
			break
		}
	}
	visible := append(sources, outer...)
	where := ""
	if g.IntN(3) > 0 {
		where = " WHERE " + g.condition(visible, depth)
	}
	switch g.IntN(6) {
	case 0:
		key := g.text(sources, 1)
		return fmt.Sprintf("SELECT count(*)::int AS n, %s AS x, max(%s) AS y FROM %s%s GROUP BY 2", key, g.text(sources, 1), from, where)
	case 1:
		return fmt.Sprintf("SELECT count(DISTINCT %s)::int AS n, min(%s) AS x, string_agg(DISTINCT %s, ',') AS y FROM %s%s", g.text(sources, 1), g.text(sources, 1), g.text(sources, 0), from, where)
	case 2:
		return fmt.Sprintf("SELECT dense_rank() OVER (PARTITION BY %s ORDER BY %s)::int AS n, %s AS x, max(%s) OVER (ORDER BY %s) AS y FROM %s%s",
			g.text(sources, 0), g.text(sources, 0), g.text(visible, 1), g.text(sources, 0), g.text(sources, 0), from, where)
	case 3:
		return fmt.Sprintf("SELECT DISTINCT %s AS n, %s AS x, %s AS y FROM %s%s", g.number(visible, 1), g.text(visible, depth), g.text(sources, 0), from, where)
	default:
		return fmt.Sprintf("SELECT %s AS n, %s AS x, %s AS y FROM %s%s", g.number(visible, 1), g.text(visible, depth), g.text(visible, depth), from, where)
	}
}

var (
	twinSeed       = flag.Uint64("twin.seed", 2026, "which random statements TestTwin tries")
	twinStatements = flag.Int("twin.statements", 300, "how many of them")
)

// TestTwin answers random statements on the real database and its twin.
func TestTwin(t *testing.T) {
	statements := *twinStatements
	real := newDatabase(t)
	twin := pgtest.NewDatabase(t, read(t, "schema.sql"), read(t, "texts", "twin.sql"))
	masks := readMasks(t, "texts")
	on, onTwin := connect(t, real.Database), connect(t, twin)
	g := &generator{Rand: rand.New(rand.NewPCG(*twinSeed, 0))}
	refused, changed, failed, rows := 0, 0, 0, 0
	for range statements {
		sql := g.query(3, nil)
		result, err := real.made(t, sql, masks)
		if err != nil {
			refused++
			if refused <= 5 {
				t.Logf("refused: %v\n%s", err, sql)
			}
			continue
		}
		if result.Changed {
			changed++
		}
		answered, expected := ask(t, on, result.SQL, nil, false), ask(t, onTwin, sql, nil, false)
		rows += len(expected.rows)
		if expected.err != "" {
			failed++
			// The server says no to both; its words may name the subquery's alias.
			if answered.err == "" {
				t.Errorf("the twin fails: %s\n%s\nmade\n%s", expected.err, sql, result.SQL)
			}
			continue
		}
		if answered.String() != expected.String() {
			t.Errorf("%s\nanswers\n  %.2000s\nthe twin\n  %.2000s\nmade\n%s", sql, answered, expected, result.SQL)
		}
	}
	t.Logf("%d statements: %d changed, %d refused, %d that the server refuses too, %d rows", statements, changed, refused, failed, rows)
	if changed < statements/2 || failed > statements/4 || refused > statements/30 {
		t.Errorf("the generator has become useless: %d changed, %d failed, %d refused of %d", changed, failed, refused, statements)
	}
}
