package identity_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/devenv"
	"github.com/sallyport/sallyport/internal/identity"
)

// tokenCase is an entry of testdata/identity/tokens.yaml.
type tokenCase struct {
	Name   string
	Issuer string
	Token  *struct {
		Client, Kind, Audience string
		Groups                 []string
		Claims, Header         map[string]any
	}
	Times   map[string]time.Duration
	Payload string
	Filler  int
	Raw     *string
	Forge   string
	Want    map[string]any
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	v := verifier(t, w.config, w.clock.Now)
	var cases []tokenCase
	strictly(t, []byte(w.expand(t, string(readFile(t, "tokens.yaml")))), &cases)

	seen := map[identity.Reason]bool{}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			token := w.make(t, c)
			p, err := v.Verify(t.Context(), identity.Token(token))
			if reason, refused := c.Want["reason"]; refused {
				wantReason(t, err, token, identity.Reason(reason.(string)))
				if p != nil {
					t.Errorf("refused, and yet a principal: %+v", p)
				}
				seen[identity.Reason(reason.(string))] = true
				return
			}
			if err != nil {
				t.Fatalf("refused: %v", err)
			}
			got := describe(p)
			for field, want := range c.Want {
				if want, ok := want.(string); ok && field == "expires_in" {
					if d, err := time.ParseDuration(want); err != nil || got[field] != d {
						t.Errorf("%s is %v, want %v", field, got[field], want)
					}
					continue
				}
				if value, known := got[field]; !known || !reflect.DeepEqual(plain(t, value), plain(t, want)) {
					t.Errorf("%s is %v, want %v", field, value, want)
				}
			}
			again, err := v.Verify(t.Context(), identity.Token(token))
			if err != nil || !reflect.DeepEqual(again, p) {
				t.Errorf("presented again: %+v, %v", again, err)
			}
		})
	}
	for _, reason := range []identity.Reason{
		identity.ReasonMissing, identity.ReasonTooLarge, identity.ReasonMalformed, identity.ReasonAmbiguous, identity.ReasonIssuerUnknown,
		identity.ReasonAlgorithm, identity.ReasonType, identity.ReasonKeyUnknown, identity.ReasonSignature, identity.ReasonClaimMissing,
		identity.ReasonClaimInvalid, identity.ReasonAudience, identity.ReasonTenant, identity.ReasonParty, identity.ReasonNotApp,
		identity.ReasonExpired, identity.ReasonNotYetValid, identity.ReasonIssuedInFuture, identity.ReasonLifetime, identity.ReasonTooOld,
	} {
		if !seen[reason] {
			t.Errorf("no token in the table is refused for %s", reason)
		}
	}
}

func describe(p *identity.Principal) map[string]any {
	d := map[string]any{
		"issuer": p.Issuer, "tenant": p.Tenant, "subject": p.Subject, "kind": p.Kind, "known": p.Known, "name": p.Name, "owner": p.Owner,
		"display_name": p.DisplayName, "groups": p.Groups, "groups_complete": p.GroupsComplete, "roles": p.Roles, "scopes": p.Scopes,
		"token_id": p.TokenID, "key": p.Key(), "on_behalf_of_key": p.OnBehalfOfKey(), "on_behalf_of": "", "expires_in": p.ExpiresAt.Sub(noon),
	}
	if p.OnBehalfOf != nil {
		d["on_behalf_of"] = p.OnBehalfOf.Subject
	}
	return d
}

func plain(t *testing.T, value any) (out any) {
	t.Helper()
	data, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (w *world) make(t *testing.T, c tokenCase) string {
	t.Helper()
	if c.Raw != nil {
		return *c.Raw
	}
	if c.Issuer == "" {
		c.Issuer = "corp"
	}
	o := devenv.MintOptions{Claims: map[string]any{}}
	if c.Token != nil {
		o.Client, o.Kind, o.Audience, o.Groups, o.Header = c.Token.Client, c.Token.Kind, c.Token.Audience, c.Token.Groups, c.Token.Header
		for name, value := range c.Token.Claims {
			o.Claims[name] = value
		}
	}
	for name, offset := range c.Times {
		o.Claims[name] = noon.Add(offset).Unix()
	}
	if c.Filler > 0 {
		o.Claims["filler"] = strings.Repeat("x", c.Filler)
	}
	if c.Payload != "" {
		o.Payload = []byte(c.Payload)
	}
	token := w.issuers[c.Issuer].Mint(o)
	if c.Forge == "" {
		return token
	}
	return forge(t, c.Forge, token, w.issuers[c.Issuer].jwks(t)[0])
}

// forge does to a good token what no issuer would.
func forge(t *testing.T, how, token string, key map[string]any) string {
	t.Helper()
	parts := strings.Split(token, ".")
	header, payload, signature := parts[0], parts[1], parts[2]
	relabel := func(json string) string { return encode(json) + "." + payload + "." + signature }
	switch how {
	case "bearer":
		return "Bearer " + token
	case "newline":
		return token + "\n"
	case "quotes":
		return `"` + token + `"`
	case "padding":
		return header + "." + payload + "." + signature + "=="
	case "respell": // the last of 342 letters has four bits that mean nothing
		const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := strings.IndexByte(letters, signature[len(signature)-1])
		return token[:len(token)-1] + string(letters[last|1])
	case "json":
		return `{"protected":"` + header + `","payload":"` + payload + `","signature":"` + signature + `"}`
	case "five-parts":
		return token + ".a.b"
	case "latin1":
		return header + "." + encode("{\"iss\":\"\xe9\"}") + "." + signature
	case "crit":
		return relabel(`{"alg":"RS256","crit":["b64"],"b64":true}`)
	case "numeric-kid":
		return relabel(`{"alg":"RS256","kid":1}`)
	case "header-twice":
		return relabel(`{"alg":"none","alg":"RS256"}`)
	case "none":
		return encode(`{"alg":"none","typ":"JWT"}`) + "." + payload + "."
	case "relabel-es256":
		return relabel(`{"alg":"ES256","kid":"` + key["kid"].(string) + `"}`)
	case "hmac":
		public, err := json.Marshal(key)
		if err != nil {
			t.Fatal(err)
		}
		signed := encode(`{"alg":"HS256","kid":"`+key["kid"].(string)+`"}`) + "." + payload
		mac := hmac.New(sha256.New, public)
		mac.Write([]byte(signed))
		return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	case "tamper":
		data, err := base64.RawURLEncoding.DecodeString(payload)
		if err != nil {
			t.Fatal(err)
		}
		return header + "." + encode(strings.ReplaceAll(string(data), "stranger", "agent-1")) + "." + signature
	case "cut":
		return header + "." + payload + "."
	default:
		t.Fatalf("unknown forgery %q", how)
		return ""
	}
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
