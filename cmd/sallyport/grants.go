package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

type requestCommand struct {
	Connection string        `required:"" placeholder:"NAME" help:"The database to be let in at."`
	Reason     string        `required:"" placeholder:"TEXT" help:"What the access is for; people read it."`
	TTL        time.Duration `name:"ttl" placeholder:"DURATION" help:"How long, such as 30m; default: as long as the binding allows."`
	Binding    string        `placeholder:"NAME" help:"Under which binding; default: whichever applies."`
	clientFlags
}

func (c *requestCommand) Run(ctx context.Context, p *program) error {
	api, err := c.client(p)
	if err != nil {
		return err
	}
	ask := admin.GrantRequest{Connection: c.Connection, Reason: c.Reason, Binding: c.Binding}
	if c.TTL != 0 {
		ask.TTL = c.TTL.String()
	}
	var g admin.Grant
	status, err := api.post(ctx, "/v1/grants", ask, &g)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(p.stdout, g)
	}
	if status == http.StatusOK {
		fmt.Fprintln(p.stdout, "There is a window already; it was not extended.")
	}
	return describeGrant(p.stdout, &g)
}

// describeGrant says how a window stands, in a sentence.
func describeGrant(w io.Writer, g *admin.Grant) (err error) {
	id, where := line(g.ID), line(g.Connection)
	switch g.State {
	case "active":
		_, err = fmt.Fprintf(w, "Window %s on %s is open until %s (binding %s).\n", id, where, moment(g.ExpiresAt), line(g.Binding))
	case "pending", "requested":
		_, err = fmt.Fprintf(w, "Window %s on %s waits until %s for %s.\nThey decide by: sallyport approve %s\n", id, where, moment(g.ExpiresAt),
			line(strings.Join(g.Approvers, " or ")), line(g.Approval))
	default:
		_, err = fmt.Fprintf(w, "Window %s on %s is %s.\n", id, where, line(g.State))
	}
	return err
}

type grantsCommands struct {
	List   grantsCommand      `cmd:"" default:"withargs" help:"List windows, newest first: a person sees all, a workload its own."`
	Revoke grantsCloseCommand `cmd:"" help:"Take a window away; its approvers may."`
	End    grantsEndCommand   `cmd:"" help:"Give a window back; whose it is may."`
}

type grantsCommand struct {
	State      string `default:"" enum:",requested,pending,active,refused,expired,revoked,ended" placeholder:"STATE" help:"Only those that are so."`
	Connection string `placeholder:"NAME" help:"Only those at this connection."`
	Limit      int    `default:"100" help:"How many at most."`
	clientFlags
}

func (c *grantsCommand) Run(ctx context.Context, p *program) error {
	api, err := c.client(p)
	if err != nil {
		return err
	}
	var answer struct {
		Grants []admin.Grant `json:"grants"`
	}
	err = api.get(ctx, "/v1/grants", parameters("state", c.State, "connection", c.Connection, "limit", fmt.Sprint(c.Limit)), &answer)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printJSON(p.stdout, answer.Grants)
	case len(answer.Grants) == 0:
		_, err := fmt.Fprintln(p.stdout, "no windows")
		return err
	}
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WINDOW\tSTATE\tWHO\tCONNECTION\tBINDING\tREQUESTED\tUNTIL\tAPPROVED BY\tREASON")
	for i := range answer.Grants {
		g := &answer.Grants[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", line(g.ID), line(g.State), line(g.Principal.String()), line(g.Connection),
			line(g.Binding), moment(g.RequestedAt), moment(g.ExpiresAt), line(g.ApprovedBy), short(g.Reason))
	}
	return t.Flush()
}

type grantsCloseCommand struct {
	ID     string `arg:"" help:"The window (g-…)."`
	Reason string `placeholder:"TEXT" help:"Why; who loses the window is told."`
	clientFlags
}

func (c *grantsCloseCommand) Run(ctx context.Context, p *program) error {
	return c.closeBy(ctx, p, "revoke")
}

type grantsEndCommand struct{ grantsCloseCommand }

func (c *grantsEndCommand) Run(ctx context.Context, p *program) error {
	return c.closeBy(ctx, p, "end")
}

func (c *grantsCloseCommand) closeBy(ctx context.Context, p *program, verb string) error {
	api, err := c.client(p)
	if err != nil {
		return err
	}
	var g admin.Grant
	if _, err := api.post(ctx, "/v1/grants/"+url.PathEscape(c.ID)+"/"+verb, map[string]string{"reason": c.Reason}, &g); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(p.stdout, g)
	}
	return describeGrant(p.stdout, &g)
}
