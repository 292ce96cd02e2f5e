package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var closingTime = chapter{"The window closes", []step{
	{"data-fixer connects, asking for a window of 3 seconds", "it is open", briefWindow},
	{"SELECT pg_sleep(60), while the window closes", "cancelled, 57014", sleepThrough},
	{"the same session: SELECT 1", "refused, and told how to ask again", afterWindow},
}}

const (
	briefTTL     = 3 * time.Second
	closingGrace = 3 * time.Second // for a machine that has much to do
)

// briefWindow asks by the startup options, as a program does that has its reason in
// its connection string.
func briefWindow(ctx context.Context, s *stage) (outcome, error) {
	s.asked = time.Now()
	var err error
	s.brief, err = s.connect(ctx, "data-fixer", "sallyport.binding=jit-schema-checks",
		"sallyport.reason=one look before the release", "sallyport.ttl="+briefTTL.String())
	if err != nil {
		return outcome{}, err
	}
	var one int
	if err := s.brief.QueryRow(ctx, "SELECT 1").Scan(&one); err != nil {
		return outcome{}, err
	}
	return outcome{came: "SELECT 1 is answered"}, nil
}

func sleepThrough(ctx context.Context, s *stage) (outcome, error) {
	_, err := s.brief.Exec(ctx, "SELECT pg_sleep(60)")
	took := time.Since(s.asked)
	o, err := refused(err, "57014", "window g-", "closed", "sallyport.request(")
	if err != nil {
		return o, err
	}
	if took > briefTTL+closingGrace {
		return o, fmt.Errorf("only after %s", took)
	}
	o.came += fmt.Sprintf(" (%.1f s after it was asked for)", took.Seconds())
	return o, nil
}

func afterWindow(ctx context.Context, s *stage) (outcome, error) {
	if s.brief.IsClosed() {
		return outcome{}, errors.New("the session has ended with its window")
	}
	var one int
	err := s.brief.QueryRow(ctx, "SELECT 1").Scan(&one)
	return refused(err, "42501", "window", "sallyport.request(")
}
