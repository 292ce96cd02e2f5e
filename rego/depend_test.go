package rego

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/rs/zerolog"
)

func dependencyOf(t *testing.T, module string) *dependencies {
	t.Helper()
	c := ast.NewCompiler()
	parsed, err := ast.ParseModuleWithOpts("p.rego", "package p\n"+module, ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err != nil {
		t.Fatal(err)
	}
	if c.Compile(map[string]*ast.Module{"p.rego": parsed}); c.Failed() {
		t.Fatal(c.Errors)
	}
	return dependenciesOf(c, ast.MustParseRef("data.p.x"))
}

func TestDependencies(t *testing.T) {
	for _, c := range []struct{ name, module, inputs string }{
		{"constant", `x := 1`, ""},
		{"field", `x := input.a.b`, "input.a.b"},
		{"longest is dropped", `x if { input.a.b; input.a }`, "input.a"},
		{"variable key", `x if { some k; input.a[k].b }`, "input.a"},
		{"array index", `x := input.a[0].b`, "input.a[0].b"},
		{"bare", `x := input`, "input"},
		{"bare in a call", `x := object.get(input, "a", 1)`, "input"},
		{"part in a call", `x := object.get(input.a, "b", 1)`, "input.a"},
		{"local", `x if { y := input.a; y.b == 1 }`, "input.a"},
		{"function", "x := f(input.a)\nf(v) := v.b", "input.a"},
		{"inside a function", "x := f(1)\nf(v) := v + input.b", "input.b"},
		{"helper", "x if y\ny if input.c", "input.c"},
		{"else", "x := 1 if input.a\nelse := 2 if input.b", "input.a input.b"},
		{"default", "default x := 1\nx := 2 if input.a", "input.a"},
		{"negated", `x if not input.a`, "input.a"},
		{"comprehension", `x := [y | some y in input.a]`, "input.a"},
		{"set", `x contains input.a if input.b`, "input.a input.b"},
		{"object", `x[input.k] := input.v`, "input.k input.v"},
		{"every", `x if every v in input.a { v == input.b }`, "input.a input.b"},
		{"head", `x := {"v": input.a}`, "input.a"},
		{"template", `x := $"is {input.a}"`, "input.a"},
		{"with", "x if y with input.a as input.b\ny if input.a.c", "input.a input.b"},
		{"with whole", "x if y with input as {}\ny if input.a.c", "input"},
		{"reference as key", `x := {"k": 1}[input.a]`, "input.a"},
		{"dynamic rules", "x if data.p.by[input.name].ok\nby.a.ok if input.a\nby.b.ok if input.b\nby.c.no if input.c", "input.a input.b input.name"},
		{"walk", `x if walk(input.a, [_, 1])`, "input.a"},
		{"clock", `x := input.time.hour`, "input.time.hour"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			d := dependencyOf(t, c.module)
			for _, ref := range d.inputs {
				got = append(got, ref.String())
			}
			if s := strings.Join(got, " "); s != c.inputs {
				t.Errorf("got %q, want %q", s, c.inputs)
			}
		})
	}
}

func TestCacheable(t *testing.T) {
	for _, c := range []struct {
		name, module string
		want         bool
	}{
		{"input only", `x := input.statement.kind`, true},
		{"hour", `x := input.time.hour`, true},
		{"moment", `x := input.time.now_ns`, false},
		{"moment as text", `x := input.time.rfc3339`, false},
		{"whole time", `x if object.get(input.time, "hour", 1) == 1`, false},
		{"whole input", `x if count(input) == 1`, false},
		{"clock", `x := time.now_ns()`, false},
		{"clock in a helper", "x if y\ny if time.now_ns() > 1", false},
		{"clock elsewhere", "x := 1\ny if time.now_ns() > 1", true},
		{"clock in with", "x if y with input.a as time.now_ns()\ny if input.a", false},
		{"network", `x if http.send({"method": "get", "url": "http://localhost"}).status_code == 200`, false},
		{"chance", `x := rand.intn("a", 2)`, false},
		{"identifier", `x := uuid.rfc4122("a")`, false},
		{"certificate", `x := crypto.x509.parse_and_verify_certificates(input.a)`, false},
		{"runtime", `x := opa.runtime()`, false},
	} {
		if got := dependencyOf(t, c.module).cacheable(); got != c.want {
			t.Errorf("%s: cacheable is %v, want %v", c.name, got, c.want)
		}
	}
}

