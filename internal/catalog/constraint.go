package catalog

import "slices"

// Constraint is what a write to a relation is checked against. Whether it holds can
// tell what is in the columns that take part.
type Constraint struct {
	Name    string
	Kind    ConstraintKind
	Columns []int16 // of the relation it is listed with; 0 stands for all
	Plain   []int16 // of a unique key: those compared as they are, of which a NULL equals no other
	// Of a foreign key: the relation at its other end, and the columns there.
	Other        OID
	OtherColumns []int16
}

// ConstraintKind says what a constraint compares.
type ConstraintKind byte

// Kinds of constraints.
const (
	UniqueKey  ConstraintKind = 'u' // a unique index, or an exclusion constraint: the row with all others
	Check      ConstraintKind = 'c' // CHECK, a row security policy or a partition's bounds: the row by itself
	ForeignKey ConstraintKind = 'f' // the relation's columns with those it refers to
	Referenced ConstraintKind = 'r' // the relation's columns with those that refer to them
)

// constraints reads what writes are checked against.
func (l *loader) constraints() error {
	for _, read := range []func() error{l.uniqueKeys, l.checks, l.foreignKeys} {
		if err := read(); err != nil {
			return err
		}
	}
	return nil
}

// uniqueKeys reads unique indexes and exclusion constraints. The columns of their
// expressions and predicates are known by what the index depends on, besides once on
// each column that it names unless a constraint does so for it.
func (l *loader) uniqueKeys() error {
	var relation OID
	var name string
	var columns, inside []int16
	return l.each(`SELECT i.indrelid, c.relname::text, (i.indkey::int2[])[0:i.indnkeyatts - 1],
			CASE WHEN i.indexprs IS NOT NULL OR i.indpred IS NOT NULL THEN ARRAY(
				SELECT d.refobjsubid::int2 FROM pg_catalog.pg_depend d
				WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = i.indexrelid
					AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = i.indrelid
				GROUP BY d.refobjsubid
				HAVING pg_catalog.count(*) > CASE WHEN d.refobjsubid = ANY (i.indkey) AND NOT EXISTS (
					SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')) THEN 1 ELSE 0 END
				ORDER BY 1) ELSE '{}' END
		FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
		WHERE (i.indisunique OR i.indisexclusion) AND i.indrelid >= 16384
		ORDER BY i.indrelid, c.relname`,
		[]any{&relation, &name, &columns, &inside}, func() error {
			k := Constraint{Name: name, Kind: UniqueKey, Columns: append([]int16(nil), inside...)}
			for _, n := range columns {
				if n != 0 { // an expression
					k.Columns, k.Plain = append(k.Columns, n), append(k.Plain, n)
				}
			}
			l.constrain(relation, k)
			return nil
		})
}

// checks reads CHECK constraints and row security policies.
func (l *loader) checks() error {
	var relation OID
	var name string
	var columns []int16
	return l.each(`SELECT conrelid, conname::text, conkey FROM pg_catalog.pg_constraint
		WHERE contype = 'c' AND conrelid <> 0 AND conkey IS NOT NULL
		UNION ALL
		SELECT p.polrelid, p.polname::text, ARRAY(
			SELECT d.refobjsubid::int2 FROM pg_catalog.pg_depend d
			WHERE d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND d.objid = p.oid
				AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = p.polrelid AND d.refobjsubid > 0)
		FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid AND c.relrowsecurity
		UNION ALL
		SELECT p.partrelid, 'partition key', p.partattrs::int2[] FROM pg_catalog.pg_partitioned_table p
		ORDER BY 1, 2`,
		[]any{&relation, &name, &columns}, func() error {
			l.constrain(relation, Constraint{Name: name, Kind: Check, Columns: append([]int16(nil), columns...)})
			return nil
		})
}

// foreignKeys reads them at both ends.
func (l *loader) foreignKeys() error {
	var from, to OID
	var name string
	var columns, others []int16
	return l.each(`SELECT conrelid, confrelid, conname::text, conkey, confkey FROM pg_catalog.pg_constraint
		WHERE contype = 'f' ORDER BY conrelid, conname, confrelid`,
		[]any{&from, &to, &name, &columns, &others}, func() error {
			own, other := append([]int16(nil), columns...), append([]int16(nil), others...)
			l.constrain(from, Constraint{Name: name, Kind: ForeignKey, Columns: own, Other: to, OtherColumns: other})
			l.constrain(to, Constraint{Name: name, Kind: Referenced, Columns: other, Other: from, OtherColumns: own})
			return nil
		})
}

func (l *loader) constrain(relation OID, c Constraint) {
	if r := l.s.relationsByOID[relation]; r != nil {
		r.Constraints = append(r.Constraints, c)
	}
}

// defaults reads which columns have a default that gives the same to everybody:
// others are drawn from a sequence or from chance.
func (l *loader) defaults() error {
	var relation OID
	var number int16
	return l.each(`SELECT a.attrelid, a.attnum
		FROM pg_catalog.pg_attribute a
		JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
		LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		WHERE a.attnum > 0 AND a.attrelid >= 16384 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = ''
			AND (d.oid IS NOT NULL AND pg_catalog.pg_get_expr(d.adbin, d.adrelid) !~ '^(nextval\(|gen_random_uuid\(\)|NULL)'
				OR d.oid IS NULL AND t.typdefault IS NOT NULL)`,
		[]any{&relation, &number}, func() error {
			if c := l.s.relationsByOID[relation].number(number); c != nil {
				c.Default = true
			}
			return nil
		})
}

// Of returns the columns of a relation that take part in a constraint, with those
// that generated ones are made of.
func (r *Relation) Of(numbers []int16) []*Column {
	columns := r.Numbered(numbers)
	for _, c := range slices.Clone(columns) {
		columns = append(columns, r.Sources(c)...)
	}
	return columns
}

// Numbered returns the columns of these numbers; 0 stands for all.
func (r *Relation) Numbered(numbers []int16) []*Column {
	var columns []*Column
	for _, n := range numbers {
		if n == 0 {
			return slices.Clone(r.Columns)
		}
		if c := r.number(n); c != nil {
			columns = append(columns, c)
		}
	}
	return columns
}
