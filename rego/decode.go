package rego

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Decisions are decoded once, here, and strictly: whatever is not understood is
// an error, and an error refuses. Reasons alone may hold more than is known, for
// they are for people: nothing is enforced by them.

// made says which policies made a decision, and which of their rules spoke.
type made struct {
	generation uint64
	revision   string
	rules      []string
	rows       compileRows
	filtered   bool // a policy filters rows, so that the decision has to say of which tables
	estimating *estimating
}

// object reads the members of a Rego object and remembers what went wrong first.
type object struct {
	name    string
	members ast.Object
	read    []string
	err     error
}

func newObject(name string, v ast.Value) *object {
	o := &object{name: name, members: ast.NewObject()}
	if m, ok := v.(ast.Object); ok {
		o.members = m
	} else {
		o.err = fmt.Errorf("%s is %s, want an object", name, ast.ValueName(v))
	}
	return o
}

func (o *object) fail(format string, args ...any) {
	if o.err == nil {
		o.err = fmt.Errorf(o.name+format, args...)
	}
}

// get returns the member, or nil where there is none or it is null.
func (o *object) get(key string) ast.Value {
	o.read = append(o.read, key)
	t := o.members.Get(ast.InternedTerm(key))
	if t == nil {
		return nil
	}
	if _, null := t.Value.(ast.Null); null {
		return nil
	}
	return t.Value
}

func (o *object) text(key string) string {
	v := o.get(key)
	s, ok := v.(ast.String)
	if v != nil && !ok {
		o.fail(".%s is %s, want a string", key, ast.ValueName(v))
	}
	return string(s)
}

func (o *object) bool(key string) bool {
	v := o.get(key)
	b, ok := v.(ast.Boolean)
	if !ok {
		o.fail(".%s is missing or no boolean", key)
	}
	return bool(b)
}

