package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// chapter is a part of the story.
type chapter struct {
	title string
	steps []step
}

// step is one thing that is done, and what has to come of it.
type step struct {
	does, expects string
	run           func(context.Context, *stage) (outcome, error) // an error: something else came
}

// outcome is what came of a step.
type outcome struct {
	came  string // in a few words
	shown string // what is worth seeing whole, in lines
}

var script = []chapter{identities, schemaCheck, supportDesk, people, livePolicies, closingTime, onRecord}

// refused checks that an error is a refusal with this SQLSTATE that says all of these.
func refused(err error, code string, says ...string) (outcome, error) {
	if err == nil {
		return outcome{}, errors.New("it was let through")
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return outcome{}, fmt.Errorf("no refusal, but: %w", err)
	}
	came := pg.Code + " " + strings.TrimPrefix(pg.Message, "sallyport: ")
	all := strings.Join([]string{pg.Message, pg.Detail, pg.Hint}, "\n")
	if pg.Code != code {
		return outcome{}, fmt.Errorf("%s\n%s\n%s", came, pg.Detail, pg.Hint)
	}
	if missing := lacks(all, says...); missing != "" {
		return outcome{}, fmt.Errorf("a refusal that does not say %q:\n%s %s", missing, pg.Code, all)
	}
	o := outcome{came: came}
	if pg.Hint != "" {
		o.shown = "HINT  " + pg.Hint
	}
	return o, nil
}

// lacks returns the first of the texts that is not in another one.
func lacks(text string, says ...string) string {
	for _, say := range says {
		if !strings.Contains(text, say) {
			return say
		}
	}
	return ""
}

// otherwise is the error, or where there was none what came instead.
func otherwise(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	return fmt.Errorf(format, args...)
}

func differs(what string, got, want any) error {
	return fmt.Errorf("%s is %v, not %v", what, got, want)
}
