package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the expected output anew")

const cases = "../../testdata/audit"

// shop writes the records of the case through a real log, at their times.
func shop(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(cases, "shop.records.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var at time.Time
	l := mustOpen(t, Config{Statements: StatementsFull, Now: func() time.Time { return at }})
	for line := range bytes.Lines(text) {
		var r Record
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		at = r.Time
		mustAppend(t, l, &r, Written)
	}
	return l.cfg.Path
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join(cases, name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func TestWhatPeopleRead(t *testing.T) {
	path := shop(t)
	sessions, err := Sessions(path, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := WriteSessions(&out, sessions); err != nil {
		t.Fatal(err)
	}
	golden(t, "shop.sessions.txt", out.Bytes())
	for _, id := range []string{"s-one", "s-two", "s-three"} {
		h, err := Session(path, id)
		if err != nil {
			t.Fatal(err)
		}
		out.Reset()
		if err := WriteReplay(&out, h); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(out.String(), "\x1b\u202e") {
			t.Errorf("%s: the statement plays with the terminal", id)
		}
		golden(t, "shop.replay."+id+".txt", out.Bytes())
	}
}

func TestWhatMachinesRead(t *testing.T) {
	path := shop(t)
	sessions, err := Sessions(path, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := WriteSessionsJSON(&out, sessions); err != nil {
		t.Fatal(err)
	}
	var one SessionSummary
	if err := json.NewDecoder(&out).Decode(&one); err != nil {
		t.Fatal(err)
	}
	one.Started, one.Last = time.Time{}, time.Time{}
	want := SessionSummary{
		ID: "s-one", Identity: Identity{Issuer: "entra", Tenant: "contoso", Subject: "0b6f", Name: "support-agent", Kind: "workload"},
		Connection: "prod-replica", Database: "shop", Client: "10.1.2.3:55012", Application: "psql", Grants: []string{"g-jit"},
		Binding: "jit-schema-checks", Closed: true, Cause: "the window closed",
		Statements: 6, Allowed: 3, Masked: 1, Held: 2, Denied: 2, Failed: 1, Rows: 16, Bytes: 609,
	}
	got, _ := json.Marshal(one)
	expected, _ := json.Marshal(want)
	if !bytes.Equal(got, expected) {
		t.Errorf("got  %s\nwant %s", got, expected)
	}
	h, err := Session(path, "s-one")
	if err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := WriteReplayJSON(&out, h); err != nil {
		t.Fatal(err)
	}
	var back History
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || len(back.Steps) != 6 || len(back.Steps[3].Approvals) != 4 || len(back.Windows) != 3 {
		t.Errorf("%v: %d steps, %d windows", err, len(back.Steps), len(back.Windows))
	}
}

func TestFilter(t *testing.T) {
	path := shop(t)
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for name, c := range map[string]struct {
		f    Filter
		want []string
	}{
		"all":          {Filter{}, []string{"s-one", "s-two", "s-three"}},
		"subject":      {Filter{Subject: "repo:contoso"}, []string{"s-three"}},
		"name":         {Filter{Subject: "support"}, []string{"s-one"}},
		"connection":   {Filter{Connection: "reports"}, []string{"s-three"}},
		"effect":       {Filter{Effect: "deny"}, []string{"s-one"}},
		"relation":     {Filter{Relation: "app.payments"}, []string{"s-one", "s-three"}},
		"since":        {Filter{Since: at("2026-05-01T10:00:06Z")}, []string{"s-one", "s-three"}},
		"until":        {Filter{Until: at("2026-05-01T10:00:05Z")}, []string{"s-one"}},
		"open":         {Filter{Open: true}, []string{"s-three"}},
		"the latest":   {Filter{Limit: 1}, []string{"s-three"}},
		"nothing fits": {Filter{Subject: "nobody"}, nil},
	} {
		sessions, err := Sessions(path, c.f)
		var got []string
		for _, s := range sessions {
			got = append(got, s.ID)
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}

func TestSessionByTheBeginningOfItsID(t *testing.T) {
	path := shop(t)
	if h, err := Session(path, "s-o"); err != nil || h.Summary.ID != "s-one" {
		t.Errorf("%v", err)
	}
	for id, want := range map[string]string{"": "no such session", "s-x": "sallyport sessions", "s-t": "s-two, s-three"} {
		if _, err := Session(path, id); !errors.Is(err, ErrNoSession) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestReadersSayWhereALogIsDamaged(t *testing.T) {
	path := shop(t)
	whole, _ := os.ReadFile(path)
	broken := bytes.Replace(whole, []byte(`"type":"policy.loaded"`), []byte(`"type":policy.loaded"`), 1)
	if err := os.WriteFile(path, broken, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Sessions(path, Filter{}); err == nil || !strings.Contains(err.Error(), "audit.jsonl:2: ") {
		t.Errorf("%v", err)
	}
}
