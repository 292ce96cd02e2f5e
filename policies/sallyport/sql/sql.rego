# METADATA
# title: What the statement does
# description: Sets and predicates over the shape of the statement being decided.
# schemas:
#   - input: schema.input
package sallyport.sql

# METADATA
# description: Tables the statement reads.
reads contains table if {
	some table in input.statement.tables
	"read" in table.access
}

# METADATA
# description: Tables the statement changes in any way.
writes contains table if {
	some table in input.statement.tables
	some access in table.access
	access in {"insert", "update", "delete", "truncate", "ddl"}
}

# METADATA
# description: |
#   The statement cannot change anything: a read of fully resolved relations,
#   without row locks, and without functions that may have side effects.
read_only if {
	input.statement.class == "read"
	input.statement.analysis.complete
	count(writes) == 0
	not locks_rows
	count(side_effects) == 0
}

# METADATA
# description: |
#   The statement changes nothing but temporary tables of the session's own, and
#   calls nothing that may have side effects.
scratch if {
	input.statement.class in {"read", "write", "schema"}
	input.statement.analysis.complete
	every table in writes {
		table.schema == "pg_temp"
	}
	not locks_rows
	count(side_effects) == 0
}

# METADATA
# description: The statement takes row locks, as SELECT ... FOR UPDATE does.
locks_rows if count(input.statement.locks) > 0

# METADATA
# description: Called functions that may have side effects.
side_effects contains function if {
	some function in input.statement.functions
	not function.volatility in {"immutable", "stable"}
	not function.id in restless
	not function.transparent
}

# Volatile because they answer differently each time, not because they do anything.
restless := {
	"pg_catalog.clock_timestamp",
	"pg_catalog.currval",
	"pg_catalog.gen_random_uuid",
	"pg_catalog.lastval",
	"pg_catalog.pg_database_size",
	"pg_catalog.pg_get_replica_identity_index",
	"pg_catalog.pg_indexes_size",
	"pg_catalog.pg_is_in_recovery",
	"pg_catalog.pg_partition_ancestors",
	"pg_catalog.pg_partition_tree",
	"pg_catalog.pg_relation_size",
	"pg_catalog.pg_sequence_last_value",
	"pg_catalog.pg_sleep",
	"pg_catalog.pg_sleep_for",
	"pg_catalog.pg_sleep_until",
	"pg_catalog.pg_table_size",
	"pg_catalog.pg_tablespace_size",
	"pg_catalog.pg_total_relation_size",
	"pg_catalog.random",
	"pg_catalog.timeofday",
}

# METADATA
# description: Ids of the columns whose values can reach the client, whole or inside an expression.
visible contains column.id if {
	some column in input.statement.columns
	some use in column.uses
	use in {"projected", "derived", "returned", "aggregated", "grouped"}
}

# METADATA
# scope: document
# description: |
#   The statement reaches no data and changes nothing but the session's own
#   transaction and harmless settings. Drivers send such statements by themselves.
harmless if {
	input.statement.class == "transaction"
	reaches_nothing
}

harmless if {
	input.statement.kind in {"show", "deallocate", "discard", "unlisten", "close"}
	reaches_nothing
}

harmless if {
	input.statement.class == "setting"
	input.statement.setting.name in settings
	reaches_nothing
}

reaches_nothing if {
	count(input.statement.tables) == 0
	{function.id | some function in input.statement.functions} - {"pg_catalog.set_config"} == set()
}

# METADATA
# description: Settings that change how values are written or how long the session waits, not what it may see.
settings := {
	"application_name",
	"bytea_output",
	"client_encoding",
	"client_min_messages",
	"datestyle",
	"default_transaction_deferrable",
	"default_transaction_isolation",
	"default_transaction_read_only",
	"extra_float_digits",
	"idle_in_transaction_session_timeout",
	"idle_session_timeout",
	"intervalstyle",
	"jit",
	"lc_messages",
	"lock_timeout",
	"names",
	"plan_cache_mode",
	"search_path",
	"standard_conforming_strings",
	"statement_timeout",
	"time zone",
	"timezone",
	"transaction_deferrable",
	"transaction_isolation",
	"transaction_read_only",
	"transaction_timeout",
	"xmlbinary",
	"xmloption",
}
