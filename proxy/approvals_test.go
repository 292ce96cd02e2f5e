package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/sallyport/sallyport/internal/approval"
	"github.com/sallyport/sallyport/proxy"
)

// seenFirst lets changes of items pass once somebody has seen them.
const seenFirst = `package policy.open_door

session.allow := true

statement.allow := true

statement.require_approval contains {"message": "changes items", "approvers": ["group:support-leads", "subject:support-agent"], "rule": "open-door/seen"} if {
	some table in input.statement.tables
	table.id == "public.items"
	some access in table.access
	access != "read"
}
`

func startHeldSidecar(t *testing.T, wait time.Duration) (*sidecar, *relay) {
	t.Helper()
	r, dsn := throughRelay(t)
	return startSidecar(t, sidecarOptions{SQL: "CREATE TABLE items (id int PRIMARY KEY, name text); INSERT INTO items VALUES (1, 'one'), (2, 'two')", DSN: dsn,
		Policies: map[string]string{"policy/open_door/open_door.rego": seenFirst, "bindings/open-door/data.yaml": openDoorBinding},
		Limits:   func(l *proxy.Limits) { l.ApprovalWait = wait }}), r
}

// agent is a raw client that is logged in.
func (s *sidecar) agent() *rawClient {
	s.t.Helper()
	c := s.raw()
	if e := c.login(protocol30, s.Token("support-agent")); e != nil {
		s.t.Fatalf("%+v", e)
	}
	return c
}

// held reads the notice that the statement is held and returns the approval's id.
func (c *rawClient) held() string {
	c.t.Helper()
	heard, _ := c.until("NoticeResponse")
	_, id, ok := strings.Cut(heard[len(heard)-1], "held for approval ")
	if !ok {
		c.t.Fatalf("heard %v", heard)
	}
	id, _, _ = strings.Cut(id, " ")
	return id
}

func (s *sidecar) name(id int) string {
	s.t.Helper()
	return one[string](s.t, s.Database.Connect(s.t), "SELECT name FROM items WHERE id = $1", id)
}

