package query

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sallyport/sallyport/internal/pgtest"
)

// TestPositions: what is not resolved stands where the server says.
func TestPositions(t *testing.T) {
	const schema = "CREATE TABLE public.t (id int, txt text)"
	db := pgtest.NewDatabase(t, schema)
	conn := db.Connect(t).PgConn()
	analyzer := NewAnalyzer(snapshotOf(t, schema))
	for _, sql := range []string{
		"SELECT nosuch FROM t", "SELECT 'ä', nosuch FROM t", "SELECT t.nosuch FROM t", "SELECT id FROM t WHERE  x = 1", "SELECT 1 FROM nosuch",
		"SELECT id FROM t, public.nosuch", "SELECT nosuch(id) FROM t", "SELECT id, 'é' || nosuch(1, 2) FROM t", "SELECT u.id FROM t",
		"DELETE FROM t WHERE nosuch = 1", "SELECT (SELECT y) FROM t",
	} {
		_, err := conn.Prepare(t.Context(), "", sql, nil)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) {
			t.Fatalf("%s: %v", sql, err)
		}
		a := analyzeOne(t, analyzer, sql)
		if len(a.Shape.Unresolved) != 1 || a.Positions[a.Shape.Unresolved[0]] != int(refused.Position) {
			t.Errorf("%s: %v at %v, the server says %d", sql, a.Shape.Unresolved, a.Positions, refused.Position)
		}
	}
}
