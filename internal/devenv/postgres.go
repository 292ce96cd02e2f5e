package devenv

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
)

// PostgresOptions says what throwaway server to start. The zero value is good.
type PostgresOptions struct {
	Dir      string            // empty directory for the server's files; "": a new temporary one
	Port     int               // 0: a free one
	Database string            // created when it is not "" or "postgres"
	Settings map[string]string // further settings of postgresql.conf
	Log      zerolog.Logger    // gets the server's log, line by line at debug level
}

// Postgres is a running throwaway server: its data does not survive it, and it
// does not survive this process.
type Postgres struct {
	Host      string // loopback address it listens at
	Port      int
	SocketDir string // directory of its Unix socket
	DataDir   string
	Superuser string
	Version   string // as postgres --version writes it

	password string
	owner    owner
	remove   []string // directories made
	reaper   *reaper
	cmd      *exec.Cmd
	done     chan struct{}
	stop     sync.Once
	log      *serverLog
}

const (
	superuser    = "postgres"
	loopback     = "127.0.0.1"
	startTimeout = 3 * time.Minute
	portAttempts = 5
)

// throwaway settings trade durability, which nobody needs here, for speed.
// lc_messages keeps the log readable to serverLog.
var throwaway = map[string]string{
	"listen_addresses":   loopback,
	"fsync":              "off",
	"synchronous_commit": "off",
	"full_page_writes":   "off",
	"wal_level":          "minimal",
	"max_wal_senders":    "0",
	"shared_buffers":     "64MB",
	"max_connections":    "200",
	"log_destination":    "stderr",
	"logging_collector":  "off",
	"lc_messages":        "C",
}

// StartPostgres makes a cluster and returns once it accepts connections. The
// context bounds the start only; Stop ends the server.
func StartPostgres(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	bin, version, err := findServer()
	if err != nil {
		return nil, err
	}
	who, err := serverOwner()
	if err != nil {
		return nil, err
	}
	p := &Postgres{Host: loopback, Superuser: superuser, Version: version, owner: who, password: rand.Text(), log: newServerLog(o.Log)}
	if err := p.start(ctx, bin, o); err != nil {
		p.Stop()
		return nil, fmt.Errorf("starting a throwaway PostgreSQL: %w", err)
	}
	return p, nil
}

func (p *Postgres) start(ctx context.Context, bin string, o PostgresOptions) error {
	if err := p.makeDirs(o.Dir); err != nil {
		return err
	}
	var err error
	if p.reaper, err = startReaper(p.remove); err != nil {
		return err
	}
	if err := p.initdb(ctx, bin); err != nil {
		return err
	}
	for range portAttempts {
		if p.Port, err = choosePort(o.Port); err != nil {
			return err
		}
		if err = p.run(ctx, bin, o.Settings); err == nil {
			return p.createDatabase(ctx, o.Database)
		}
		// Somebody may have taken the free port meanwhile: try the next one.
		if o.Port != 0 || !p.log.portTaken() {
			return err
		}
	}
	return err
}

// DSN is a connection URL of the superuser over TCP. It holds the password.
func (p *Postgres) DSN(database string) string {
	return p.DSNFor(p.Superuser, p.password, database)
}

