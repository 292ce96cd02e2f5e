package query

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// A chain is text that nests with its length.
type chain struct {
	name  string
	parts [5]string
}

func (c chain) text(n int) string {
	p := c.parts
	return p[0] + strings.Repeat(p[1], n) + p[2] + strings.Repeat(p[3], n) + p[4]
}

func readChains(t testing.TB) []chain {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(casesDir, "chains.data"))
	if err != nil {
		t.Fatal(err)
	}
	var chains []chain
	for _, line := range strings.Split(string(content), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, " ¦ ")
		c := chain{name: fields[0]}
		copy(c.parts[:], fields[1:])
		chains = append(chains, c)
	}
	return chains
}

// chainStack is what glibc gives threads where the stack is not limited: the
// smallest a Go program on Linux gets for its C code.
const chainStack = "2048"

// TestChains runs the frailest of what is done with a tree on the longest chain of
// each kind that the cap lets through, in a process of its own: were the cap too
// high, the process would die.
func TestChains(t *testing.T) {
	if os.Getenv("SALLYPORT_TEST_CHAINS") != "" {
		chainChild(t)
		return
	}
	child := exec.Command("/bin/sh", "-c", "ulimit -s "+chainStack+" && exec "+os.Args[0]+" -test.run='^TestChains$' -test.v")
	child.Env = append(os.Environ(), "SALLYPORT_TEST_CHAINS=1")
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v, after:\n%s", err, tailOf(out))
	}
	ran := bytes.Count(out, []byte("\nchain "))
	if want := len(readChains(t)); ran != want {
		t.Fatalf("%d of %d chains ran", ran, want)
	}
}

func tailOf(out []byte) string {
	var last []string
	scanner := bufio.NewScanner(bytes.NewReader(out))
	for scanner.Scan() {
		if line := scanner.Text(); strings.HasPrefix(line, "chain ") || strings.Contains(line, "signal") || strings.Contains(line, "---") || strings.Contains(line, "_test.go") {
			last = append(last, line)
		}
	}
	return strings.Join(last[max(0, len(last)-8):], "\n")
}

// list is longer than any chain that nests may be.
const list = 2 * maxDepth

func chainChild(t *testing.T) {
	analyzer := NewAnalyzer(&catalog.Snapshot{})
	for _, c := range readChains(t) {
		longest := sort.Search(list, func(n int) bool { return checkDepth(c.text(n+1), defaultTokens) != nil })
		fmt.Printf("\nchain %s: %d\n", c.name, longest)
		text := c.text(longest)
		done := make(chan error)
		go func() { done <- everything(analyzer, text) }() // on a thread's stack, not the main one's
		if err := <-done; err != nil {
			t.Errorf("%s, %d long: %v", c.name, longest, err)
		}
		if longest == list { // siblings: as many as one likes
			continue
		}
		if _, err := Parse(c.text(5_000), Limits{Bytes: 1 << 30}); err == nil {
			t.Errorf("%s: 5,000 long is let through", c.name)
		}
	}
}

// everything does what is done with statements anywhere in sallyport.
func everything(analyzer *Analyzer, text string) error {
	statements, err := Parse(text, Limits{})
	if err != nil {
		return err
	}
	for _, st := range statements {
		analyzer.Analyze(st, Env{})
	}
	if Normalize(text) == unparsable {
		return fmt.Errorf("cannot be normalized")
	}
	tree, err := pg_query.Parse(text)
	if err != nil {
		return err
	}
	written, err := pg_query.Deparse(tree)
	if err != nil {
		return fmt.Errorf("deparsing: %w", err)
	}
	_, _ = pg_query.Parse(written) // the deparser loses some parentheses; rewriting notices
	return nil
}

