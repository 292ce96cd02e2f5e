package rewrite

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// text is the column as text.
func (k *masking) text() string {
	if k.typ.OID == textOID {
		return k.ref
	}
	return k.ref + "::pg_catalog.text"
}

// bytes is the column as text that is compared byte by byte: functions that search
// refuse some collations.
func (k *masking) bytes() string {
	return "(" + k.text() + " COLLATE pg_catalog.\"C\")"
}

const textOID = 25

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
	length := k.args.whole("length", allDigits, 8, allDigits)
	salt := k.args.text("salt", "")
	if familyOf(k.typ) != textual {
		return ""
	}
	x := k.bytes()
	if salt != "" {
		x = literal(salt) + "::pg_catalog.text OPERATOR(pg_catalog.||) " + x
	}
	// decode(…, 'escape') makes bytes of a text in any server encoding and cannot
	// fail once backslashes are doubled, unlike convert_to.
	doubled := fmt.Sprintf("pg_catalog.replace(%s, %s, %s)", x, literal(`\`), literal(`\\`))
	hex := fmt.Sprintf("pg_catalog.encode(pg_catalog.sha256(pg_catalog.decode(%s, 'escape')), 'hex')", doubled)
	if length == allDigits {
		return hex
	}
	return fmt.Sprintf("pg_catalog.left(%s, %d)", hex, length)
}

// allDigits are those of SHA-256 in hexadecimal.
const allDigits = 64

// email keeps the first letter and the domain: alice@example.com becomes
// a***@example.com. A text that is no address becomes ***.
func (k *masking) email() string {
	if familyOf(k.typ) != textual {
		return ""
	}
	// An address has something before its last @, and something after it. Written so
	// that little is computed for a row: what counts characters is dear.
	stars, rest := "***", "pg_catalog.right(%[2]s, pg_catalog.strpos(pg_catalog.reverse(%[1]s), '@'))"
	if k.server >= fieldsFromTheEnd {
		stars, rest = "***@", "pg_catalog.split_part(%[1]s, '@', -1)"
	}
	return fmt.Sprintf("CASE WHEN %[1]s OPERATOR(pg_catalog.~~) '_%%@%%' AND %[1]s OPERATOR(pg_catalog.!~~) '%%@' "+
		"THEN pg_catalog.left(%[2]s, 1) OPERATOR(pg_catalog.||) '"+stars+"' OPERATOR(pg_catalog.||) "+rest+" "+
		"WHEN %[3]s IS NOT NULL THEN '***' END", k.bytes(), k.text(), k.ref)
}

// fieldsFromTheEnd is the first server whose split_part takes them.
const fieldsFromTheEnd = 140000

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
	hidden := fmt.Sprintf("pg_catalog.repeat(%s, %s)", c, length)
	if first+last == 0 {
		return hidden
	}
	kept := fmt.Sprintf("pg_catalog.repeat(%s, %s OPERATOR(pg_catalog.-) %d)", c, length, first+last)
	if first > 0 {
		kept = fmt.Sprintf("pg_catalog.left(%s, %d) OPERATOR(pg_catalog.||) %s", x, first, kept)
	}
	if last > 0 {
		kept = fmt.Sprintf("%s OPERATOR(pg_catalog.||) pg_catalog.right(%s, %d)", kept, x, last)
	}
	long := fmt.Sprintf("%s OPERATOR(pg_catalog.>) %d", length, first+last)
	if first+last < 20 { // counting so few letters is cheaper than all
		long = fmt.Sprintf("%s OPERATOR(pg_catalog.~~) '%s%%'", k.bytes(), strings.Repeat("_", first+last+1))
	}
	return fmt.Sprintf("CASE WHEN %s THEN %s ELSE %s END", long, kept, hidden)
}
