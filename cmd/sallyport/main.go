// Command sallyport runs the sidecar, and is what operators, approvers and agents type.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"github.com/sallyport/sallyport/internal/devenv"
)

// version is set by the linker.
var version = "dev"

// program is what a command needs of the world.
type program struct {
	stdout, stderr io.Writer
	getenv         func(string) string
	hurry          <-chan struct{} // closed when what runs has to end at once
}

type commands struct {
	Serve     serveCommand     `cmd:"" help:"Run the sidecar."`
	Check     checkCommand     `cmd:"" help:"Say everything that is wrong with a configuration, its policies and bindings."`
	Dev       devCommands      `cmd:"" help:"Run a database, an OIDC issuer, policies and the sidecar, to try things; dev token gives a token."`
	Request   requestCommand   `cmd:"" help:"Ask for a window."`
	Grants    grantsCommands   `cmd:"" help:"List windows; grants revoke takes one away, grants end gives one back."`
	Approvals approvalsCommand `cmd:"" help:"List what waits for a person, and what became of it."`
	Approve   approveCommand   `cmd:"" help:"Approve a window or a statement of somebody else."`
	Refuse    refuseCommand    `cmd:"" help:"Refuse a window or a statement."`
	Sessions  sessionsCommand  `cmd:"" help:"List the sessions that are on record."`
	Replay    replayCommand    `cmd:"" help:"Tell what happened in a session, from the record."`
	Version   versionCommand   `cmd:"" help:"Print the version."`
}

const description = `A sidecar between an AI agent and PostgreSQL: it names the agent by its OIDC token, asks Rego policies about every statement, and lets it pass, masks it, holds it for a person, or refuses it.`

type versionCommand struct{}

func (versionCommand) Run(p *program) error {
	_, err := fmt.Fprintln(p.stdout, "sallyport", version)
	return err
}

func main() {
	ctx, hurry := untilSignal(context.Background())
	p := &program{stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, hurry: hurry}
	os.Exit(run(ctx, p, os.Args[1:]))
}

// run is main without the process around it. It returns the exit code.
func run(ctx context.Context, p *program, args []string) (code int) {
	type exited int
	defer func() {
		if e, ok := recover().(exited); ok {
			code = int(e) // --help was answered
		}
	}()
	var c commands
	parser, err := kong.New(&c,
		kong.Name("sallyport"),
		kong.Description(description),
		kong.UsageOnError(),
		kong.Writers(p.stdout, p.stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.Help(helpWithExitCodes),
		kong.Vars{"devdir": devenv.DefaultDir, "adminurl": defaultAdminURL},
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(p),
	)
	if err != nil {
		fmt.Fprintln(p.stderr, "sallyport:", err)
		return exitUsage
	}
	parsed, err := parser.Parse(joinNegative(args))
	if err != nil {
		fmt.Fprintf(p.stderr, "sallyport: %v\nTry: sallyport --help\n", err)
		return exitUsage
	}
	if err := parsed.Run(); err != nil {
		if text := err.Error(); text != "" {
			fmt.Fprintln(p.stderr, "sallyport:", text)
		}
		return exitCode(err)
	}
	return exitClean
}
