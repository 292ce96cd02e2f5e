# METADATA
# title: Column masks
# description: |
#   Turns what policies say about columns into one mask per column. Masks are
#   applied where the column is read, so that filters, joins and sorting see them too.
package sallyport.masking

# How much each function hides. Where policies differ, the one that hides most is used.
strictness := {
	"null": 50,
	"redact": 40,
	"replace": 40,
	"hash": 30,
	"email": 20,
	"partial": 10,
	"truncate": 6,
	"round": 5,
}

# METADATA
# scope: document
# description: |
#   A mask is written {"column": id, "with": fn}, with fn a name ("redact") or an
#   object of one name and its parameters ({"partial": {"keep_last": 4}}). With
#   "written": true writes may tell of the values, by what constraints say.
normalize(mask) := {"column": mask.column, "fn": mask["with"], "args": {}} if {
	is_boolean(object.get(mask, "written", false))
	strictness[mask["with"]]
	is_string(mask.column)
}

normalize(mask) := {"column": mask.column, "fn": fn, "args": args} if {
	is_boolean(object.get(mask, "written", false))
	is_string(mask.column)
	is_object(mask["with"])
	count(mask["with"]) == 1
	some fn, args in mask["with"]
	strictness[fn]
	is_object(args)
	units[object.get(args, "unit", "year")]
}

# METADATA
# description: One mask per column, the strictest; ties go to the first in sort order.
strictest(masks) := {column: {fn: args} |
	some column in {mask.column | some mask in masks}
	ranked := sort([[0 - strictness[mask.fn], leaves(mask), mask.fn, mask.args] |
		some mask in masks
		mask.column == column
	])
	[_, _, fn, args] := ranked[0]
}

# How much of a value one function leaves, compared with itself under other arguments.
leaves(mask) := object.get(mask.args, "keep_first", 0) + object.get(mask.args, "keep_last", 0) if mask.fn == "partial"

leaves(mask) := [object.get(mask.args, "digits", 0), 0 - units[object.get(mask.args, "unit", "year")]] if {
	mask.fn in {"round", "truncate"}
}

leaves(mask) := 0 if not mask.fn in {"partial", "round", "truncate"}

units := {
	"second": 1,
	"minute": 2,
	"hour": 3,
	"day": 4,
	"week": 5,
	"month": 6,
	"quarter": 7,
	"year": 8,
	"decade": 9,
	"century": 10,
}
