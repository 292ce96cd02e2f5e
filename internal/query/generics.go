package query

import "github.com/sallyport/sallyport/internal/catalog"

// generics are the types that the polymorphic types of one call stand for; 0 is
// none, or one that is not known.
type generics struct {
	element, array, rng, multirange catalog.OID
	compatible                      catalog.OID
	compatibleRange                 catalog.OID
	compatibleMultirange            catalog.OID

	compatibles               []catalog.OID // what is given for anycompatible and its kin
	nonArray, enum            bool
	compatibleNonArray        bool
	open                      bool // something is given whose type is not known
	uses, usesCompatible, odd bool
}

// consistent is check_generic_type_consistency.
func (r typeRules) consistent(inputs, declared []catalog.OID) bool {
	g, ok := r.gather(inputs, declared)
	return ok && r.settle(&g)
}

// gather notes what each polymorphic argument is given; ok is false when two that
// must be one type are not.
func (r typeRules) gather(inputs, declared []catalog.OID) (g generics, ok bool) {
	for i, typ := range declared {
		if i >= len(inputs) || !polymorphic(typ) {
			continue
		}
		switch typ {
		case anyElementOID, anyArrayOID, anyNonArrayOID, anyEnumOID, anyRangeOID, anyMultirangeOID:
			g.uses = true
		default:
			g.usesCompatible = true
		}
		g.nonArray = g.nonArray || typ == anyNonArrayOID
		g.enum = g.enum || typ == anyEnumOID
		g.compatibleNonArray = g.compatibleNonArray || typ == anyCompatibleNonArrayOID
		switch inputs[i] {
		case unknownOID:
			continue
		case 0:
			g.open = true
			continue
		}
		if !r.give(&g, typ, inputs[i]) {
			return g, false
		}
	}
	return g, true
}

// give notes what one polymorphic argument is given.
func (r typeRules) give(g *generics, declared, actual catalog.OID) bool {
	take := func(slot *catalog.OID, typ catalog.OID) bool {
		if *slot != 0 && *slot != typ {
			return false
		}
		*slot = typ
		return true
	}
	flat := r.base(actual)
	switch declared {
	case anyElementOID, anyNonArrayOID, anyEnumOID:
		return take(&g.element, actual)
	case anyArrayOID:
		return take(&g.array, flat)
	case anyRangeOID:
		return take(&g.rng, flat)
	case anyMultirangeOID:
		return take(&g.multirange, flat)
	case anyCompatibleOID, anyCompatibleNonArrayOID:
		g.compatibles = append(g.compatibles, actual)
	case anyCompatibleArrayOID:
		element := r.element(flat)
		g.compatibles = append(g.compatibles, element)
		return element != 0
	case anyCompatibleRangeOID:
		return r.rangeOf(flat) != 0 && take(&g.compatibleRange, flat)
	case anyCompatibleMultirangeOID:
		return r.multirangeOf(flat) != 0 && take(&g.compatibleMultirange, flat)
	}
	return true
}

// rangeOf is what a range type is of.
func (r typeRules) rangeOf(typ catalog.OID) catalog.OID {
	if t := r.TypeByOID(typ); t != nil && t.Kind == 'r' {
		return t.Subtype
	}
	return 0
}

// multirangeOf is the range type that a multirange type is of.
func (r typeRules) multirangeOf(typ catalog.OID) catalog.OID {
	if t := r.TypeByOID(typ); t != nil && t.Kind == 'm' {
		return t.Subtype
	}
	return 0
}

// settle tells from what was given what else the types are, and whether all agrees.
func (r typeRules) settle(g *generics) bool {
	agree := func(slot *catalog.OID, typ catalog.OID) bool {
		if *slot == 0 {
			*slot = typ
		}
		return typ != 0 && *slot == typ
	}
	if g.array == anyArrayOID {
		g.odd = true // statistics: of what, only the row tells
	} else if g.array != 0 && !agree(&g.element, r.element(g.array)) {
		return false
	}
	if g.multirange != 0 && !agree(&g.rng, r.multirangeOf(g.multirange)) {
		return false
	}
	if g.rng != 0 && !agree(&g.element, r.rangeOf(g.rng)) {
		return false
	}
	if g.nonArray && r.element(r.base(g.element)) != 0 {
		return false
	}
	if g.enum && !(g.open && g.element == 0) {
		if t := r.TypeByOID(g.element); t == nil || t.Kind != 'e' {
			return false
		}
	}
	return r.settleCompatible(g)
}

func (r typeRules) settleCompatible(g *generics) bool {
	if g.compatibleMultirange != 0 {
		of := r.multirangeOf(g.compatibleMultirange)
		if g.compatibleRange != 0 && g.compatibleRange != of {
			return false
		}
		g.compatibleRange = of
	}
	if g.compatibleRange != 0 {
		g.compatibles = append(g.compatibles, r.rangeOf(g.compatibleRange))
	}
	if len(g.compatibles) == 0 {
		if g.usesCompatible && !g.open {
			g.compatible = textOID
		}
		return true
	}
	common, ok := r.common(g.compatibles)
	if !ok {
		return false
	}
	for _, typ := range g.compatibles {
		if !r.coercibleTo(typ, common, implicit) {
			return false
		}
	}
	if g.compatibleNonArray && r.element(r.base(common)) != 0 {
		return false
	}
	if g.compatibleRange != 0 && r.rangeOf(g.compatibleRange) != common {
		return false
	}
	if !g.open {
		g.compatible = common
	}
	return true
}

// stands is the type that a declared type stands for in the call, 0 when that is
// not known.
func (r typeRules) stands(g *generics, declared catalog.OID) catalog.OID {
	switch declared {
	case anyElementOID, anyNonArrayOID, anyEnumOID:
		return g.element
	case anyArrayOID:
		if g.array == 0 && g.element != 0 {
			return r.ArrayOf(g.element)
		}
		return g.array
	case anyRangeOID:
		return g.rng
	case anyMultirangeOID:
		if g.multirange == 0 {
			return r.MultirangeOf(g.rng)
		}
		return g.multirange
	case anyCompatibleOID, anyCompatibleNonArrayOID:
		return g.compatible
	case anyCompatibleArrayOID:
		return r.ArrayOf(g.compatible)
	case anyCompatibleRangeOID:
		return g.compatibleRange
	case anyCompatibleMultirangeOID:
		if g.compatibleMultirange == 0 {
			return r.MultirangeOf(g.compatibleRange)
		}
		return g.compatibleMultirange
	default:
		return declared
	}
}
