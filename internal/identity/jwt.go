package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// unverified is a token taken apart. Nothing in it may be believed before the signature is checked; it serves to find out whose
// signature that must be.
type unverified struct {
	raw       string
	algorithm string
	keyID     string
	typ       string // in lower case
	issuer    string
	claims    claims
}

const maxDepth = 16

var (
	errTwice = errors.New("a name occurs twice")
	errShape = errors.New("not a JSON object")
)

// reserved are the claims that mean something to us or to a JSON decoder that ignores case; a claim that differs from one of
// them in case only is an attempt to show two readers two different tokens.
var reserved = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "nonce", "at_hash", "azp", "appid", "cid", "client_id", "tid", "oid", "uti", "ver",
	"idtyp", "groups", "hasgroups", "roles", "scp", "scope", "act", "_claim_names", "_claim_sources", "xms_act_fct", "xms_sub_fct",
}

// takeApart reads header and payload strictly, the way that leaves no second reading.
func takeApart(raw string, limit int) (*unverified, error) {
	switch {
	case raw == "":
		return nil, refuse(ReasonMissing, "no token was given; send your identity provider's access token as the password")
	case len(raw) > limit:
		return nil, refuse(ReasonTooLarge, "the token is larger than is accepted here; ask for a token with fewer groups and claims")
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || strings.ContainsFunc(raw, notInJWT) {
		return nil, refuse(ReasonMalformed, `the password is not a JWT; send the access token alone (three parts joined by dots), without "Bearer", quotes or white space`)
	}
	header, err := decodeObject(parts[0])
	if err != nil {
		return nil, unreadable("header", err)
	}
	payload, err := decodeObject(parts[1])
	if err != nil {
		return nil, unreadable("payload", err)
	}
	if _, err := base64.RawURLEncoding.Strict().DecodeString(parts[2]); err != nil {
		return nil, unreadable("signature", err) // one token has one spelling
	}
	t := &unverified{raw: raw, claims: payload}
	return t, t.readHeader(header)
}

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

func notInJWT(r rune) bool { return !strings.ContainsRune(base64Alphabet, r) }

func unreadable(part string, err error) error {
	if errors.Is(err, errTwice) {
		return refuse(ReasonAmbiguous, "the token's "+part+" has the same name twice, so it could be read in two ways; ask your identity provider for a correct token")
	}
	return refuse(ReasonMalformed, "the token's "+part+" cannot be read; send the access token exactly as your identity provider returned it")
}

func (t *unverified) readHeader(header claims) error {
	if _, critical := header["crit"]; critical {
		return refuse(ReasonMalformed, "the token's header demands an extension (crit) that is not supported here; ask for an ordinary access token")
	}
	var ok [3]bool
	t.algorithm, ok[0] = optionalText(header, "alg")
	t.keyID, ok[1] = optionalText(header, "kid")
	t.typ, ok[2] = optionalText(header, "typ")
	t.typ = strings.ToLower(t.typ)
	if ok != [3]bool{true, true, true} {
		return refuse(ReasonMalformed, "the token's header cannot be read; send the access token exactly as your identity provider returned it")
	}
	if err := t.claims.unshadowed(); err != nil {
		return err
	}
	if _, present := t.claims["iss"]; !present {
		return missing("iss")
	}
	if t.issuer, ok[0] = t.claims["iss"].(string); !ok[0] {
		return invalid("iss", "is not a string")
	}
	return nil
}

func optionalText(c claims, name string) (string, bool) {
	value, present := c[name]
	if !present {
		return "", true
	}
	text, ok := value.(string)
	return text, ok
}

// decodeObject reads one JSON object in base64 and nothing after it. Names that occur twice, at any depth, are an error, and so
// is text that a decoder would silently repair: two different subjects must not become one.
func decodeObject(encoded string) (claims, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	value, err := decodeValue(d, maxDepth)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errShape
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errShape
	}
	return object, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		if depth == 0 {
			return nil, errShape
		}
		if token == '{' {
			return decodeMembers(d, depth-1)
		}
		list := []any{}
		for d.More() {
			value, err := decodeValue(d, depth-1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		_, err := d.Token()
		return list, err
	case string:
		if strings.ContainsRune(token, utf8.RuneError) {
			return nil, errShape // put in by the decoder for bad UTF-8 or half a surrogate pair
		}
		return token, nil
	default:
		return token, nil
	}
}

func decodeMembers(d *json.Decoder, depth int) (map[string]any, error) {
	object := map[string]any{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if !ok || strings.ContainsRune(name, utf8.RuneError) {
			return nil, errShape
		}
		if _, twice := object[name]; twice {
			return nil, errTwice
		}
		if object[name], err = decodeValue(d, depth); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return object, err
}

// unshadowed refuses a claim that is a reserved one in another case. EqualFold folds as encoding/json does, long s and all.
func (c claims) unshadowed() error {
	for name := range c {
		for _, known := range reserved {
			if name != known && strings.EqualFold(name, known) {
				return refuse(ReasonAmbiguous, "the token has a claim that differs from "+known+" only in upper and lower case, so it could be read in two ways; "+
					"ask your identity provider for a correct token")
			}
		}
	}
	return nil
}