// texts reads a set or an array of strings, and returns them sorted, each once.
func (o *object) texts(key string) []string {
	v := o.get(key)
	if v == nil {
		return nil
	}
	var out []string
	if !each(v, func(t *ast.Term) {
		s, ok := t.Value.(ast.String)
		if !ok {
			o.fail(".%s holds %s, want strings", key, ast.ValueName(t.Value))
		}
		out = append(out, string(s))
	}) {
		o.fail(".%s is %s, want a set of strings", key, ast.ValueName(v))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (o *object) duration(key string) time.Duration {
	s := o.text(key)
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		o.fail(".%s: %q is no duration such as 90s or 30m", key, s)
	case d <= 0:
		o.fail(".%s: %q must be more than nothing", key, s)
	}
	return d
}

func (o *object) count(key string) *int64 {
	v := o.get(key)
	if v == nil {
		return nil
	}
	n, ok := v.(ast.Number)
	i, whole := n.Int64()
	if !ok || !whole || i < 0 {
		o.fail(".%s is %v, want a whole number", key, v)
	}
	return &i
}

// done returns the first error; a member nobody has read is one.
func (o *object) done() error {
	for _, k := range o.members.Keys() {
		if s, ok := k.Value.(ast.String); !ok || !slices.Contains(o.read, string(s)) {
			o.fail(" has a key nobody knows: %v", k)
		}
	}
	return o.err
}

// each visits the members of a set or an array.
func each(v ast.Value, f func(*ast.Term)) bool {
	switch v := v.(type) {
	case *ast.Array:
		v.Foreach(f)
	case ast.Set:
		v.Foreach(f)
	default:
		return false
	}
	return true
}

func decodeStatement(v ast.Value, by made) (*StatementDecision, error) {
	o := newObject("decision", v)
	d := &StatementDecision{
		Effect:   Effect(o.text("effect")),
		Reasons:  decodeReasons(o),
		Masks:    decodeMasks(o),
		Limits:   decodeLimits(o),
		Approval: decodeApproval(o),
		Record:   o.bool("record"),
		Binding:  o.text("binding"),
		Policies: o.texts("policies"),
		Rules:    by.rules, Generation: by.generation, Revision: by.revision,
	}
	for _, column := range o.texts("written") {
		f, masked := d.Masks[column]
		if !masked {
			o.fail(".written: %s has no mask", column)
			continue
		}
		f.Written = true
		d.Masks[column] = f
	}
	raw := rawFilters(o)
	if by.filtered && raw == nil {
		o.fail(".filters is missing: policies say statement.filter, and the bundle's package sallyport does not ask for it")
	}
	d.NeedsEstimate = by.estimating.any(d.Policies)
	if err := o.done(); err != nil {
		return nil, err
	}
	if err := d.consistent(); err != nil {
		return nil, err
	}
	if d.Effect == Deny && !d.NeedsEstimate { // nothing runs, or is planned, that could be filtered
		return d, nil
	}
	var err error
	d.Filters, err = filters(raw, by.rows)
	return d, err
}

// consistent refuses a decision whose effect and obligations say different things.
func (d *StatementDecision) consistent() error {
	if (d.Approval != nil) != (d.Effect == RequireApproval) {
		return fmt.Errorf("decision: effect %q and approval do not belong together", d.Effect)
	}
	switch d.Effect {
	case Deny, RequireApproval:
	case Mask:
		if len(d.Masks) == 0 {
			return fmt.Errorf("decision: effect mask, but no masks")
		}
	case Allow:
		if len(d.Masks) > 0 {
			return fmt.Errorf("decision: effect allow, but there are masks")
		}
	default:
		return fmt.Errorf("decision: nobody knows the effect %q", d.Effect)
	}
	return nil
}

func decodeSession(v ast.Value, by made) (*SessionDecision, error) {
	o := newObject("decision", v)
	d := &SessionDecision{
		Effect:   Effect(o.text("effect")),
		Reasons:  decodeReasons(o),
		Grant:    decodeGrant(o),
		Binding:  o.text("binding"),
		Policies: o.texts("policies"),
		Rules:    by.rules, Generation: by.generation, Revision: by.revision,
	}
	if err := o.done(); err != nil {
		return nil, err
	}
	switch d.Effect {
	case Deny:
	case RequireApproval, Allow:
		if d.Grant == nil {
			return nil, fmt.Errorf("decision: effect %q, but no grant terms", d.Effect)
		}
	default:
		return nil, fmt.Errorf("decision: nobody knows the effect %q of a session", d.Effect)
	}
	return d, nil
}

func decodeReasons(o *object) []Reason {
	v := o.get("reasons")
	if v == nil {
		return nil
	}
	var out []Reason
	if !each(v, func(t *ast.Term) {
		r := newObject("reason", t.Value)
		out = append(out, Reason{
			Policy: r.text("policy"), Message: r.text("message"), Hint: r.text("hint"),
			Approvers: r.texts("approvers"), MaxWait: r.text("max_wait"), Rule: r.text("rule"),
		})
		if r.err != nil {
			o.fail(": %w", r.err)
		}
	}) {
		o.fail(".reasons is %s, want a set", ast.ValueName(v))
	}
	slices.SortFunc(out, func(a, b Reason) int {
		if c := strings.Compare(a.Policy, b.Policy); c != 0 {
			return c
		}
		return strings.Compare(a.Message, b.Message)
	})
	return out
}

var maskFunctions = []string{"null", "redact", "replace", "hash", "email", "partial", "round", "truncate"}

func decodeMasks(o *object) map[string]MaskFunction {
	v := o.get("masks")
	if v == nil {
		return nil
	}
	masks := newObject("masks", v)
	out := map[string]MaskFunction{}
	masks.members.Foreach(func(k, t *ast.Term) {
		id, ok := k.Value.(ast.String)
		if !ok {
			masks.fail(": %v is no column id", k)
		}
		f, err := decodeMask(t.Value)
		if err != nil {
			masks.fail(": %v: %w", k, err)
		}
		out[string(id)] = f
	})
	if masks.err != nil {
		o.fail(": %w", masks.err)
	}
	return out
}

// decodeMask reads {"partial": {"keep_last": 4}}.
func decodeMask(v ast.Value) (MaskFunction, error) {
	m, ok := v.(ast.Object)
	if !ok || m.Len() != 1 {
		return MaskFunction{}, fmt.Errorf("%v is no mask: want one function and its arguments", v)
	}
	key := m.Keys()[0]
	name, ok := key.Value.(ast.String)
	if !ok || !slices.Contains(maskFunctions, string(name)) {
		return MaskFunction{}, fmt.Errorf("nobody knows the mask function %v, only %s", key, strings.Join(maskFunctions, ", "))
	}
	given, ok := m.Get(key).Value.(ast.Object)
	if !ok {
		return MaskFunction{}, fmt.Errorf("the arguments of %s are no object", name)
	}
	f := MaskFunction{Name: string(name), Args: map[string]any{}}
	err := given.Iter(func(k, t *ast.Term) error {
		arg, err := decodeArg(t.Value)
		if s, ok := k.Value.(ast.String); ok && err == nil {
			f.Args[string(s)] = arg
			return nil
		}
		return fmt.Errorf("the argument %v of %s is not understood", k, name)
	})
	return f, err
}

func decodeArg(v ast.Value) (any, error) {
	switch v := v.(type) {
	case ast.String:
		return string(v), nil
	case ast.Boolean:
		return bool(v), nil
	case ast.Number:
		if i, ok := v.Int64(); ok {
			return i, nil
		}
		f, ok := v.Float64()
		if !ok {
			return nil, fmt.Errorf("%v is out of range", v)
		}
		return f, nil
	default:
		return nil, fmt.Errorf("%s is no argument", ast.ValueName(v))
	}
}

func decodeLimits(o *object) Limits {
	v := o.get("limits")
	if v == nil {
		return Limits{}
	}
	l := newObject("limits", v)
	limits := Limits{Rows: l.count("rows"), Bytes: l.count("bytes"), Duration: l.duration("duration")}
	if err := l.done(); err != nil {
		o.fail(": %w", err)
	}
	return limits
}

func decodeApproval(o *object) *ApprovalTerms {
	v := o.get("approval")
	if v == nil {
		return nil
	}
	a := newObject("approval", v)
	terms := &ApprovalTerms{Approvers: a.texts("approvers"), MaxWait: a.duration("max_wait")}
	if err := a.done(); err != nil {
		o.fail(": %w", err)
	}
	return terms
}

func decodeGrant(o *object) *GrantTerms {
	v := o.get("grant")
	if v == nil {
		return nil
	}
	g := newObject("grant", v)
	terms := &GrantTerms{
		Mode: g.text("mode"), TTL: g.duration("ttl"), Record: g.bool("record"), Approvers: g.texts("approvers"),
		Privileges: g.json("privileges"),
	}
	switch terms.Mode {
	case ModeStanding:
	case ModeOnRequest, ModeApproval:
		if terms.TTL == 0 {
			g.fail(".ttl is missing: a window has to end")
		}
	default:
		g.fail(".mode: nobody knows %q", terms.Mode)
	}
	if err := g.done(); err != nil {
		o.fail(": %w", err)
	}
	return terms
}

func (o *object) json(key string) json.RawMessage {
	v := o.get(key)
	if v == nil {
		return nil
	}
	x, err := ast.JSONWithOpt(v, ast.JSONOpt{SortSets: true})
	if err != nil {
		o.fail(".%s: %w", key, err)
		return nil
	}
	raw, err := json.Marshal(x)
	if err != nil {
		o.fail(".%s: %w", key, err)
	}
	return raw
}
