package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

const secret = "hunter2"

var want = regexp.MustCompile(`(?m)^# want (\d+): (.*)$`)

func TestRefusedFiles(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	t.Setenv("SALLYPORT_TEST_SECRET", secret)
	files, err := filepath.Glob("../../testdata/config/refused/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			wanted := want.FindAllStringSubmatch(string(content), -1)
			if len(wanted) == 0 {
				t.Fatal("the case wants nothing")
			}
			loaded, err := Load(file)
			if loaded != nil || err == nil {
				t.Fatalf("a file with faults was loaded")
			}
			_, complaints := Read(file)
			if err.Error() != complaints.Error() {
				t.Errorf("Load says\n%v\nand Read\n%v", err, complaints)
			}
			if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "hunter3") {
				t.Errorf("a complaint shows a secret:\n%v", err)
			}
			compareComplaints(t, wanted, complaints)
		})
	}
}

// compareComplaints allows any order, since lines sort the complaints and the
// cases are easier to read by subject.
func compareComplaints(t *testing.T, wanted [][]string, complaints Complaints) {
	t.Helper()
	left := append(Complaints(nil), complaints...)
next:
	for _, w := range wanted {
		line, _ := strconv.Atoi(w[1])
		for i, c := range left {
			if c.Line == line && strings.Contains(c.Message, w[2]) {
				left = append(left[:i], left[i+1:]...)
				continue next
			}
		}
		t.Errorf("missing: %s: %s", w[1], w[2])
	}
	for _, c := range left {
		t.Errorf("not wanted: %s", c)
	}
}

func TestComplaintNamesFileAndLine(t *testing.T) {
	_, err := Load("../../testdata/config/refused/twice.yaml")
	first, _, _ := strings.Cut(fmt.Sprint(err), "\n")
	if first != `twice.yaml:2: key "listen" is given twice, first in line 1` {
		t.Errorf("first complaint: %s", first)
	}
	_, err = Load(filepath.Join(t.TempDir(), "sallyport.yaml"))
	if fmt.Sprint(err) != "sallyport.yaml: cannot be read: no such file or directory" {
		t.Errorf("missing file: %v", err)
	}
}

const least = `
listen: [{address: "127.0.0.1:5432"}]
connections: [{name: shop, dsn: "postgres://app:x@127.0.0.1/shop"}]
issuers: [{name: entra, preset: entra, tenant: 6babcaad-604b-40ac-a9d7-9fd97c0b779f, audiences: ["api://x"]}]
policies: {directory: .}
state: {path: state.db}
audit: {path: audit.jsonl}
`

func load(t *testing.T, content string) *Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	c := load(t, least)
	if c.Admin.Address != "127.0.0.1:6433" || c.Admin.Probes != "" {
		t.Errorf("admin: %+v", c.Admin)
	}
	wanted := Limits{
		StatementBytes: 1 << 20, StatementTokens: 200_000,
		MessageBytes: 64 << 20, PreauthBytes: 64 << 10, Sessions: 1000,
		LoginTimeout: 30 * time.Second, DrainTimeout: 20 * time.Second, ApprovalWait: time.Minute,
	}
	if c.Limits != wanted {
		t.Errorf("limits: %+v", c.Limits)
	}
	if c.Log != (Log{Level: "info", Format: "auto"}) {
		t.Errorf("log: %+v", c.Log)
	}
	if !filepath.IsAbs(c.State.Path) || !filepath.IsAbs(c.Audit.Path) || !filepath.IsAbs(c.Policies.Directory) {
		t.Errorf("paths depend on the working directory: %q %q %q", c.State.Path, c.Audit.Path, c.Policies.Directory)
	}
}

func TestSomeSettingsLeaveTheOtherDefaults(t *testing.T) {
	c := load(t, least+"limits: {sessions: 5, approval_wait: 90s}\nlog: {level: debug}\n")
	if c.Limits.Sessions != 5 || c.Limits.ApprovalWait != 90*time.Second || c.Limits.MessageBytes != 64<<20 {
		t.Errorf("limits: %+v", c.Limits)
	}
	if c.Log != (Log{Level: "debug", Format: "auto"}) {
		t.Errorf("log: %+v", c.Log)
	}
}

func TestTLSIsRequiredUnlessSaidOtherwise(t *testing.T) {
	c := load(t, strings.Replace(least, `[{address: "127.0.0.1:5432"}]`, `
  - {address: "0.0.0.0:5432", tls: {cert: a.crt, key: a.key}}
  - {address: "127.0.0.1:5433", tls: {cert: a.crt, key: /abs/a.key, required: false}}`, 1))
	if !c.Listen[0].TLS.Required || c.Listen[1].TLS.Required {
		t.Errorf("required: %v, %v", c.Listen[0].TLS.Required, c.Listen[1].TLS.Required)
	}
	if tls := c.Listen[1].TLS; !filepath.IsAbs(tls.Cert) || tls.Key != "/abs/a.key" {
		t.Errorf("paths: %+v", tls)
	}
}

func TestReferences(t *testing.T) {
	t.Setenv("SALLYPORT_TEST_PORT", "5499")
	t.Setenv("SALLYPORT_TEST_LOGIN", "45s")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sallyport.yaml")
	content := strings.NewReplacer(
		"127.0.0.1:5432", "127.0.0.1:${env:SALLYPORT_TEST_PORT}",
		"app:x@", "app:${file:password}@",
	).Replace(least) + "limits: {login_timeout: \"${env:SALLYPORT_TEST_LOGIN}\"}\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen[0].Address != "127.0.0.1:5499" || c.Limits.LoginTimeout != 45*time.Second {
		t.Errorf("address %q, login %s", c.Listen[0].Address, c.Limits.LoginTimeout)
	}
	if got := c.Connections[0].DSN.Reveal(); got != "postgres://app:"+secret+"@127.0.0.1/shop" {
		t.Errorf("dsn %q", got)
	}
}

func TestLiteralDollarBrace(t *testing.T) {
	c := load(t, strings.Replace(least, "{name: shop,", "{name: shop, labels: {note: '$${x} and $5'},", 1))
	if got := c.Connections[0].Labels["note"]; got != "${x} and $5" {
		t.Errorf("got %q", got)
	}
}

func TestSecretsCannotBePrinted(t *testing.T) {
	c := load(t, strings.ReplaceAll(least, "app:x@", "app:"+secret+"@"))
	type holder struct{ hidden any }
	var shown strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&shown, verb+"\n"+verb+"\n"+verb+"\n"+verb+"\n", c.Connections[0].DSN, c.Connections, holder{c.Connections[0]}, c)
	}
	encoded, err := json.Marshal(c.Connections)
	if err != nil {
		t.Fatal(err)
	}
	shown.Write(encoded)
	if strings.Contains(shown.String(), secret) || strings.Contains(shown.String(), fmt.Sprintf("%x", secret)) {
		t.Errorf("a secret is shown:\n%s", shown.String())
	}
	if !strings.Contains(string(encoded), redacted) {
		t.Errorf("JSON does not say that something is hidden: %s", encoded)
	}
}