// TestGenerous: what honest clients send in bulk is let through.
func TestGenerous(t *testing.T) {
	row := "(" + strings.Repeat("'some text', ", 9) + "10)"
	for name, sql := range map[string]string{
		"INSERT of 1000 rows":       "INSERT INTO t VALUES " + strings.Repeat(row+", ", 999) + row,
		"IN list of 20000":          "SELECT 1 WHERE x IN (" + strings.Repeat("1, ", 20_000) + "1)",
		"2000 OR":                   "SELECT 1 WHERE x = 1" + strings.Repeat(" OR x = 2 AND y = 3", 2000),
		"CASE of 2000 branches":     "SELECT CASE" + strings.Repeat(" WHEN x = 1 THEN 'y'", 2000) + " END",
		"300 joins":                 "SELECT * FROM a" + strings.Repeat(" JOIN b ON a.x = b.x AND a.y = b.y", 300),
		"300 UNION ALL":             "SELECT 1, 2, 'x'" + strings.Repeat(" UNION ALL SELECT 1, 2, 'x'", 300),
		"300 concatenations":        "SELECT 'x'" + strings.Repeat(" || y", 300),
		"500 statements":            strings.Repeat("UPDATE t SET x = 1 WHERE y = 2;", 500),
		"subqueries 40 deep":        "SELECT * FROM " + strings.Repeat("(SELECT a, b FROM ", 40) + "t" + strings.Repeat(") x WHERE a = 1 AND b = 2", 40),
		"1000 columns":              "CREATE TABLE t (x int NOT NULL DEFAULT 1" + strings.Repeat(", c numeric(10, 2) CHECK (c > 0)", 1000) + ")",
		"INSERT of 200 wide UNIONs": "INSERT INTO t " + strings.TrimSuffix(strings.Repeat("SELECT 1, 2, 3, 4, 5, 6, 7 UNION ALL ", 200), "UNION ALL "),
	} {
		if _, err := Parse(sql, Limits{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTextRefused(t *testing.T) {
	for name, c := range map[string]struct{ sql, code string }{
		"NUL":           {"SELECT 'a\x00b'", codeBadText},
		"not UTF-8":     {"SELECT '\xff'", codeBadText},
		"too long":      {"SELECT '" + strings.Repeat("x", defaultBytes) + "'", codeTooLarge},
		"many tokens":   {"SELECT 1" + strings.Repeat(",1", defaultTokens), codeTooLarge},
		"syntax":        {"SELEC 1", codeSyntax},
		"long, unended": {"SELECT '" + strings.Repeat("x", 2*maxDepth), codeSyntax},
		"newer syntax":  {"SELECT * FROM json_table('[]', '$[*]' COLUMNS (a int PATH '$'))", codeSyntax},
	} {
		_, err := Parse(c.sql, Limits{})
		var e *Error
		if !errors.As(err, &e) || e.Code != c.code {
			t.Errorf("%s: got %v, want an error with %s", name, err, c.code)
		}
	}
}

func TestStatementText(t *testing.T) {
	sql := "  SELECT 'ü;' -- c\n ; /* x */ UPDATE t SET x = 1;;\n"
	statements, err := Parse(sql, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if len(statements) != 2 || statements[0].Text != "SELECT 'ü;' -- c" || statements[1].Text != "/* x */ UPDATE t SET x = 1" {
		for _, st := range statements {
			t.Errorf("%q", st.Text)
		}
	}
	for i, st := range statements {
		if st.Index != i || st.Count != 2 || st.Source != sql {
			t.Errorf("statement %d: %d of %d", i, st.Index, st.Count)
		}
	}
	if none, err := Parse(" -- nothing\n", Limits{}); err != nil || len(none) != 0 {
		t.Errorf("comments: %v, %v", none, err)
	}
}

func TestNormalize(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT 'secret', 42 FROM t WHERE x = E'a\\'b'": "SELECT $1, $2 FROM t WHERE x = $3",
		"SELECT 'unended":             unparsable,
		"SELECT 1" + "\x00":           unparsable,
		"CREATE ROLE x PASSWORD 'pw'": "CREATE ROLE x PASSWORD $1",
	} {
		if got := Normalize(sql); got != want {
			t.Errorf("%q: got %q, want %q", sql, got, want)
		}
	}
}
