package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sallyport/sallyport/internal/pgwire"
)

// What is streamed: a table with masked columns, and its twin, in which the masks'
// values stand.
const (
	streamReal = "stream_real"
	streamTwin = "stream_twin"
	streamFill = `CREATE TABLE stream_real AS
	SELECT n AS id, 'Person ' || n AS name, 'person' || n || '@example.com' AS email, '4000' || lpad(n::text, 12, '0') AS card,
	       'Lisbon' AS city, timestamptz '2026-01-01' + n * interval '1 minute' AS created
	  FROM generate_series(1, %d) AS n;
CREATE TABLE stream_twin AS
	SELECT id, name, 'p***@example.com' AS email, repeat('*', 12) || right(card, 4) AS card, city, created FROM stream_real ORDER BY id;
ANALYZE stream_real, stream_twin`
)

// streamPolicy masks two columns, and sets no limits.
var streamPolicy = map[string]string{
	"policy/stream/stream.rego": `# METADATA
# title: Reading the tables that are streamed
package policy.stream

import data.sallyport.sql

session.allow := true

statement.allow if sql.read_only

masks := {"public.stream_real.email": "email", "public.stream_real.card": {"partial": {"keep_last": 4}}}

statement.mask contains {"column": column.id, "with": masks[column.id]} if some column in input.statement.columns
`,
	"bindings/stream/data.yaml": `policy: stream
connection: prod-replica
subjects: [pgbench]
grant: on-request
ttl: ` + benchTTL + `
`,
}

// streamed is what is measured of one way to read the table.
type streamed struct {
	name  string
	sql   string // with the table as %s
	takes [len(streamWays)][]time.Duration
}

// streamWays are compared: the twin directly, the twin through sallyport, which masks
// nothing, and the table itself, masked.
var streamWays = [...]struct {
	name, way, table string
}{
	{"twin, direct", direct, streamTwin},
	{"twin, sallyport", throughStream, streamTwin},
	{"masked, sallyport", throughStream, streamReal},
}

func streams() []*streamed {
	const columns = "id, name, email, card, city, created"
	return []*streamed{
		{name: "SELECT", sql: "SELECT " + columns + " FROM %s"},
		{name: "COPY query", sql: "COPY (SELECT " + columns + " FROM %s) TO STDOUT"},
	}
}

// stream has every way read the whole table in every round, taking turns.
func (r *rig) stream(ctx context.Context, rows, rounds int) ([]*streamed, error) {
	list := streams()
	conns := map[string]*wire{}
	for _, way := range r.ways {
		if way.name != direct && way.name != throughStream {
			continue
		}
		conn, err := way.connect(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", way.name, err)
		}
		defer conn.Close()
		conns[way.name] = conn
	}
	for round := range rounds + 1 { // the first is for warming up
		fmt.Fprintf(os.Stderr, "streaming, round %d of %d\n", round, rounds)
		for _, s := range list {
			bytes := 0
			for turn := range streamWays {
				i := (round + turn) % len(streamWays)
				way := streamWays[i]
				took, got, err := conns[way.way].read(fmt.Sprintf(s.sql, way.table), rows)
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", s.name, way.name, err)
				}
				if bytes != 0 && got != bytes {
					return nil, fmt.Errorf("%s, %s: %d bytes came, another way gave %d", s.name, way.name, got, bytes)
				}
				bytes = got
				if round > 0 {
					s.takes[i] = append(s.takes[i], took)
				}
			}
		}
	}
	return list, nil
}

// wire is a client that only counts what it is sent: it costs next to nothing.
type wire struct {
	io.Closer
	out io.Writer
	in  *pgwire.Reader
}

const wireBuffer = 256 << 10

func (w way) connect(ctx context.Context) (*wire, error) {
	config, err := pgconn.ParseConfig(w.dsn)
	if err != nil {
		return nil, err
	}
	for _, kv := range w.env {
		switch name, value, _ := strings.Cut(kv, "="); name {
		case "PGPASSWORD":
			config.Password = value
		case "PGOPTIONS":
			config.RuntimeParams["options"] = value
		}
	}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	taken, err := conn.Hijack()
	if err != nil {
		return nil, err
	}
	return &wire{Closer: taken.Conn, out: taken.Conn, in: pgwire.NewReader(taken.Conn, wireBuffer)}, nil
}

// read sends a query and takes what comes, of which so many must be rows.
func (w *wire) read(sql string, rows int) (took time.Duration, bytes int, err error) {
	start := time.Now()
	if _, err := w.out.Write(pgwire.AppendQuery(nil, sql)); err != nil {
		return 0, 0, err
	}
	for n := 0; ; {
		h, err := w.in.Next()
		if err != nil {
			return 0, 0, err
		}
		f, err := w.in.Read(h, 1<<20)
		if err != nil {
			return 0, 0, err
		}
		switch f.Type() {
		case pgwire.DataRow, pgwire.CopyData:
			n++
			bytes += len(f)
		case pgwire.ErrorResponse:
			return 0, 0, fmt.Errorf("%q", f.Body())
		case pgwire.ReadyForQuery:
			if n != rows {
				return 0, 0, fmt.Errorf("%d rows came of %d", n, rows)
			}
			return time.Since(start), bytes, nil
		}
	}
}

// printStreams writes a line for each thing streamed.
func printStreams(w io.Writer, list []*streamed, rows int) {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "statement\t")
	for _, way := range streamWays {
		fmt.Fprintf(t, "%s rows/s\t", way.name)
	}
	fmt.Fprint(t, "proxy alone\tmasked/direct\t\n")
	for _, s := range list {
		fmt.Fprintf(t, "%s\t", s.name)
		var rate [len(streamWays)]float64
		for i := range streamWays {
			sorted := slices.Sorted(slices.Values(s.takes[i]))
			rate[i] = float64(rows) / sorted[len(sorted)/2].Seconds()
			fmt.Fprintf(t, "%.0f\t", rate[i])
		}
		fmt.Fprintf(t, "%.2f\t%.2f\t\n", rate[1]/rate[0], rate[2]/rate[0])
	}
	_ = t.Flush() // nobody reads it
}
