package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	raiseTimeout  = 60 * time.Second
	leaveTimeout  = 20 * time.Second
	probeInterval = 20 * time.Millisecond
	logLines      = 15
)

// stage is where the script plays: a running `sallyport dev`, and who is
// connected to it.
type stage struct {
	dir     string
	binary  string
	process *exec.Cmd
	ended   chan struct{}     // closed when the process has ended
	env     map[string]string // dev.env
	tokens  map[string]string // by client

	direct *pgx.Conn // the database with nothing in between
	schema *session  // the schema agent's
	desk   *session  // the support agent's
	brief  *session  // with the window that closes
	asked  time.Time // for that window

	held   *waiting // the support agent's statement that waits
	policy string   // support_desk.rego as it was
}

// raise starts `sallyport dev` in a directory of its own and waits until it serves.
func raise(ctx context.Context, binary string) (*stage, error) {
	ctx, cancel := context.WithTimeout(ctx, raiseTimeout)
	defer cancel()
	binary, err := filepath.Abs(binary)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sallyport-demo-")
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir, binary: binary, ended: make(chan struct{}), tokens: map[string]string{}}
	if err := s.start(ctx); err != nil {
		err = fmt.Errorf("%w\n%s", err, s.logTail())
		return nil, errors.Join(err, s.remove(false))
	}
	return s, nil
}

func (s *stage) start(ctx context.Context) error {
	log, err := os.Create(s.logPath())
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(s.binary, "dev", "--dir", s.dir, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	cmd.Stderr = log
	// Ctrl-C at the terminal is the demo's to handle: it takes the sidecar down itself.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.process = cmd
	go func() {
		defer close(s.ended)
		_ = cmd.Wait() // ProcessState has how it ended
	}()
	if err := await(ctx, "sallyport dev to serve", s.serving); err != nil {
		return err
	}
	s.direct, err = pgx.Connect(ctx, s.env["SUPERUSER_DSN"])
	return err
}

// serving reports whether the environment is written and ready.
func (s *stage) serving(ctx context.Context) (bool, error) {
	select {
	case <-s.ended:
		return false, fmt.Errorf("sallyport dev ended: %s", s.process.ProcessState)
	default:
	}
	content, err := os.ReadFile(filepath.Join(s.dir, "dev.env"))
	if err != nil {
		return false, nil //nolint:nilerr // it is not written yet
	}
	s.env = parseEnv(string(content))
	ready, err := s.readiness(ctx)
	if err != nil {
		return false, nil //nolint:nilerr // it does not listen yet
	}
	return ready.Ready, nil
}

// parseEnv reads NAME=value lines, of values that shells may have to have quoted.
func parseEnv(content string) map[string]string {
	env := map[string]string{}
	for line := range strings.Lines(content) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if quoted, ok := strings.CutPrefix(value, "'"); ok {
			value = strings.ReplaceAll(strings.TrimSuffix(quoted, "'"), `'\''`, "'")
		}
		env[name] = value
	}
	return env
}

// readiness is what /readyz tells.
type readiness struct {
	Ready  bool `json:"ready"`
	Checks []struct {
		Name   string `json:"name"`
		Detail string `json:"detail"`
	} `json:"checks"`
}

func (s *stage) readiness(ctx context.Context) (ready readiness, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.env["ADMIN_URL"]+"/readyz", nil)
	if err != nil {
		return ready, err
	}
	client := http.Client{Timeout: stepTimeout}
	res, err := client.Do(req)
	if err != nil {
		return ready, err
	}
	defer res.Body.Close()
	return ready, json.NewDecoder(res.Body).Decode(&ready)
}

// await asks again and again until it is so, an error comes or the time is over.
func await(ctx context.Context, what string, so func(context.Context) (bool, error)) error {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		if yes, err := so(ctx); yes || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waited in vain for %s: %w", what, context.Cause(ctx))
		}
	}
}

func (s *stage) describe() string {
	return fmt.Sprintf("clients at %s, operators at %s, issuer %s", strings.TrimPrefix(s.env["PROXY_DSN"], "postgres://agent@"),
		s.env["ADMIN_URL"], s.env["ISSUER_URL"])
}

func (s *stage) auditPath() string { return filepath.Join(s.dir, "state", "audit.jsonl") }
func (s *stage) logPath() string   { return filepath.Join(s.dir, "sallyport.log") }

// logTail is the end of what the sidecar has logged.
func (s *stage) logTail() string {
	content, err := os.ReadFile(s.logPath())
	if err != nil {
		return ""
	}
	lines := strings.SplitAfter(string(bytes.TrimSpace(content)), "\n")
	return "the end of the sidecar's log:\n" + strings.Join(lines[max(0, len(lines)-logLines):], "")
}

// leave closes the sessions and asks the sidecar to end.
func (s *stage) leave(ctx context.Context) error {
	for _, c := range []*session{s.schema, s.desk, s.brief} {
		if c != nil {
			c.Close(ctx)
		}
	}
	if s.direct != nil {
		s.direct.Close(ctx)
	}
	if s.process == nil {
		return nil
	}
	_ = s.process.Process.Signal(syscall.SIGTERM) // fails only when it has ended
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		_ = s.process.Process.Kill() // the same
		<-s.ended
		return errors.New("sallyport dev did not end when asked to: killed")
	}
}

// remove leaves nothing behind. It has a time of its own: the demo's may be over.
func (s *stage) remove(keep bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	err := s.leave(ctx)
	if keep {
		fmt.Fprintln(os.Stderr, "kept:", s.dir)
		return err
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