// DSNFor is the same for another role.
func (p *Postgres) DSNFor(user, password, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(user, password),
		Host:     net.JoinHostPort(p.Host, strconv.Itoa(p.Port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Done is closed when the server has ended, by Stop or by itself.
func (p *Postgres) Done() <-chan struct{} { return p.done }

// Stop kills the server at once and removes its files.
func (p *Postgres) Stop() {
	p.stop.Do(func() {
		p.kill()
		for _, dir := range p.remove {
			_ = os.RemoveAll(dir) // what cannot be removed is left
		}
		if p.reaper != nil {
			p.reaper.dismiss()
		}
	})
}

// String names the server without its password.
func (p *Postgres) String() string {
	return fmt.Sprintf("%s at %s", p.Version, net.JoinHostPort(p.Host, strconv.Itoa(p.Port)))
}

// GoString is String: %#v must not print the password either.
func (p *Postgres) GoString() string { return p.String() }

// WriteFile puts a file that the server may read into its data directory and
// returns its path.
func (p *Postgres) WriteFile(name string, data []byte) (string, error) {
	path := filepath.Join(p.DataDir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return "", err
	}
	return path, p.owner.own(path)
}

func (p *Postgres) initdb(ctx context.Context, bin string) error {
	pwfile := filepath.Join(filepath.Dir(p.DataDir), "password")
	if err := os.WriteFile(pwfile, []byte(p.password+"\n"), 0o600); err != nil {
		return err
	}
	defer os.Remove(pwfile)
	if err := p.owner.own(pwfile); err != nil {
		return err
	}
	var failure error
	// C.UTF-8 knows letters beyond ASCII but is not everywhere.
	for _, locale := range []string{"C.UTF-8", "C"} {
		cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "--pgdata="+p.DataDir, "--username="+p.Superuser,
			"--pwfile="+pwfile, "--auth=scram-sha-256", "--encoding=UTF8", "--locale="+locale, "--no-sync", "--no-instructions")
		cmd.Dir = filepath.Dir(p.DataDir)
		cmd.Env = serverEnv()
		cmd.SysProcAttr = p.owner.sysProcAttr()
		out, err := cmd.CombinedOutput()
		if err == nil {
			return nil
		}
		failure = fmt.Errorf("initdb: %w\n%s", err, bytes.TrimSpace(out))
		if ctx.Err() != nil {
			return failure
		}
	}
	return failure
}

// run starts the server and waits until it says that it is ready.
func (p *Postgres) run(ctx context.Context, bin string, settings map[string]string) error {
	args := []string{"-D", p.DataDir, "-p", strconv.Itoa(p.Port), "-k", p.SocketDir}
	for _, set := range []map[string]string{throwaway, settings} {
		for name, value := range set {
			args = append(args, "-c", name+"="+value)
		}
	}
	cmd := exec.Command(filepath.Join(bin, "postgres"), args...)
	cmd.Dir = p.DataDir
	cmd.Env = serverEnv()
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.SysProcAttr = p.owner.sysProcAttr()
	dieWithParent(cmd.SysProcAttr)
	ready := p.log.restart()
	p.cmd, p.done = cmd, make(chan struct{})
	started := make(chan error, 1)
	go func() {
		defer close(p.done)
		// The parent-death signal is bound to the thread that forked, which must
		// therefore live as long as the server.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is told by its log
		}
	}()
	if err := <-started; err != nil {
		p.cmd = nil
		return err
	}
	p.reaper.watch(cmd.Process.Pid)
	select {
	case <-ready:
		return nil
	case <-p.done:
		return fmt.Errorf("the server ended at once:\n%s", p.log.tail())
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("the server was not ready: %w\n%s", ctx.Err(), p.log.tail())
	}
}

func (p *Postgres) kill() {
	if p.cmd == nil || p.cmd.Process == nil {
		return
	}
	// SIGQUIT is PostgreSQL's immediate shutdown: the postmaster ends its children.
	// It fails only when the process is gone.
	_ = p.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

func (p *Postgres) createDatabase(ctx context.Context, name string) error {
	if name == "" || name == "postgres" {
		return nil
	}
	conn, err := pgx.Connect(ctx, p.DSN("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	return err
}

// serverEnv is the environment without what would steer the server elsewhere.
func serverEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PG") && !strings.HasPrefix(kv, "LC_") && !strings.HasPrefix(kv, "LANG") {
			env = append(env, kv)
		}
	}
	return append(env, "LC_ALL=C")
}

func choosePort(wanted int) (int, error) {
	if wanted != 0 {
		return wanted, nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.New("no TCP port to be had")
	}
	return addr.Port, nil
}
