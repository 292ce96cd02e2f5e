package catalog

// bodies reads what functions in SQL that users have made consist of. Bodies that are
// parsed when they are made are there from 14 on.
func (l *loader) bodies() error {
	standard := "pg_catalog.pg_get_function_sqlbody(p.oid)"
	if l.s.ServerVersion < 140000 {
		standard = "NULL::text"
	}
	var oid OID
	var configured bool
	var body, parsed, defaults string
	return l.each(`SELECT p.oid, p.proconfig IS NOT NULL, p.prosrc, COALESCE(`+standard+`, ''),
			COALESCE(pg_catalog.pg_get_expr(p.proargdefaults, 0::oid), '')
		FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
			JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
		WHERE l.lanname = 'sql' AND p.prokind = 'f' AND n.nspname NOT IN ('pg_catalog', 'information_schema')`,
		[]any{&oid, &configured, &body, &parsed, &defaults}, func() error {
			if f := l.s.functionsByOID[oid]; f != nil {
				f.Configured, f.Body, f.StandardBody, f.DefaultArgs = configured, body, parsed, defaults
			}
			return nil
		})
}
