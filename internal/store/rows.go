package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// list reads rows, each with scan.
func list[T any](ctx context.Context, q querier, query string, args []any, scan func(*T) []any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		var v T
		if err := rows.Scan(scan(&v)...); err != nil {
			return nil, fmt.Errorf("state: %w", err)
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	return all, nil
}

// where collects conditions.
type where struct {
	conditions []string
	args       []any
}

func (w *where) equal(column, value string) {
	if value != "" {
		w.conditions = append(w.conditions, column+" = ?")
		w.args = append(w.args, value)
	}
}

func (w *where) flag(column string, set bool) {
	if set {
		w.conditions = append(w.conditions, column)
	}
}

func (w *where) String() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conditions, " AND ")
}

func limit(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" LIMIT %d", n)
}

// column pairs a column's name with where its value is in a T.
type column struct {
	name  string
	value any // pointer; times and JSON by the types below
}

func names(cs []column) string {
	all := make([]string, len(cs))
	for i, c := range cs {
		all[i] = c.name
	}
	return strings.Join(all, ", ")
}

func values(cs []column) []any {
	all := make([]any, len(cs))
	for i, c := range cs {
		all[i] = c.value
	}
	return all
}

// insert adds a row.
func insert(ctx context.Context, tx *sql.Tx, table string, cs []column) error {
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(cs)), ", ")
	_, err := tx.ExecContext(ctx, "INSERT INTO "+table+" ("+names(cs)+") VALUES ("+marks+")", values(cs)...)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

// update sets all columns of the row with the ID, which is the first column.
func update(ctx context.Context, tx *sql.Tx, table, id, state string, cs []column) error {
	set := make([]string, len(cs))
	for i, c := range cs {
		set[i] = c.name + " = ?"
	}
	args := append(values(cs), id, state)
	res, err := tx.ExecContext(ctx, "UPDATE "+table+" SET "+strings.Join(set, ", ")+" WHERE id = ? AND state = ?", args...)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return fmt.Errorf("state: %s %s changed %d rows instead of one: %w", table, id, n, err)
	}
	return nil
}

// instant keeps a time as nanoseconds, the zero time as 0.
type instant struct{ t *time.Time }

// document keeps a value as JSON.
type document struct{ v any }

func (d document) Scan(src any) error {
	switch s := src.(type) {
	case string:
		return json.Unmarshal([]byte(s), d.v)
	case []byte:
		return json.Unmarshal(s, d.v)
	default:
		return fmt.Errorf("%T where JSON belongs", src)
	}
}

func (i instant) Scan(src any) error {
	n, ok := src.(int64)
	switch {
	case !ok:
		return fmt.Errorf("%T where a time belongs", src)
	case n == 0:
		*i.t = time.Time{}
	default:
		*i.t = time.Unix(0, n).UTC()
	}
	return nil
}

// Value makes instant a driver.Valuer.
func (i instant) Value() (driver.Value, error) {
	if i.t.IsZero() {
		return int64(0), nil
	}
	return i.t.UnixNano(), nil
}

// Value makes document a driver.Valuer.
func (d document) Value() (driver.Value, error) {
	b, err := json.Marshal(d.v)
	return string(b), err
}
