package rewrite

import (
	"fmt"
	"unicode/utf8"
)

// text is the column as text, compared byte by byte: functions that search refuse
// some collations.
func (k *masking) text() string {
	return "(" + k.ref + "::pg_catalog.text COLLATE pg_catalog.\"C\")"
}

// redact hides all of a text. Other types have no value that says "hidden".
func (k *masking) redact() string {
	if familyOf(k.typ) != textual {
		return ""
	}
	return "'[redacted]'::pg_catalog.text"
}

// hash gives equal texts equal values: SHA-256 of salt and text, in hexadecimal.
// Without a salt anybody can compute the hash of a guess, so that what is guessable
// (a phone number, a name) is not hidden; the salt is part of the statement, which
// the server may log.
func (k *masking) hash() string {
	length := k.args.whole("length", 64, 8, 64)
	salt := k.args.text("salt", "")
	if familyOf(k.typ) != textual {
		return ""
	}
	// decode(…, 'escape') makes bytes of a text in any server encoding and cannot
	// fail once backslashes are doubled, unlike convert_to.
	doubled := fmt.Sprintf("pg_catalog.replace(%s OPERATOR(pg_catalog.||) %s, %s, %s)",
		literal(salt)+"::pg_catalog.text", k.text(), literal(`\`), literal(`\\`))
	hex := fmt.Sprintf("pg_catalog.encode(pg_catalog.sha256(pg_catalog.decode(%s, 'escape')), 'hex')", doubled)
	return fmt.Sprintf("pg_catalog.left(%s, %d)", hex, length)
}

// email keeps the first letter and the domain: alice@example.com becomes
// a***@example.com. A text that is no address becomes ***.
func (k *masking) email() string {
	if familyOf(k.typ) != textual {
		return ""
	}
	x := k.text()
	fromAt := "pg_catalog.strpos(pg_catalog.reverse(" + x + "), '@')" // length of the domain with its @, 0 without
	return fmt.Sprintf("CASE WHEN %[1]s OPERATOR(pg_catalog.>) 1 AND pg_catalog.length(%[2]s) OPERATOR(pg_catalog.>) %[1]s "+
		"THEN pg_catalog.left(%[2]s, 1) OPERATOR(pg_catalog.||) '***' OPERATOR(pg_catalog.||) pg_catalog.right(%[2]s, %[1]s) ELSE '***' END",
		fromAt, x)
}

// partial keeps some characters at the ends and the length. A text too short to
// hide any of is hidden whole.
func (k *masking) partial() string {
	first := k.args.whole("keep_first", 0, 0, 1000)
	last := k.args.whole("keep_last", 0, 0, 1000)
	char := k.args.text("char", "*")
	if utf8.RuneCountInString(char) != 1 {
		k.args.refuse("needs char to be one character")
	}
	if familyOf(k.typ) != textual {
		return ""
	}
	x, c := k.text(), literal(char)
	length := "pg_catalog.length(" + x + ")"
	return fmt.Sprintf("CASE WHEN %[3]s OPERATOR(pg_catalog.>) %[6]d THEN pg_catalog.left(%[1]s, %[4]d) OPERATOR(pg_catalog.||) "+
		"pg_catalog.repeat(%[2]s, %[3]s OPERATOR(pg_catalog.-) %[6]d) OPERATOR(pg_catalog.||) pg_catalog.right(%[1]s, %[5]d) "+
		"ELSE pg_catalog.repeat(%[2]s, %[3]s) END", x, c, length, first, last, first+last)
}
