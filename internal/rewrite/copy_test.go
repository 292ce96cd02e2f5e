package rewrite

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/pgtest"
)

// TestCopyTable copies tables with masked columns: the bytes are those of the twin.
func TestCopyTable(t *testing.T) {
	real := newDatabase(t)
	twin := pgtest.NewDatabase(t, read(t, "schema.sql"), read(t, "texts", "twin.sql"))
	masks := readMasks(t, "texts")
	on, onTwin := connect(t, real.Database), connect(t, twin)
	for _, sql := range []string{
		"COPY customers TO STDOUT",
		"COPY app.customers (id, email, ssn) TO STDOUT WITH (FORMAT csv, HEADER, FORCE_QUOTE (email))",
		"copy customers(ssn,id)to stdout csv header delimiter ';' quote '''' null 'nil' force quote *",
		"COPY customers (email) TO STDOUT (FORMAT binary)",
		"COPY customers (email, nick) TO STDOUT WITH BINARY",
		"COPY customers (id, name) TO STDOUT",
		"COPY leads (city, id, email) TO STDOUT (HEADER true)",
		`COPY "Weird Schema"."Odd ""T" ("naïve Col", "Id") TO STDOUT CSV HEADER`,
		"COPY /* a */ people -- b\n TO STDOUT",
		"COPY staff TO STDOUT",
		"COPY events_2023 TO STDOUT ENCODING 'UTF8'",
		"COPY docs TO STDOUT WITH CSV ESCAPE '\\' FORCE QUOTE body, tsv",
	} {
		result, err := real.made(t, sql, masks)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		if result.Changed == strings.Contains(sql, "(id, name)") {
			t.Errorf("%s\nmade %s", sql, result.SQL)
		}
		var got, want bytes.Buffer
		tag, err := on.CopyTo(t.Context(), &got, result.SQL)
		if err != nil {
			t.Errorf("%s: %v\nmade %s", sql, err, result.SQL)
		}
		wantTag, err := onTwin.CopyTo(t.Context(), &want, sql)
		if err != nil || want.Len() == 0 {
			t.Errorf("%s: the twin says %v", sql, err)
		}
		if got.String() != want.String() || tag != wantTag {
			t.Errorf("%s gives %s\n%q\nthe twin %s\n%q", sql, tag, got.String(), wantTag, want.String())
		}
	}
}

// TestCopyRefused has the server's own words for what COPY does not copy.
func TestCopyRefused(t *testing.T) {
	d := newDatabase(t)
	conn := connect(t, d.Database)
	masks := readMasks(t, "texts")
	for sql, want := range map[string]string{
		"COPY contacts TO STDOUT":                              "",
		"COPY snapshot TO STDOUT":                              "",
		"COPY events TO STDOUT":                                "",
		"COPY leads (id, domain) TO STDOUT":                    "",
		"COPY leads (id, email, id) TO STDOUT":                 "",
		"COPY BINARY leads TO STDOUT":                          "column app.leads.email is masked and cannot be read by COPY BINARY",
		"COPY leads TO STDOUT USING DELIMITERS ';'":            "column app.leads.email is masked and cannot be read by COPY … DELIMITERS",
		"COPY leads (email) TO STDOUT DELIMITERS ';' WITH CSV": "column app.leads.email is masked and cannot be read by COPY … DELIMITERS",
	} {
		if want == "" {
			_, err := conn.CopyTo(t.Context(), &bytes.Buffer{}, sql)
			if err == nil {
				t.Fatalf("%s is copied", sql)
			}
			want = err.Error()
		}
		result, err := d.made(t, sql, masks)
		if err == nil || !strings.Contains(want, err.Error()) {
			t.Errorf("%s: %v, %v, want %s", sql, result, err, want)
		}
	}
}
