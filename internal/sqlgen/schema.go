package sqlgen

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Sort is a type as expressions know it: "text" stands for varchar and char too,
// "int" for every whole number. Enums go by their own names.
type Sort string

// The sorts that are not enums.
const (
	Text  Sort = "text"
	Int   Sort = "int"
	Num   Sort = "num"
	Bool  Sort = "bool"
	Date  Sort = "date"
	Time  Sort = "time"
	JSON  Sort = "json"
	Texts Sort = "texts"
	UUID  Sort = "uuid"
)

// sortOf are the sorts of types, by their names without modifiers.
var sortOf = map[string]Sort{
	"text": Text, "character varying": Text, "character": Text,
	"smallint": Int, "integer": Int, "bigint": Int, "numeric": Num, "boolean": Bool,
	"date": Date, "timestamp with time zone": Time, "jsonb": JSON, "text[]": Texts, "uuid": UUID,
}

// Column is a column that expressions may name.
type Column struct {
	Name    string
	Sort    Sort
	NotNull bool
	Type    string
}

// Table is a relation that statements read and write.
type Table struct {
	Schema, Name string
	Kind         string // r, p, v, m as in pg_class
	Columns      []Column
	Key          []string // of the primary key
	Parent       bool     // other tables inherit from it
	Shadowed     bool     // its bare name means another one
}

// Schema is what there is to write statements about.
type Schema struct {
	Tables []*Table
	Labels map[Sort][]string // of enums
}

const columnsQuery = `
SELECT n.nspname, c.relname, c.relkind::text, a.attname, a.attnotnull, format_type(a.atttypid, NULL),
	coalesce(a.attnum = ANY (i.indkey), false), c.relhassubclass AND c.relkind = 'r', NOT pg_table_is_visible(c.oid),
	coalesce((SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = a.atttypid), '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE n.nspname !~ '^(pg_|information_schema)' AND c.relkind IN ('r', 'p', 'v', 'm') AND a.attgenerated = ''
ORDER BY n.nspname, c.relname, a.attnum`

// Read learns what is in a database. Columns of types that no expression is written
// for are left out.
func Read(ctx context.Context, conn *pgx.Conn) (*Schema, error) {
	rows, err := conn.Query(ctx, columnsQuery)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	s := &Schema{Labels: map[Sort][]string{}}
	var last *Table
	for rows.Next() {
		var t Table
		var c Column
		var key bool
		var labels string
		if err := rows.Scan(&t.Schema, &t.Name, &t.Kind, &c.Name, &c.NotNull, &c.Type, &key, &t.Parent, &t.Shadowed, &labels); err != nil {
			return nil, err
		}
		if last == nil || last.Schema != t.Schema || last.Name != t.Name {
			last = &t
			s.Tables = append(s.Tables, last)
		}
		c.Sort = sortOf[c.Type]
		if labels != "" {
			c.Sort = Sort(c.Type)
			s.Labels[c.Sort] = strings.Split(labels, ",")
		}
		if key {
			last.Key = append(last.Key, c.Name)
		}
		if c.Sort != "" {
			last.Columns = append(last.Columns, c)
		}
	}
	if len(s.Tables) == 0 {
		return nil, fmt.Errorf("the database has no tables")
	}
	return s, rows.Err()
}

func (t *Table) column(name string) *Column {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i]
		}
	}
	return nil
}

// ID is the table's name as a statement may write it.
func (t *Table) ID() string { return quote(t.Schema) + "." + quote(t.Name) }
