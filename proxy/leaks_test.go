package proxy_test

import (
	"context"
	"flag"
	"strings"
	"sync"
	"testing"
)

var updateLeaks = flag.Bool("update", false, "mark the honest statements of testdata/leaks that are refused")

var leakFiles = flag.String("leaks.files", "*.txt", "which files of testdata/leaks TestLeaks runs")

// TestLeaks runs the corpus of testdata/leaks. Each attack must leak where nothing
// stands in its way, or it is none, and tell nothing through sallyport. Each honest
// statement must give through sallyport what it gives on the twin.
func TestLeaks(t *testing.T) {
	w := newLeakWorld(t)
	attacks, honest := readLeakCases(t, "attacks"), readLeakCases(t, "honest")
	var leaking, refused, refusedAttacks []string
	for _, c := range honest {
		t.Run("honest/"+c.name, func(t *testing.T) {
			if w.honest(t, c) {
				refused = append(refused, c.name)
			}
		})
	}
	for _, c := range attacks {
		t.Run("attack/"+c.name, func(t *testing.T) {
			leaks, isRefused := w.attack(t, c)
			if leaks {
				leaking = append(leaking, c.name+": "+c.leaks)
			}
			if isRefused {
				refusedAttacks = append(refusedAttacks, c.name)
			}
		})
	}
	if *updateLeaks {
		markAgain(t, honest)
	}
	t.Logf("%d attacks (%d refused, the others told masked values), %d still leak; %d honest statements, %d refused",
		len(attacks), len(refusedAttacks), len(leaking), len(honest), len(refused))
	for _, known := range leaking {
		t.Logf("leaks: %s", known)
	}
	for _, stale := range w.stale {
		if !*updateLeaks {
			t.Errorf("stale: %s", stale)
		}
	}
	for _, known := range refused {
		t.Logf("refused: %s", known)
	}
}

// attack reports whether the case leaks as it is marked, and whether it is refused.
func (w *leakWorld) attack(t *testing.T, c *leakCase) (leaks, refused bool) {
	for _, mode := range c.modes() {
		straight := w.both(t, c, mode, w.runStraight)
		if straight[0] == nil || straight[1] == nil {
			continue
		}
		if !w.leaks(c, straight) {
			t.Errorf("%s: %s: it is no attack: straight, both variants tell\n%s\n%.500s", c.where, mode, strings.Join(c.statements, "\n"), straight[0].text())
		}
		proxied := w.both(t, c, mode, w.runProxied)
		if proxied[0] == nil || proxied[1] == nil {
			continue
		}
		refused = refused || len(proxied[0].refusals) > 0
		// Other sessions' DDL may cut in between any two messages of a pipeline.
		for range 3 {
			if w.leaks(c, proxied) && strings.Contains(proxied[0].text()+proxied[1].text(), "in the middle of a pipeline") {
				proxied = w.both(t, c, mode, w.runProxied)
			}
		}
		if !w.leaks(c, proxied) {
			continue
		}
		leaks = true
		if c.leaks == "" {
			t.Errorf("%s: %s: LEAK %s\n%s\none variant is told\n%s\nthe other\n%s", c.where, mode, w.secretIn(c, proxied[0].text()),
				strings.Join(c.statements, "\n"), w.variant[0].told(*proxied[0]), w.variant[1].told(*proxied[1]))
		}
	}
	if c.leaks != "" && !leaks {
		w.stale = append(w.stale, c.where+": it does not leak any longer: take the mark away")
	}
	return leaks, refused
}

func (w *leakWorld) leaks(c *leakCase, told [2]*transcript) bool {
	return told[0] != nil && told[1] != nil && (w.variant[0].told(*told[0]) != w.variant[1].told(*told[1]) ||
		w.secretIn(c, told[0].text()) != "" || w.secretIn(c, told[1].text()) != "")
}

// honest reports whether the case is refused as it is marked.
func (w *leakWorld) honest(t *testing.T, c *leakCase) bool {
	refused := false
	for _, mode := range c.modes() {
		proxied := w.both(t, c, mode, w.runProxied)
		if proxied[0] == nil || proxied[1] == nil {
			continue
		}
		if c.compare == "columns" {
			proxied[0].lines, proxied[1].lines = withoutRows(proxied[0].lines), withoutRows(proxied[1].lines)
		}
		if w.leaks(c, proxied) {
			t.Errorf("%s: %s: LEAK %s\none variant is told\n%s\nthe other\n%s", c.where, mode, w.secretIn(c, proxied[0].text()),
				w.variant[0].told(*proxied[0]), w.variant[1].told(*proxied[1]))
		}
		twin, err := w.runTwin(t.Context(), c, mode)
		if err != nil {
			t.Errorf("%s: %s: the twin: %v", c.where, mode, err)
			continue
		}
		if c.compare == "columns" {
			twin.lines = withoutRows(twin.lines)
		}
		got, want := proxied[0].result(c.ordered()), twin.result(c.ordered())
		switch {
		case len(proxied[0].refusals) > 0 && got != want: // an error in the server's stead is none
			refused = true
			w.refused(t, c, mode, proxied[0].refusals)
		case got != want:
			t.Errorf("%s: %s: %s\nthrough sallyport\n%s\non the twin\n%s", c.where, mode, strings.Join(c.statements, "\n"), proxied[0].text(), twin.text())
		}
	}
	if c.refused != "" && !refused {
		w.stale = append(w.stale, c.where+": no longer refused: take the mark away")
	}
	return refused
}

// refused compares a refusal with the mark, or makes the mark.
func (w *leakWorld) refused(t *testing.T, c *leakCase, mode protocolMode, refusals []string) {
	switch {
	case *updateLeaks:
		c.now = refusals[0]
	case c.refused != "" && !strings.Contains(strings.Join(refusals, "\n"), c.refused):
		w.stale = append(w.stale, c.where+": refused otherwise: "+refusals[0])
	case c.refused == "":
		t.Errorf("%s: %s: refused: %s\n%s", c.where, mode, refusals[0], strings.Join(c.statements, "\n"))
	}
}

func withoutRows(lines []string) (rest []string) {
	for _, line := range lines {
		if !strings.HasPrefix(line, "row ") && !strings.HasPrefix(line, "data ") {
			rest = append(rest, line)
		}
	}
	return rest
}

// both runs a case on both variants at the same time; nil where it could not be run.
func (w *leakWorld) both(t *testing.T, c *leakCase, mode protocolMode,
	run func(context.Context, *leakCase, protocolMode, int) (transcript, error),
) (told [2]*transcript) {
	t.Helper()
	var all sync.WaitGroup
	var errs [2]error
	for i := range w.variant {
		all.Go(func() {
			one, err := run(t.Context(), c, mode, i)
			if errs[i] = err; err == nil {
				told[i] = &one
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			t.Errorf("%s: %s: %v", c.where, mode, err)
		}
	}
	return told
}
