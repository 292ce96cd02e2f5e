package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/grant"
	"github.com/sallyport/sallyport/internal/pgwire"
	"github.com/sallyport/sallyport/internal/query"
)

// call is a call of one of sallyport's own functions, which the proxy answers
// itself: request(reason [, ttl [, binding]]), status() and end().
type call struct {
	name string
	args []query.Arg
}

func newCall(c *query.Call) (*call, *Refusal) {
	least, most := 0, 0
	switch c.Name {
	case "request":
		least, most = 1, 3
	case "status", "end":
	default:
		return nil, &Refusal{Code: "42883", Message: "function sallyport." + c.Name + " does not exist",
			Hint: "There are sallyport.request(reason, ttl, binding), sallyport.status() and sallyport.end()."}
	}
	if len(c.Args) < least || len(c.Args) > most {
		return nil, &Refusal{Code: "42883", Message: "function sallyport." + c.Name + " does not take " + count(int64(len(c.Args)), "argument"),
			Hint: "Call sallyport.request('reason'), optionally with a duration ('30 minutes') and the name of a binding."}
	}
	return &call{name: c.Name, args: c.Args}, nil
}

// callColumns are the columns of what every call returns.
var callColumns = []string{"grant", "state", "connection", "binding", "expires_at", "approval", "message"}

// answer is the one row of a call's result, all columns text.
type answer struct{ row []string }

const textOID = 25

// describe appends what Describe of a call answers.
func (c *call) describe(dst []byte, asStatement bool) []byte {
	if asStatement {
		n := 0
		for _, a := range c.args {
			n = max(n, a.Param)
		}
		body := binary.BigEndian.AppendUint16(nil, uint16(n))
		for range n {
			body = binary.BigEndian.AppendUint32(body, textOID)
		}
		dst = pgwire.AppendFrame(dst, pgwire.ParameterDesc, body)
	}
	return appendDescription(dst)
}

func appendDescription(dst []byte) []byte {
	body := binary.BigEndian.AppendUint16(nil, uint16(len(callColumns)))
	for _, name := range callColumns {
		body = append(append(body, name...), 0)
		body = binary.BigEndian.AppendUint32(body, 0)
		body = binary.BigEndian.AppendUint16(body, 0)
		body = binary.BigEndian.AppendUint32(body, textOID)
		body = binary.BigEndian.AppendUint16(body, 0xffff)
		body = binary.BigEndian.AppendUint32(body, 0xffffffff)
		body = binary.BigEndian.AppendUint16(body, 0)
	}
	return pgwire.AppendFrame(dst, pgwire.RowDescription, body)
}

// appendAll appends the result as a simple Query gets it.
func (a *answer) appendAll(dst []byte) []byte { return a.appendRows(appendDescription(dst)) }

// appendRows appends the result as Execute gets it.
func (a *answer) appendRows(dst []byte) []byte {
	body := binary.BigEndian.AppendUint16(nil, uint16(len(a.row)))
	for _, v := range a.row {
		if v == "" {
			body = binary.BigEndian.AppendUint32(body, 0xffffffff)
			continue
		}
		body = binary.BigEndian.AppendUint32(body, uint32(len(v)))
		body = append(body, v...)
	}
	dst = pgwire.AppendFrame(dst, pgwire.DataRow, body)
	return pgwire.AppendFrame(dst, pgwire.CommandComplete, []byte("SELECT 1\x00"))
}

// answer runs a call.
func (g *gate) answer(ctx context.Context, j *job, c *call, params []pgwire.Parameter) verdict {
	args, r := c.values(params)
	if r != nil {
		return g.refuse(ctx, j, nil, r)
	}
	var w grant.Grant
	message := ""
	switch c.name {
	case "request":
		w, message, r = g.requestWindow(ctx, args)
	case "status":
		w, message = g.lastWindow(ctx)
	case "end":
		w, message, r = g.endWindow(ctx)
	default:
		r = &Refusal{Code: codeInternal, Message: "unknown function"}
	}
	if r != nil {
		return verdict{refusal: r}
	}
	row := []string{w.ID, string(w.State), g.upstream.Name, w.Binding, stamp(w.ExpiresAt), w.ApprovalID, message}
	return verdict{outcome: answered, rows: &answer{row: row}}
}

