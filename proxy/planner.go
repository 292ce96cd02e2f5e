package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sallyport/sallyport/rego"
)

const (
	planners       = 3 // connections that plan at the same time, at most
	planTime       = time.Second
	planLockTime   = 250 * time.Millisecond
	plannerTimeout = 3 * time.Second // for everything, connecting included
)

// planner asks the server how it would run a statement, on connections of its own
// with the login of the sessions. They are opened when somebody asks.
type planner struct {
	config *pgconn.Config
	turns  chan struct{}
	idle   chan *pgconn.PgConn
}

func newPlanner(config *pgconn.Config) *planner {
	p := &planner{config: config.Copy(), turns: make(chan struct{}, planners), idle: make(chan *pgconn.PgConn, planners)}
	p.config.RuntimeParams["application_name"] = "sallyport estimate"
	p.config.RuntimeParams["client_encoding"] = "UTF8"
	p.config.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) {}
	return p
}

func (p *planner) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for range planners {
		p.turns <- struct{}{}
	}
	close(p.idle)
	for conn := range p.idle {
		_ = conn.Close(ctx)
	}
}

// planRequest is one statement with its parameters.
type planRequest struct {
	prepare string // sent first, for EXECUTE
	sql     string
	path    string // search_path as the server reads it
	values  [][]byte
	formats []int16
	types   []uint32
}

// explain never runs the statement: the transaction is read-only and rolled back.
func (p *planner) explain(ctx context.Context, r planRequest) (*rego.Estimate, error) {
	ctx, cancel := context.WithTimeout(ctx, plannerTimeout)
	defer cancel()
	select {
	case p.turns <- struct{}{}:
		defer func() { <-p.turns }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case conn := <-p.idle:
		e, err := p.explainOn(ctx, conn, r)
		if err == nil || !conn.IsClosed() || ctx.Err() != nil {
			return e, err
		}
	default:
	}
	conn, err := pgconn.ConnectConfig(ctx, p.config) // the first, or the server has restarted
	if err != nil {
		return nil, err
	}
	return p.explainOn(ctx, conn, r)
}

// explainOn keeps the connection, if it is still one.
func (p *planner) explainOn(ctx context.Context, conn *pgconn.PgConn, r planRequest) (*rego.Estimate, error) {
	e, err := explain(ctx, conn, r)
	if !conn.IsClosed() {
		p.idle <- conn
	}
	return e, err
}

const planSettings = `SELECT pg_catalog.set_config('search_path', $1, true), pg_catalog.set_config('statement_timeout', $2, true),
	pg_catalog.set_config('lock_timeout', $3, true)`

// explain sends everything at once and waits once.
func explain(ctx context.Context, conn *pgconn.PgConn, r planRequest) (*rego.Estimate, error) {
	milliseconds := func(d time.Duration) []byte { return fmt.Append(nil, d.Milliseconds()) }
	pipe := conn.StartPipeline(ctx)
	pipe.SendQueryParams("BEGIN READ ONLY", nil, nil, nil, nil)
	pipe.SendQueryParams(planSettings, [][]byte{[]byte(r.path), milliseconds(planTime), milliseconds(planLockTime)}, nil, nil, nil)
	answers := 3
	if r.prepare != "" {
		answers++
		pipe.SendQueryParams(r.prepare, nil, nil, nil, nil)
	}
	pipe.SendQueryParams("EXPLAIN (FORMAT JSON) "+r.sql, r.values, r.types, r.formats, nil)
	pipe.SendPipelineSync()
	pipe.SendQueryParams("ROLLBACK", nil, nil, nil, nil)
	if r.prepare != "" {
		pipe.SendQueryParams("DEALLOCATE ALL", nil, nil, nil, nil)
	}
	err := pipe.Sync()
	var plan []byte
	for i := 0; err == nil && i < answers; i++ {
		plan, err = readPlan(pipe)
	}
	if closing := pipe.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return nil, err
	}
	return readEstimate(plan)
}

func readPlan(pipe *pgconn.Pipeline) ([]byte, error) {
	results, err := pipe.GetResults()
	if err != nil {
		return nil, err
	}
	reader, ok := results.(*pgconn.ResultReader)
	if !ok {
		return nil, fmt.Errorf("%T instead of a result", results)
	}
	result := reader.Read()
	if result.Err != nil {
		return nil, result.Err
	}
	var plan []byte
	for _, row := range result.Rows {
		plan = append(plan, row[0]...)
	}
	return plan, nil
}

// planNode is what counts of a node of a plan.
type planNode struct {
	Type  string     `json:"Node Type"`
	Rows  float64    `json:"Plan Rows"`
	Cost  float64    `json:"Total Cost"`
	Plans []planNode `json:"Plans"`
}

// readEstimate sums over the plans, which are several where rules made more of one.
func readEstimate(plan []byte) (*rego.Estimate, error) {
	var plans []struct{ Plan planNode }
	if err := json.Unmarshal(plan, &plans); err != nil {
		return nil, fmt.Errorf("the plan cannot be read: %w", err)
	}
	if len(plans) == 0 {
		return nil, errors.New("there is no plan")
	}
	rows, cost := 0.0, 0.0
	for i := range plans {
		top := &plans[i].Plan
		rows += max(top.Rows, top.changed())
		cost += top.Cost
	}
	return &rego.Estimate{Rows: wholeRows(rows), Cost: cost}, nil
}

// changed counts the rows that the node, and those beneath, insert, update or delete.
func (n *planNode) changed() float64 {
	rows := 0.0
	for i := range n.Plans {
		if child := &n.Plans[i]; n.Type == "ModifyTable" {
			rows += child.Rows
		}
		rows += n.Plans[i].changed()
	}
	return rows
}

func wholeRows(rows float64) int64 {
	const most = 1 << 53 // what every reader of JSON keeps exact
	if math.IsNaN(rows) || rows > most {
		return most
	}
	return int64(rows)
}
