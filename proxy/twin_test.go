package proxy_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sallyport/sallyport/internal/pgtest"
	"github.com/sallyport/sallyport/internal/sqlgen"
)

var (
	twinSeed       = flag.Uint64("twin.seed", 2026, "which random statements TestTwin tries")
	twinStatements = flag.Uint64("twin.statements", 1200, "how many of them at most")
	twinTime       = flag.Duration("twin.time", 25*time.Second, "for how long at most")
	twinRefusals   = flag.String("twin.refusals", "", "file to write all refused statements to")
)

// mostRefused is how many of 1000 valid statements may be refused, besides EXPLAIN
// ANALYZE: what it tells of real values is refused for good.
const mostRefused = 30

// twins are two databases that differ in what is masked, each behind a sallyport of
// its own, and a third that has the masks' values in place of both.
type twins struct {
	schema  *sqlgen.Schema
	a, b    *pgconn.PgConn // through sallyport
	twin    *pgconn.PgConn // straight
	control [3]*pgx.Conn   // straight to the three
}

func startTwins(t testing.TB) *twins {
	t.Helper()
	text := func(name string) string {
		b, err := os.ReadFile(filepath.Join("../testdata/twin", name))
		must(t, err)
		return string(b)
	}
	policies := map[string]string{"policy/open_door/open_door.rego": text("masks.rego"), "bindings/open-door/data.yaml": openDoorBinding}
	empty := pgtest.NewDatabase(t, text("schema.sql"))
	through := func(variant string) (*pgconn.PgConn, *pgx.Conn) {
		s := startSidecar(t, sidecarOptions{Template: empty, SQL: "SET twin.variant = " + variant + ";" + text("rows.sql"), Policies: policies})
		return pgtest.Connect(t, s.DSN("support-agent")).PgConn(), s.Database.Connect(t)
	}
	w := &twins{}
	w.a, w.control[0] = through("a")
	w.b, w.control[1] = through("b")
	twin := empty.Copy(t, text("twin.sql"), "SET twin.variant = a;"+text("rows.sql"))
	w.twin, w.control[2] = twin.Connect(t).PgConn(), twin.Connect(t)
	for _, conn := range []*pgconn.PgConn{w.a, w.b, w.twin, w.control[2].PgConn()} {
		for _, sql := range []string{"SET search_path = app, public", "SET statement_timeout = '10s'"} {
			_, err := conn.Exec(t.Context(), sql).ReadAll()
			must(t, err)
		}
	}
	var err error
	w.schema, err = sqlgen.Read(t.Context(), w.control[2])
	must(t, err)
	w.schema.Tables = slices.DeleteFunc(w.schema.Tables, func(t *sqlgen.Table) bool { return t.Schema == "masks" })
	return w
}

// answer is what a client sees of a statement.
type answer struct {
	fields  []string
	rows    []string
	tag     string
	err     *pgconn.PgError
	refused string // sallyport's reason
}

func (a *answer) String() string {
	if a.err != nil {
		return fmt.Sprintf("%s: %s at %d; detail %q, hint %q, where %q", a.err.Code, a.err.Message, a.err.Position, a.err.Detail, a.err.Hint, a.err.Where)
	}
	return fmt.Sprintf("%s\n%s\n%s", strings.Join(a.fields, ", "), strings.Join(a.rows, "\n"), a.tag)
}

// form is how a statement is sent.
type form int

const (
	simpleForm form = iota
	extendedForm
	binaryForm
)

// say sends a statement and hears the answer. The rows of a statement that does not
// order them are sorted.
func (w *twins) say(ctx context.Context, conn *pgconn.PgConn, st *sqlgen.Statement, how form) (*answer, error) {
	a := &answer{}
	var results []*pgconn.Result
	var err error
	if st.Copy {
		var data strings.Builder
		var tag pgconn.CommandTag
		tag, err = conn.CopyTo(ctx, &data, st.SQL)
		a.rows, a.tag = strings.SplitAfter(data.String(), "\n"), tag.String()
	} else if how == simpleForm {
		results, err = conn.Exec(ctx, st.SQL).ReadAll()
	} else {
		values := make([][]byte, len(st.Values))
		for i, v := range st.Values {
			values[i] = []byte(v)
		}
		var formats []int16
		if how == binaryForm {
			formats = []int16{1}
		}
		result := conn.ExecParams(ctx, st.SQL, values, nil, nil, formats).Read()
		results, err = []*pgconn.Result{result}, result.Err
	}
	if err != nil {
		if !errors.As(err, &a.err) {
			return nil, err
		}
		if strings.HasPrefix(a.err.Message, "sallyport: ") {
			a.refused = a.err.Message
		}
		return a, nil
	}
	for _, r := range results {
		for _, f := range r.FieldDescriptions {
			a.fields = append(a.fields, fmt.Sprintf("%s %d %d %d", f.Name, f.DataTypeOID, f.DataTypeSize, f.TypeModifier))
		}
		for _, row := range r.Rows {
			a.rows = append(a.rows, toldRow(row))
		}
		a.tag += r.CommandTag.String()
	}
	if !st.Ordered {
		slices.Sort(a.rows)
	}
	return a, nil
}

