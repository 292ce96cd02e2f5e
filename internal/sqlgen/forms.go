package sqlgen

// What expressions are made of, as data. In a form, {text} stands for an expression
// of the sort text, {any} for one of any sort, {cond} for a condition.

var literals = map[Sort][]string{
	Text:  {"a", "ada@example.com", "[redacted]", "b%", "", "x_y", "Ada", "new", "éclair", "_a%"},
	Int:   {"1", "2", "0", "3", "10", "-1", "40"},
	Num:   {"1.50", "0.00", "100.00", "-2.25", "12.34"},
	Bool:  {"true", "false"},
	Date:  {"2024-01-02", "2000-01-01", "1815-12-10", "2023-06-30"},
	Time:  {"2024-03-05 10:11:12+00", "2024-01-01 00:00:00+00", "2023-12-31 23:59:59.5+00"},
	JSON:  {`{"k": 1}`, `[1, "a"]`, `null`, `{"a": {"b": "x"}}`},
	Texts: {"{a,b}", "{}", "{x}"},
	UUID:  {"00000000-0000-0000-0000-000000000000", "6b1f3a2e-0000-4000-8000-000000000001"},
}

var typeNames = map[Sort]string{
	Text: "text", Int: "int", Num: "numeric(12,2)", Bool: "boolean", Date: "date", Time: "timestamptz",
	JSON: "jsonb", Texts: "text[]", UUID: "uuid",
}

