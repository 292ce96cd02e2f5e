package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/internal/audit"
)

var onRecord = chapter{"And all of it is on record", []step{
	{"sallyport sessions", "everybody who came", listSessions},
	{"sallyport replay, the support agent's session", "what it asked, what was decided, by whom", replaySession},
	{"the chain of the record is followed", "whole", verifyRecord},
	{"one letter of a copy is changed", "found, with its line", verifyTampered},
	{"the sidecar is asked to end", "exit 0", endSidecar},
}}

// count is how many records there are of a type.
func (s *stage) count(wanted audit.Type) (n int, err error) {
	err = audit.ReadAll(s.auditPath(), func(r *audit.Record) error {
		if r.Type == wanted {
			n++
		}
		return nil
	})
	return n, err
}

// recorded lists the records of some types, a line each.
func (s *stage) recorded(types ...audit.Type) (string, error) {
	var b strings.Builder
	err := audit.ReadAll(s.auditPath(), func(r *audit.Record) error {
		for _, t := range types {
			if r.Type != t {
				continue
			}
			fmt.Fprintf(&b, "%s %s", t, r.Actor)
			if r.Comment != "" {
				fmt.Fprintf(&b, ": %s", r.Comment)
			}
			b.WriteByte('\n')
		}
		return nil
	})
	return b.String(), err
}

func listSessions(ctx context.Context, s *stage) (outcome, error) {
	s.schema.Close(ctx)
	s.desk.Close(ctx)
	seen, err := s.sallyport(ctx, "", "sessions")
	if err != nil {
		return outcome{}, err
	}
	if missing := lacks(seen, "stranger", "schema-agent", "support-agent", "data-fixer", "refused: "); missing != "" {
		return outcome{}, fmt.Errorf("%q is not in:\n%s", missing, seen)
	}
	return outcome{fmt.Sprintf("%d sessions", strings.Count(seen, "\n")-1), seen}, nil
}

func replaySession(ctx context.Context, s *stage) (outcome, error) {
	found, err := s.sallyport(ctx, "", "sessions", "--json", "--who", "support-agent", "--effect", "mask")
	if err != nil {
		return outcome{}, err
	}
	var session audit.SessionSummary
	if err := json.Unmarshal([]byte(found), &session); err != nil {
		return outcome{}, fmt.Errorf("not one session: %s", found)
	}
	seen, err := s.sallyport(ctx, "", "replay", session.ID)
	if err != nil {
		return outcome{}, err
	}
	missing := lacks(seen, "masked: ", "public.customers.email", "UPDATE needs a WHERE clause", "approved by alice", "refused by bob",
		refusal, "UPDATE 1", "tickets are frozen", "from here on")
	if missing != "" {
		return outcome{}, fmt.Errorf("%q is not in:\n%s", missing, seen)
	}
	return outcome{session.ID, seen}, nil
}

func verifyRecord(_ context.Context, s *stage) (outcome, error) {
	found, err := audit.Inspect(s.auditPath())
	if err != nil {
		return outcome{}, err
	}
	return outcome{came: fmt.Sprintf("%d records, the last is %.12s…", found.Records, found.Last)}, nil
}

// verifyTampered makes a refused statement look like another one.
func verifyTampered(_ context.Context, s *stage) (outcome, error) {
	content, err := os.ReadFile(s.auditPath())
	if err != nil {
		return outcome{}, err
	}
	forged := bytes.Replace(content, []byte("SELECT * FROM customers"), []byte("SELECT * FROM custumers"), 1)
	if bytes.Equal(forged, content) {
		return outcome{}, errors.New("the statement is not on record")
	}
	path := filepath.Join(s.dir, "forged.jsonl")
	if err := os.WriteFile(path, forged, 0o600); err != nil {
		return outcome{}, err
	}
	var damage *audit.Damage
	if err := audit.Verify(path); !errors.As(err, &damage) {
		return outcome{}, otherwise(err, "not found")
	}
	return outcome{came: fmt.Sprintf("line %d: %s", damage.Line, damage.Why)}, nil
}

func endSidecar(ctx context.Context, s *stage) (outcome, error) {
	if err := s.leave(ctx); err != nil {
		return outcome{}, err
	}
	if code := s.process.ProcessState.ExitCode(); code != 0 {
		return outcome{}, fmt.Errorf("exit %d", code)
	}
	return outcome{came: "exit 0, and the throwaway database is gone"}, nil
}
