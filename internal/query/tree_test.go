package query

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	pg_query "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// TestTree: what is read of the parser's JSON is what pg_query.Parse returns, for all
// statements in testdata, and hardly any needs pg_query.Parse.
func TestTree(t *testing.T) {
	read, left := 0, 0
	for _, sql := range treeTexts(t) {
		want, err := pg_query.Parse(sql)
		text, jsonErr := pg_query.ParseToJSON(sql)
		if (err == nil) != (jsonErr == nil) {
			t.Errorf("%s\nerrors: %v and %v", sql, err, jsonErr)
		}
		if err != nil {
			continue
		}
		got := readTree(text, sql)
		switch {
		case got == nil:
			left++
			t.Logf("left to protobuf: %.120s", sql)
		case proto.Equal(got, want):
			read++
			checkSame(t, sql, want)
		default:
			t.Errorf("%s\nread as %v\nwant %v", sql, got, want)
		}
	}
	t.Logf("%d read, %d left to protobuf", read, left)
	if read < 1000 || left*100 > read {
		t.Errorf("%d read, but %d left to protobuf", read, left)
	}
}

// checkSame checks that a text has its tree and its copy has it too, and none that
// differs anywhere.
func checkSame(t testing.TB, sql string, tree *pg_query.ParseResult) {
	t.Helper()
	if len(tree.Stmts) != 1 || len(sql) > 500 {
		return
	}
	text, err := pg_query.ParseToJSON(sql)
	if err != nil || !sameTree(text, sql, tree.Stmts[0].Stmt, nil) {
		t.Errorf("%s\nis not its tree, %v", sql, err)
		return
	}
	pairs := 0
	st := Statement{Node: tree.Stmts[0].Stmt}
	made := st.Copy(func(original, made any) {
		pairs++
		if original == made || reflect.TypeOf(original) != reflect.TypeOf(made) {
			t.Errorf("%s: %T visited with %T", sql, original, made)
		}
	})
	if !proto.Equal(made, st.Node) || !sameTree(text, sql, made, nil) {
		t.Errorf("%s\ncopied as %v", sql, made)
	}
	visited := 0
	Walk(made, func(any) { visited++ })
	if visited != pairs {
		t.Errorf("%s: %d messages visited, %d copied", sql, visited, pairs)
	}
	messages := 0
	changes(made.ProtoReflect(), func(what string) {
		messages++
		if sameTree(text, sql, made, nil) {
			t.Errorf("%s\nis said to be the same with %s", sql, what)
		}
	})
	if pairs == 0 || messages == 0 {
		t.Errorf("%s: nothing visited", sql)
	}
	if !proto.Equal(made, st.Node) {
		t.Errorf("%s: the copy shares with the original, or a change was not undone", sql)
	}
}

// changes makes one change after the other to a tree, and undoes it.
func changes(m protoreflect.Message, changed func(what string)) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		d := fields.Get(i)
		what := string(d.FullName())
		before := m.Get(d)
		switch {
		case strings.HasSuffix(what, "location") || strings.HasSuffix(what, "stmt_len"):
		case d.IsList():
			if d.Message() == nil {
				continue
			}
			list := m.Mutable(d).List()
			list.Append(list.NewElement())
			changed("more in " + what)
			list.Truncate(list.Len() - 1)
			for j := range list.Len() {
				changes(list.Get(j).Message(), changed)
			}
			if n := list.Len(); n > 0 {
				last := list.Get(n - 1)
				list.Truncate(n - 1)
				changed("less in " + what)
				list.Append(last)
			} else {
				m.Clear(d)
			}
		case d.Message() != nil && m.Has(d):
			changes(before.Message(), changed)
			m.Clear(d)
			changed("no " + what)
			m.Set(d, before)
		case d.Message() != nil:
			if d.ContainingOneof() == nil {
				m.Set(d, m.NewField(d))
				changed("some " + what)
				m.Clear(d)
			}
		default:
			m.Set(d, otherValue(d.Kind(), before))
			changed("another " + what)
			m.Set(d, before)
		}
	}
}

func otherValue(kind protoreflect.Kind, v protoreflect.Value) protoreflect.Value {
	switch kind {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(v.String() + "x")
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(!v.Bool())
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(v.Enum() + 1)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(v.Int()) ^ 1)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(v.Int() ^ 1)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(v.Uint()) ^ 1)
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(v.Uint() ^ 1)
	default:
		return protoreflect.ValueOfFloat64(v.Float() + 1)
	}
}

// TestCopyPlaces: a copy counts places from the beginning of its own text.
func TestCopyPlaces(t *testing.T) {
	const second = "SELECT a.b, -1, f(x::int[]) FROM t a"
	statements, err := Parse(" SELECT 1; /* x */ ;  \n"+second+" ;", Limits{})
	if err != nil || len(statements) != 2 || statements[1].Text != second {
		t.Fatalf("%+v, %v", statements, err)
	}
	alone, err := ParseTree(second)
	if err != nil {
		t.Fatal(err)
	}
	if got := statements[1].Copy(func(_, _ any) {}); !proto.Equal(got, alone.Stmts[0].Stmt) {
		t.Errorf("got %v, want %v", got, alone.Stmts[0].Stmt)
	}
}

