package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var people = chapter{"Changes, seen by a person first", []step{
	{"UPDATE tickets SET status = 'closed' WHERE id = 4", "held, with a notice", holdFirst},
	{"support-agent: sallyport approve, its own statement", "refused: somebody else has to look", approveSelf},
	{"alice: sallyport approve", "the statement runs, the ticket is closed", approveFirst},
	{"UPDATE customers SET city = 'Oslo' WHERE id = 1", "held, with a notice", holdSecond},
	{"bob: sallyport refuse --comment …", "refused with his words, nothing changed", refuseSecond},
	{"the record of both verdicts", "who decided what, and why", recordedVerdicts},
}}

// waiting is a statement that waits for a person.
type waiting struct {
	approval string
	tag      string
	done     chan error // what the client is told in the end
}

const refusal = "addresses are changed by customers themselves"

var approvalID = regexp.MustCompile(`\ba-[a-z0-9]+`)

// hold sends a statement and returns once it is said to be held.
func (s *stage) hold(ctx context.Context, sql string) (outcome, error) {
	w := &waiting{done: make(chan error, 1)}
	s.held = w
	// It is waited for by the step that has it decided, whose time is another.
	go func() {
		tag, err := s.desk.Exec(context.WithoutCancel(ctx), sql)
		w.tag = tag.String()
		w.done <- err
	}()
	for {
		select {
		case notice := <-s.desk.notices:
			if w.approval = approvalID.FindString(notice); w.approval != "" {
				return outcome{came: "NOTICE " + notice}, nil
			}
		case err := <-w.done:
			return outcome{}, otherwise(err, "not held: %s", w.tag)
		case <-ctx.Done():
			return outcome{}, errors.New("no notice")
		}
	}
}

// end waits for what becomes of the statement.
func (w *waiting) end(ctx context.Context) error {
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return errors.New("still held after the verdict")
	}
}

func holdFirst(ctx context.Context, s *stage) (outcome, error) {
	return s.hold(ctx, "UPDATE tickets SET status = 'closed' WHERE id = 4")
}

func approveSelf(ctx context.Context, s *stage) (outcome, error) {
	_, err := s.sallyport(ctx, "support-agent", "approve", s.held.approval)
	if err == nil {
		return outcome{}, errors.New("approved")
	}
	if missing := lacks(err.Error(), "Somebody else has to look at it"); missing != "" {
		return outcome{}, err
	}
	if status, err := s.ticketStatus(ctx); err != nil || status != "open" {
		return outcome{}, otherwise(err, "the ticket is %s", status)
	}
	return outcome{came: strings.ReplaceAll(err.Error(), "\n", " ")}, nil
}

func approveFirst(ctx context.Context, s *stage) (outcome, error) {
	asks, err := s.sallyport(ctx, "alice", "approvals", s.held.approval)
	if err != nil {
		return outcome{}, err
	}
	if _, err := s.sallyport(ctx, "alice", "approve", s.held.approval, "--comment", "the customer confirmed"); err != nil {
		return outcome{}, err
	}
	if err := s.held.end(ctx); err != nil {
		return outcome{}, err
	}
	status, err := s.ticketStatus(ctx)
	if err != nil || status != "closed" || s.held.tag != "UPDATE 1" {
		return outcome{}, otherwise(err, "%s, and the ticket is %s", s.held.tag, status)
	}
	return outcome{s.held.tag + "; in the database the ticket is closed", "what alice saw:\n" + asks}, nil
}

func (s *stage) ticketStatus(ctx context.Context) (status string, err error) {
	err = s.direct.QueryRow(ctx, "SELECT status FROM tickets WHERE id = 4").Scan(&status)
	return status, err
}

func holdSecond(ctx context.Context, s *stage) (outcome, error) {
	return s.hold(ctx, "UPDATE customers SET city = 'Oslo' WHERE id = 1")
}

func refuseSecond(ctx context.Context, s *stage) (outcome, error) {
	if _, err := s.sallyport(ctx, "bob", "refuse", s.held.approval, "--comment", refusal); err != nil {
		return outcome{}, err
	}
	o, err := refused(s.held.end(ctx), "42501", s.held.approval, "refused by bob", refusal)
	if err != nil {
		return o, err
	}
	var city string
	if err := s.direct.QueryRow(ctx, "SELECT city FROM customers WHERE id = 1").Scan(&city); err != nil || city == "Oslo" {
		return o, otherwise(err, "the city is %s", city)
	}
	return o, nil
}

func recordedVerdicts(ctx context.Context, s *stage) (outcome, error) {
	lines, err := s.recorded("approval.rejected", "approval.approved", "approval.refused", "approval.consumed")
	if err != nil {
		return outcome{}, err
	}
	if missing := lacks(lines, "approval.rejected support-agent", "approval.approved alice", "approval.consumed", "approval.refused bob: "+refusal); missing != "" {
		return outcome{}, fmt.Errorf("%q is not on record:\n%s", missing, lines)
	}
	return outcome{"all of it", lines}, nil
}