func TestHeldStatement(t *testing.T) {
	s, r := startHeldSidecar(t, time.Minute)
	ctx := t.Context()
	c := s.agent()
	ask := func(name string) string {
		t.Helper()
		c.send(&pgproto3.Query{String: fmt.Sprintf("UPDATE items SET name = '%s' WHERE id = 1", name)})
		return c.held()
	}
	t.Run("approved by somebody else", func(t *testing.T) {
		id := ask("approved")
		request, err := s.Approvals.Get(ctx, id)
		if err != nil || request.Statement != "UPDATE items SET name = 'approved' WHERE id = 1" || request.State != approval.Pending || len(request.Reasons) != 1 {
			t.Errorf("the approver sees %+v, %v", request, err)
		}
		// Neither oneself nor anybody approves, whatever the policy says.
		if _, err := s.Approvals.Decide(ctx, id, s.Principal("support-agent"), true, ""); !errors.Is(err, approval.ErrSelf) {
			t.Errorf("self-approval: %v", err)
		}
		if _, err := s.Approvals.Decide(ctx, id, s.Principal("schema-agent"), true, ""); !errors.Is(err, approval.ErrNotApprover) {
			t.Errorf("approval by a stranger: %v", err)
		}
		if r.Sent("'approved'") || s.name(1) != "one" {
			t.Error("the statement ran before it was approved")
		}
		_, err = s.Approvals.Decide(ctx, id, s.Principal("bob"), true, "fine")
		must(t, err)
		if heard, _ := c.until("ReadyForQuery"); strings.Join(heard, ",") != "CommandComplete,ReadyForQuery I" {
			t.Errorf("heard %v", heard)
		}
		if got := s.name(1); got != "approved" {
			t.Errorf("the name is %q", got)
		}
		if request, err = s.Approvals.Get(ctx, id); err != nil || request.State != approval.Consumed {
			t.Errorf("afterwards it is %+v, %v", request, err)
		}
	})
	t.Run("each statement anew", func(t *testing.T) {
		id := ask("approved")
		_, err := s.Approvals.Decide(ctx, id, s.Principal("alice"), false, "not twice")
		must(t, err)
		heard, e := c.until("ReadyForQuery")
		refusal(t, e, "ERROR", "42501", "not twice")
		if got := strings.Join(heard, ","); got != "ErrorResponse 42501,ReadyForQuery I" || !strings.Contains(e.Detail, id) {
			t.Errorf("heard %s, detail %s", got, e.Detail)
		}
	})
	t.Run("withdrawn by a cancel request", func(t *testing.T) {
		id := ask("cancelled")
		b, err := (&pgproto3.CancelRequest{ProcessID: c.Key.ProcessID, SecretKey: c.Key.SecretKey}).Encode(nil)
		must(t, err)
		canceller := s.raw()
		canceller.write(b)
		heard, e := c.until("ReadyForQuery")
		refusal(t, e, "ERROR", "57014", "withdrawn")
		if got := heard[len(heard)-1]; got != "ReadyForQuery I" {
			t.Errorf("heard %v", heard)
		}
		s.settled(t, id, approval.Withdrawn)
	})
	t.Run("not inside a transaction", func(t *testing.T) {
		c.send(&pgproto3.Query{String: "BEGIN"})
		c.until("ReadyForQuery")
		c.send(&pgproto3.Query{String: "UPDATE items SET name = 'x' WHERE id = 1"})
		heard, e := c.until("ReadyForQuery")
		refusal(t, e, "ERROR", "25001", "transaction")
		if got := strings.Join(heard, ","); got != "ErrorResponse 25001,ReadyForQuery E" {
			t.Errorf("heard %s", got)
		}
		c.send(&pgproto3.Query{String: "ROLLBACK"})
		c.until("ReadyForQuery")
		// nor behind a BEGIN of which the answer has not come
		c.send(&pgproto3.Parse{Query: "BEGIN"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{},
			&pgproto3.Parse{Query: "UPDATE items SET name = 'x' WHERE id = 1"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
		c.until("ReadyForQuery")
		heard, e = c.until("ReadyForQuery")
		refusal(t, e, "ERROR", "25001", "transaction")
		if got := heard[len(heard)-1]; got != "ReadyForQuery E" {
			t.Errorf("heard %v", heard)
		}
		// nor in one message with others that would be undone
		c.send(&pgproto3.Query{String: "ROLLBACK"})
		c.until("ReadyForQuery")
		c.send(&pgproto3.Parse{Query: "SELECT 1"}, &pgproto3.Bind{}, &pgproto3.Execute{},
			&pgproto3.Parse{Query: "UPDATE items SET name = 'x' WHERE id = 1"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
		_, e = c.until("ReadyForQuery")
		refusal(t, e, "ERROR", "25001", "transaction")
	})
	t.Run("by the extended protocol, with its parameters", func(t *testing.T) {
		c.send(&pgproto3.Parse{Name: "u", Query: "UPDATE items SET name = $1 WHERE id = $2"}, &pgproto3.Sync{})
		c.until("ReadyForQuery")
		c.send(&pgproto3.Bind{PreparedStatement: "u", Parameters: [][]byte{[]byte("bound"), []byte("2")}}, &pgproto3.Execute{}, &pgproto3.Execute{}, &pgproto3.Sync{})
		id := c.held()
		request, err := s.Approvals.Get(ctx, id)
		if err != nil || !strings.Contains(request.Statement, `$1 = "bound"`) || !strings.Contains(request.Statement, `$2 = "2"`) {
			t.Errorf("the approver sees %q, %v", request.Statement, err)
		}
		_, err = s.Approvals.Decide(ctx, id, s.Principal("bob"), true, "")
		must(t, err)
		heard, e := c.until("ReadyForQuery")
		refusal(t, e, "ERROR", "42501", "approval was used") // the second Execute
		if got := strings.Join(heard[:2], ","); got != "BindComplete,CommandComplete" {
			t.Errorf("heard %v", heard)
		}
		if got := s.name(2); got != "two" {
			t.Errorf("the pipeline failed and left %q", got)
		}
		c.send(&pgproto3.Bind{PreparedStatement: "u", Parameters: [][]byte{[]byte("bound"), []byte("2")}}, &pgproto3.Execute{}, &pgproto3.Sync{})
		_, err = s.Approvals.Decide(ctx, c.held(), s.Principal("bob"), true, "")
		must(t, err)
		if heard, _ := c.until("ReadyForQuery"); strings.Join(heard, ",") != "BindComplete,CommandComplete,ReadyForQuery I" {
			t.Errorf("heard %v", heard)
		}
		if got := s.name(2); got != "bound" {
			t.Errorf("the name is %q", got)
		}
	})
	t.Run("the policy is asked again", func(t *testing.T) {
		id := ask("outdated")
		s.change(seenFirst + closedItems)
		_, err := s.Approvals.Decide(ctx, id, s.Principal("bob"), true, "")
		must(t, err)
		_, e := c.until("ReadyForQuery")
		refusal(t, e, "ERROR", "42501", "items are closed")
		s.change(seenFirst)
	})
	t.Run("withdrawn by leaving", func(t *testing.T) {
		id := ask("left")
		must(t, c.conn.Close())
		s.settled(t, id, approval.Withdrawn)
		if _, err := s.Approvals.Decide(ctx, id, s.Principal("bob"), true, ""); !errors.Is(err, approval.ErrNotPending) {
			t.Errorf("approved afterwards: %v", err)
		}
	})
	for _, text := range []string{"'x'", "'left'", "'outdated'", "'cancelled'"} {
		if r.Sent("name = "+text) && text != "'x'" {
			t.Errorf("a statement with %s was forwarded", text)
		}
	}
	if got := s.name(1); got != "approved" {
		t.Errorf("in the end the name is %q", got)
	}
}

// settled waits for a request for approval to end as it should.
func (s *sidecar) settled(t *testing.T, id string, state approval.State) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), conversationTime)
	defer cancel()
	if request, err := s.Approvals.Wait(ctx, id); err != nil || request.State != state {
		t.Errorf("it is %s, %v, want %s", request.State, err, state)
	}
}

func TestHeldTooLong(t *testing.T) {
	s, r := startHeldSidecar(t, 50*time.Millisecond)
	c := s.agent()
	c.send(&pgproto3.Query{String: "UPDATE items SET name = 'late' WHERE id = 1"})
	id := c.held()
	heard, e := c.until("ReadyForQuery")
	refusal(t, e, "ERROR", "57014", "nobody answered approval "+id)
	if got := strings.Join(heard, ","); got != "ErrorResponse 57014,ReadyForQuery I" {
		t.Errorf("heard %s", got)
	}
	if _, err := s.Approvals.Decide(t.Context(), id, s.Principal("bob"), true, ""); err == nil {
		t.Error("it was approved afterwards")
	}
	if r.Sent("'late'") {
		t.Error("the statement was forwarded")
	}
}

// While a statement is held the session is there: what follows waits, and another
// session goes on.
func TestHeldInAPipeline(t *testing.T) {
	s, _ := startHeldSidecar(t, time.Minute)
	c := s.agent()
	c.send(&pgproto3.Query{String: "UPDATE items SET name = 'first' WHERE id = 1"}, &pgproto3.Query{String: "SELECT name FROM items WHERE id = 1"})
	id := c.held()
	other := s.agent()
	other.send(&pgproto3.Query{String: "SELECT name FROM items WHERE id = 1"})
	if heard, _ := other.until("ReadyForQuery"); strings.Join(heard, ",") != "RowDescription,DataRow,CommandComplete,ReadyForQuery I" {
		t.Errorf("the other heard %v", heard)
	}
	_, err := s.Approvals.Decide(t.Context(), id, s.Principal("alice"), true, "")
	must(t, err)
	if heard, _ := c.until("ReadyForQuery"); strings.Join(heard, ",") != "CommandComplete,ReadyForQuery I" {
		t.Errorf("heard %v", heard)
	}
	if heard, _ := c.until("ReadyForQuery"); strings.Join(heard, ",") != "RowDescription,DataRow,CommandComplete,ReadyForQuery I" {
		t.Errorf("heard %v", heard)
	}
}