var forms = map[Sort][]string{
	Text: {
		"upper({text})", "lower({text})", "initcap({text})", "reverse({text})", "md5({text})", "trim({text})",
		"coalesce({text}, {text})", "({text} || {text})", "concat({text}, {any})", "concat_ws('-', {text}, {text})",
		"left({text}, 3)", "right({text}, {int})", "substring({text} from 2 for 3)", "substr({text}, 1, 4)",
		"overlay({text} placing 'x' from 1 for 1)", "trim(both 'a' from {text})", "ltrim({text}, 'a')", "btrim({text})",
		"lpad({text}, 8, '*')", "rpad({text}, 5)", "replace({text}, 'a', 'b')", "translate({text}, 'abc', 'xyz')",
		"split_part({text}, '@', 2)", "regexp_replace({text}, '[aeiou]', '.', 'g')", "format('%s/%s', {text}, {any})",
		"CASE WHEN {cond} THEN {text} ELSE {text} END", "CASE {int} WHEN 1 THEN {text} WHEN 2 THEN 'two' END",
		"nullif({text}, {text})", "greatest({text}, {text})", "least({text}, 'm')", "{int}::text", "CAST({date} AS text)",
		"{text}::varchar(5)", "CAST({text} AS char(4))", "{bool}::text", "{uuid}::text", "{num}::text", "to_char({date}, 'YYYY-MM')",
		"to_char({num}, 'FM9990.00')", "({json} ->> 'k')", "({json} #>> '{a,b}')", "jsonb_typeof({json})", "({json})::text",
		"({texts})[1]", "array_to_string({texts}, ',')", "quote_literal({text})", "encode(sha256(convert_to({text}, 'UTF8')), 'hex')",
		"{text} COLLATE \"C\"", "pg_catalog.upper({text})", "(SELECT {text})", "coalesce({texts}, '{}')::text", "pg_typeof({any})::text",
		"quote_ident({text})", "chr(ascii(coalesce(nullif({text}, ''), 'x')))", "(ARRAY[{text}, 'z'])[1]", "text({text})",
		"(regexp_match({text}, '.'))[1]", "{enum}::text", "row({text}, {int})::text", "normalize({text})", "xmlserialize(content xmlelement(name e, {text}) as text)",
	},
	Int: {
		"length({text})", "({int} + 1)", "({int} - {int})", "({int} * 2)", "({int} % 7)", "abs({int})", "coalesce({int}, 0)", "- ({int})",
		"char_length({text})", "octet_length({text})", "position('a' in {text})", "strpos({text}, '@')", "extract(year from {date})::int",
		"date_part('month', {date})::int", "CASE WHEN {cond} THEN {int} ELSE {int} END", "greatest({int}, {int})", "nullif({int}, 1)",
		"cardinality({texts})", "array_length({texts}, 1)", "({date} - '2000-01-01'::date)", "round({num})::int", "floor({num})::int",
		"{bool}::int", "CAST({int} AS bigint)", "mod({int}, 3)", "sign({int})::int", "num_nulls({any}, {any})", "jsonb_array_length(CASE jsonb_typeof({json}) WHEN 'array' THEN {json} ELSE '[]' END)",
		"({int} & 3)", "width_bucket({num}, 0, 100, 5)", "bit_length({text})", "({int})::smallint", "array_position({texts}, 'a')", "extract(epoch from {time})::bigint",
	},
	Num: {
		"round({num}, 1)", "({num} + {num})", "({num} * 2)::numeric(12,2)", "{int}::numeric(12,2)", "coalesce({num}, 0.00)", "abs({num})", "- ({num})",
		"round({num} / nullif({num}, 0), 2)", "trunc({num}, 1)", "CASE WHEN {cond} THEN {num} END", "least({num}, {num})", "ceil({num})",
		"({num} - {int})", "CAST({num} AS numeric(8,1))", "nullif({num}, 0.00)",
	},
	Bool: {
		"({cond} AND {cond})", "({cond} OR {cond})", "(NOT {cond})", "{text} LIKE 'a%'", "{text} NOT LIKE '%x'", "{text} ILIKE '%A%'", "{text} ~ '@'",
		"{text} !~* '^[a-m]'", "{text} SIMILAR TO '(a|b)%'", "{text} LIKE 'a!%%' ESCAPE '!'", "starts_with({text}, 'a')", "({bool}) IS TRUE",
		"({bool}) IS NOT FALSE", "({cond}) IS UNKNOWN", "coalesce({bool}, false)", "{text} = ANY ({texts})", "{texts} @> ARRAY['a']::text[]", "{texts} && {texts}",
		"{json} @> '{\"k\": 1}'", "{json} ? 'k'", "{date} > {date}", "{time} < now()", "{int} = {int}", "{text} = {text}", "{num} > {int}",
		"({date}, {date}) OVERLAPS ('2000-01-01'::date, '2024-06-01'::date)", "CASE WHEN {cond} THEN {bool} ELSE {cond} END", "{any} IS NULL",
		"({text}, {int}) IS DISTINCT FROM ({text}, {int})", "{text} ^@ 'a'", "{text} > 'b' COLLATE \"C\"", "{text} OPERATOR(pg_catalog.=) 'a'", "row({any}, {any}) IS NOT NULL",
		"{enum} = {enum}", "{date} BETWEEN {date} AND {date}", "{json} = {json}", "jsonb_path_exists({json}, '$.k')",
	},
	Date: {
		"({date} + 1)", "({date} - {int})", "coalesce({date}, '2024-01-01')", "date_trunc('month', {date})::date", "{time}::date", "greatest({date}, {date})",
		"CASE WHEN {cond} THEN {date} ELSE {date} END", "make_date(2000 + abs({int}) % 30, 1, 2)", "nullif({date}, {date})", "to_date('2024-02-03', 'YYYY-MM-DD')", "CAST({date} AS date)",
	},
	Time: {
		"date_trunc('hour', {time})", "({time} + interval '1 day')", "{date}::timestamptz", "coalesce({time}, '2024-01-01'::timestamptz)",
		"({time} AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'", "least({time}, {time})", "CASE WHEN {cond} THEN {time} END", "({time} - make_interval(days => 2))", "{time}::timestamptz(0)",
	},
	JSON: {
		"to_jsonb({any})", "jsonb_build_object('k', {any}, 'l', {text})", "jsonb_build_array({any}, {int})", "({json} -> 'k')", "({json} #> '{a}')", "jsonb_strip_nulls({json})",
		"coalesce({json}, '{}')", "({json} || '{\"z\": 1}')", "jsonb_set(CASE jsonb_typeof({json}) WHEN 'object' THEN {json} ELSE '{}' END, '{k}', to_jsonb({text}), true)", "CASE WHEN {cond} THEN {json} END",
		"json_build_object('a', {any})::jsonb", "to_json({text})::jsonb", "({json})['k']", "to_jsonb({texts})", "jsonb_path_query_first({json}, '$.k')", "jsonb_object('{a,b}')",
	},
	Texts: {
		"({texts} || {texts})", "array_append({texts}, {text})", "ARRAY[{text}, {text}]", "coalesce({texts}, '{}')", "string_to_array({text}, '@')", "array_remove({texts}, 'a')", "({texts})[1:2]",
		"regexp_split_to_array({text}, 'a')", "CASE WHEN {cond} THEN {texts} END", "array_replace({texts}, 'a', {text})", "ARRAY[{text}]::varchar(3)[]::text[]",
	},
	UUID: {"coalesce({uuid}, '00000000-0000-0000-0000-000000000001')", "CASE WHEN {cond} THEN {uuid} END", "nullif({uuid}, {uuid})", "{uuid}::text::uuid"},
}

