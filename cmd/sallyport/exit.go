package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes say why the process ended, so that whoever runs it can tell what to do.
const (
	exitClean      = 0
	exitUsage      = 1 // also of client commands: what was asked for was not done
	exitConfig     = 2
	exitPolicies   = 3
	exitUpstream   = 4
	exitListen     = 5
	exitState      = 6
	exitUnfinished = 7
)

const exitCodes = `
Exit codes:
  0  ended as asked
  1  wrong usage, or what was asked for was refused or failed
  2  the configuration has faults
  3  the policies have faults (check)
  4  a database cannot be reached
  5  an address or socket cannot be listened on
  6  the state or the audit log cannot be used
  7  statements that were still running at shutdown were cancelled
`

// failure is an error with an exit code of its own.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func fail(code int, err error) error {
	if err == nil {
		return nil
	}
	return &failure{code, err}
}

func exitCode(err error) int {
	var f *failure
	if errors.As(err, &f) {
		return f.code
	}
	return exitUsage
}

// helpWithExitCodes adds to the help what the process ends with.
func helpWithExitCodes(options kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	switch ctx.Command() {
	case "", "serve", "check", "dev run":
		_, err := fmt.Fprint(ctx.Stdout, exitCodes)
		return err
	default:
		return nil
	}
}

// interrupted is why a context ended at a signal.
type interrupted struct{ signal os.Signal }

func (i interrupted) Error() string { return i.signal.String() }

// untilSignal gives a context that ends at the first SIGINT or SIGTERM, and what
// is closed at the second. The third is the operating system's: it kills.
func untilSignal(ctx context.Context) (context.Context, <-chan struct{}) {
	signals, hurry := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	ctx, end := context.WithCancelCause(ctx)
	go func() { // ends with the process
		end(interrupted{<-signals})
		<-signals
		signal.Stop(signals)
		close(hurry)
	}()
	return ctx, hurry
}