func toldRow(row [][]byte) string {
	var b strings.Builder
	for _, value := range row {
		if value == nil {
			b.WriteString("NULL")
		} else {
			fmt.Fprintf(&b, "%q", value)
		}
		b.WriteByte(' ')
	}
	return b.String()
}

// hears is what the three answer to a statement, and to what is sent before and after it.
type hears struct{ a, b, twin []*answer }

func (w *twins) hear(ctx context.Context, st *sqlgen.Statement, how form) (*hears, error) {
	h := &hears{}
	for _, one := range []struct {
		conn *pgconn.PgConn
		to   *[]*answer
	}{{w.twin, &h.twin}, {w.a, &h.a}, {w.b, &h.b}} {
		for _, s := range said(st) {
			spoken := how
			if s != st {
				spoken = simpleForm
			}
			answer, err := w.say(ctx, one.conn, s, spoken)
			if err != nil {
				return nil, err
			}
			*one.to = append(*one.to, answer)
		}
	}
	return h, nil
}

// said is everything that is sent for a statement.
func said(st *sqlgen.Statement) []*sqlgen.Statement {
	var all []*sqlgen.Statement
	for _, sql := range st.Before {
		all = append(all, &sqlgen.Statement{SQL: sql})
	}
	all = append(all, st)
	for _, sql := range st.After {
		all = append(all, &sqlgen.Statement{SQL: sql})
	}
	return all
}

// first is the first answer that is an error, an empty one when there is none.
func first(answers []*answer) *answer {
	for _, a := range answers {
		if a.err != nil {
			return a
		}
	}
	return &answer{}
}

// verdict says what is wrong, "" if nothing.
func (h *hears) verdict(st *sqlgen.Statement) string {
	for i := range h.a {
		a, b, twin := h.a[i], h.b[i], h.twin[i]
		if one, other := a.text(), b.text(); one != other {
			return fmt.Sprintf("the secrets make a difference\n  %.3000s\nand\n  %.3000s", one, other)
		}
		if a.refused != "" {
			return ""
		}
		if a.err != nil && twin.err != nil && a.err.Code == twin.err.Code || twin.err != nil && twinsOwn(twin.err) {
			return ""
		}
		if a.err != nil && a.err.Code == "42P21" { // known: masks beside COLLATE in DML
			return ""
		}
		if (a.err != nil || twin.err != nil) && st.Risky {
			return "" // the server may see rows in another order
		}
		if a.err != nil || twin.err != nil || a.String() != twin.String() && !(st.Plan && i == len(st.Before)) {
			return fmt.Sprintf("the twin says\n  %.3000s\nsallyport\n  %.3000s", twin, a)
		}
	}
	return ""
}

// twinsOwn tells errors that only what makes the twin can make.
func twinsOwn(err *pgconn.PgError) bool {
	return strings.Contains(err.Message, "BEFORE FOR EACH ROW trigger")
}

// text is the answer without what is of this decision only.
func (a *answer) text() string { return decisionID.ReplaceAllString(a.String(), "") }

var decisionID = regexp.MustCompile(`\\"decision_id\\":\\"[^"]*\\"`)

// TestTwin asks random statements of sallyport and of the twin.
func TestTwin(t *testing.T) {
	w := startTwins(t)
	count := newTally()
	start := time.Now()
	for n := range *twinStatements {
		if time.Since(start) > *twinTime {
			break
		}
		w.try(t, sqlgen.Random(*twinSeed, n), count)
		if t.Failed() && count.failed >= 5 {
			break
		}
	}
	count.report(t)
}

// FuzzTwin does the same for whatever seed it is given.
func FuzzTwin(f *testing.F) {
	f.Add(uint64(1))
	w := startTwins(f)
	f.Fuzz(func(t *testing.T, seed uint64) {
		for n := range uint64(10) {
			w.try(t, sqlgen.Random(seed, n), newTally())
		}
	})
}

