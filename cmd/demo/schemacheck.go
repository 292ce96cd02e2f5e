package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

var schemaCheck = chapter{"A window, for the catalog and no data: jit-schema-checks", []step{
	{"the binding that rules the schema agent", "jit-schema-checks, word for word", readBinding},
	{"schema-agent connects, reads the catalog at once", "refused, and told how to ask", beforeWindow},
	{"it asks: SELECT sallyport.request('weekly schema check')", "a window of 30 minutes", requestBySQL},
	{"in the same session: information_schema.columns", "the columns of customers", readCatalog},
	{"psql as the same agent: \\d customers", "the table, as psql shows it", describeTable},
	{"SELECT * FROM customers", "refused, and told what to read instead", readData},
}}

const (
	bindingFile = "bindings/jit-schema-checks/data.yaml"
	// schemaBinding is the promise that this demo began with.
	schemaBinding = `policy: jit-schema-checks
connection: prod-replica
grant: on-request
ttl: 30m
record: true
`
	columnsOfCustomers = `SELECT string_agg(column_name, ', ' ORDER BY ordinal_position)
		FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'customers'`
)

func readBinding(_ context.Context, s *stage) (outcome, error) {
	content, err := os.ReadFile(filepath.Join(s.env["POLICIES_DIR"], bindingFile))
	if err != nil {
		return outcome{}, err
	}
	if string(content) != schemaBinding {
		return outcome{}, fmt.Errorf("other words:\n%s", content)
	}
	return outcome{bindingFile, string(content)}, nil
}

func beforeWindow(ctx context.Context, s *stage) (outcome, error) {
	var err error
	if s.schema, err = s.connect(ctx, "schema-agent"); err != nil {
		return outcome{}, err
	}
	var columns string
	err = s.schema.QueryRow(ctx, columnsOfCustomers).Scan(&columns)
	return refused(err, "42501", "window", "SELECT sallyport.request(")
}

func requestBySQL(ctx context.Context, s *stage) (outcome, error) {
	rows, err := s.schema.Query(ctx, "SELECT sallyport.request('weekly schema check')")
	if err != nil {
		return outcome{}, err
	}
	defer rows.Close()
	got := map[string]string{}
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return outcome{}, err
		}
		for i, f := range rows.FieldDescriptions() {
			got[f.Name], _ = values[i].(string) // NULL is ""
		}
	}
	if rows.Err() != nil {
		return outcome{}, rows.Err()
	}
	if got["state"] != "active" || got["binding"] != "jit-schema-checks" || got["grant"] == "" {
		return outcome{}, fmt.Errorf("%v", got)
	}
	return outcome{came: got["grant"] + ": " + got["message"]}, nil
}

func readCatalog(ctx context.Context, s *stage) (outcome, error) {
	var columns string
	if err := s.schema.QueryRow(ctx, columnsOfCustomers).Scan(&columns); err != nil {
		return outcome{}, err
	}
	const want = "id, name, email, phone, ssn, city, created_at"
	if columns != want {
		return outcome{}, differs("the list", columns, want)
	}
	return outcome{came: columns}, nil
}

func describeTable(ctx context.Context, s *stage) (outcome, error) {
	token, err := s.token(ctx, "schema-agent")
	if err != nil {
		return outcome{}, err
	}
	seen, exit, err := s.psql(ctx, token, `\d customers`)
	if err != nil {
		return outcome{}, err
	}
	if missing := lacks(seen, `Table "public.customers"`, "customers_pkey", "Referenced by:"); missing != "" || exit != 0 {
		return outcome{}, fmt.Errorf("exit %d without %q:\n%s", exit, missing, seen)
	}
	return outcome{fmt.Sprintf("%d lines", strings.Count(seen, "\n")), seen}, nil
}

func readData(ctx context.Context, s *stage) (outcome, error) {
	var name string
	err := s.schema.QueryRow(ctx, "SELECT * FROM customers").Scan(&name)
	o, err := refused(err, "42501", "public.customers holds data", "jit-schema-checks/catalog-only", "information_schema")
	if err != nil {
		return o, err
	}
	if s.schema.IsClosed() {
		return o, errors.New("the refusal ended the session")
	}
	return o, nil
}
