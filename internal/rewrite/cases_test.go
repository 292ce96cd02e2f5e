package rewrite

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"
	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/pgtest"
	"github.com/sallyport/sallyport/internal/query"
)

var update = flag.Bool("update", false, "write the statements that were made into the cases")

const data = "../../testdata/rewrite"

func TestMain(m *testing.M) { pgtest.Main(m) }

// rewriteCase is one block of a cases.txt:
//
//	# title, with [ordered] when the order of rows is told by the statement
//	statement
//	--$ parameters | in order
//	--> the statement that runs, or "unchanged"
//	--! message of the refusal
//	--? hint of the refusal
type rewriteCase struct {
	title, sql, want, refused, hint string
	params                          []string
	filters                         map[string][]Filter
}

func readCases(t testing.TB, set string) []*rewriteCase {
	t.Helper()
	var cases []*rewriteCase
	for _, block := range strings.Split(read(t, set, "cases.txt"), "\n\n") {
		c := &rewriteCase{}
		var sql []string
		for _, line := range strings.Split(strings.TrimSpace(block), "\n") {
			switch {
			case strings.HasPrefix(line, "# "):
				c.title = line[2:]
			case strings.HasPrefix(line, "--$ "):
				c.params = strings.Split(line[4:], " | ")
			case strings.HasPrefix(line, "--> "):
				c.want += line[4:]
			case strings.HasPrefix(line, "--! "):
				c.refused = line[4:]
			case strings.HasPrefix(line, "--? "):
				c.hint = line[4:]
			default:
				sql = append(sql, line)
			}
		}
		c.sql = strings.Join(sql, "\n")
		cases = append(cases, c)
	}
	return cases
}