func loaded(t testing.TB, dir string) *snapshot {
	t.Helper()
	e, err := New(t.Context(), Config{Directory: dir, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(t.Context()) })
	s := e.current.Load()
	if s == nil {
		t.Fatal(e.Status().Error)
	}
	return s
}

func TestShippedStatementsDependOnTheirShape(t *testing.T) {
	d := loaded(t, shipped(t)).statement.depends
	if !d.cacheable() {
		t.Fatalf("statements are not cached: %v, clock %v", d.volatile, d.clock)
	}
	for _, ref := range d.inputs {
		if ref.String() == "input.identity.claims.city" {
			continue // of the filter of branch_office: the same for all statements of a caller
		}
		for _, path := range []string{"input.statement.digest", "input.statement.fingerprint", "input.session", "input.identity.token", "input.identity.claims"} {
			if strings.HasPrefix(path, ref.String()) || strings.HasPrefix(ref.String(), path) {
				t.Errorf("depends on %v, so that equal statements do not share a decision", ref)
			}
		}
	}
}

// The cache is sound: whatever is changed of an input, as long as the key stays the
// same the decision stays the same. And it is worth something: some changes do
// leave the key alone, others change the decision.
func TestEqualKeyEqualDecision(t *testing.T) {
	dir := shipped(t)
	write(t, dir, map[string]string{"bindings/branch-office/data.yaml": "policy: branch-office\nconnection: '*'\ngrant: standing\n"})
	s := loaded(t, dir)
	random := rand.New(rand.NewPCG(1, 2))
	type seen struct {
		decision string
		input    string
	}
	known := map[[32]byte]seen{}
	var same, decisions int
	different := map[string]bool{}
	rounds := 1500
	if testing.Short() {
		rounds = 300
	}
	for range rounds {
		in := mutated(random)
		key, err := s.statement.depends.key(in)
		if err != nil {
			t.Fatal(err)
		}
		d, err := s.statement.evaluate(t.Context(), in, s)
		if err != nil {
			t.Fatal(err)
		}
		v, err := in.value()
		if err != nil {
			t.Fatal(err)
		}
		shown := *d
		shown.Limits, shown.Approval = Limits{}, nil // pointers, shown by themselves
		got := fmt.Sprintf("%+v %+v %v %v", shown, d.Approval, deref(d.Limits.Rows), d.Limits.Duration)
		if before, ok := known[key]; ok {
			if v.String() != before.input {
				same++
			}
			if before.decision != got {
				t.Fatalf("equal keys, but\n%s\n%s\nfor\n%s\n%s", before.decision, got, before.input, v)
			}
		}
		known[key] = seen{got, v.String()}
		different[got] = true
		decisions++
	}
	if same < decisions/20 || len(different) < 20 {
		t.Errorf("of %d decisions, %d came of another input with an equal key, and %d are different: too few to prove a thing", decisions, same, len(different))
	}
	t.Logf("%d inputs, %d keys, %d different decisions, %d times another input had the same key", decisions, len(known), len(different), same)
}

func deref(n *int64) int64 {
	if n == nil {
		return -1
	}
	return *n
}

// mutated changes a few fields of an input to other values that could stand there.
func mutated(r *rand.Rand) *Input {
	inputs := []*Input{
		asking("support-desk", customers("id", "email"), "support-agents"),
		asking("jit-schema-checks", customers("id")),
		asking("payments-review", customers("ssn"), "data-fixers"),
		asking("branch-office", customers("id", "city")),
	}
	in := inputs[r.IntN(len(inputs))]
	in.Identity.Claims["city"] = []any{"Lisbon", "Porto", 3, nil}[r.IntN(4)]
	for range 1 + r.IntN(2) {
		mutate(r, reflect.ValueOf(in).Elem(), "Input")
	}
	return in
}

