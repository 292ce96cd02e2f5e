package query

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/pgtest"
)

// notFound are the SQLSTATEs by which a server says that a name means nothing, or
// more than one thing.
var notFound = map[string]bool{
	"42703": true, "42P01": true, "42883": true, "42702": true, "42704": true, "3F000": true, "42725": true,
}

// TestAgainstServer gives every statement of testdata/query to a real server as
// well: what the server does not find must be unresolved, what it finds must not
// be, and output columns must have the names and origins that the server says.
func TestAgainstServer(t *testing.T) {
	schema, err := os.ReadFile(filepath.Join(casesDir, "schema.sql"))
	if err != nil {
		t.Fatal(err)
	}
	db := pgtest.NewDatabase(t, string(schema))
	source, err := catalog.Open(t.Context(), catalog.Config{DSN: db.DSN()})
	if err != nil {
		t.Fatal(err)
	}
	source.Close()
	analyzer := NewAnalyzer(source.Snapshot())
	conn := db.Connect(t).PgConn()
	if _, err := conn.Exec(t.Context(), `CREATE ROLE agent; SET search_path = "$user", app, public; SET check_function_bodies = off`).ReadAll(); err != nil {
		t.Log(err) // the role may be there
	}
	checked := 0
	for _, sql := range caseStatements(t) {
		statements, err := Parse(sql, Limits{})
		if err != nil || len(statements) != 1 {
			continue
		}
		described, err := conn.Prepare(t.Context(), "", sql, nil)
		var refused *pgconn.PgError
		if err != nil && !errors.As(err, &refused) {
			t.Fatalf("%s: %v", sql, err)
		}
		s := analyzer.newState(statements[0], testEnv)
		var outputs []output
		if sel := statements[0].Node.GetSelectStmt(); sel != nil {
			outputs = s.topSelect(sel)
			if s.into {
				outputs = nil
			}
		} else {
			s.statement(statements[0].Node)
		}
		s.finish()
		a := s.out
		switch {
		case a.Refusal != nil || a.Call != nil || a.Setting != nil:
		case refused != nil && strings.HasPrefix(refused.Message, "operator does not exist"):
			// Operands' types are only known in part: it is the server's to refuse.
		case refused != nil && notFound[refused.Code]:
			if a.Shape.Complete {
				t.Errorf("%s: the server says %q, the analysis is complete", sql, refused.Message)
			}
		case len(outputs) == 0 && a.Shape.Class != "read" && a.Shape.Class != "write":
			// The server looks at these only when it runs them.
		case refused == nil && !a.Shape.Complete && a.Copy == CopyNone:
			t.Errorf("%s: the server takes it, unresolved are %v", sql, a.Shape.Unresolved)
		case refused == nil:
			checked++
			checkOutputs(t, source.Snapshot(), sql, a, outputs, described)
		}
	}
	if checked < 230 {
		t.Errorf("only %d statements could be compared", checked)
	}
}

func checkOutputs(t *testing.T, snapshot *catalog.Snapshot, sql string, a *Analysis, outputs []output, described *pgconn.StatementDescription) {
	t.Helper()
	if outputs != nil && len(outputs) != len(described.Fields) {
		t.Errorf("%s: %d output columns, the server says %d", sql, len(outputs), len(described.Fields))
		return
	}
	plain := map[string]bool{}
	for _, c := range a.Shape.Columns {
		if contains(c.Uses, "projected") || contains(c.Uses, "returned") {
			plain[c.ID] = true
		}
	}
	for i, f := range described.Fields {
		if outputs != nil {
			if outputs[i].name != f.Name {
				t.Errorf("%s: column %d is named %q, the server says %q", sql, i+1, outputs[i].name, f.Name)
			}
			if typ := outputs[i].value.typ; typ != 0 && uint32(typ) != f.DataTypeOID && baseType(snapshot, typ) != f.DataTypeOID {
				t.Errorf("%s: column %d has type %d, the server says %d", sql, i+1, typ, f.DataTypeOID)
			}
		}
		r := snapshot.RelationByOID(catalog.OID(f.TableOID))
		if r == nil {
			continue
		}
		for _, c := range r.Columns {
			if c.Number == int16(f.TableAttributeNumber) && !plain[columnID(r, c.Name)] {
				t.Errorf("%s: the server says column %d is %s as it is, the analysis does not: %v", sql, i+1, columnID(r, c.Name), a.Shape.Columns)
			}
		}
	}
}

// baseType is what a domain is on the wire.
func baseType(snapshot *catalog.Snapshot, oid catalog.OID) uint32 {
	for t := snapshot.TypeByOID(oid); t != nil; t = snapshot.TypeByOID(oid) {
		if t.Kind != 'd' {
			break
		}
		oid = t.Base
	}
	return uint32(oid)
}

func caseStatements(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(casesDir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	honest, err := os.ReadFile(filepath.Join(casesDir, "honest.sql"))
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, strings.Split(strings.TrimSpace(string(honest)), "\n\n")...)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range strings.Split(string(content), "\n\n") {
			if sql, _, found := strings.Cut(block+"\n", "\n----\n"); found {
				all = append(all, sql)
			}
		}
	}
	return all
}
