// Command bench measures what a statement costs through sallyport, against a direct connection and PgBouncer, by pgbench.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// options say what is measured.
type options struct {
	sallyport string
	rounds    int
	each      time.Duration
	scale     int
	modes     []string
	clients   []int
	stream    int // rows
}

func main() {
	o, err := parseOptions(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if err == nil {
		err = run(ctx, o)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseOptions(args []string) (*options, error) {
	o := &options{}
	var modes, clients string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.sallyport, "sallyport", "bin/sallyport", "the sallyport to measure")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds, in each of which everything is measured once")
	flags.DurationVar(&o.each, "each", 3*time.Second, "how long one measurement is, in whole seconds")
	flags.IntVar(&o.scale, "scale", 10, "pgbench's scale: 100,000 accounts each")
	flags.StringVar(&modes, "modes", "simple,extended,prepared", "pgbench's query modes")
	flags.StringVar(&clients, "clients", "1,8", "how many clients at a time")
	flags.IntVar(&o.stream, "stream", 1_000_000, "rows of a table that is streamed, masked; 0: none")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	o.modes = strings.Split(modes, ",")
	for word := range strings.SplitSeq(clients, ",") {
		var n int
		if _, err := fmt.Sscanf(word, "%d", &n); err != nil || n < 1 {
			return nil, fmt.Errorf("--clients %q: %q is no number of clients", clients, word)
		}
		o.clients = append(o.clients, n)
	}
	if modes == "" {
		o.modes = nil // streaming only
	}
	if o.rounds < 1 || o.scale < 1 || o.stream < 0 || o.each < time.Second || o.each%time.Second != 0 {
		return nil, errors.New("--rounds and --scale are 1 or more, --each is whole seconds")
	}
	return o, nil
}

// run measures everything, the ways taking turns, and prints the medians.
func run(ctx context.Context, o *options) (err error) {
	bench, err := findPgbench()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sallyport-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := &rig{dir: dir, sallyport: o.sallyport, pgbench: bench}
	defer r.close()
	if err := r.raise(ctx, o); err != nil {
		return err
	}
	if o.stream > 0 {
		list, err := r.stream(ctx, o.stream, o.rounds)
		if err != nil {
			return err
		}
		fmt.Printf("%d rows streamed, medians of %d rounds; %d cores; %s\n\n", o.stream, o.rounds, runtime.NumCPU(), r.postgres.Version)
		printStreams(os.Stdout, list, o.stream)
		fmt.Println()
	}
	if len(o.modes) == 0 {
		return nil
	}
	m, err := r.measure(ctx, o)
	if err != nil {
		return err
	}
	recorded, err := r.recorded()
	if err != nil {
		return err
	}
	if recorded.decisions < m.transactions {
		return fmt.Errorf("%d statements went through sallyport, and only %d decisions are on record", m.transactions, recorded.decisions)
	}
	fmt.Printf("pgbench --select-only, scale %d, medians of %d rounds of %s; %d cores; %s; %s\n\n", o.scale, o.rounds, o.each,
		runtime.NumCPU(), r.postgres.Version, r.pgbouncerVersion)
	m.print(os.Stdout)
	fmt.Printf("\n%d statements went through sallyport, each decided on and recorded before it ran (%d MB of record).\n",
		m.transactions, recorded.bytes>>20)
	return nil
}
