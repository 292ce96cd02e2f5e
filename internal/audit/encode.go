package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// timeLayout has a fixed width, so that lines sort by time as text.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// appendHead begins a line with what only the writer knows.
func appendHead(b []byte, seq uint64, at []byte, prev *[sha256.Size]byte) []byte {
	b = append(b, `{"v":`...)
	b = strconv.AppendInt(b, Version, 10)
	b = append(b, `,"seq":`...)
	b = strconv.AppendUint(b, seq, 10)
	b = append(b, `,"time":"`...)
	b = append(b, at...)
	b = append(b, `","prev":"`...)
	b = hex.AppendEncode(b, prev[:])
	return append(b, '"')
}

// appendBody adds the rest of the line, without its newline. It is written out by
// hand because each statement waits for it; a test that fills every field by
// reflection and reads it back with encoding/json fails when one is forgotten.
func appendBody(b []byte, r *Record, statement string) []byte {
	b = str(b, "type", string(r.Type))
	b = str(b, "session", r.Session)
	b = str(b, "decision_id", r.DecisionID)
	b = str(b, "grant", r.Grant)
	b = str(b, "approval", r.Approval)
	if r.Identity != (Identity{}) {
		b = appendIdentity(b, &r.Identity)
	}
	b = str(b, "connection", r.Connection)
	b = str(b, "database", r.Database)
	b = str(b, "client", r.Client)
	b = str(b, "application", r.Application)

	b = str(b, "statement", statement)
	b = str(b, "fingerprint", r.Fingerprint)
	b = str(b, "kind", r.Kind)
	b = str(b, "class", r.Class)
	b = str(b, "protocol", r.Protocol)
	b = str(b, "phase", r.Phase)

	b = str(b, "effect", r.Effect)
	b = list(b, "reasons", r.Reasons)
	b = str(b, "policy", r.Policy)
	b = str(b, "rule", r.Rule)
	b = list(b, "masks", r.Masks)
	b = list(b, "filters", r.Filters)
	b = list(b, "relations", r.Relations)
	if r.Estimate != (Estimate{}) {
		b = strconv.AppendInt(append(b, `,"estimate":{"rows":`...), r.Estimate.Rows, 10)
		b = append(strconv.AppendFloat(append(b, `,"cost":`...), r.Estimate.Cost, 'f', -1, 64), '}')
	}
	b = str(b, "binding", r.Binding)
	b = str(b, "revision", r.Revision)
	if r.Generation != 0 {
		b = strconv.AppendUint(append(b, `,"generation":`...), r.Generation, 10)
	}
	return append(appendOutcome(b, r), '}')
}

func appendOutcome(b []byte, r *Record) []byte {
	b = str(b, "tag", r.Tag)
	if r.Rows != 0 || r.Type == Result {
		b = strconv.AppendInt(append(b, `,"rows":`...), r.Rows, 10)
	}
	if r.Bytes != 0 || r.Type == Result {
		b = strconv.AppendInt(append(b, `,"bytes":`...), r.Bytes, 10)
	}
	if ms := r.DurationMS; ms != 0 && !math.IsNaN(ms) && !math.IsInf(ms, 0) {
		b = strconv.AppendFloat(append(b, `,"duration_ms":`...), ms, 'f', 3, 64)
	}
	b = str(b, "sqlstate", r.SQLState)

	b = str(b, "actor", r.Actor)
	b = str(b, "comment", r.Comment)
	if !r.ExpiresAt.IsZero() {
		b = append(b, `,"expires_at":"`...)
		b = append(r.ExpiresAt.UTC().AppendFormat(b, timeLayout), '"')
	}
	b = str(b, "ttl", r.TTL)
	b = str(b, "cause", r.Cause)
	return str(b, "message", r.Message)
}

func appendIdentity(b []byte, id *Identity) []byte {
	b = append(b, `,"identity":{`...)
	start := len(b)
	b = str(b, "issuer", id.Issuer)
	b = str(b, "tenant", id.Tenant)
	b = str(b, "subject", id.Subject)
	b = str(b, "name", id.Name)
	b = str(b, "kind", id.Kind)
	b = append(b[:start], b[start+1:]...) // the first member has no comma
	return append(b, '}')
}

func str(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	b = append(append(append(b, `,"`...), key...), `":`...)
	return quote(b, value)
}

func list(b []byte, key string, values []string) []byte {
	if len(values) == 0 {
		return b
	}
	b = append(append(append(b, `,"`...), key...), `":[`...)
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = quote(b, v)
	}
	return append(b, ']')
}

const hexDigits = "0123456789abcdef"

// quote writes a JSON string. Everything that is not printable is escaped, so that
// a statement written by an agent cannot play with the terminal of whoever looks
// at the raw file (control characters, bidirectional overrides).
func quote(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			b = appendEscape(append(b, s[start:i]...), c)
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || !unicode.IsPrint(r) {
			b = escapeRune(append(b, s[start:i]...), r)
			start = i + n
		}
		i += n
	}
	return append(append(b, s[start:]...), '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\t':
		return append(b, '\\', 't')
	case '\r':
		return append(b, '\\', 'r')
	default:
		return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
	}
}

func escapeRune(b []byte, r rune) []byte {
	if r > 0xffff {
		r -= 0x10000
		b = escapeUnit(b, 0xd800+r>>10)
		return escapeUnit(b, 0xdc00+r&0x3ff)
	}
	return escapeUnit(b, r)
}

func escapeUnit(b []byte, u rune) []byte {
	return append(b, '\\', 'u', hexDigits[u>>12&15], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
}

func appendTime(b []byte, t time.Time) []byte { return t.UTC().AppendFormat(b, timeLayout) }
