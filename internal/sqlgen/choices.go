// Package sqlgen writes random SQL for tests.
package sqlgen

import (
	"math/rand/v2"
	"slices"
)

// Choices are what a generator decides by: drawn at random and written down, or
// given. The first choice is always the simplest, so that a list of choices with
// some left out or set to zero makes a smaller text: that is how Shrink works.
type Choices struct {
	random *rand.Rand
	given  []uint16
	taken  []uint16
}

// Random draws choices from a seed. Statement n of a seed is always the same.
func Random(seed, n uint64) *Choices {
	return &Choices{random: rand.New(rand.NewPCG(seed, n))}
}

// Given repeats choices. After their end every choice is the simplest.
func Given(choices []uint16) *Choices { return &Choices{given: choices} }

// FromBytes makes choices of a fuzzer's input.
func FromBytes(input []byte) *Choices {
	c := &Choices{}
	for _, b := range input {
		c.given = append(c.given, uint16(b))
	}
	return c
}

// Bytes are the choices that were made, for a fuzzer to change.
func (c *Choices) Bytes() []byte {
	var b []byte
	for _, choice := range c.taken {
		b = append(b, byte(choice))
	}
	return b
}

// Taken are the choices that were made.
func (c *Choices) Taken() []uint16 { return c.taken }

// Below returns a choice from 0 to n-1.
func (c *Choices) Below(n int) int {
	if n <= 1 {
		return 0
	}
	chosen := 0
	switch {
	case c.random != nil:
		chosen = c.random.IntN(n)
	case len(c.taken) < len(c.given):
		chosen = int(c.given[len(c.taken)]) % n
	}
	c.taken = append(c.taken, uint16(chosen))
	return chosen
}

// oneIn is true once in n times, and false when it is to be simple.
func (c *Choices) oneIn(n int) bool { return c.Below(n) == n-1 }

func pick[T any](c *Choices, of []T) T { return of[c.Below(len(of))] }

// word picks one of some words.
func (c *Choices) word(of ...string) string { return pick(c, of) }

// Shrink looks for fewer and smaller choices for which the statement still fails, and
// tries at most so many.
func Shrink(choices []uint16, tries int, fails func(*Choices) bool) []uint16 {
	best := slices.Clone(choices)
	attempt := func(candidate []uint16) bool {
		if tries <= 0 || slices.Equal(candidate, best) {
			return false
		}
		tries--
		c := Given(candidate)
		if !fails(c) {
			return false
		}
		// What was asked for beyond the end was zero, and what was not asked for goes.
		best = slices.Clone(c.taken)
		for len(best) > 0 && best[len(best)-1] == 0 {
			best = best[:len(best)-1]
		}
		return true
	}
	for again := true; again && tries > 0; {
		again = false
		for size := max(len(best)/2, 1); size > 0; size /= 2 {
			for at := 0; at+size <= len(best); {
				rest := slices.Concat(best[:at], best[at+size:])
				zeroed := slices.Clone(best)
				clear(zeroed[at : at+size])
				if attempt(rest) || attempt(zeroed) {
					again = true
				} else {
					at += size
				}
			}
		}
	}
	return best
}
