package catalog

import (
	"testing"

	"github.com/sallyport/sallyport/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestQuoteIdent: whatever the server's quote_ident quotes is quoted here too, and
// names it need not quote are not, but for words newer servers reserve.
func TestQuoteIdent(t *testing.T) {
	conn := pgtest.NewDatabase(t).Connect(t)
	names := []string{"a", "a1", "_x", "A", "1a", "a b", `a"b`, "", "é", "select", "user", "name", "between", "a$b", "interval", "authorization"}
	rows, err := conn.Query(t.Context(), `SELECT word FROM pg_get_keywords()`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var word string
		if err := rows.Scan(&word); err != nil {
			t.Fatal(err)
		}
		names = append(names, word)
	}
	for _, name := range names {
		var want string
		if err := conn.QueryRow(t.Context(), `SELECT quote_ident($1)`, name).Scan(&want); err != nil {
			t.Fatal(err)
		}
		if got := QuoteIdent(name); got != want && got != `"`+name+`"` {
			t.Errorf("%s: got %s, the server says %s", name, got, want)
		}
	}
	if QuoteIdent("customers") != "customers" || QuoteIdent("name") != "name" {
		t.Error("plain names are quoted")
	}
}
