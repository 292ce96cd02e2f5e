package catalog

import "strings"

// watched are the catalog tables whose changes make a new snapshot.
var watched = strings.Fields(`pg_amop pg_amproc pg_attrdef pg_attribute pg_auth_members pg_cast pg_class pg_constraint pg_index pg_inherits
	pg_namespace pg_opclass pg_operator pg_policy pg_proc pg_range pg_rewrite pg_trigger pg_type`)

// writtenQuery sums how many rows of them have ever been written.
var writtenQuery = "SELECT " + perTable(" + ", `pg_catalog.pg_stat_get_tuples_inserted('pg_catalog.%'::pg_catalog.regclass) +
	pg_catalog.pg_stat_get_tuples_updated('pg_catalog.%'::pg_catalog.regclass) +
	pg_catalog.pg_stat_get_tuples_deleted('pg_catalog.%'::pg_catalog.regclass)`)

// digestQuery gives text that differs when a row has been added, changed or
// removed. (Statistics that VACUUM writes in place leave xmin as it is.)
var digestQuery = "SELECT " + perTable(" || ' ' || ",
	`(SELECT pg_catalog.count(*) || ' ' || coalesce(pg_catalog.sum(xmin::text::bigint), 0) FROM pg_catalog.%)`)

func perTable(between, expression string) string {
	parts := make([]string, len(watched))
	for i, table := range watched {
		parts[i] = strings.ReplaceAll(expression, "%", table)
	}
	return strings.Join(parts, between)
}
