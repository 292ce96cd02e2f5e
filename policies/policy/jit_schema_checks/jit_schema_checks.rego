# METADATA
# title: Schema checks by agents
# description: |
#   Lets a known agent look at the shape of the database, not at what is in it,
#   within a window it asked for.
# custom:
#   owner: platform-security
package policy.jit_schema_checks

import data.sallyport.identity
import data.sallyport.sql

session.allow if identity.known_workload

statement.allow if sql.read_only

# METADATA
# title: Catalog only
# labels:
#   rule: jit-schema-checks/catalog-only
statement.deny contains {
	"message": $"{table.id} holds data; schema checks may read only the catalog",
	"hint": "read information_schema or pg_catalog instead, for example information_schema.columns",
	"rule": "jit-schema-checks/catalog-only",
} if {
	some table in sql.reads
	not table.schema in {"information_schema", "pg_catalog"}
}

statement.limits.rows := 5000

statement.limits.duration := "5s"
