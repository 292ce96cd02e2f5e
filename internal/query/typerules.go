package query

import "github.com/sallyport/sallyport/internal/catalog"

// The rules by which PostgreSQL's parser compares and converts types, as in its
// parse_coerce.c, answered from the snapshot. A type of 0 is one that is not known:
// of it everything is possible.

// Types that a call may be declared with, and that stand for others.
const (
	unknownOID                 = catalog.OID(705) // of a literal that nothing has given a type
	anyOID                     = catalog.OID(2276)
	anyArrayOID                = catalog.OID(2277)
	anyElementOID              = catalog.OID(2283)
	anyNonArrayOID             = catalog.OID(2776)
	anyEnumOID                 = catalog.OID(3500)
	anyRangeOID                = catalog.OID(3831)
	anyMultirangeOID           = catalog.OID(4537)
	anyCompatibleMultirangeOID = catalog.OID(4538)
	anyCompatibleOID           = catalog.OID(5077)
	anyCompatibleArrayOID      = catalog.OID(5078)
	anyCompatibleNonArrayOID   = catalog.OID(5079)
	anyCompatibleRangeOID      = catalog.OID(5080)
	recordArrayOID             = catalog.OID(2287)
	oidVectorOID               = catalog.OID(30)
	int2VectorOID              = catalog.OID(22)
)

func polymorphic(typ catalog.OID) bool {
	switch typ {
	case anyElementOID, anyArrayOID, anyNonArrayOID, anyEnumOID, anyRangeOID, anyMultirangeOID, anyCompatibleOID,
		anyCompatibleArrayOID, anyCompatibleNonArrayOID, anyCompatibleRangeOID, anyCompatibleMultirangeOID:
		return true
	default:
		return false
	}
}

// A coercion is how far PostgreSQL goes to make one type of another.
type coercion int

const (
	implicit coercion = iota
	assignment
	explicit
)

func (c coercion) allows(cast *catalog.Cast) bool {
	return c == explicit || cast.Implicit || c == assignment && cast.Assignment
}

// A pathway is what makes a value of one type of a value of another.
type pathway int

const (
	noPathway pathway = iota
	relabel
	byFunction
	byText
	byElement
)

type typeRules struct{ *catalog.Snapshot }

// base is the type beneath a domain.
func (r typeRules) base(typ catalog.OID) catalog.OID {
	for range 32 {
		t := r.TypeByOID(typ)
		if t == nil || t.Kind != 'd' {
			break
		}
		typ = t.Base
	}
	return typ
}

// element is the type of an array's elements, 0 when it is no array.
func (r typeRules) element(typ catalog.OID) catalog.OID {
	if t := r.TypeByOID(typ); t != nil {
		return t.Elem
	}
	return 0
}

// relationOf is the relation or type a composite type, or a domain over one, is of.
func (r typeRules) relationOf(typ catalog.OID) *catalog.Relation {
	t := r.TypeByOID(r.base(typ))
	if t == nil || t.Kind != 'c' {
		return nil
	}
	return r.RelationByOID(t.Relation)
}

func (r typeRules) complex(typ catalog.OID) bool {
	t := r.TypeByOID(r.base(typ))
	return t != nil && t.Kind == 'c'
}

// category and whether the type is the preferred one of it.
func (r typeRules) category(typ catalog.OID) (category byte, preferred bool) {
	if t := r.TypeByOID(typ); t != nil {
		return t.Category, t.Preferred
	}
	return 0, false
}

// pathway is find_coercion_pathway: how, and by which function of a cast.
func (r typeRules) pathway(source, target catalog.OID, how coercion) (pathway, catalog.OID) {
	source, target = r.base(source), r.base(target)
	if source == target {
		return relabel, 0
	}
	if cast := r.Cast(source, target); cast != nil {
		switch {
		case !how.allows(cast):
			return noPathway, 0
		case cast.Method == 'f':
			return byFunction, cast.Function
		case cast.Method == 'i':
			return byText, 0
		default:
			return relabel, 0
		}
	}
	if target != oidVectorOID && target != int2VectorOID {
		from, to := r.element(source), r.element(target)
		if from != 0 && to != 0 {
			if path, function := r.pathway(from, to, how); path != noPathway {
				return byElement, function
			}
		}
	}
	if category, _ := r.category(target); how >= assignment && category == 'S' {
		return byText, 0
	}
	if category, _ := r.category(source); how >= explicit && category == 'S' {
		return byText, 0
	}
	return noPathway, 0
}

// coercible is can_coerce_type.
func (r typeRules) coercible(inputs, targets []catalog.OID, how coercion) bool {
	generics := false
	for i, input := range inputs {
		target := targets[i]
		if polymorphic(target) {
			generics = true
		} else if !r.coercibleTo(input, target, how) {
			return false
		}
	}
	return !generics || r.consistent(inputs, targets)
}

func (r typeRules) coercibleTo(input, target catalog.OID, how coercion) bool {
	if input == target || target == anyOID || input == unknownOID || input == 0 || target == 0 {
		return true
	}
	if path, _ := r.pathway(input, target, how); path != noPathway {
		return true
	}
	switch {
	case input == recordOID && r.complex(target), target == recordOID && r.complex(input):
		return true
	case target == recordArrayOID && r.complex(r.element(input)):
		return true
	default:
		return r.descends(input, target)
	}
}

// descends reports whether rows of the one type are rows of the other: by
// inheritance, or of a table that was made OF a type.
func (r typeRules) descends(input, target catalog.OID) bool {
	child, parent := r.relationOf(input), r.relationOf(target)
	if child == nil || parent == nil {
		return false
	}
	if child.OfType != 0 && child.OfType == r.base(target) {
		return true
	}
	for _, ancestor := range r.Ancestors(child) {
		if ancestor == parent {
			return true
		}
	}
	return false
}

// common is select_common_type for values without a domain in common; ok is false
// when there is none. A type that is not known makes the answer 0.
func (r typeRules) common(types []catalog.OID) (typ catalog.OID, ok bool) {
	if len(types) == 0 {
		return 0, false
	}
	same := types[0] != unknownOID
	for _, t := range types {
		if t == 0 {
			return 0, true
		}
		same = same && t == types[0]
	}
	if same {
		return types[0], true
	}
	typ = r.base(types[0])
	category, preferred := r.category(typ)
	for _, t := range types[1:] {
		next := r.base(t)
		if next == unknownOID || next == typ {
			continue
		}
		c, p := r.category(next)
		switch {
		case typ == unknownOID:
			typ, category, preferred = next, c, p
		case c != category:
			return 0, false
		case !preferred && r.coercibleTo(typ, next, implicit) && !r.coercibleTo(next, typ, implicit):
			typ, preferred = next, p
		}
	}
	if typ == unknownOID {
		typ = textOID
	}
	return typ, true
}