// TestPart: a part is found where it was put, and nothing else is taken for it.
func TestPart(t *testing.T) {
	const body = `SELECT t.a, f(1, t."location":: pg_catalog.text, '"location":7') AS b FROM s.t AS t`
	part, err := ParsePart(body)
	if err != nil || len(part.pieces) < 5 {
		t.Fatalf("%+v, %v", part, err)
	}
	sql := func(body string) string { return "SELECT x, 0 FROM (" + body + ") y WHERE x = 1" }
	tree, err := ParseTree(sql(body))
	if err != nil {
		t.Fatal(err)
	}
	want := tree.Stmts[0].Stmt
	want.GetSelectStmt().FromClause[0].GetRangeSubselect().Subquery = part.Node
	parts := map[*pg_query.Node]*Part{part.Node: part}
	if !SameTree(sql(body), want, parts) {
		t.Error("the part is not found")
	}
	taken := treeReader{parts: parts}
	taken.sql = "SELECT (" + body + ")"
	taken.text, _ = pg_query.ParseToJSON(taken.sql)
	taken.at = strings.Index(taken.text, `"subselect":`) + len(`"subselect":`)
	if !taken.samePart(part) {
		t.Error("the part is not taken as it is")
	}
	for _, other := range []string{
		strings.Replace(body, "1", "2", 1), strings.Replace(body, ":7", ":8", 1), strings.Replace(body, "s.t", "t", 1), strings.Replace(body, `"location"`, "loc", 1),
		body + " LIMIT 1", "(" + body + ") UNION SELECT 1, 2", strings.Replace(body, "'\"location\":7'", "NULL", 1), "SELECT 1",
	} {
		if SameTree(sql(other), want, parts) {
			t.Errorf("%s is taken for the part", other)
		}
	}
	// What the JSON does not tell apart.
	for _, pair := range [][2]string{{"SELECT a, 0", "SELECT a, -1"}, {"SELECT a, -1", "SELECT a, -2"}, {"SELECT a::int[]", "SELECT a::int[0]"}} {
		part, err := ParsePart(pair[0])
		if err != nil {
			t.Fatal(err)
		}
		want := &pg_query.Node{Node: &pg_query.Node_SelectStmt{SelectStmt: &pg_query.SelectStmt{
			LimitOption: pg_query.LimitOption_LIMIT_OPTION_DEFAULT, Op: pg_query.SetOperation_SETOP_NONE,
			TargetList: []*pg_query.Node{{Node: &pg_query.Node_ResTarget{ResTarget: &pg_query.ResTarget{Val: &pg_query.Node{Node: &pg_query.Node_SubLink{
				SubLink: &pg_query.SubLink{SubLinkType: pg_query.SubLinkType_EXPR_SUBLINK, Subselect: part.Node}}}}}}}}}}
		parts := map[*pg_query.Node]*Part{part.Node: part}
		if !SameTree("SELECT ("+pair[0]+")", want, parts) || SameTree("SELECT ("+pair[1]+")", want, parts) {
			t.Errorf("%s and %s are not told apart", pair[0], pair[1])
		}
	}
	for _, bad := range []string{"SELECT 1; SELECT 2", "", "SELEC"} {
		if _, err := ParsePart(bad); err == nil {
			t.Errorf("%s is a part", bad)
		}
	}
}

// TestScanTokens: tokens are those of pg_query.Scan without comments.
func TestScanTokens(t *testing.T) {
	for _, sql := range treeTexts(t) {
		want, wantErr := pg_query.Scan(sql)
		got, err := ScanTokens(sql)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%s: %v and %v", sql, err, wantErr)
		}
		i := 0
		for _, token := range want.GetTokens() {
			if token.Token == pg_query.Token_SQL_COMMENT || token.Token == pg_query.Token_C_COMMENT {
				continue
			}
			if i == len(got) || !proto.Equal(got[i], token) {
				t.Fatalf("%s: token %d is not %v", sql, i, token)
			}
			i++
		}
		if i != len(got) {
			t.Fatalf("%s: %d tokens, want %d", sql, len(got), i)
		}
	}
}

