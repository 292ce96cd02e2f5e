package catalog

// Access is what the role that the catalog was read with may do with a relation, and
// as whom a view reads. All of it is false where it is not known.
type Access struct {
	Readable    bool // SELECT of every column
	Lockable    bool // SELECT … FOR UPDATE
	Owned       bool // the relation is the role's own
	RowSecurity bool // has row level security
	Barrier     bool // a view with security_barrier
	Invoker     bool // a view with security_invoker: it reads as who reads it
	OwnerReads  bool // a view whose owner may read what it is over
}

// access reads what the role may do. Where only columns are granted, it is noted at
// the columns.
func (l *loader) access() error {
	if err := l.tx.QueryRow(l.ctx, `SELECT current_user::text`).Scan(&l.s.Role); err != nil {
		return err
	}
	var oid OID
	var a Access
	err := l.each(`SELECT c.oid, coalesce(pg_catalog.has_table_privilege(c.oid, 'SELECT'), false), -- NULL once it is dropped
			coalesce(pg_catalog.has_any_column_privilege(c.oid, 'UPDATE'), false),
			pg_catalog.pg_get_userbyid(c.relowner) = current_user, c.relrowsecurity,
			EXISTS (SELECT FROM pg_catalog.pg_options_to_table(c.reloptions) o WHERE o.option_name = 'security_barrier' AND o.option_value::bool),
			EXISTS (SELECT FROM pg_catalog.pg_options_to_table(c.reloptions) o WHERE o.option_name = 'security_invoker' AND o.option_value::bool)
		FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')`,
		[]any{&oid, &a.Readable, &a.Lockable, &a.Owned, &a.RowSecurity, &a.Barrier, &a.Invoker}, func() error {
			if r := l.s.relationsByOID[oid]; r != nil {
				r.Access = a
			}
			return nil
		})
	if err != nil {
		return err
	}
	if err := l.columnAccess(); err != nil {
		return err
	}
	return l.ownerAccess()
}

func (l *loader) columnAccess() error {
	var oid OID
	var number int16
	return l.each(`SELECT a.attrelid, a.attnum FROM pg_catalog.pg_attribute a
		WHERE a.attacl IS NOT NULL AND a.attnum > 0 AND NOT a.attisdropped AND pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT')`,
		[]any{&oid, &number}, func() error {
			if c := l.s.relationsByOID[oid].number(number); c != nil {
				c.Readable = true
			}
			return nil
		})
}

// ownerAccess reads which views' owners may read what the views are over.
func (l *loader) ownerAccess() error {
	var oid OID
	return l.each(`SELECT v.oid FROM pg_catalog.pg_class v WHERE v.relkind = 'v' AND NOT EXISTS (
			SELECT FROM pg_catalog.pg_rewrite r
			JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
				AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> r.ev_class
			JOIN pg_catalog.pg_class b ON b.oid = d.refobjid AND b.relkind IN ('r', 'p', 'v', 'm', 'f')
			WHERE r.ev_class = v.oid AND NOT pg_catalog.has_any_column_privilege(v.relowner, b.oid, 'SELECT'))`,
		[]any{&oid}, func() error {
			if r := l.s.relationsByOID[oid]; r != nil {
				r.Access.OwnerReads = true
			}
			return nil
		})
}

// MayRead reports whether the role may read the columns of a relation, and name it.
func (s *Snapshot) MayRead(r *Relation, columns []*Column) bool {
	if !s.usable[r.Schema] {
		return false
	}
	if r.Access.Readable {
		return true
	}
	for _, c := range columns {
		if !c.Readable {
			return false
		}
	}
	return len(columns) > 0
}

// Usable reports whether the role may look names up in a schema.
func (s *Snapshot) Usable(schema string) bool { return s.usable[schema] }