var enumForms = []string{"coalesce({enum}, {enum})", "CASE WHEN {cond} THEN {enum} ELSE {enum} END", "nullif({enum}, {enum})", "greatest({enum}, {enum})"}

// rowForms have whole rows in them.
var rowForms = map[Sort][]string{
	Text: {"{row}::text", "row_to_json({row})::text", "md5({row}::text)", "concat({row}, 'x')"},
	Int:  {"length({row}::text)", "num_nonnulls({row})"},
	Bool: {"{row} IS NOT NULL", "{row} IS NULL", "{row} = {row}", "{row} IS DISTINCT FROM {row}"},
	JSON: {"to_jsonb({row})", "jsonb_build_object('row', {row})", "to_jsonb({row}) - 'id'"},
}

// aggregateForms need GROUP BY, or make one group of all rows.
var aggregateForms = map[Sort][]string{
	Text: {
		"max({text})", "min({text})", "string_agg({text}, ',' ORDER BY {=})", "string_agg(DISTINCT {text}, ';')", "mode() WITHIN GROUP (ORDER BY {text})",
		"percentile_disc(0.5) WITHIN GROUP (ORDER BY {text})", "max({text} COLLATE \"C\")",
	},
	Int: {
		"count(*)", "count({any})", "count(DISTINCT {text})", "sum({int})", "max({int})", "min({int})", "count(*) FILTER (WHERE {cond})", "sum({int}) FILTER (WHERE {cond})",
		"rank(2) WITHIN GROUP (ORDER BY {int})", "count(DISTINCT {any})", "bit_or({int})", "sum(DISTINCT {int})", "count(ALL {text})",
	},
	Num:   {"sum({num})", "round(avg({num}), 2)", "max({num})", "round(avg({int}), 2)", "percentile_disc(0.9) WITHIN GROUP (ORDER BY {num})", "round(stddev_samp({num}), 3)"},
	Bool:  {"bool_and({bool})", "every({cond})", "bool_or({cond})"},
	Date:  {"max({date})", "min({date})", "min({date}) FILTER (WHERE {cond})"},
	Time:  {"max({time})", "min({time})"},
	JSON:  {"jsonb_agg({text} ORDER BY {=})", "to_jsonb(array_agg({int} ORDER BY {=}))", "jsonb_agg(DISTINCT {text})", "json_agg({int} ORDER BY {=} DESC)::jsonb"},
	Texts: {"array_agg({text} ORDER BY {=})", "array_agg(DISTINCT {text})"},
}