// treeTexts are all statements of testdata, and some that are hard to write down.
func treeTexts(t testing.TB) []string {
	t.Helper()
	texts := []string{
		`SELECT 'a"b\c', E'\b\f\n\r\t\x01\x7f<>', U&'\0441', '😀', "q""uo<t>e", $$x$$, b'01', x'ff', 1.5e10, 99999999999, 2147483647`,
		`SELECT 0, -0, - 1, -1, 1 - 1, -1.5, -99999999999, - -1, (-2), -3::int, -4[1], -0x1F, 0x0, 0b0, 0_0, 00, -1_000, LIMIT -1`,
		`SELECT f(-1, -2,-3) LIMIT -1 OFFSET 0; SELECT -7;SELECT -8 -- x`, "SELECT -9\n, -\n9, -/* */9",
		`SELECT DISTINCT x FROM t`, `SELECT`, ``, `;;`, `SELECT E'\xe4'`, `SELECT U&'\D83D\DE00'`, `SELECT 'x' AS ` + strings.Repeat("ü", 40),
		`SELECT x::int[], y::text[][], z::int ARRAY, u::int[3]`, `SELECT x::int[0]`, `SELECT x::int[ /* 0 */ 0][]`, `SELECT ARRAY[0]::int[]`,
		`ALTER SEQUENCE s MINVALUE -5 START 0`, `SET x = -1`, `SET x TO 0`, `SELECT interval '1' year, xmlroot(x, version no value)`,
	}
	for _, pattern := range []string{"query/*.txt", "query/*.sql", "rewrite/*.sql", "rewrite/*/*", "wire/*", "wire/*/*", "leaks/*", "leaks/*/*", "drivers/*.sql"} {
		files, err := filepath.Glob(filepath.Join("../../testdata", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if info, err := os.Stat(file); err != nil || info.IsDir() {
				continue
			}
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, string(content))
			texts = append(texts, paragraphs.Split(string(content), -1)...)
			for line := range strings.Lines(string(content)) {
				texts = append(texts, strings.TrimPrefix(line, "--> "))
			}
		}
	}
	for _, c := range readChains(t) {
		for _, n := range []int{0, 1, 3, 40} {
			texts = append(texts, c.text(n))
		}
	}
	return texts
}

// paragraphs are cases, or parts of them: many are statements.
var paragraphs = regexp.MustCompile(`\n\n|\n--[^\n]*\n|;\n`)

// FuzzTree: nothing read of the parser's JSON differs from pg_query.Parse.
func FuzzTree(f *testing.F) {
	for i, sql := range treeTexts(f) { // TestTree has them all
		if len(sql) < 2000 && i%20 == 0 {
			f.Add(sql)
		}
	}
	f.Fuzz(func(t *testing.T, sql string) {
		if checkText(sql, Limits{}) != nil {
			return
		}
		text, err := pg_query.ParseToJSON(sql)
		if err != nil {
			return
		}
		if got := readTree(text, sql); got != nil {
			want, err := pg_query.Parse(sql)
			if err != nil || !proto.Equal(got, want) {
				t.Errorf("%s\nread as %v\nwant %v, %v", sql, got, want, err)
			}
			if len(sql) < 200 {
				checkSame(t, sql, want)
			}
		}
	})
}

// TestTreeSurprises: what the parser does not write is not read.
func TestTreeSurprises(t *testing.T) {
	const sql = "SELECT -1 FROM t"
	text, err := pg_query.ParseToJSON(sql)
	if err != nil || readTree(text, sql) == nil {
		t.Fatalf("%s is not read: %v", text, err)
	}
	for i := range len(text) {
		if got := readTree(text[:i], sql); got != nil {
			t.Errorf("read %s as %v", text[:i], got)
		}
	}
	for _, bad := range []string{
		`{"version":160001,"stmts":[]} `, `{"version":160001,"stmts":[],}`, `{"stmts":[],"version":160001}`, `{"version":160001,"version":160001,"stmts":[]}`,
		`{"version":9999999999,"stmts":[]}`, `{"version":1e3,"stmts":[]}`, `{"Version":1,"stmts":[]}`, `{"version":160001,"stmts":[],"more":1}`, `null`, `[]`, ``,
		`{"version":160001,"stmts":[{"stmt":{"SelectStmt":{"op":"SETOP_NONESUCH"}}}]}`,
		`{"version":160001,"stmts":[{"stmt":{"NoStmt":{}}}]}`,
		`{"version":160001,"stmts":[{"stmt":{"String":{"sval":"\u0000"}}}]}`,
		`{"version":160001,"stmts":[{"stmt":{"String":{"sval":"\ud83d"}}}]}`,
		`{"version":160001,"stmts":[{"stmt":{"String":{"sval":null}}}]}`,
		`{"version":160001,"stmts":[{"stmt":{"Integer":{}}}]}`,
		`{"version":160001,"stmts":[{"stmt":{"A_Const":{"ival":{},"location":7}}}]}`,
		`{"version":160001,"stmts":[{"stmt":{"A_Const":{"ival":{},"location":99}}}]}`,
		`{"version":160001,"stmts":[{"stmt":{"A_Const":{"ival":{"ival":1},"sval":{"sval":"x"},"location":7}}}]}`,
		"{\"version\":160001,\"stmts\":[{\"stmt\":{\"String\":{\"sval\":\"\xff\"}}}]}",
	} {
		if got := readTree(bad, "SELECT x"); got != nil {
			t.Errorf("read %s as %v", bad, got)
		}
	}
}

// BenchmarkTree shows what a tree costs either way.
func BenchmarkTree(b *testing.B) {
	for name, sql := range map[string]string{"point": pointSelect, "join": fiveTables} {
		b.Run(name+"/protobuf", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = pg_query.Parse(sql)
			}
		})
		b.Run(name+"/JSON", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = ParseTree(sql)
			}
		})
		b.Run(name+"/read", func(b *testing.B) {
			b.ReportAllocs()
			text, _ := pg_query.ParseToJSON(sql)
			for b.Loop() {
				readTree(text, sql)
			}
		})
	}
}
