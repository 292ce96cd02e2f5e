// Command demo plays an AI agent's whole life at a production database, with real parts, and fails at the first step that goes otherwise than told.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	demoTimeout = 2 * time.Minute
	stepTimeout = 20 * time.Second
)

func main() {
	binary := flag.String("sallyport", "bin/sallyport", "the sallyport to show")
	keep := flag.Bool("keep", false, "keep the directory with policies, record and log")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, newPrinter(os.Stdout), *binary, *keep); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run plays every step, and takes everything down again however that went.
func run(ctx context.Context, out *printer, binary string, keep bool) (err error) {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	begun := time.Now()
	out.chapter("A database, an OIDC issuer, the shipped policies and the sidecar: sallyport dev")
	s, err := raise(ctx, binary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.remove(keep)) }()
	out.note(s.describe())
	steps, err := play(ctx, s, out, script)
	if err != nil {
		out.note(s.logTail())
		return err
	}
	out.chapter(fmt.Sprintf("%d steps, all as expected, in %.1f s", steps, time.Since(begun).Seconds()))
	return nil
}

// play does one step after the other, and no more after one that went wrong.
func play(ctx context.Context, s *stage, out *printer, script []chapter) (steps int, err error) {
	for _, c := range script {
		out.chapter(c.title)
		for _, step := range c.steps {
			steps++
			within, cancel := context.WithTimeout(ctx, stepTimeout)
			came, err := step.run(within, s)
			cancel()
			out.step(steps, step, came, err)
			if err != nil {
				return steps, fmt.Errorf("step %d (%s) did not go as expected", steps, step.does)
			}
		}
	}
	return steps, nil
}