// windowForms are the same whatever the order of rows that sort alike.
var windowForms = map[Sort][]string{
	Int:  {"rank() OVER {w}", "dense_rank() OVER {w}", "count(*) OVER {w}", "sum({int}) OVER {w}", "count({text}) FILTER (WHERE {cond}) OVER {w}", "max({int}) OVER {w}"},
	Text: {"max({text}) OVER {w}", "min({text}) OVER {w}"},
	Num:  {"sum({num}) OVER {w}", "round(cume_dist() OVER {w}::numeric, 3)", "round(percent_rank() OVER {w}::numeric, 3)"},
	Date: {"max({date}) OVER {w}"},
	Bool: {"bool_or({cond}) OVER {w}"},
}

// rankedForms need rows in an order that is total.
var rankedForms = map[Sort][]string{
	Int:  {"row_number() OVER {w}", "ntile(2) OVER {w}", "lag({int}) OVER {w}"},
	Text: {"lag({text}, 1, 'none') OVER {w}", "lead({text}) OVER {w}", "first_value({text}) OVER {w}", "nth_value({text}, 2) OVER {w}", "last_value({text}) OVER {w}", "string_agg({text}, ',') OVER {w}"},
	Num:  {"first_value({num}) OVER {w}", "sum({num}) OVER {w}"},
	Date: {"lead({date}) OVER {w}"},
	JSON: {"jsonb_agg({int}) OVER {w}"},
}

// riskyForms fail for some values, and PostgreSQL's errors quote them.
var riskyForms = map[Sort][]string{
	Text: {
		"repeat({text}, {int})::varchar(100)", "substring({text}, {int}, {int})", "chr({int})", "format({text}, {int})", "encode(decode({text}, 'hex'), 'escape')", "({text})::uuid::text",
		"to_char({num}, {text})", "convert_from(decode({text}, 'escape'), 'UTF8')", "regexp_replace('a', {text}, 'b')", "({text})::jsonb::text", "split_part({text}, ',', {int})",
		"({text})::inet::text", "({text})::interval::text", "xmlparse(content {text})::text", "({text})::int4range::text", "({text})::regclass::text", "({text})::\"char\"::text", "to_tsquery({text})::text",
	},
	Int:  {"({text})::int", "({int} / {int})", "({int} * 1000000000)", "({int})::smallint", "({text})::bigint", "({num} * 1000000)::int", "ascii(chr({int}))", "({json})::int", "width_bucket({int}, {int}, {int}, 3)", "array_length(({text})::int[], 1)", "get_bit({text}::bytea, {int})"},
	Num:  {"({text})::numeric", "({num} / {num})", "sqrt({num})", "ln({num})", "({num} * 100000000)::numeric(10,2)", "power({num}, {num})", "({json})::numeric", "({json} -> 'k')::numeric"},
	Bool: {"({text})::bool", "{text} LIKE {text} ESCAPE {text}", "{text} ~ {text}", "{text} SIMILAR TO {text}", "({json})::bool", "{text}::date > {date}", "jsonb_path_exists({json}, ({text})::jsonpath)", "(SELECT {int} FROM generate_series(1, abs({int}) % 3)) = 1"},
	Date: {"({text})::date", "make_date({int}, {int}, {int})", "to_date({text}, 'YYYY-MM-DD')", "({date} + {int} * 1000000)"},
	Time: {"({text})::timestamptz", "date_trunc({text}, {time})", "({time} AT TIME ZONE {text}) AT TIME ZONE 'UTC'", "to_timestamp({text}, 'YYYY')"},
	JSON: {"({text})::jsonb", "jsonb_set({json}, {texts}, {json})", "jsonb_object({texts})", "jsonb_build_object({text}, {int})", "jsonb_strip_nulls(({texts})[1]::jsonb)"},
	UUID: {"({text})::uuid"},
}
