package query

import (
	pg_query "github.com/pganalyze/pg_query_go/v5"
	"github.com/pganalyze/pg_query_go/v5/parser"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// ScanTokens returns the tokens of a text, comments left out. The scanner does not
// recurse.
func ScanTokens(sql string) ([]*pg_query.ScanToken, error) {
	encoded, err := parser.ScanToProtobuf(sql)
	if err != nil {
		return nil, err
	}
	all, ok := decodeTokens(encoded)
	if !ok {
		var result pg_query.ScanResult
		if err := proto.Unmarshal(encoded, &result); err != nil {
			return nil, err
		}
		all = result.Tokens
	}
	tokens := all[:0]
	for _, t := range all {
		if t.Token != pg_query.Token_SQL_COMMENT && t.Token != pg_query.Token_C_COMMENT {
			tokens = append(tokens, t)
		}
	}
	return tokens, nil
}

// decodeTokens decodes a ScanResult into tokens that lie side by side; false for
// what else it holds than numbers of tokens.
func decodeTokens(b []byte) ([]*pg_query.ScanToken, bool) {
	const perToken = 8 // bytes, at the least
	tokens := make([]pg_query.ScanToken, 0, len(b)/perToken+1)
	for len(b) > 0 {
		number, typ, n := protowire.ConsumeTag(b)
		switch {
		case n < 0:
			return nil, false
		case number == 1 && typ == protowire.VarintType: // the version
			b = b[n:]
			if _, n = protowire.ConsumeVarint(b); n < 0 {
				return nil, false
			}
		case number == 2 && typ == protowire.BytesType:
			b = b[n:]
			var encoded []byte
			if encoded, n = protowire.ConsumeBytes(b); n < 0 {
				return nil, false
			}
			tokens = append(tokens, pg_query.ScanToken{})
			if !decodeToken(encoded, &tokens[len(tokens)-1]) {
				return nil, false
			}
		default:
			return nil, false
		}
		b = b[n:]
	}
	list := make([]*pg_query.ScanToken, len(tokens))
	for i := range tokens {
		list[i] = &tokens[i]
	}
	return list, true
}

func decodeToken(b []byte, t *pg_query.ScanToken) bool {
	for len(b) > 0 {
		number, typ, n := protowire.ConsumeTag(b)
		if n < 0 || typ != protowire.VarintType {
			return false
		}
		b = b[n:]
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		switch number {
		case 1:
			t.Start = int32(v)
		case 2:
			t.End = int32(v)
		case 4:
			t.Token = pg_query.Token(int32(v))
		case 5:
			t.KeywordKind = pg_query.KeywordKind(int32(v))
		default:
			return false
		}
	}
	return true
}
