package rego

import (
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

const goodStatement = `{
	"effect": "require_approval",
	"reasons": {{"policy": "b", "message": "m", "approvers": ["y", "x"], "max_wait": "2m", "severity": "high"}, {"policy": "a", "message": "n"}},
	"masks": {"public.t.c": {"partial": {"keep_last": 4, "char": "x", "ratio": 0.5}}}, "written": {"public.t.c"},
	"limits": {"rows": 10, "bytes": 0, "duration": "90s"},
	"approval": {"approvers": {"y", "x"}, "max_wait": "2m"},
	"record": true, "binding": "one", "policies": {"b", "a"},
}`

func TestDecodeStatement(t *testing.T) {
	d, err := decodeStatement(ast.MustParseTerm(goodStatement).Value, made{generation: 3, revision: "r", rules: []string{"x/y"}})
	if err != nil {
		t.Fatal(err)
	}
	args := d.Masks["public.t.c"].Args
	switch {
	case d.Effect != RequireApproval, d.Generation != 3, d.Revision != "r", d.Rules[0] != "x/y", d.Binding != "one", !d.Record:
	case len(d.Reasons) != 2, d.Reasons[0].Policy != "a", d.Reasons[1].Approvers[0] != "x", d.Reasons[1].MaxWait != "2m":
	case d.Masks["public.t.c"].Name != "partial", !d.Masks["public.t.c"].Written, args["keep_last"] != int64(4), args["char"] != "x", args["ratio"] != 0.5:
	case *d.Limits.Rows != 10, *d.Limits.Bytes != 0, d.Limits.Duration != 90*time.Second:
	case d.Approval.MaxWait != 2*time.Minute, len(d.Approval.Approvers) != 2, d.Policies[0] != "a":
	default:
		return
	}
	t.Errorf("%+v", d)
}

func TestDecodeStatementRefuses(t *testing.T) {
	for _, c := range []struct{ old, new, complaint string }{
		{`"effect": "require_approval"`, `"effect": "permit"`, "effect"},
		{`"written": {"public.t.c"}`, `"written": {"public.t.d"}`, "written"},
		{`"written": {"public.t.c"}`, `"written": true`, "written"},
		{`"effect": "require_approval"`, `"effect": ""`, "effect"},
		{`"effect": "require_approval"`, `"effect": true`, "want a string"},
		{`"effect": "require_approval",`, ``, "effect"},
		{`"effect": "require_approval"`, `"effect": "allow"`, "do not belong together"},
		{`"record": true`, `"record": "yes"`, "record"},
		{`"record": true,`, ``, "record"},
		{`"record": true`, `"record": true, "maks": {}`, `key nobody knows: "maks"`},
		{`"rows": 10`, `"rows": -1`, "whole number"},
		{`"rows": 10`, `"rows": 1.5`, "whole number"},
		{`"rows": 10`, `"row": 10`, "key nobody knows"},
		{`"rows": 10`, `"rows": "10"`, "whole number"},
		{`"duration": "90s"`, `"duration": "90"`, "no duration"},
		{`"duration": "90s"`, `"duration": "0s"`, "more than nothing"},
		{`"duration": "90s"`, `"duration": 90`, "want a string"},
		{`"partial"`, `"blur"`, "mask function"},
		{`{"partial": {"keep_last": 4, "char": "x", "ratio": 0.5}}`, `{}`, "no mask"},
		{`{"partial": {"keep_last": 4, "char": "x", "ratio": 0.5}}`, `"redact"`, "no mask"},
		{`{"partial": {"keep_last": 4, "char": "x", "ratio": 0.5}}`, `{"redact": {}, "null": {}}`, "no mask"},
		{`"keep_last": 4`, `"keep_last": [4]`, "not understood"},
		{`"max_wait": "2m"},
	"record"`, `"max_wait": "2m", "approver": "z"},
	"record"`, "key nobody knows"},
		{`"approvers": {"y", "x"}`, `"approvers": {7}`, "want strings"},
		{`"policies": {"b", "a"}`, `"policies": "a"`, "want a set"},
		{`"message": "n"`, `"message": 7`, "want a string"},
	} {
		text := strings.Replace(goodStatement, c.old, c.new, 1)
		if text == goodStatement {
			t.Fatalf("%q is not there", c.old)
		}
		term, err := ast.ParseTerm(text)
		if err != nil {
			t.Fatal(c.new, err)
		}
		d, err := decodeStatement(term.Value, made{})
		if err == nil || !strings.Contains(err.Error(), c.complaint) {
			t.Errorf("%s: %v, %+v, want %q", c.new, err, d, c.complaint)
		}
	}
}

func TestDecodeInconsistentEffects(t *testing.T) {
	for text, good := range map[string]bool{
		`{"effect": "deny", "record": true}`:                                                  true,
		`{"effect": "allow", "record": true}`:                                                 true,
		`{"effect": "allow", "record": true, "masks": {"t.c": {"null": {}}}}`:                 false,
		`{"effect": "mask", "record": true, "masks": {"t.c": {"null": {}}}}`:                  true,
		`{"effect": "mask", "record": true}`:                                                  false,
		`{"effect": "require_approval", "record": true}`:                                      false,
		`{"effect": "deny", "record": true, "approval": {"approvers": [], "max_wait": "1s"}}`: false,
		`["deny"]`: false,
		`true`:     false,
	} {
		if _, err := decodeStatement(ast.MustParseTerm(text).Value, made{}); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestDecodeSession(t *testing.T) {
	for text, good := range map[string]bool{
		`{"effect": "deny"}`: true,
		`{"effect": "allow", "grant": {"mode": "on-request", "ttl": "30m", "record": true, "approvers": [], "privileges": []}}`: true,
		`{"effect": "allow", "grant": {"mode": "standing", "ttl": null, "record": false}}`:                                      true,
		`{"effect": "require_approval", "grant": {"mode": "approval", "ttl": "5m", "record": true, "approvers": {"x"}}}`:        true,
		`{"effect": "allow"}`: false,
		`{"effect": "allow", "grant": {"mode": "on-request", "record": true}}`:                 false, // endless
		`{"effect": "allow", "grant": {"mode": "forever", "ttl": "5m", "record": true}}`:       false,
		`{"effect": "allow", "grant": {"mode": "standing", "record": true, "rest": 1}}`:        false,
		`{"effect": "allow", "grant": {"mode": "standing"}}`:                                   false,
		`{"effect": "mask", "grant": {"mode": "standing", "record": true}}`:                    false,
		`{"effect": "deny", "limits": {}}`:                                                     false,
		`{"effect": "allow", "grant": {"mode": "standing", "ttl": "-5m", "record": true}}`:     false,
		`{"effect": "allow", "grant": {"mode": "standing", "record": true, "approvers": "x"}}`: false,
	} {
		if _, err := decodeSession(ast.MustParseTerm(text).Value, made{}); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestZeroEffectRefuses(t *testing.T) {
	for effect, refuses := range map[Effect]bool{"": true, Deny: true, "Allow": true, Allow: false, Mask: false, RequireApproval: false} {
		if effect.Refuses() != refuses {
			t.Errorf("%q.Refuses() is %v", effect, !refuses)
		}
	}
}
