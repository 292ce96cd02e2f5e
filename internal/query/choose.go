package query

import "github.com/sallyport/sallyport/internal/catalog"

// A candidate is a function or operator that a call may mean, with the types of the
// arguments as they are given.
type candidate struct {
	function *catalog.Function
	operator *catalog.Operator
	args     []catalog.OID
	result   catalog.OID

	position  int  // of its schema in the search path
	variadic  int  // how many arguments go into its VARIADIC one
	ambiguous bool // another one is as good
}

func sameTypes(a, b []catalog.OID) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// known reports whether the types of all arguments are known, if only as those of
// literals without one.
func known(inputs []catalog.OID) bool {
	for _, typ := range inputs {
		if typ == 0 {
			return false
		}
	}
	return true
}

// matching leaves those that can take the arguments.
func (r typeRules) matching(inputs []catalog.OID, candidates []*candidate) []*candidate {
	var kept []*candidate
	for _, c := range candidates {
		if r.coercible(inputs, c.args, implicit) {
			kept = append(kept, c)
		}
	}
	return kept
}

// choose is func_select_candidate: the one of several that PostgreSQL takes, or nil
// where it cannot decide.
func (r typeRules) choose(inputs []catalog.OID, candidates []*candidate) *candidate {
	base := make([]catalog.OID, len(inputs))
	categories := make([]byte, len(inputs))
	unknowns := 0
	for i, typ := range inputs {
		base[i] = typ
		if typ == unknownOID {
			unknowns++
			continue
		}
		base[i] = r.base(typ)
		categories[i], _ = r.category(base[i])
	}
	candidates = best(candidates, func(c *candidate) int {
		n := 0
		for i, typ := range base {
			if typ != unknownOID && c.args[i] == typ {
				n++
			}
		}
		return n
	})
	if len(candidates) == 1 {
		return candidates[0]
	}
	candidates = best(candidates, func(c *candidate) int {
		n := 0
		for i, typ := range base {
			if typ == unknownOID {
				continue
			}
			category, preferred := r.category(c.args[i])
			if c.args[i] == typ || preferred && category == categories[i] {
				n++
			}
		}
		return n
	})
	if len(candidates) == 1 {
		return candidates[0]
	}
	if unknowns == 0 {
		return nil
	}
	candidates = r.byCategory(base, candidates)
	if len(candidates) == 1 {
		return candidates[0]
	}
	return r.asTheOthers(base, candidates)
}

// best keeps those with the most points.
func best(candidates []*candidate, points func(*candidate) int) []*candidate {
	var kept []*candidate
	most := -1
	for _, c := range candidates {
		n := points(c)
		if n > most {
			most, kept = n, nil
		}
		if n == most {
			kept = append(kept, c)
		}
	}
	return kept
}

// byCategory decides what literals without a type are taken for: strings if a
// candidate takes some, else what all agree on; the preferred type of these.
func (r typeRules) byCategory(base []catalog.OID, candidates []*candidate) []*candidate {
	type slot struct {
		category  byte
		preferred bool
	}
	slots := make([]slot, len(base))
	for i, typ := range base {
		if typ != unknownOID {
			continue
		}
		conflict := false
		for j, c := range candidates {
			category, preferred := r.category(c.args[i])
			switch {
			case j == 0:
				slots[i] = slot{category, preferred}
			case category == slots[i].category:
				slots[i].preferred = slots[i].preferred || preferred
			case category == 'S':
				slots[i] = slot{category, preferred}
			default:
				conflict = true
			}
		}
		if conflict && slots[i].category != 'S' {
			return candidates
		}
	}
	var kept []*candidate
	for _, c := range candidates {
		keep := true
		for i, typ := range base {
			if typ != unknownOID {
				continue
			}
			category, preferred := r.category(c.args[i])
			keep = keep && category == slots[i].category && (preferred || !slots[i].preferred)
		}
		if keep {
			kept = append(kept, c)
		}
	}
	if len(kept) == 0 {
		return candidates
	}
	return kept
}

// asTheOthers takes literals without a type to be of the one type that all other
// arguments are of, if then only one candidate is left.
func (r typeRules) asTheOthers(base []catalog.OID, candidates []*candidate) *candidate {
	typ := unknownOID
	for _, t := range base {
		if t == unknownOID {
			continue
		}
		if typ != unknownOID && typ != t {
			return nil
		}
		typ = t
	}
	if typ == unknownOID {
		return nil
	}
	all := make([]catalog.OID, len(base))
	for i := range all {
		all[i] = typ
	}
	if kept := r.matching(all, candidates); len(kept) == 1 {
		return kept[0]
	}
	return nil
}
