package catalog

// Snapshot is what was known of one database at one moment. It is never changed
// once it is made, and may be shared.
type Snapshot struct {
	Database      string
	ServerVersion int // server_version_num: 150018
	Generation    uint64
	Role          string // that the catalog was read with, whose Access is noted

	schemas        map[string]bool
	usable         map[string]bool // of them, those that Role has USAGE on
	relations      map[name]*Relation
	relationsByOID map[OID]*Relation
	functions      map[name][]*Function
	functionsByOID map[OID]*Function
	types          map[name]*Type
	typesByOID     map[OID]*Type
	arrays         map[OID]OID // element to array type
	operators      map[string][]*Operator
	casts          map[OID][]Cast // by source
	castBetween    map[[2]OID]*Cast
	userCasts      []Cast        // those that run a function made by a user
	compared       map[OID][]OID // functions of users' making that compare values of a type
	relabels       map[OID][]OID // by casts without a function that users have made, implicit ones
	multiranges    map[OID]OID   // range to multirange type
	collations     map[OID]string
	comparable     map[OID]bool
}

type name struct{ schema, name string }

// Relation returns the relation of that exact name, or nil. Temporary relations
// of other sessions are not found by name.
func (s *Snapshot) Relation(schema, relation string) *Relation {
	return s.relations[name{schema, relation}]
}

// Relations are all relations that are not PostgreSQL's own, in no order.
func (s *Snapshot) Relations() []*Relation {
	var all []*Relation
	for _, r := range s.relationsByOID {
		if !r.System() {
			all = append(all, r)
		}
	}
	return all
}

// RelationByOID returns the relation, or nil.
func (s *Snapshot) RelationByOID(oid OID) *Relation { return s.relationsByOID[oid] }

// Functions returns the functions of that exact name.
func (s *Snapshot) Functions(schema, function string) []*Function {
	return s.functions[name{schema, function}]
}

// FunctionByOID returns the function, or nil.
func (s *Snapshot) FunctionByOID(oid OID) *Function { return s.functionsByOID[oid] }

// Type returns the type of that exact name, or nil.
func (s *Snapshot) Type(schema, typ string) *Type { return s.types[name{schema, typ}] }

// TypeByOID returns the type, or nil.
func (s *Snapshot) TypeByOID(oid OID) *Type { return s.typesByOID[oid] }

// ArrayOf returns the array type whose elements are of that type, or 0.
func (s *Snapshot) ArrayOf(elem OID) OID { return s.arrays[elem] }

// Operators returns the operators of that name in all schemas.
func (s *Snapshot) Operators(operator string) []*Operator { return s.operators[operator] }

// HasSchema reports whether the schema exists.
func (s *Snapshot) HasSchema(schema string) bool { return s.schemas[schema] }

// Collation returns the collation's quoted, qualified name, or "".
func (s *Snapshot) Collation(oid OID) string { return s.collations[oid] }

// Cast returns the cast from a type to another, or nil.
func (s *Snapshot) Cast(source, target OID) *Cast { return s.castBetween[[2]OID{source, target}] }

// Compares returns the functions of users' making that sort, group and compare
// values of exactly that type.
func (s *Snapshot) Compares(typ OID) []OID { return s.compared[typ] }

// UserCompares reports whether there are any such functions.
func (s *Snapshot) UserCompares() bool { return len(s.compared) > 0 }

// ComparedTypes are the types that have such functions, in no order.
func (s *Snapshot) ComparedTypes() []OID {
	all := make([]OID, 0, len(s.compared))
	for typ := range s.compared {
		all = append(all, typ)
	}
	return all
}

// UserMadeRelabels returns the types that values of a type are taken for as they
// are, by a cast that users have made.
func (s *Snapshot) UserMadeRelabels(typ OID) []OID { return s.relabels[typ] }

// MultirangeOf returns the multirange type of a range type, or 0.
func (s *Snapshot) MultirangeOf(typ OID) OID { return s.multiranges[typ] }

// UserCasts returns the casts that run a function made by a user.
func (s *Snapshot) UserCasts() []Cast { return s.userCasts }

// Coercible reports whether a value of the one type is taken for the other
// without being asked to: by an implicit cast, as a domain for its base, or
// because the target is polymorphic.
func (s *Snapshot) Coercible(from, to OID) bool {
	for range 32 {
		domain := s.typesByOID[to]
		if from == to || domain == nil || domain.Kind != 'd' {
			break
		}
		to = domain.Base
	}
	for range 32 { // domains over domains
		if s.coercible(from, to) {
			return true
		}
		domain := s.typesByOID[from]
		if domain == nil || domain.Kind != 'd' {
			return false
		}
		from = domain.Base
	}
	return false
}

func (s *Snapshot) coercible(from, to OID) bool {
	if from == to {
		return true
	}
	target, source := s.typesByOID[to], s.typesByOID[from]
	if target == nil || source == nil || target.Kind == 'p' || source.Kind == 'p' {
		return true // not known, or polymorphic: possible
	}
	if source.Kind == 'c' && target.Kind == 'c' {
		return true // inheritance
	}
	if source.Elem != 0 && target.Elem != 0 {
		return s.Coercible(source.Elem, target.Elem)
	}
	for _, cast := range s.casts[from] {
		if cast.Target == to {
			return cast.Implicit
		}
	}
	return false
}

// Ancestors returns the relations whose children the relation is, nearest first,
// each once.
func (s *Snapshot) Ancestors(r *Relation) []*Relation {
	if len(r.Parents) == 0 {
		return nil
	}
	var all []*Relation
	seen := map[OID]bool{r.OID: true}
	for queue := []*Relation{r}; len(queue) > 0; queue = queue[1:] {
		for _, oid := range queue[0].Parents {
			parent := s.relationsByOID[oid]
			if parent == nil || seen[oid] {
				continue
			}
			seen[oid] = true
			all = append(all, parent)
			queue = append(queue, parent)
		}
	}
	return all
}
