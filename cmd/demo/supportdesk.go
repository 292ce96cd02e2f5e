package main

import (
	"context"
	"fmt"
	"strings"
)

var supportDesk = chapter{"Personal data, masked where it is read: support-desk", []step{
	{"support-agent: sallyport request --binding support-desk", "a window", requestByCommand},
	{"SELECT id, name, email, phone, ssn FROM customers", "the row, with three columns masked", readMasked},
	{"SELECT … WHERE email = the real one", "no row: the whole statement sees the mask", findMasked},
	{"UPDATE tickets SET status = 'closed', with no WHERE", "refused, nothing changed", updateAll},
}}

func requestByCommand(ctx context.Context, s *stage) (outcome, error) {
	said, err := s.sallyport(ctx, "support-agent", "request", "--connection", s.env["CONNECTION"], "--binding", "support-desk",
		"--reason", "customer 1 asks about their tickets")
	if err != nil {
		return outcome{}, err
	}
	if missing := lacks(said, "is open until", "support-desk"); missing != "" {
		return outcome{}, fmt.Errorf("%q is not in: %s", missing, said)
	}
	return outcome{came: strings.TrimSpace(said)}, nil
}

// customer is a row of customers.
type customer struct {
	id                      int64
	name, email, phone, ssn string
}

func (c customer) String() string {
	return fmt.Sprintf("%d | %s | %s | %s | %s", c.id, c.name, c.email, c.phone, c.ssn)
}

const firstCustomer = "SELECT id, name, email, phone, ssn FROM customers WHERE id = 1"

func (s *stage) realCustomer(ctx context.Context) (c customer, err error) {
	err = s.direct.QueryRow(ctx, firstCustomer).Scan(&c.id, &c.name, &c.email, &c.phone, &c.ssn)
	return c, err
}

func readMasked(ctx context.Context, s *stage) (outcome, error) {
	is, err := s.realCustomer(ctx)
	if err != nil {
		return outcome{}, err
	}
	// The agent comes before it is told apart by its window: two bindings apply to it.
	if s.desk, err = s.connect(ctx, "support-agent", "sallyport.binding=support-desk"); err != nil {
		return outcome{}, err
	}
	var saw customer
	if err := s.desk.QueryRow(ctx, firstCustomer).Scan(&saw.id, &saw.name, &saw.email, &saw.phone, &saw.ssn); err != nil {
		return outcome{}, err
	}
	tail := len(is.phone) - 2
	want := customer{is.id, is.name, is.email[:1] + "***" + is.email[strings.Index(is.email, "@"):],
		strings.Repeat("*", tail) + is.phone[tail:], "[redacted]"}
	if saw != want {
		return outcome{}, differs("the row", saw, want)
	}
	return outcome{"email, phone and ssn masked", fmt.Sprintf("the agent sees  %s\nthe database    %s", saw, is)}, nil
}

func findMasked(ctx context.Context, s *stage) (outcome, error) {
	is, err := s.realCustomer(ctx)
	if err != nil {
		return outcome{}, err
	}
	const find = "SELECT count(*) FROM customers WHERE email = $1"
	var through, without int
	if err := s.direct.QueryRow(ctx, find, is.email).Scan(&without); err != nil {
		return outcome{}, err
	}
	if err := s.desk.QueryRow(ctx, find, is.email).Scan(&through); err != nil {
		return outcome{}, err
	}
	if through != 0 || without != 1 {
		return outcome{}, fmt.Errorf("%d rows found, and %d without sallyport", through, without)
	}
	return outcome{came: "no row (without sallyport: 1)"}, nil
}

func updateAll(ctx context.Context, s *stage) (outcome, error) {
	before, err := s.countOpen(ctx)
	if err != nil {
		return outcome{}, err
	}
	_, err = s.desk.Exec(ctx, "UPDATE tickets SET status = 'closed'")
	o, err := refused(err, "42501", "UPDATE needs a WHERE clause", "support-desk/update-all")
	if err != nil {
		return o, err
	}
	if after, err := s.countOpen(ctx); err != nil || after != before || before == 0 {
		return o, otherwise(err, "%d open tickets became %d", before, after)
	}
	return o, nil
}

func (s *stage) countOpen(ctx context.Context) (n int, err error) {
	err = s.direct.QueryRow(ctx, "SELECT count(*) FROM tickets WHERE status = 'open'").Scan(&n)
	return n, err
}
