package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/internal/audit"
)

var livePolicies = chapter{"Policies, edited while the session is open", []step{
	{"SELECT count(*) FROM tickets", "allowed", ticketsReadable},
	{"a rule is added to support_desk.rego; the same again", "refused by the new rule", ruleAdded},
	{"the file is broken; the same again, and customers", "as before; /readyz tells what is wrong", fileBroken},
	{"the file is put back; the same again", "allowed", filePutBack},
}}

const (
	policyFile = "policy/support_desk/support_desk.rego"
	frozenRule = `
statement.deny contains {
	"message": "tickets are frozen until the audit is over",
	"hint": "ask again tomorrow",
	"rule": "support-desk/frozen",
} if {
	some table in input.statement.tables
	table.id == "public.tickets"
}
`
	brokenRule = "\nstatement.deny contains if {\n"
)

func (s *stage) countTickets(ctx context.Context) (outcome, error) {
	var n int
	err := s.desk.QueryRow(ctx, "SELECT count(*) FROM tickets").Scan(&n)
	return outcome{came: fmt.Sprintf("%d tickets", n)}, err
}

func ticketsReadable(ctx context.Context, s *stage) (outcome, error) { return s.countTickets(ctx) }

// editPolicy appends to the policy as it was, and waits until that is recorded as
// loaded or as refused.
func (s *stage) editPolicy(ctx context.Context, addition string, becomes audit.Type) error {
	path := filepath.Join(s.env["POLICIES_DIR"], policyFile)
	if s.policy == "" {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		s.policy = string(content)
	}
	before, err := s.count(becomes)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(s.policy+addition), 0o600); err != nil {
		return err
	}
	return await(ctx, string(becomes), func(context.Context) (bool, error) {
		now, err := s.count(becomes)
		return now > before, err
	})
}

func ruleAdded(ctx context.Context, s *stage) (outcome, error) {
	if err := s.editPolicy(ctx, frozenRule, audit.PolicyLoaded); err != nil {
		return outcome{}, err
	}
	_, err := s.countTickets(ctx)
	return refused(err, "42501", "tickets are frozen", "support-desk/frozen")
}

func fileBroken(ctx context.Context, s *stage) (outcome, error) {
	if err := s.editPolicy(ctx, frozenRule+brokenRule, audit.PolicyRefused); err != nil {
		return outcome{}, err
	}
	ready, err := s.readiness(ctx)
	if err != nil {
		return outcome{}, err
	}
	told := ""
	for _, c := range ready.Checks {
		if c.Name == "policy" {
			told = c.Detail
		}
	}
	if missing := lacks(told, "last good ones in use", "support_desk.rego"); missing != "" || !ready.Ready {
		return outcome{}, fmt.Errorf("ready %t, and /readyz says %q", ready.Ready, told)
	}
	_, err = s.countTickets(ctx)
	if _, err := refused(err, "42501", "support-desk/frozen"); err != nil {
		return outcome{}, err
	}
	var n int
	if err := s.desk.QueryRow(ctx, "SELECT count(*) FROM customers").Scan(&n); err != nil {
		return outcome{}, err
	}
	if n == 0 {
		return outcome{}, errors.New("no customers")
	}
	return outcome{"tickets refused, customers read", "/readyz: " + beginning(told, 4)}, nil
}

// beginning is the first lines of a text.
func beginning(text string, lines int) string {
	all := strings.SplitAfter(text, "\n")
	return strings.Join(all[:min(lines, len(all))], "")
}

func filePutBack(ctx context.Context, s *stage) (outcome, error) {
	if err := s.editPolicy(ctx, "", audit.PolicyLoaded); err != nil {
		return outcome{}, err
	}
	return s.countTickets(ctx)
}
