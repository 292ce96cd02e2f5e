package audit

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestTamperingIsFoundAndLocated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := mustOpen(t, Config{Path: path})
	const records = 6
	for i := range records {
		mustAppend(t, l, decision(i), Written)
	}
	l.Close()
	whole, _ := os.ReadFile(path)
	lines := bytes.SplitAfter(whole, []byte("\n"))[:records]

	swap := func(i, j int) [][]byte {
		c := append([][]byte(nil), lines...)
		c[i], c[j] = c[j], c[i]
		return c
	}
	without := func(i int) [][]byte { return append(append([][]byte(nil), lines[:i]...), lines[i+1:]...) }
	twice := func(i int) [][]byte { return append(append([][]byte(nil), lines[:i+1]...), lines[i:]...) }
	for name, c := range map[string]struct {
		lines [][]byte
		bad   int
	}{
		"first removed":    {without(0), 1},
		"third removed":    {without(2), 3},
		"first doubled":    {twice(0), 2},
		"last doubled":     {twice(5), 7},
		"neighbours moved": {swap(2, 3), 3},
		"far ones moved":   {swap(0, 5), 1},
		"blank line added": {append([][]byte{[]byte("\n")}, lines...), 1},
	} {
		checkDamage(t, name, path, bytes.Join(c.lines, nil), c.bad, c.bad)
	}
	// Any byte of any line but the last; the last has no successor that holds its hash.
	line := 1
	for i := range whole[:len(whole)-len(lines[records-1])] {
		changed := bytes.Clone(whole)
		for _, bit := range []byte{0x01, 0x08, 0x20, 0x80} {
			changed[i] = whole[i] ^ bit
			// The link between two lines is at the beginning of the second.
			checkDamage(t, "byte changed", path, changed, max(1, line-1), line)
		}
		if whole[i] == '\n' {
			line++
		}
	}
}

func checkDamage(t *testing.T, name, path string, content []byte, from, to int) {
	t.Helper()
	var d *Damage
	if _, err := inspectAll(path, bytes.NewReader(content)); !errors.As(err, &d) || d.Line < from || d.Line > to {
		t.Errorf("%s: %v, want line %d to %d", name, err, from, to)
	}
}

func TestVerifyOfAnEmptyAndAMissingLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := Verify(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if in := inspect(t, path); in != (Inspection{}) {
		t.Errorf("empty: %+v", in)
	}
}
