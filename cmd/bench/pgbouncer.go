package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// bouncerConfig is PgBouncer as it comes, in session mode.
const bouncerConfig = `[databases]
%[1]s = host=%[2]s port=%[3]d dbname=%[1]s

[pgbouncer]
listen_addr = %[2]s
listen_port = %[4]d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %[5]s
pool_mode = session
default_pool_size = 100
max_client_conn = 200
log_connections = 0
log_disconnections = 0
`

// startPgBouncer runs it as the server's user: as root it refuses to run.
func (r *rig) startPgBouncer(ctx context.Context) error {
	binary, err := findPgBouncer()
	if err != nil {
		return err
	}
	version, err := exec.CommandContext(ctx, binary, "--version").Output()
	if err != nil {
		return err
	}
	r.pgbouncerVersion, _, _ = strings.Cut(string(version), "\n")
	port, err := freePort()
	if err != nil {
		return err
	}
	// In the server's own directory, which that user can read and nobody else.
	users, err := r.postgres.WriteFile("pgbouncer-users.txt", fmt.Appendf(nil, "\"%s\" \"%s\"\n", role, r.password))
	if err != nil {
		return err
	}
	config, err := r.postgres.WriteFile("pgbouncer.ini", fmt.Appendf(nil, bouncerConfig, database, loopback, r.postgres.Port, port, users))
	if err != nil {
		return err
	}
	cmd := exec.Command(binary, "--quiet", config)
	cmd.Dir = r.postgres.DataDir
	if cmd.SysProcAttr, err = asOwnerOf(r.postgres.DataDir); err != nil {
		return err
	}
	p, err := r.start(cmd)
	if err != nil {
		return err
	}
	address := net.JoinHostPort(loopback, strconv.Itoa(port))
	if err := p.await(ctx, func(context.Context) bool { return accepts(address) }); err != nil {
		return err
	}
	r.ways = append(r.ways, way{bouncer, r.plainDSN(port), []string{"PGPASSWORD=" + r.password}})
	return nil
}

// findPgBouncer looks in sbin too, which is in root's path only.
func findPgBouncer() (string, error) {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer", "/usr/local/sbin/pgbouncer"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("not installed (Debian: apt-get install pgbouncer)")
}

// asOwnerOf makes a program run as whom a file belongs to.
func asOwnerOf(path string) (*syscall.SysProcAttr, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) == os.Geteuid() {
		return &syscall.SysProcAttr{}, nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stat.Uid, Gid: stat.Gid}}, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}
