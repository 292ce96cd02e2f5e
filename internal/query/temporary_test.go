package query

import "testing"

func TestTemporarySchemasAreNotNamed(t *testing.T) {
	for sql, temporary := range map[string]bool{
		"SELECT * FROM pg_temp.x": false,
		"SELECT pg_temp.f()":      false,
		"CREATE FUNCTION pg_temp.x() RETURNS int LANGUAGE sql AS 'select 1'": false,
		"CREATE TABLE pg_temp_4.orders (id int)":                             true,
		"CREATE DOMAIN pg_temp.d AS text":                                    false,
		"ALTER TABLE app.t SET SCHEMA pg_temp":                               false,
		"SELECT 1::pg_temp.d":                                                false,
		`SELECT * FROM U&"pg\005ftemp".x`:                                    false,
		`CREATE TYPE U&"\0070g_temp_12".t AS ENUM ('a')`:                     true,
		"DROP TABLE pg_toast_temp_3.x":                                       true,
		"SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_temp'":       false,
		"SELECT pg_my_temp_schema(), 'pg_temp'":                              false,
		"SELECT temp FROM readings WHERE templates = 1":                      false,
	} {
		statements, err := Parse(sql, Limits{})
		if err != nil {
			t.Fatal(sql, err)
		}
		if got := namesSchema(statements[0].Node.ProtoReflect(), numbered); got != temporary {
			t.Errorf("%s: %v", sql, got)
		}
	}
}
