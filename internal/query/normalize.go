package query

import pg_query "github.com/pganalyze/pg_query_go/v5"

const unparsable = "<unparsable statement>"

// Normalize replaces the literals of a text by $n, for logs. What cannot be
// parsed cannot be told apart from a literal and is not shown at all.
func Normalize(sql string) string {
	if checkText(sql, Limits{}) != nil {
		return unparsable
	}
	text, err := pg_query.Normalize(sql)
	if err != nil {
		return unparsable
	}
	return text
}

// Fingerprint tells statements apart that differ in more than literals. It parses the
// text, which must have passed Parse, once more.
func Fingerprint(sql string) string {
	fingerprint, err := pg_query.Fingerprint(sql)
	if err != nil {
		return ""
	}
	return fingerprint
}
