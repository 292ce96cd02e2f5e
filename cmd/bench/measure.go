package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// way is one way to the database.
type way struct {
	name string
	dsn  string
	env  []string // password and options, which do not belong on a command line
}

// what is measured of each way: a mode of pgbench, with so many clients.
type what struct {
	mode    string
	clients int
}

// measurements are the transactions a second, round by round.
type measurements struct {
	whats        []what
	ways         []way
	tps          map[what]map[string][]float64
	transactions int64 // through sallyport
}

// measure has every way measured in every round, each first in its turn: what
// else the machine does in the meantime meets them all.
func (r *rig) measure(ctx context.Context, o *options) (*measurements, error) {
	ways := slices.DeleteFunc(slices.Clone(r.ways), func(w way) bool { return w.name == throughStream })
	m := &measurements{ways: ways, tps: map[what]map[string][]float64{}}
	for _, mode := range o.modes {
		for _, n := range o.clients {
			w := what{mode, n}
			m.whats = append(m.whats, w)
			m.tps[w] = map[string][]float64{}
		}
	}
	if err := r.warmUp(ctx, m, o); err != nil {
		return nil, err
	}
	for round := range o.rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, o.rounds)
		for i, w := range m.whats {
			for turn := range ways {
				way := ways[(round+i+turn)%len(ways)]
				tps, err := r.once(ctx, m, way, w, o.each)
				if err != nil {
					return nil, err
				}
				m.tps[w][way.name] = append(m.tps[w][way.name], tps)
			}
		}
	}
	return m, nil
}

const warmUpTime = 2 * time.Second

// warmUp fills caches; what it measures is not kept.
func (r *rig) warmUp(ctx context.Context, m *measurements, o *options) error {
	for _, way := range m.ways {
		for _, mode := range o.modes {
			if _, err := r.once(ctx, m, way, what{mode, slices.Max(o.clients)}, warmUpTime); err != nil {
				return err
			}
		}
	}
	return nil
}

var (
	tpsLine = regexp.MustCompile(`(?m)^tps = ([0-9.]+) \((?:without|excluding)`)
	runLine = regexp.MustCompile(`(?m)^number of transactions actually processed: ([0-9]+)`)
)

// once runs pgbench.
func (r *rig) once(ctx context.Context, m *measurements, way way, w what, each time.Duration) (tps float64, err error) {
	threads := min(w.clients, runtime.NumCPU())
	out, err := r.command(ctx, way, r.pgbench, "--select-only", "--no-vacuum", "--protocol="+w.mode, fmt.Sprintf("--client=%d", w.clients),
		fmt.Sprintf("--jobs=%d", threads), fmt.Sprintf("--time=%d", int(each.Seconds())), way.dsn)
	if err != nil {
		return 0, fmt.Errorf("%s, %s, %d clients: %w", way.name, w.mode, w.clients, err)
	}
	rate, count := tpsLine.FindStringSubmatch(out), runLine.FindStringSubmatch(out)
	switch {
	case count != nil && count[1] == "0":
		return 0, fmt.Errorf("%s, %s, %d clients: logging in took all of %s: give --each more, or the machine less to do", way.name, w.mode, w.clients, each)
	case rate == nil || count == nil:
		return 0, fmt.Errorf("pgbench says something unexpected:\n%s", out)
	}
	if way.name == throughSallyport {
		n, err := strconv.ParseInt(count[1], 10, 64)
		if err != nil {
			return 0, err
		}
		m.transactions += n
	}
	return strconv.ParseFloat(rate[1], 64)
}

// command runs a PostgreSQL client on a way, and returns what it says.
func (r *rig) command(ctx context.Context, way way, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PG") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(append(cmd.Env, "LC_ALL=C"), way.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, out)
	}
	return string(out), nil
}

func findPgbench() (string, error) {
	if path, err := exec.LookPath("pgbench"); err == nil {
		return path, nil
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/pgbench", "/opt/homebrew/opt/postgresql*/bin/pgbench", "/usr/local/opt/postgresql*/bin/pgbench"} {
		found, _ := filepath.Glob(pattern) // the patterns are well-formed
		if len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", errors.New("pgbench is not installed: it comes with PostgreSQL's server (Debian: apt-get install postgresql)")
}

// print writes a line for each thing measured.
func (m *measurements) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "mode\tclients\t")
	for _, way := range m.ways {
		fmt.Fprintf(t, "%s tps\t", way.name)
	}
	fmt.Fprintf(t, "%s/%s\t%s/%s\t%s/%s\t\n", bouncer, direct, throughSallyport, direct, throughSallyport, bouncer)
	for _, what := range m.whats {
		fmt.Fprintf(t, "%s\t%d\t", what.mode, what.clients)
		for _, way := range m.ways {
			fmt.Fprintf(t, "%.0f\t", m.median(what, way.name))
		}
		fmt.Fprintf(t, "%.2f\t%.2f\t%.2f\t\n", m.median(what, bouncer)/m.median(what, direct),
			m.median(what, throughSallyport)/m.median(what, direct), m.median(what, throughSallyport)/m.median(what, bouncer))
	}
	_ = t.Flush() // nobody reads it
}

func (m *measurements) median(w what, way string) float64 {
	sorted := slices.Sorted(slices.Values(m.tps[w][way]))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