// words are what fields of that name may say, besides nonsense.
var words = map[string][]string{
	"Kind":        {"select", "update", "delete", "do", "set", "begin", "workload", "user", "aggregate"},
	"Class":       {"read", "write", "setting", "transaction", "privilege"},
	"State":       {"active", "none", "expired", "approved"},
	"Binding":     {"support-desk", "jit-schema-checks", "branch-office", ""},
	"Groups":      {"support-agents", "pii-readers", "data-fixers", "auditors"},
	"Access":      {"read", "update", "delete", "insert"},
	"Schema":      {"public", "pg_catalog", "hr"},
	"ID":          {"public.customers", "public.payments", "public.customers.phone", "pg_catalog.pg_read_file", "public.payments.card_number"},
	"Name":        {"pg_stats", "application_name", "role", "prod-replica", "stage", "dblink"},
	"Volatility":  {"immutable", "volatile"},
	"Language":    {"internal", "sql", "c"},
	"Issuer":      {"entra-contoso", "okta"},
	"Fingerprint": {"a", "b"},
}

func mutate(r *rand.Rand, v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.Struct:
		exported := slices.DeleteFunc(reflect.VisibleFields(v.Type()), func(f reflect.StructField) bool { return !f.IsExported() })
		f := exported[r.IntN(len(exported))]
		if f.Name == "Phase" || f.Name == "Version" {
			return
		}
		mutate(r, v.FieldByIndex(f.Index), f.Name)
	case reflect.Pointer:
		switch {
		case v.IsNil():
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem())
		case r.IntN(8) == 0 && name != "Statement":
			v.SetZero()
		}
		if !v.IsNil() {
			mutate(r, v.Elem(), name)
		}
	case reflect.Slice:
		if v.Len() == 0 || r.IntN(4) == 0 {
			e := reflect.New(v.Type().Elem()).Elem()
			fill(e)
			v.Set(reflect.Append(v, e))
		}
		mutate(r, v.Index(r.IntN(v.Len())), name)
	case reflect.String:
		v.SetString("nonsense")
		if list := words[name]; list != nil {
			v.SetString(list[r.IntN(len(list))])
		}
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(r.IntN(3)))
	case reflect.Float64:
		v.SetFloat(float64(r.IntN(3)))
	case reflect.Map, reflect.Interface:
		if v.Kind() == reflect.Map && v.Type().Elem().Kind() == reflect.Interface {
			v.Set(reflect.ValueOf(map[string]any{"dept": fmt.Sprint(r.IntN(3))}))
		}
	}
}

// Different parts of an input are never written alike.
func TestKeysTellPartsApart(t *testing.T) {
	d := dependencyOf(t, "x := [input.identity, input.session, input.grant, input.connection, input.statement]")
	seen := map[[32]byte]string{}
	for name, change := range map[string]func(*Input){
		"nothing":          func(*Input) {},
		"groups joined":    func(in *Input) { in.Identity.Groups = []string{"ab", "c"} },
		"groups split":     func(in *Input) { in.Identity.Groups = []string{"a", "bc"} },
		"groups nested":    func(in *Input) { in.Identity.Groups = []string{"abc"} },
		"role, not group":  func(in *Input) { in.Identity.Groups, in.Identity.Roles = nil, []string{"abc"} },
		"no grant":         func(in *Input) { in.Grant = nil },
		"empty grant":      func(in *Input) { in.Grant = &Grant{} },
		"claim text":       func(in *Input) { in.Identity.Claims = map[string]any{"a": "1"} },
		"claim number":     func(in *Input) { in.Identity.Claims = map[string]any{"a": 1} },
		"claim list":       func(in *Input) { in.Identity.Claims = map[string]any{"a": []any{1}} },
		"claim null":       func(in *Input) { in.Identity.Claims = map[string]any{"a": nil} },
		"label":            func(in *Input) { in.Connection.Labels = map[string]string{"a": "b", "c": "d"} },
		"label otherwise":  func(in *Input) { in.Connection.Labels = map[string]string{"a": "d", "c": "b"} },
		"estimate":         func(in *Input) { in.Statement.Estimate = &Estimate{Rows: 1} },
		"estimate's cost":  func(in *Input) { in.Statement.Estimate = &Estimate{Rows: 1, Cost: 0.5} },
		"no estimate":      func(in *Input) { in.Statement.Unestimated = "why" },
		"limit 0":          func(in *Input) { in.Statement.Limit = new(int64) },
		"column elsewhere": func(in *Input) { in.Statement.Columns[0].Table = "public.other" },
	} {
		in := asking("b", customers("id"), "g")
		change(in)
		key, err := d.key(in)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[key]; ok {
			t.Errorf("%s and %s have the same key", name, other)
		}
		seen[key] = name
	}
}

