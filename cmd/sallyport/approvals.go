package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/sallyport/sallyport/internal/admin"
)

type approvalsCommand struct {
	ID         string `arg:"" optional:"" help:"Only this one (a-…), whole."`
	State      string `default:"pending" enum:"pending,approved,refused,withdrawn,expired,consumed,all" help:"Only those that are so: ${enum}."`
	Kind       string `default:"" enum:",grant,statement" placeholder:"KIND" help:"Only windows (grant) or statements (statement)."`
	Connection string `placeholder:"NAME" help:"Only those at this connection."`
	Limit      int    `default:"100" help:"How many at most."`
	clientFlags
}

func (c *approvalsCommand) Run(ctx context.Context, p *program) error {
	api, err := c.client(p)
	if err != nil {
		return err
	}
	if c.ID != "" {
		var a admin.Approval
		if err := api.get(ctx, "/v1/approvals/"+url.PathEscape(c.ID), nil, &a); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, a)
		}
		return describeApproval(p.stdout, &a)
	}
	state := c.State
	if state == "all" {
		state = ""
	}
	var answer struct {
		Approvals []admin.Approval `json:"approvals"`
	}
	err = api.get(ctx, "/v1/approvals", parameters("state", state, "kind", c.Kind, "connection", c.Connection, "limit", fmt.Sprint(c.Limit)), &answer)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printJSON(p.stdout, answer.Approvals)
	case len(answer.Approvals) == 0:
		_, err := fmt.Fprintln(p.stdout, "nothing waits")
		return err
	}
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "APPROVAL\tSTATE\tKIND\tWHO\tCONNECTION\tUNTIL\tAPPROVERS\tWHAT")
	for i := range answer.Approvals {
		a := &answer.Approvals[i]
		what := a.Statement
		if what == "" {
			what = a.Reason
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", line(a.ID), line(a.State), line(a.Kind), line(a.Requester.String()),
			line(a.Connection), moment(a.Deadline), line(strings.Join(a.Approvers, " ")), short(what))
	}
	return t.Flush()
}

// describeApproval shows everything that whoever decides should look at.
func describeApproval(w io.Writer, a *admin.Approval) error {
	t := &page{w: w}
	t.field("approval", a.ID+", "+a.State)
	t.field("who", a.Requester.String()+" ("+a.Requester.Subject+" of "+a.Requester.Issuer+")")
	t.field("where", a.Connection)
	t.field("window", a.Grant)
	t.field("session", a.Session)
	t.field("why", a.Reason)
	for _, reason := range a.Reasons {
		t.field("policy", reason)
	}
	t.field("touches", strings.Join(a.Relations, ", "))
	t.field("masked", strings.Join(a.Masks, ", "))
	t.field("approvers", strings.Join(a.Approvers, ", "))
	t.field("until", moment(a.Deadline))
	if a.DecidedBy != nil {
		t.field("decided", a.DecidedBy.String()+" at "+moment(a.DecidedAt))
	}
	t.field("comment", a.Comment)
	if a.Escaped {
		t.field("beware", "the statement holds characters that cannot be seen; they are written as \\u…")
	}
	if a.Statement != "" {
		t.text(a.Statement)
	}
	return t.err
}

type verdictFlags struct {
	ID      string `arg:"" help:"The request (a-…)."`
	Comment string `placeholder:"TEXT" help:"Why; whoever asked is told."`
	clientFlags
}

type approveCommand struct{ verdictFlags }

func (c *approveCommand) Run(ctx context.Context, p *program) error {
	return c.decide(ctx, p, "approve")
}

type refuseCommand struct{ verdictFlags }

func (c *refuseCommand) Run(ctx context.Context, p *program) error { return c.decide(ctx, p, "refuse") }

func (c *verdictFlags) decide(ctx context.Context, p *program, verb string) error {
	api, err := c.client(p)
	if err != nil {
		return err
	}
	var v admin.Verdict
	if _, err := api.post(ctx, "/v1/approvals/"+url.PathEscape(c.ID)+"/"+verb, map[string]string{"comment": c.Comment}, &v); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(p.stdout, v)
	}
	if v.Window != nil {
		return describeGrant(p.stdout, v.Window)
	}
	_, err = fmt.Fprintf(p.stdout, "%s is %s.\n", line(v.ID), line(v.State))
	return err
}
