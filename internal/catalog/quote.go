package catalog

import "strings"

// QuoteIdent quotes a name where PostgreSQL's quote_ident would.
func QuoteIdent(name string) string {
	if plainIdent(name) && !keywords[name] {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

func plainIdent(name string) bool {
	if name == "" {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// keywords are those that are not unreserved in PostgreSQL 16, by which the
// proxy parses.
var keywords = func() map[string]bool {
	words := map[string]bool{}
	for _, word := range strings.Fields(keywordList) {
		words[word] = true
	}
	return words
}()

const keywordList = `
	all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean
	both case cast char character check coalesce collate collation column concurrently constraint
	create cross current_catalog current_date current_role current_schema current_time
	current_timestamp current_user dec decimal default deferrable desc distinct do else end except
	exists extract false fetch float for foreign freeze from full grant greatest group grouping having
	ilike in initially inner inout int integer intersect interval into is isnull join json_array
	json_arrayagg json_object json_objectagg lateral leading least left like limit localtime localtimestamp
	national natural nchar none normalize not notnull null nullif numeric offset on only or order out
	outer overlaps overlay placing position precision primary real references returning right row
	select session_user setof similar smallint some substring symmetric system_user table tablesample
	then time timestamp to trailing treat trim true union unique user using values varchar variadic
	verbose when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces
	xmlparse xmlpi xmlroot xmlserialize xmltable
`