// generated writes the statement of some choices.
func (w *twins) generated(c *sqlgen.Choices) (*sqlgen.Statement, form) {
	how := form(c.Below(3))
	return sqlgen.New(w.schema, c, how != simpleForm).Statement(), how
}

func (w *twins) try(t *testing.T, c *sqlgen.Choices, count *tally) {
	t.Helper()
	st, how := w.generated(c)
	h, err := w.hear(t.Context(), st, how)
	if err != nil {
		t.Fatalf("%v\nafter %s", err, st.SQL)
	}
	count.add(h, st)
	if h.verdict(st) == "" {
		return
	}
	count.failed++
	smaller := sqlgen.Shrink(c.Taken(), 400, func(c *sqlgen.Choices) bool {
		st, how := w.generated(c)
		h, err := w.hear(t.Context(), st, how)
		return err == nil && h.verdict(st) != ""
	})
	least, how := w.generated(sqlgen.Given(smaller))
	h, err = w.hear(t.Context(), least, how)
	must(t, err)
	t.Errorf("%s\n%s\n%q, form %d\n%s\nfound as\n%.2000s", strings.Join(least.Before, "; "), least.SQL, least.Values, how, h.verdict(least), st.SQL)
}

// tally counts what came of the statements.
type tally struct {
	all, valid, refused, rows, failed int
	analyzed                          int // of the refused, EXPLAIN ANALYZE
	refusals                          map[string]int
	samples                           map[string]string
	kinds                             map[string]int
	list                              strings.Builder
}

func newTally() *tally {
	return &tally{refusals: map[string]int{}, samples: map[string]string{}, kinds: map[string]int{}}
}

func (c *tally) add(h *hears, st *sqlgen.Statement) {
	c.all++
	twin := first(h.twin)
	if st.Risky {
		c.kinds["risky"]++
		return
	}
	if twin.err != nil {
		c.kinds["invalid: "+twin.err.Code]++
		if *twinRefusals != "" {
			fmt.Fprintf(&c.list, "INVALID %s %s\n\t%s\n", twin.err.Code, twin.err.Message, text(st))
		}
		return
	}
	c.valid++
	c.kinds[st.Kind]++
	c.rows += len(h.twin[len(st.Before)].rows)
	a := first(h.a)
	if a.refused == "" {
		return
	}
	c.refused++
	if strings.Contains(a.refused, "EXPLAIN ANALYZE") {
		c.analyzed++
	}
	c.kinds[st.Kind+" refused"]++
	reason := generalised(a.refused)
	c.refusals[reason]++
	if known := c.samples[reason]; known == "" || len(text(st)) < len(known) {
		c.samples[reason] = text(st)
	}
	fmt.Fprintf(&c.list, "REFUSED %s\n\t%s\n", a.refused, text(st))
}

// text is a statement with what comes before it.
func text(st *sqlgen.Statement) string {
	return strings.TrimPrefix(strings.Join(append(slices.Clone(st.Before), st.SQL), "; "), "BEGIN; ")
}

// generalised is a reason without the names in it.
func generalised(reason string) string {
	return names.ReplaceAllString(strings.TrimPrefix(reason, "sallyport: "), "…")
}

var names = regexp.MustCompile(`("[^"]*"|\w+)(\.("[^"]*"|\w+))+|"[^"]*"`)

func (c *tally) report(t *testing.T) {
	t.Helper()
	t.Logf("%d statements, %d valid, %d refused (%.1f %%), of these %d EXPLAIN ANALYZE, %d rows",
		c.all, c.valid, c.refused, 100*float64(c.refused)/float64(max(c.valid, 1)), c.analyzed, c.rows)
	for _, kind := range slices.Sorted(maps.Keys(c.kinds)) {
		t.Logf("%6d %s", c.kinds[kind], kind)
	}
	reasons := slices.SortedFunc(maps.Keys(c.refusals), func(x, y string) int { return c.refusals[y] - c.refusals[x] })
	for _, reason := range reasons[:min(len(reasons), 25)] {
		t.Logf("%6d refused: %s\n    %s", c.refusals[reason], reason, c.samples[reason])
	}
	if *twinRefusals != "" {
		must(t, os.WriteFile(*twinRefusals, []byte(c.list.String()), 0o600))
	}
	if c.valid < c.all/2 {
		t.Errorf("the generator has become useless: %d of %d are valid", c.valid, c.all)
	}
	if refused := c.refused - c.analyzed; refused*1000 > c.valid*mostRefused {
		t.Errorf("%d of %d valid statements were refused, more than %d ‰", refused, c.valid, mostRefused)
	}
}
