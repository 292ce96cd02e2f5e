package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/pgtest"
)

var update = flag.Bool("update", false, "write the expected output anew")

func TestCheck(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	dirs, err := filepath.Glob("../../testdata/check/*/sallyport.yaml")
	if err != nil || len(dirs) < 3 {
		t.Fatalf("cases: %v %v", dirs, err)
	}
	for _, config := range dirs {
		dir := filepath.Dir(config)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			code, stdout, stderr := call(t, nil, "check", "--config", config)
			got := strings.ReplaceAll(stdout+stderr, dir, "DIR") + fmt.Sprintf("exit code %d\n", code)
			golden := filepath.Join(dir, "want.txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			wanted, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(wanted) {
				t.Errorf("said:\n%s\nwanted:\n%s", got, wanted)
			}
			if strings.Contains(got, "hunter2") {
				t.Error("a password is shown")
			}
		})
	}
	if code, _, _ := call(t, nil, "check", "--config", "nowhere.yaml"); code != exitConfig {
		t.Errorf("a file that is not there: exit code %d", code)
	}
}

// TestWindowByCommands is the life of a window and a session, from the outside.
func TestWindowByCommands(t *testing.T) {
	s := newSite(t)
	r := s.serve(t)
	s.readiness(t, isReady)
	as := func(client string, groups ...string) func(code int, args ...string) string {
		tokenFile := filepath.Join(s.dir, client+".token")
		if err := os.WriteFile(tokenFile, []byte(s.token(client, groups...)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return func(wanted int, args ...string) string {
			t.Helper()
			code, stdout, stderr := call(t, map[string]string{"ADMIN_URL": "http://" + s.admin}, append(args, "--token-file", tokenFile)...)
			if code != wanted {
				t.Fatalf("%v: exit code %d, not %d:\n%s%s", args, code, wanted, stdout, stderr)
			}
			return stdout + stderr
		}
	}
	agent, alice, bob := as("agent"), as("alice", "leads"), as("bob")

	var g admin.Grant
	if err := json.Unmarshal([]byte(agent(0, "request", "--connection", "shop", "--reason", "ticket 12", "--ttl", "5m", "--json")), &g); err != nil || g.State != "pending" {
		t.Fatalf("requested: %+v %v", g, err)
	}
	if text := agent(0, "request", "--connection", "shop", "--reason", "ticket 12"); !strings.Contains(text, "There is a window already") || !strings.Contains(text, "sallyport approve "+g.Approval) {
		t.Errorf("requested again: %s", text)
	}
	if text := alice(0, "approvals"); !strings.Contains(text, g.Approval) || !strings.Contains(text, "group:leads") {
		t.Errorf("approvals: %s", text)
	}
	if text := alice(0, "approvals", g.Approval); !strings.Contains(text, "ticket 12") {
		t.Errorf("approval: %s", text)
	}
	if text := agent(1, "approve", g.Approval); !strings.Contains(text, "nobody approves their own request") {
		t.Errorf("approved by the requester: %s", text)
	}
	if text := bob(1, "approve", g.Approval); !strings.Contains(text, "group:leads") {
		t.Errorf("approved by a stranger: %s", text)
	}
	if text := alice(0, "approve", g.Approval, "--comment", "fine"); !strings.Contains(text, "is open until") {
		t.Errorf("approved: %s", text)
	}
	conn := connect(t, s.dsn("agent"))
	if _, err := conn.Exec(t.Context(), "SELECT count(*) FROM pg_catalog.pg_class"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "CREATE TABLE mine (id int)"); err == nil {
		t.Error("a table was made")
	}
	if text := bob(1, "grants", "revoke", g.ID); !strings.Contains(text, "can be revoked by group:leads") {
		t.Errorf("revoked by a stranger: %s", text)
	}
	if text := alice(0, "grants", "revoke", g.ID, "--reason", "enough"); !strings.Contains(text, "is revoked") {
		t.Errorf("revoked: %s", text)
	}
	if text := agent(0, "grants"); !strings.Contains(text, g.ID) || !strings.Contains(text, "revoked") {
		t.Errorf("grants: %s", text)
	}
	if text := agent(1, "grants", "end", g.ID); !strings.Contains(text, "already") {
		t.Errorf("ended after all: %s", text)
	}
	if code := r.stop(t); code != exitClean {
		t.Fatalf("exit code %d\n%s", code, r.err)
	}
	s.replayed(t, &g)
}

// replayed looks at the record of what TestWindowByCommands did.
func (s *site) replayed(t *testing.T, g *admin.Grant) {
	t.Helper()
	var sessions []audit.SessionSummary
	code, stdout, stderr := call(t, map[string]string{}, "sessions", "--audit", filepath.Join(s.dir, "audit.jsonl"), "--who", "agent", "--effect", "deny", "--json")
	for l := range strings.Lines(stdout) {
		var one audit.SessionSummary
		if err := json.Unmarshal([]byte(l), &one); err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, one)
	}
	if code != exitClean || len(sessions) != 1 || sessions[0].Allowed != 1 || sessions[0].Denied != 1 {
		t.Fatalf("sessions: %d %s%s", code, stdout, stderr)
	}
	code, stdout, _ = call(t, nil, "sessions", "--config", s.config, "--who", "nobody")
	if code != exitClean || stdout != "no sessions\n" {
		t.Errorf("sessions of nobody: %d %s", code, stdout)
	}
	code, stdout, stderr = call(t, nil, "replay", sessions[0].ID, "--config", s.config)
	if code != exitClean {
		t.Fatalf("replay: %d %s", code, stderr)
	}
	for _, text := range []string{g.ID, "ticket 12", "activated by alice", "revoked by alice", "enough", "SELECT count(*) FROM pg_catalog.pg_class", "DENY", "CREATE TABLE mine"} {
		if !strings.Contains(stdout, text) {
			t.Errorf("the replay does not tell of %q:\n%s", text, stdout)
		}
	}
	if code, _, stderr := call(t, nil, "replay", "s-nosuch", "--config", s.config); code != exitUsage || !strings.Contains(stderr, "no session s-nosuch") {
		t.Errorf("replay of nothing: %d %s", code, stderr)
	}
	record, err := os.ReadFile(filepath.Join(s.dir, "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	forged := filepath.Join(t.TempDir(), "forged.jsonl")
	if err := os.WriteFile(forged, bytes.Replace(record, []byte("enough"), []byte("enouch"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"sessions"}, {"replay", sessions[0].ID}} {
		code, stdout, stderr := call(t, nil, append(args, "--audit", forged)...)
		if code != exitUsage || stdout == "" || !strings.Contains(stderr, "do not rely on the above") || !strings.Contains(stderr, "forged.jsonl:") {
			t.Errorf("%v of a forged record: %d %s", args, code, stderr)
		}
	}
}

func TestClientErrors(t *testing.T) {
	nobody := freePort(t)
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"no token":   {[]string{"grants"}, "SALLYPORT_TOKEN"},
		"no server":  {[]string{"grants", "--token", "x", "--admin", "http://" + nobody}, "no sallyport answers at http://" + nobody},
		"clear text": {[]string{"grants", "--token", "x", "--admin", "http://sallyport.example"}, "use https"},
		"no URL":     {[]string{"grants", "--token", "x", "--admin", "localhost:6433"}, "is not a URL"},
		"no record":  {[]string{"sessions"}, "--audit"},
		"lost file":  {[]string{"grants", "--token-file", "nowhere"}, "nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir()) // without an environment of sallyport dev
			code, stdout, stderr := call(t, nil, c.args...)
			if code != exitUsage || stdout != "" || !strings.Contains(stderr, c.says) {
				t.Errorf("exit code %d: %s%s", code, stdout, stderr)
			}
		})
	}
}

func TestDev(t *testing.T) {
	policies := t.TempDir()
	if err := os.WriteFile(filepath.Join(policies, "open.rego"), []byte("package policy.open\n\nsession.allow if true\n\nstatement.allow if true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(policies, "bindings/open"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(policies, "bindings/open/data.yaml"), []byte("policy: open\nconnection: \"*\"\ngrant: standing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "dev")
	r := start(t, "dev", "--upstream", pgtest.Start(t).DSN("postgres"), "--policies", policies, "--dir", dir, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	r.out.await(t, "Try, in another shell")

	token := func(environment map[string]string, args ...string) string {
		t.Helper()
		code, stdout, stderr := call(t, environment, append([]string{"dev", "token"}, args...)...)
		if code != exitClean || strings.Count(stdout, ".") != 2 || strings.Count(stdout, "\n") != 1 {
			t.Fatalf("token %v: %d %s%s", args, code, stdout, stderr)
		}
		return strings.TrimSpace(stdout)
	}
	environment := map[string]string{"DEV_DIR": dir}
	proxy := devSetting(&program{getenv: func(string) string { return dir }}, "PROXY_DSN")
	conn := connect(t, strings.Replace(proxy, "agent@", "agent:"+token(environment, "--client", "whoever", "--group", "a,b", "--claim", `n=[1]`)+"@", 1))
	if _, err := conn.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Error(err)
	}
	expired := token(nil, "--client", "alice", "--ttl", "-5m", "--env", filepath.Join(dir, "dev.env"))
	code, _, stderr := call(t, environment, "grants", "--token", expired)
	if code != exitUsage || !strings.Contains(stderr, "expired") {
		t.Errorf("an expired token: %d %s", code, stderr)
	}
	if code, stdout, stderr := call(t, environment, "sessions"); code != exitClean || !strings.Contains(stdout, "whoever") {
		t.Errorf("sessions: %d %s%s", code, stdout, stderr)
	}
	if code := r.stop(t); code != exitClean {
		t.Errorf("exit code %d\n%s", code, r.err)
	}
	if code, _, stderr := call(t, environment, "dev", "token", "--client", "alice"); code != exitUsage || stderr == "" {
		t.Errorf("a token after the end: %d %s", code, stderr)
	}
	if code, _, stderr := call(t, nil, "dev", "token", "--client", "alice", "--claim", "x", "--env", dir); code != exitUsage || !strings.Contains(stderr, "NAME=VALUE") {
		t.Errorf("a claim without value: %d %s", code, stderr)
	}
}
