package main

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestDemo plays the whole script: what README shows first must not rot.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("builds sallyport and starts a PostgreSQL")
	}
	binary := filepath.Join(t.TempDir(), "sallyport")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", binary, "../sallyport").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var told bytes.Buffer
	if err := run(t.Context(), &printer{out: &told}, binary, false); err != nil {
		t.Fatalf("%v\n%s", err, told.String())
	}
	if strings.Contains(told.String(), "eyJ") {
		t.Errorf("a token was printed:\n%s", told.String())
	}
}

func TestDeviationEndsThePlay(t *testing.T) {
	var done []string
	one := func(name string, err error) step {
		return step{name, "well", func(context.Context, *stage) (outcome, error) {
			done = append(done, name)
			return outcome{came: "well"}, err
		}}
	}
	var told bytes.Buffer
	steps, err := play(t.Context(), &stage{}, &printer{out: &told}, []chapter{
		{"first", []step{one("a", nil), one("b", errors.New("it rained"))}},
		{"second", []step{one("c", nil)}},
	})
	if err == nil || steps != 2 || strings.Join(done, "") != "ab" {
		t.Errorf("after %d steps (%v): %v", steps, done, err)
	}
	if !strings.Contains(told.String(), "✓ came: well") || !strings.Contains(told.String(), "✗ came: it rained") {
		t.Errorf("told:\n%s", told.String())
	}
}

func TestRefused(t *testing.T) {
	denied := &pgconn.PgError{Code: "42501", Message: "sallyport: no", Detail: `{"rule":"r"}`, Hint: "ask"}
	for name, c := range map[string]struct {
		err  error
		code string
		says []string
		want string // what the error says; "" for none
	}{
		"as expected":   {denied, "42501", []string{"no", `"r"`, "ask"}, ""},
		"let through":   {nil, "42501", nil, "let through"},
		"another code":  {denied, "28000", nil, "42501 no"},
		"other words":   {denied, "42501", []string{"yes"}, `"yes"`},
		"no refusal":    {errors.New("connection reset"), "42501", nil, "connection reset"},
		"wrapped error": {errors.Join(errors.New("failed"), denied), "42501", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := refused(c.err, c.code, c.says...)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
