package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/rego"
)

func TestOptions(t *testing.T) {
	o, err := parseOptions([]string{"--clients=1,16", "--rounds=2", "--each=1s"})
	if err != nil || len(o.clients) != 2 || o.clients[1] != 16 || o.each != time.Second || len(o.modes) != 3 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range []string{"--clients=0", "--clients=many", "--rounds=0", "--each=1500ms", "--scale=0"} {
		if o, err := parseOptions([]string{bad}); err == nil {
			t.Errorf("%s is taken: %+v", bad, o)
		}
	}
}

func TestTable(t *testing.T) {
	w := what{"simple", 8}
	m := &measurements{whats: []what{w}, ways: []way{{name: direct}, {name: bouncer}, {name: throughSallyport}},
		tps: map[what]map[string][]float64{w: {direct: {300, 100, 200}, bouncer: {90, 110}, throughSallyport: {50}}}}
	var out bytes.Buffer
	m.print(&out)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	got := strings.Join(strings.Fields(lines[len(lines)-1]), " ")
	if want := "simple 8 200 100 50 0.50 0.25 0.50"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestPolicies keeps the bundle that is measured with one that loads.
func TestPolicies(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "policies")
	if err := writePolicies(dir); err != nil {
		t.Fatal(err)
	}
	known := rego.Known{Connections: []string{"prod-replica"}, Issuers: []string{"entra-contoso"}}
	for _, complaint := range rego.Check(t.Context(), dir, known) {
		t.Errorf("%s:%d: %s", complaint.File, complaint.Line, complaint.Message)
	}
}

func TestRecorded(t *testing.T) {
	r := &rig{dir: t.TempDir()}
	state := filepath.Join(r.devDir(), "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	log := `{"v":1,"type":"session.opened"}` + "\n" + `{"v":1,"type":"decision"}` + "\n" + `{"v":1,"type":"result"}` + "\n"
	if err := os.WriteFile(filepath.Join(state, "audit.jsonl"), []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := r.recorded()
	if err != nil || found.decisions != 1 || found.bytes != int64(len(log)) {
		t.Errorf("%+v, %v", found, err)
	}
}
