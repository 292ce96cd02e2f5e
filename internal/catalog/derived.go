package catalog

import (
	"bytes"
	"slices"
)

// copying reads what the triggers that PostgreSQL brings along copy from column to
// column: those that keep a tsvector up to date.
func (l *loader) copying() error {
	var relation OID
	var args []byte
	return l.each(`SELECT t.tgrelid, t.tgargs
		FROM pg_catalog.pg_trigger t
		JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
		JOIN pg_catalog.pg_language l ON l.oid = p.prolang AND l.lanname = 'internal'
		WHERE p.prosrc IN ('tsvector_update_trigger_byid', 'tsvector_update_trigger_bycolumn')
		ORDER BY t.tgrelid, t.oid`,
		[]any{&relation, &args}, func() error {
			r := l.s.relationsByOID[relation]
			names := bytes.Split(bytes.TrimSuffix(args, []byte{0}), []byte{0}) // target, configuration, sources
			if r == nil || len(names) < 3 {
				return nil
			}
			target := r.Column(string(names[0]))
			if target == nil {
				return nil
			}
			for _, name := range names[2:] {
				if source := r.Column(string(name)); source != nil && source != target && !slices.Contains(target.MadeOf, source.Number) {
					target.MadeOf = append(target.MadeOf, source.Number)
				}
			}
			return nil
		})
}

// partitionKeys reads by what partitioned tables are partitioned.
func (l *loader) partitionKeys() error {
	var relation OID
	var numbers []int16
	return l.each(`SELECT partrelid, partattrs::int2[] FROM pg_catalog.pg_partitioned_table`,
		[]any{&relation, &numbers}, func() error {
			if r := l.s.relationsByOID[relation]; r != nil {
				r.PartitionKey = append([]int16(nil), numbers...)
			}
			return nil
		})
}
