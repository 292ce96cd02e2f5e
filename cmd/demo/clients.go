package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// session is a connection through the sidecar, and what it is told beside results.
type session struct {
	*pgx.Conn
	notices chan string
}

const noticesKept = 16

// connect comes as a client of the issuer. Options are settings as -c takes them.
func (s *stage) connect(ctx context.Context, client string, options ...string) (*session, error) {
	token, err := s.token(ctx, client)
	if err != nil {
		return nil, err
	}
	return s.connectWith(ctx, token, options...)
}

func (s *stage) connectWith(ctx context.Context, token string, options ...string) (*session, error) {
	config, err := pgx.ParseConfig(s.env["PROXY_DSN"])
	if err != nil {
		return nil, err
	}
	config.Password = token
	config.RuntimeParams["application_name"] = "demo"
	for _, o := range options {
		config.RuntimeParams["options"] += " -c " + strings.ReplaceAll(o, " ", `\ `)
	}
	c := &session{notices: make(chan string, noticesKept)}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		select {
		case c.notices <- n.Message:
		default: // nobody wants it
		}
	}
	c.Conn, err = pgx.ConnectConfig(ctx, config)
	return c, err
}

// token has the issuer make a token, once for each client.
func (s *stage) token(ctx context.Context, client string) (string, error) {
	if token := s.tokens[client]; token != "" {
		return token, nil
	}
	token, err := s.sallyport(ctx, "", "dev", "token", "--client", client)
	s.tokens[client] = strings.TrimSpace(token)
	return s.tokens[client], err
}

// sallyport runs a command of the binary as a client of the issuer, or as nobody.
// What it says on stderr is the error.
func (s *stage) sallyport(ctx context.Context, client string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Env = append(os.Environ(), "DEV_DIR="+s.dir, "ADMIN_URL="+s.env["ADMIN_URL"], "SALLYPORT_CONFIG="+s.env["SALLYPORT_CONFIG"])
	if client != "" {
		token, err := s.token(ctx, client)
		if err != nil {
			return "", err
		}
		cmd.Env = append(cmd.Env, "SALLYPORT_TOKEN="+token)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil && stderr.Len() > 0 {
		err = errors.New(strings.TrimSpace(stderr.String()))
	}
	if err != nil {
		return stdout.String(), fmt.Errorf("sallyport %s: %w", args[0], err)
	}
	return stdout.String(), nil
}

// psql runs commands as a person would, and returns all that person would see.
func (s *stage) psql(ctx context.Context, token string, commands ...string) (seen string, exit int, err error) {
	args := []string{"--no-psqlrc", "--no-password", s.env["PROXY_DSN"]}
	for _, c := range commands {
		args = append(args, "--command="+c)
	}
	cmd := exec.CommandContext(ctx, "psql", args...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PG") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "PGPASSWORD="+token, "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return string(out), ended.ExitCode(), nil
	}
	return string(out), 0, err
}
