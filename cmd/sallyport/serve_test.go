package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/store"
)

func TestServeAndStop(t *testing.T) {
	s := newSite(t)
	r := s.serve(t)
	s.readiness(t, isReady)
	if code := r.stop(t); code != exitClean {
		t.Errorf("exit code %d\n%s", code, r.err)
	}
	records := s.records(t, audit.ProxyStarted, audit.PolicyLoaded, audit.ProxyStopped)
	if len(records) != 3 || records[0].Message != "sallyport dev" || records[1].Revision == "" || records[2].Cause != "interrupt" {
		t.Errorf("recorded: %+v", records)
	}
	for _, address := range []string{s.listen, s.admin} {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			t.Errorf("%s is still listened on", address)
		}
	}
	s.serve(t) // everything was let go
}

func TestExitCodes(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	nobody := freePort(t)
	for name, c := range map[string]struct {
		change []string
		before func(t *testing.T, s *site)
		code   int
		says   string
	}{
		"configuration": {[]string{"limits:", "limit:"}, nil, exitConfig, `unknown key "limit"`},
		"database":      {[]string{"connections: [{name: shop, dsn: ", "connections: [{name: gone, dsn: \"postgres://app:hunter2@" + nobody + "/app\"}, {name: shop, dsn: "}, nil, exitUpstream, "connection gone"},
		"listener":      {[]string{"listen: [", "listen: [{address: \"" + busy.Addr().String() + "\"}, "}, nil, exitListen, "address already in use"},
		"probes":        {[]string{"admin: {", "admin: {probes: \"" + busy.Addr().String() + "\", "}, nil, exitListen, "admin.probes"},
		"state": {nil, func(t *testing.T, s *site) {
			held, err := store.Open(t.Context(), filepath.Join(s.dir, "state/state.db"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { held.Close() })
		}, exitState, "in use by another process"},
		"record": {[]string{"audit.jsonl", "policies"}, nil, exitState, "audit log"},
		"opa":    {[]string{"policies: {", "policies: {opa: policies/policy/desk/desk.rego, "}, nil, exitConfig, "opa configuration"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, c.change...)
			if c.before != nil {
				c.before(t, s)
			}
			code, _, stderr := call(t, nil, "serve", "--config", s.config)
			if code != c.code || !strings.Contains(stderr, c.says) {
				t.Errorf("exit code %d, not %d:\n%s", code, c.code, stderr)
			}
			if strings.Contains(stderr, "hunter2") {
				t.Errorf("a password is shown:\n%s", stderr)
			}
		})
	}
	for _, args := range [][]string{{}, {"serve"}, {"serve", "--config"}, {"sevre"}, {"serve", "--confg", "x"}} {
		if code, _, stderr := call(t, nil, args...); code != exitUsage || stderr == "" {
			t.Errorf("%v: exit code %d, says %q", args, code, stderr)
		}
	}
}

// TestNotReadyYet: without policies or keys it runs, refuses, and says so.
func TestNotReadyYet(t *testing.T) {
	s := newSite(t)
	s.idp.Close()
	sound, err := os.ReadFile(filepath.Join(s.dir, "policies/policy/desk/desk.rego"))
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "policies/policy/desk/desk.rego", "package policy.desk\n\nsession.allow if nonsense(")
	r := s.serve(t)
	s.readiness(t, lacks("policy"))
	s.readiness(t, lacks("keys"))
	s.write(t, "policies/policy/desk/desk.rego", string(sound))
	r.err.await(t, "policy put into use")
	if code := r.stop(t); code != exitClean {
		t.Errorf("exit code %d", code)
	}
	records := s.records(t, audit.PolicyRefused, audit.PolicyLoaded)
	if len(records) < 2 || records[0].Type != audit.PolicyRefused || records[0].Message == "" || records[len(records)-1].Type != audit.PolicyLoaded {
		t.Errorf("recorded: %+v", records)
	}
}

// process runs serve as a process of its own, and returns it once it serves.
func (s *site) process(t *testing.T) (*exec.Cmd, *output) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "serve", "--config", s.config)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	out := newOutput()
	cmd.Stderr = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	out.await(t, "serving operators")
	return cmd, out
}

func TestSignals(t *testing.T) {
	s := newSite(t, "", "")
	s.write(t, "policies/bindings/desk/data.yaml", "policy: desk\nconnection: shop\ngrant: standing\n")
	s.write(t, "policies/policy/desk/desk.rego", "package policy.desk\n\nsession.allow if true\n\nstatement.allow if true\n")
	cmd, out := s.process(t)
	s.readiness(t, isReady)
	conn := connect(t, s.dsn("agent"))

	// The first signal lets what runs come to its end.
	slow := make(chan error, 1)
	lock := blockade(t)
	go func() {
		_, err := conn.Exec(context.Background(), "SELECT pg_catalog.pg_advisory_xact_lock(4711)")
		slow <- err
	}()
	lock.awaitWaiter(t)
	deliver(t, cmd, syscall.SIGTERM)
	out.await(t, "shutting down")
	s.readiness(t, lacks("serving"))
	if conn, err := net.Dial("tcp", s.listen); err == nil {
		conn.Close()
		t.Error("a client is accepted while shutting down")
	}
	lock.release()
	if err := <-slow; err != nil {
		t.Errorf("the running statement was not let end: %v", err)
	}
	if code := exitCodeOf(cmd); code != exitClean {
		t.Errorf("exit code %d\n%s", code, out)
	}

	// The second does not.
	cmd, out = s.process(t)
	s.readiness(t, isReady)
	conn = connect(t, s.dsn("agent"))
	lock = blockade(t)
	go func() {
		_, err := conn.Exec(context.Background(), "SELECT pg_catalog.pg_advisory_xact_lock(4711)")
		slow <- err
	}()
	lock.awaitWaiter(t)
	deliver(t, cmd, syscall.SIGINT)
	out.await(t, "shutting down")
	deliver(t, cmd, syscall.SIGINT)
	if err := <-slow; err == nil || !strings.Contains(err.Error(), "57P01") {
		t.Errorf("the running statement: %v", err)
	}
	if code := exitCodeOf(cmd); code != exitUnfinished {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

func deliver(t *testing.T, cmd *exec.Cmd, sig os.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func exitCodeOf(cmd *exec.Cmd) int {
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode()
}