// values joins literals and parameters.
func (c *call) values(params []pgwire.Parameter) ([]string, *Refusal) {
	out := make([]string, len(c.args))
	for i, a := range c.args {
		switch {
		case a.Param == 0:
			out[i] = a.Value
		case a.Param > len(params):
			return nil, &Refusal{Code: codeProtocol, Message: "a parameter of the call was not bound"}
		default:
			out[i] = string(params[a.Param-1].Value) // text is the same in both formats
		}
	}
	return out, nil
}

func (g *gate) requestWindow(ctx context.Context, args []string) (grant.Grant, string, *Refusal) {
	var ttl time.Duration
	binding := g.binding
	if len(args) > 1 && args[1] != "" {
		var err error
		if ttl, err = parseTTL(args[1]); err != nil {
			return grant.Grant{}, "", &Refusal{Code: "22023", Message: "the duration is not understood",
				Hint: "Write it as 30 minutes, 1 hour, 90s or 30m."}
		}
	}
	if len(args) > 2 && args[2] != "" {
		binding = args[2]
	}
	w, r := g.RequestWindow(ctx, g.upstream, g.principal, binding, args[0], ttl)
	if r != nil {
		return w, "", r
	}
	if w.State.Open() && w.Reason != strings.TrimSpace(args[0]) {
		return w, "there is a window already, asked for because: " + w.Reason + "; it was not extended: " + describeWindow(w), nil
	}
	if g.binding != "" && w.Binding != g.binding {
		return w, "the window is not under the binding of this session", nil
	}
	return w, describeWindow(w), nil
}

func (g *gate) lastWindow(ctx context.Context) (grant.Grant, string) {
	if w, open := g.window(); open {
		return w, describeWindow(w)
	}
	last, err := g.Grants.List(ctx, grant.Filter{PrincipalKey: g.principal.Key(), Connection: g.upstream.Name, Limit: 1})
	if err != nil || len(last) == 0 {
		return grant.Grant{State: "none"}, "no window is open. " + howToAsk
	}
	return last[0], describeWindow(last[0])
}

func (g *gate) endWindow(ctx context.Context) (grant.Grant, string, *Refusal) {
	w, open := g.window()
	if !open {
		w, message := g.lastWindow(ctx)
		return w, message, nil
	}
	w, err := g.Grants.End(ctx, w.ID, g.principal.Key(), "ended by the agent")
	if err != nil {
		g.Log.Error().Err(err).Msg("window ended, but that is not recorded yet")
	}
	return w, describeWindow(w), nil
}

func describeWindow(w grant.Grant) string {
	switch w.State {
	case grant.Active:
		return "the window is open until " + stamp(w.ExpiresAt.Truncate(time.Second))
	case grant.Pending, grant.Requested:
		return "waits for approval by " + strings.Join(w.Approvers, " or ")
	case grant.Refused:
		return "refused: " + w.Cause
	default:
		return "the window " + past(w.State) + ". " + howToAsk
	}
}

// parseTTL reads a duration as Go or people write it: 30m, 30 minutes, 1 hour.
func parseTTL(s string) (time.Duration, error) {
	s = strings.TrimSpace(strings.ToLower(s))
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return d, nil
	}
	number, unit, _ := strings.Cut(s, " ")
	suffix := map[string]string{
		"second": "s", "seconds": "s", "sec": "s", "secs": "s", "minute": "m", "minutes": "m", "min": "m", "mins": "m",
		"hour": "h", "hours": "h",
	}[strings.TrimSpace(unit)]
	d, err := time.ParseDuration(number + suffix)
	if err == nil && (d <= 0 || suffix == "") {
		err = errors.New("not a duration")
	}
	return d, err
}
