# METADATA
# title: Row filters
# description: |
#   A filter is written {"table": id, "where": condition}. The condition is the path
#   of a rule over input.row, below data.policy.NAME.rows, or is written as data.
package sallyport.filtering

# METADATA
# scope: document
# description: The filter says which table and which rows, as far as can be told without running it.
well_formed(filter) if {
	is_object(filter)
	object.keys(filter) == {"table", "where"}
	is_string(filter.table)
	condition(filter.where)
}

condition(where) if {
	is_string(where)
	startswith(where, "data.policy.")
}

condition(where) if is_object(where)
