package rewrite

import (
	"testing"

	"github.com/sallyport/sallyport/internal/pgtest"
)

// TestWholeRows is TestCases of whole rows.
func TestWholeRows(t *testing.T) {
	real := newDatabase(t)
	twin := pgtest.NewDatabase(t, read(t, "schema.sql"), read(t, "texts", "twin.sql"))
	masks := readMasks(t, "texts")
	on, onTwin := connect(t, real.Database), connect(t, twin)
	cases := readCases(t, "wholerow")
	for _, c := range cases {
		t.Run(c.title, func(t *testing.T) { c.run(t, real, masks, on, onTwin) })
	}
	if *update {
		writeCases(t, "wholerow", cases)
	}
}