func TestVolatilePoliciesAreNotCached(t *testing.T) {
	dir := shipped(t)
	write(t, dir, map[string]string{"policy/extra/extra.rego": "package policy.extra\n\nstatement.deny contains \"odd\" if (time.now_ns() / 1000000000) % 2 == 1\n"})
	write(t, dir, map[string]string{"bindings/extra/data.yaml": "policy: extra\n"})
	e, r := start(t, dir)
	r.next(t)
	in := asking("support-desk", customers("id"), "support-agents")
	for second, want := range map[int64]Effect{1: Deny, 2: Allow, 3: Deny} {
		in.Time.NowNS = second * 1e9
		if d, err := e.DecideStatement(t.Context(), in); err != nil || d.Effect != want {
			t.Errorf("second %d: %+v, %v", second, d, err)
		}
	}
}

func TestCacheForgetsWhatIsNotUsed(t *testing.T) {
	var c cache[int]
	key := func(i int) [32]byte { return [32]byte{byte(i), byte(i >> 8), byte(i >> 16)} }
	n := 7
	for i := range 10 * cacheSize {
		c.put(key(i), &n)
		if c.get(key(0)) == nil {
			t.Fatal("what was used all the time was forgotten")
		}
	}
	if got := len(c.young) + len(c.old); got > 2*cacheSize {
		t.Errorf("holds %d decisions, want at most %d", got, 2*cacheSize)
	}
	if c.get(key(1)) != nil {
		t.Error("what was not used was kept")
	}
}

func TestSecondAnswerComesFromTheCache(t *testing.T) {
	s := loaded(t, shipped(t))
	st := customers("email")
	first, err := s.statement.decide(t.Context(), asking("support-desk", st, "support-agents"), s)
	if err != nil {
		t.Fatal(err)
	}
	other := asking("support-desk", customers("email"), "support-agents") // another text of the same shape
	other.Statement.Fingerprint, other.Session.Statements = "other", 99
	other.Time.NowNS++
	second, err := s.statement.decide(t.Context(), other, s)
	if err != nil || first != second {
		t.Errorf("decided twice: %p %p, %v", first, second, err)
	}
	if third, err := s.statement.decide(t.Context(), asking("support-desk", st, "pii-readers", "support-agents"), s); err != nil || third == first {
		t.Errorf("another's decision: %+v, %v", third, err)
	}
}

// One *Statement serves many sessions at once, also before anything is known of it.
func TestStatementIsSharedSafely(t *testing.T) {
	s := loaded(t, shipped(t))
	for range 20 {
		st := customers("id", "email", "ssn")
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				in := asking("support-desk", st, "support-agents")
				var d *StatementDecision
				var err error
				if i%2 == 0 {
					d, err = s.statement.decide(t.Context(), in, s)
				} else {
					d, err = s.statement.evaluate(t.Context(), in, s)
				}
				if err != nil || d.Effect != Mask || len(d.Masks) != 2 {
					t.Errorf("%+v, %v", d, err)
				}
			})
		}
		wg.Wait()
	}
}