func writeCases(t testing.TB, set string, cases []*rewriteCase) {
	t.Helper()
	var blocks []string
	for _, c := range cases {
		block := "# " + c.title + "\n" + c.sql + "\n"
		if len(c.params) > 0 {
			block += "--$ " + strings.Join(c.params, " | ") + "\n"
		}
		if c.refused != "" {
			block += "--! " + c.refused + "\n--? " + c.hint + "\n"
		} else {
			block += "--> " + strings.ReplaceAll(c.want, "\n", "\n--> ") + "\n"
		}
		blocks = append(blocks, block)
	}
	if err := os.WriteFile(filepath.Join(data, set, "cases.txt"), []byte(strings.Join(blocks, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{data}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func readMasks(t testing.TB, set string) map[string]Mask {
	t.Helper()
	var raw map[string]map[string]map[string]any
	if err := yaml.Unmarshal([]byte(read(t, set, "masks.yaml")), &raw); err != nil {
		t.Fatal(err)
	}
	masks := map[string]Mask{}
	for id, functions := range raw {
		for function, args := range functions {
			masks[id] = Mask{Function: function, Args: args}
		}
	}
	return masks
}

// database is the real one, with its catalog.
type database struct {
	*pgtest.Database
	snapshot *catalog.Snapshot
	analyzer *query.Analyzer
}

func newDatabase(t testing.TB) *database {
	t.Helper()
	d := &database{Database: pgtest.NewDatabase(t, read(t, "schema.sql"))}
	d.load(t)
	return d
}

func (d *database) load(t testing.TB) {
	t.Helper()
	source, err := catalog.Open(context.Background(), catalog.Config{DSN: d.DSN(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	d.snapshot = source.Snapshot()
	d.analyzer = query.NewAnalyzer(d.snapshot)
	source.Close()
}

func (d *database) analyze(t testing.TB, sql string) *query.Analysis {
	t.Helper()
	statements, err := query.Parse(sql, query.Limits{})
	if err != nil || len(statements) != 1 {
		t.Fatalf("%d statements, %v\nin: %s", len(statements), err, sql)
	}
	return d.analyzer.Analyze(statements[0], query.Env{SearchPath: []string{"app"}, User: "postgres"})
}

// answer is what a client sees.
type answer struct {
	columns []string // name, type and modifier
	rows    []string
	tag     string
	err     string
	origins []FenceColumn
}

func ask(t testing.TB, conn *pgconn.PgConn, sql string, params []string, ordered bool) answer {
	t.Helper()
	values := make([][]byte, len(params))
	for i, p := range params {
		if p != "NULL" {
			values[i] = []byte(p)
		}
	}
	reader := conn.ExecParams(t.Context(), sql, values, nil, nil, nil)
	var a answer
	for _, f := range reader.FieldDescriptions() {
		typ := fmt.Sprint(f.DataTypeOID)
		if f.DataTypeOID >= 16384 { // made by the schema: another number in each database
			typ = "own"
		}
		a.columns = append(a.columns, fmt.Sprintf("%s %s(%d)", f.Name, typ, f.TypeModifier))
		a.origins = append(a.origins, FenceColumn{Relation: catalog.OID(f.TableOID), Number: int16(f.TableAttributeNumber)})
	}
	for reader.NextRow() {
		var row []string
		for _, value := range reader.Values() {
			if value == nil {
				row = append(row, "NULL")
			} else {
				row = append(row, fmt.Sprintf("%q", value))
			}
		}
		a.rows = append(a.rows, strings.Join(row, " "))
	}
	tag, err := reader.Close()
	a.tag = tag.String()
	if err != nil {
		a.err = err.Error()
	}
	if !ordered {
		slices.Sort(a.rows)
	}
	return a
}

func (a answer) String() string {
	return fmt.Sprintf("%s\n  %s\n%s %s", strings.Join(a.columns, ", "), strings.Join(a.rows, "\n  "), a.tag, a.err)
}

// TestCases holds rewriting to its definition: the answer of the statement that runs,
// on the real database, is that of the client's statement on a twin database in which
// the masked values stand.
func TestCases(t *testing.T) {
	real := newDatabase(t)
	total := 0
	for _, set := range []string{"texts", "numbers", "keys", "rows"} {
		t.Run(set, func(t *testing.T) {
			twin := pgtest.NewDatabase(t, read(t, "schema.sql"), read(t, set, "twin.sql"))
			masks := readMasks(t, set)
			on, onTwin := connect(t, real.Database), connect(t, twin)
			cases := readCases(t, set)
			filters := readFilters(t, set)
			for _, c := range cases {
				total++
				c.filters = filters
				t.Run(c.title, func(t *testing.T) {
					exec(t, on, "BEGIN")
					exec(t, onTwin, "BEGIN")
					c.run(t, real, masks, on, onTwin)
					exec(t, on, "ROLLBACK")
					exec(t, onTwin, "ROLLBACK")
				})
			}
			if *update {
				writeCases(t, set, cases)
			}
		})
	}
	if total < 60 {
		t.Errorf("only %d cases", total)
	}
}

func connect(t testing.TB, d *pgtest.Database) *pgconn.PgConn {
	t.Helper()
	conn := d.Connect(t).PgConn()
	if _, err := conn.Exec(context.Background(), "SET search_path = app; SET timezone = 'Asia/Tokyo'; SET jit = off").ReadAll(); err != nil {
		t.Fatal(err)
	}
	return conn
}

func (c *rewriteCase) run(t *testing.T, d *database, masks map[string]Mask, on, onTwin *pgconn.PgConn) {
	analysis := d.analyze(t, c.sql)
	result, err := Statement(Request{Analysis: analysis, Snapshot: d.snapshot, Masks: told(masks, analysis), Filters: toldFilters(c.filters, analysis)})
	if err != nil {
		var refused *query.Error
		if !errors.As(err, &refused) {
			t.Fatalf("not a *query.Error: %v", err)
		}
		if *update {
			c.refused, c.hint, c.want = refused.Message, refused.Hint, ""
		}
		if refused.Message != c.refused || refused.Hint != c.hint || refused.Code != insufficientPrivilege && refused != analysis.Refusal {
			t.Errorf("refused by %s\n  %s\n  %s\nwant\n  %s\n  %s", refused.Code, refused.Message, refused.Hint, c.refused, c.hint)
		}
		return
	}
	got := "unchanged"
	if result.Changed {
		got = numberedByServer.ReplaceAllString(result.SQL, "'N'::pg_catalog.oid")
	} else if result.SQL != c.sql {
		t.Errorf("unchanged, but made %s", result.SQL)
	}
	if *update {
		c.want, c.refused, c.hint = got, "", ""
	}
	if oneLine(got) != oneLine(c.want) {
		t.Errorf("made\n  %s\nwant\n  %s", got, c.want)
	}
	ordered := strings.Contains(c.title, "[ordered]")
	answered := ask(t, on, result.SQL, c.params, ordered)
	expected := ask(t, onTwin, c.sql, c.params, ordered)
	if answered.String() != expected.String() {
		t.Errorf("answers\n  %s\nthe twin\n  %s\nmade\n  %s", answered, expected, result.SQL)
	}
	if answered.err != "" && !strings.Contains(c.title, "[fails]") {
		t.Errorf("fails: %s\nmade %s", answered.err, result.SQL)
	}
	for i, origin := range answered.origins {
		for _, f := range result.Fence {
			if origin.Relation == f.Relation && origin.Number == f.Number {
				t.Errorf("column %d still comes from %s", i+1, f.ID)
			}
		}
	}
}

// numberedByServer are the OIDs of partitions, which differ from database to database.
var numberedByServer = regexp.MustCompile(`'\d+'::pg_catalog\.oid`)

// told are the masks that a decision has: of the columns that the analysis lists.
func told(masks map[string]Mask, a *query.Analysis) map[string]Mask {
	some := map[string]Mask{}
	for _, c := range a.Shape.Columns {
		if mask, ok := masks[c.ID]; ok {
			some[c.ID] = mask
		}
	}
	return some
}

// toldFilters are the filters that a decision has: of the tables that the analysis lists.
func toldFilters(filters map[string][]Filter, a *query.Analysis) map[string][]Filter {
	some := map[string][]Filter{}
	for _, table := range a.Shape.Tables {
		if f := filters[table.ID]; f != nil {
			some[table.ID] = f
		}
	}
	return some
}

// readFilters reads the filters of a set, of which most have none.
func readFilters(t testing.TB, set string) map[string][]Filter {
	t.Helper()
	if _, err := os.Stat(filepath.Join(data, set, "filters.yaml")); err != nil {
		return nil
	}
	var filters map[string][]Filter
	if err := yaml.Unmarshal([]byte(read(t, set, "filters.yaml")), &filters); err != nil {
		t.Fatal(err)
	}
	var numbers func(list []Filter)
	numbers = func(list []Filter) {
		for _, f := range list {
			numbers(f.Of)
			for i, v := range f.Values {
				if n, ok := v.(int); ok {
					f.Values[i] = json.Number(strconv.Itoa(n))
				}
			}
		}
	}
	for _, list := range filters {
		numbers(list)
	}
	return filters
}

func oneLine(sql string) string { return strings.TrimSpace(strings.ReplaceAll(sql, "\n", "")) }
