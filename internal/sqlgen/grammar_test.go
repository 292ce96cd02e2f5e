package sqlgen

import "testing"

// TestGrammarIsWhole writes statements until every alternative was taken.
func TestGrammarIsWhole(t *testing.T) {
	g := NewGrammar(nil)
	for n := range uint64(30000) {
		g.Statement(Random(1, n))
	}
	for name, r := range g.rules {
		r.each(func(p *part) {
			for i, used := range p.used {
				if used == 0 {
					t.Errorf("%s: alternative %d is never taken", name, i)
				}
			}
		})
	}
}

// TestShrink finds the least choices for which a condition holds.
func TestShrink(t *testing.T) {
	fails := func(c *Choices) bool {
		sum := 0
		for range 20 {
			sum += c.Below(10)
		}
		return sum >= 12
	}
	c := Random(1, 1)
	if !fails(c) {
		t.Fatal("it does not fail")
	}
	least := Shrink(c.Taken(), 2000, fails)
	if len(least) > 3 || !fails(Given(least)) {
		t.Errorf("got %v", least)
	}
}
