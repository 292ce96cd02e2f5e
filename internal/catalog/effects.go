package catalog

// Writes are ways of changing a relation's rows, as bits.
type Writes uint16

// As in pg_trigger.tgtype.
const (
	Inserts   Writes = 4
	Deletes   Writes = 8
	Updates   Writes = 16
	Truncates Writes = 32
)

// Effect is a function made by users that a write runs without naming it: of a
// trigger, a default, a generated column, a constraint of the table or of a domain,
// an index, a partition key, a row security policy.
type Effect struct {
	On       Writes
	Function OID
}

// Rule is a rule that makes something else of a write.
type Rule struct {
	On   Writes
	Name string
}

// Cascade is a foreign key that makes a write to a relation one to another.
type Cascade struct {
	On   Writes
	To   OID
	Then Writes
}

// effects reads what writes run.
func (l *loader) effects() error {
	var relation OID
	var effect Effect
	var on int32
	err := l.each(`
		WITH made(class, object, relation, writes) AS (
			SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass, oid, adrelid, 20 FROM pg_catalog.pg_attrdef
			UNION ALL
			SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, oid, conrelid, 20 FROM pg_catalog.pg_constraint WHERE conrelid <> 0
			UNION ALL
			SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, indexrelid, indrelid, 20 FROM pg_catalog.pg_index
			UNION ALL -- partition keys, and generated columns before 15
			SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, oid, oid, 20 FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'f')
			UNION ALL
			SELECT 'pg_catalog.pg_policy'::pg_catalog.regclass, oid, polrelid, 28 FROM pg_catalog.pg_policy
			UNION ALL -- with what WHEN calls
			SELECT 'pg_catalog.pg_trigger'::pg_catalog.regclass, oid, tgrelid, tgtype & 60 FROM pg_catalog.pg_trigger
			WHERE NOT tgisinternal AND tgenabled <> 'D'
		)
		SELECT m.relation, coalesced.function, m.writes
		FROM made m
		JOIN pg_catalog.pg_depend d ON d.classid = m.class AND d.objid = m.object
		LEFT JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
		CROSS JOIN LATERAL (SELECT CASE WHEN o.oid IS NULL THEN d.refobjid ELSE o.oprcode::oid END) AS coalesced(function)
		WHERE d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass OR o.oid IS NOT NULL
		UNION
		SELECT tgrelid, tgfoid, tgtype & 60 FROM pg_catalog.pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'
		ORDER BY 1, 2, 3`,
		[]any{&relation, &effect.Function, &on}, func() error {
			effect.On = Writes(on) //nolint:gosec // six bits
			l.effect(l.s.relationsByOID[relation], effect)
			return nil
		})
	if err != nil {
		return err
	}
	if err := l.domainChecks(); err != nil {
		return err
	}
	if err := l.rules(); err != nil {
		return err
	}
	return l.cascades()
}

// effect keeps what users have made.
func (l *loader) effect(r *Relation, e Effect) {
	if f := l.s.functionsByOID[e.Function]; r != nil && f != nil && !SystemSchema(f.Schema) {
		r.Effects = append(r.Effects, e)
	}
}

// domainChecks adds what the constraints of columns' domains call.
func (l *loader) domainChecks() error {
	checks := map[OID][]OID{}
	var typ, function OID
	err := l.each(`
		SELECT k.contypid, CASE WHEN o.oid IS NULL THEN d.refobjid ELSE o.oprcode::oid END
		FROM pg_catalog.pg_constraint k
		JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = k.oid
		LEFT JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
		WHERE k.contypid <> 0 AND (d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass OR o.oid IS NOT NULL)`,
		[]any{&typ, &function}, func() error {
			checks[typ] = append(checks[typ], function)
			t, f := l.s.typesByOID[typ], l.s.functionsByOID[function]
			if t != nil && f != nil && !SystemSchema(f.Schema) {
				t.Checks = append(t.Checks, function)
			}
			return nil
		})
	if err != nil || len(checks) == 0 {
		return err
	}
	for _, r := range l.s.relationsByOID {
		seen := map[OID]bool{}
		for _, c := range r.Columns {
			l.checked(r, c.Type, checks, seen)
		}
	}
	return nil
}

func (l *loader) checked(r *Relation, typ OID, checks map[OID][]OID, seen map[OID]bool) {
	t := l.s.typesByOID[typ]
	if t == nil || seen[typ] {
		return
	}
	seen[typ] = true
	for _, f := range checks[typ] {
		l.effect(r, Effect{On: Inserts | Updates, Function: f})
	}
	l.checked(r, t.Base, checks, seen)
	l.checked(r, t.Elem, checks, seen)
	if composite := l.s.relationsByOID[t.Relation]; composite != nil {
		for _, c := range composite.Columns {
			l.checked(r, c.Type, checks, seen)
		}
	}
}

func (l *loader) rules() error {
	var relation OID
	var event, rule string
	events := map[string]Writes{"2": Updates, "3": Inserts, "4": Deletes}
	return l.each(`SELECT ev_class, ev_type::text, rulename::text FROM pg_catalog.pg_rewrite
		WHERE ev_type <> '1' AND ev_enabled <> 'D' ORDER BY ev_class, rulename`,
		[]any{&relation, &event, &rule}, func() error {
			if r := l.s.relationsByOID[relation]; r != nil {
				r.Rules = append(r.Rules, Rule{On: events[event], Name: rule})
			}
			return nil
		})
}

func (l *loader) cascades() error {
	var from, to OID
	var onUpdate, onDelete string
	then := map[string]Writes{"c": Updates, "n": Updates, "d": Updates}
	return l.each(`SELECT confrelid, conrelid, confupdtype::text, confdeltype::text FROM pg_catalog.pg_constraint
		WHERE contype = 'f' ORDER BY confrelid, conrelid, oid`,
		[]any{&from, &to, &onUpdate, &onDelete}, func() error {
			r := l.s.relationsByOID[from]
			if r == nil {
				return nil
			}
			if w := then[onUpdate]; w != 0 {
				r.Cascades = append(r.Cascades, Cascade{On: Updates, To: to, Then: w})
			}
			if onDelete == "c" {
				r.Cascades = append(r.Cascades, Cascade{On: Deletes, To: to, Then: Deletes})
			} else if w := then[onDelete]; w != 0 {
				r.Cascades = append(r.Cascades, Cascade{On: Deletes, To: to, Then: w})
			}
			return nil
		})
}
