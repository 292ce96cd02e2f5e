package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/sallyport/sallyport/internal/devenv"
)

// The ways that are measured.
const (
	direct           = "direct"
	bouncer          = "pgbouncer"
	throughSallyport = "sallyport"
	throughStream    = "sallyport, streaming" // in another binding
)

const (
	database     = "bench"
	role         = "bench"
	loopback     = "127.0.0.1"
	startTimeout = 60 * time.Second
	endTimeout   = 15 * time.Second
	probe        = 20 * time.Millisecond
	// rowsPerSecond is how slowly a table may be filled.
	rowsPerSecond = 20_000
)

// rig is a PostgreSQL, and what stands before it.
type rig struct {
	dir       string
	sallyport string // the binary
	pgbench   string

	postgres         *devenv.Postgres
	password         string // of the role
	pgbouncerVersion string
	processes        []*process
	ways             []way
}

// raise starts everything and fills the database.
func (r *rig) raise(ctx context.Context, o *options) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout+time.Duration(o.scale+o.stream/rowsPerSecond)*time.Second)
	defer cancel()
	var err error
	// Enough to hold all of it: the disk is not what is measured.
	settings := map[string]string{"shared_buffers": "256MB", "max_wal_size": "4GB"}
	if r.postgres, err = devenv.StartPostgres(ctx, devenv.PostgresOptions{Database: database, Settings: settings, Log: zerolog.Nop()}); err != nil {
		return err
	}
	if err := r.fill(ctx, o); err != nil {
		return err
	}
	r.ways = append(r.ways, way{direct, r.plainDSN(r.postgres.Port), []string{"PGPASSWORD=" + r.password}})
	if err := r.startPgBouncer(ctx); err != nil {
		return fmt.Errorf("%s: %w", bouncer, err)
	}
	if err := r.startSallyport(ctx); err != nil {
		return fmt.Errorf("%s: %w", throughSallyport, err)
	}
	return nil
}

// fill makes pgbench's tables, and the role that all ways log in with.
func (r *rig) fill(ctx context.Context, o *options) error {
	fmt.Fprintf(os.Stderr, "filling a throwaway %s\n", r.postgres.Version)
	_, err := r.command(ctx, way{}, r.pgbench, "--initialize", "--quiet", fmt.Sprintf("--scale=%d", o.scale), r.postgres.DSN(database))
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, r.postgres.DSN(database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if o.stream > 0 {
		if _, err := conn.PgConn().Exec(ctx, fmt.Sprintf(streamFill, o.stream)).ReadAll(); err != nil {
			return err
		}
	}
	r.password = rand.Text()
	_, err = conn.PgConn().Exec(ctx, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO %[1]s",
		role, r.password)).ReadAll()
	return err
}

func (r *rig) plainDSN(port int) string {
	return fmt.Sprintf("postgres://%s@%s:%d/%s?sslmode=disable", role, loopback, port, database)
}

// close ends what was started, last first.
func (r *rig) close() {
	for i := len(r.processes) - 1; i >= 0; i-- {
		r.processes[i].end()
	}
	if r.postgres != nil {
		r.postgres.Stop()
	}
}

// recorded says what the audit log has.
func (r *rig) recorded() (found struct{ decisions, bytes int64 }, err error) {
	f, err := os.Open(filepath.Join(r.devDir(), "state", "audit.jsonl"))
	if err != nil {
		return found, err
	}
	defer f.Close()
	lines := bufio.NewReaderSize(f, 1<<20)
	for {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			return found, nil
		case err != nil:
			return found, err
		}
		found.bytes += int64(len(line))
		if bytes.Contains(line, []byte(`"type":"decision"`)) {
			found.decisions++
		}
	}
}

// process is a program that runs until it is told to end.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	said  bytes.Buffer // to be read when it has ended
}

// start runs a program in the background.
func (r *rig) start(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = nil, &p.said
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // Ctrl-C at the terminal is the bench's to handle
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r.processes = append(r.processes, p)
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // ProcessState has how it ended
	}()
	return p, nil
}

// await waits until a started program is ready.
func (p *process) await(ctx context.Context, ready func(context.Context) bool) error {
	tick := time.NewTicker(probe)
	defer tick.Stop()
	for !ready(ctx) {
		select {
		case <-tick.C:
		case <-p.ended:
			return fmt.Errorf("it ended: %s\n%s", p.cmd.ProcessState, p.said.String())
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w", ctx.Err())
		}
	}
	return nil
}

func (p *process) end() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only when it has ended
	select {
	case <-p.ended:
	case <-time.After(endTimeout):
		_ = p.cmd.Process.Kill() // the same
		<-p.ended
	}
}

// accepts reports whether somebody listens.
func accepts(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
