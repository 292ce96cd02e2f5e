package query

import "github.com/sallyport/sallyport/internal/catalog"

// coerce lists what runs when a value is made one of a type: functions of casts
// and constraints of domains. A literal or parameter without a type takes it.
func (s *state) coerce(v *value, target catalog.OID, how coercion) {
	if target == 0 || target == anyOID || polymorphic(target) {
		return
	}
	if v.typ == 0 && v.known {
		s.fix(v, target)
		s.constraints(target)
		return
	}
	if v.typ == target {
		return
	}
	s.constraints(target)
	if len(s.snapshot.UserCasts()) == 0 {
		return
	}
	switch {
	case v.typ == 0 && how == explicit:
		s.castTo(target)
	case v.typ == 0:
		s.unsure = true
	case v.fields != nil && s.rules().complex(target):
		s.coerceFields(v, target, how)
	default:
		if _, function := s.rules().pathway(v.typ, target, how); function.User() {
			s.addFunction(s.snapshot.FunctionByOID(function))
		}
	}
}

// coerceFields is coerce of ROW(…) to a composite type.
func (s *state) coerceFields(v *value, target catalog.OID, how coercion) {
	r := s.rules().relationOf(target)
	if r == nil || len(r.Columns) != len(v.fields) {
		s.unsure = true
		return
	}
	for i, c := range r.Columns {
		s.coerce(&v.fields[i], c.Type, how)
	}
}

// coerceAll is coerce of several values to one type.
func (s *state) coerceAll(values []value, target catalog.OID) {
	for i := range values {
		s.coerce(&values[i], target, implicit)
	}
}

// condition notes that a value is taken for true or false.
func (s *state) condition(v value) value {
	s.coerce(&v, boolOID, assignment)
	return v
}

// fix gives a parameter the type that is asked of it, as the server does where the
// client has given it none.
func (s *state) fix(v *value, typ catalog.OID) {
	if v.param == 0 {
		return
	}
	s.parameter(v.param, typ)
}

// common is the type that several values are made one of; 0 when it is not known.
func (s *state) common(values []value) catalog.OID {
	types := inputs(values)
	typ, ok := s.rules().common(types)
	if !ok {
		return 0
	}
	return typ
}

// constraints lists what the constraints of a domain run, and of what its values
// are made of.
func (s *state) constraints(typ catalog.OID) {
	t := s.snapshot.TypeByOID(typ)
	if s.storing || t == nil || t.Kind != 'd' && t.Kind != 'c' && t.Elem == 0 {
		return
	}
	if s.constrained[typ] {
		return
	}
	if s.constrained == nil {
		s.constrained = map[catalog.OID]bool{}
	}
	s.constrained[typ] = true
	for _, function := range t.Checks {
		s.addFunction(s.snapshot.FunctionByOID(function))
	}
	s.constraints(t.Base)
	s.constraints(t.Elem)
	if r := s.snapshot.RelationByOID(t.Relation); r != nil {
		for _, c := range r.Columns {
			s.constraints(c.Type)
		}
	}
}

// compares lists the functions of users' making that sort, group or compare values
// of a type: which of its operator classes' functions run is up to the planner.
func (s *state) compares(v value) {
	if !s.snapshot.UserCompares() {
		return
	}
	switch {
	case v.fields != nil:
		for _, f := range v.fields {
			s.compares(f)
		}
	case v.typ != 0:
		for _, typ := range s.madeOf(v.typ) {
			for _, function := range s.snapshot.Compares(typ) {
				s.addFunction(s.snapshot.FunctionByOID(function))
			}
		}
	case v.known:
	case v.row != nil:
		for _, c := range v.row.columns {
			s.compares(value{typ: c.typ})
		}
	default:
		s.unsureCompares = true
	}
}

// everyCompare is compares of a value whose type is not known.
func (s *state) everyCompare() {
	for _, typ := range s.snapshot.ComparedTypes() {
		if s.takesPart(typ) {
			for _, function := range s.snapshot.Compares(typ) {
				s.addFunction(s.snapshot.FunctionByOID(function))
			}
		}
	}
}

// madeOf is a type with those that its values are made of: elements, fields, bases,
// what a range is of, and what it is taken for as it is.
func (s *state) madeOf(typ catalog.OID) []catalog.OID {
	var list []catalog.OID
	seen := map[catalog.OID]bool{0: true}
	for queue := []catalog.OID{typ}; len(queue) > 0; queue = queue[1:] {
		t := s.snapshot.TypeByOID(queue[0])
		if t == nil || seen[t.OID] {
			continue
		}
		seen[t.OID] = true
		list = append(list, t.OID)
		queue = append(queue, t.Base, t.Elem, t.Subtype)
		if r := s.snapshot.RelationByOID(t.Relation); r != nil {
			for _, c := range r.Columns {
				queue = append(queue, c.Type)
			}
		}
		queue = append(queue, s.snapshot.UserMadeRelabels(t.OID)...)
	}
	return list
}

// jsonCasts lists the casts to json that functions which make JSON apply to values of
// users' types.
func (s *state) jsonCasts(v value) {
	if len(s.snapshot.UserCasts()) == 0 {
		return
	}
	types := s.madeOf(v.typ)
	if v.row != nil {
		for _, c := range v.row.columns {
			types = append(types, s.madeOf(c.typ)...)
		}
	}
	for _, cast := range s.snapshot.UserCasts() {
		if cast.Target != jsonOID && cast.Target != jsonbOID {
			continue
		}
		for _, typ := range types {
			if cast.Source == typ {
				s.addFunction(s.snapshot.FunctionByOID(cast.Function))
			}
		}
		if v.typ == 0 && !v.known && v.row == nil {
			s.addFunction(s.snapshot.FunctionByOID(cast.Function))
		}
	}
	for i := range v.fields {
		s.jsonCasts(v.fields[i])
	}
}

const jsonbOID = catalog.OID(3802)
