package rego

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
	opacache "github.com/open-policy-agent/opa/v1/topdown/cache"
)

// The entrypoints, which plain OPA can run as well.
var (
	sessionEntrypoint   = ast.MustParseRef("data.sallyport.session.decision")
	statementEntrypoint = ast.MustParseRef("data.sallyport.statement.decision")
)

// patience bounds one evaluation. A policy that takes longer refuses.
const patience = 5 * time.Second

// snapshot is one generation of policies and data. It never changes, so that a
// decision sees rules and data of one generation, waits for no activation and
// holds none up.
type snapshot struct {
	generation uint64
	revision   string
	session    entrypoint[SessionDecision]
	statement  entrypoint[StatementDecision]
	rows       rowRules
	filtered   bool        // a policy filters rows
	faults     []Complaint // about rules that choose rows, which refuse when they are asked
	estimating *estimating
}

// entrypoint is one rule that decides, and what was decided by it.
type entrypoint[D any] struct {
	query   rego.PreparedEvalQuery
	depends *dependencies
	cache   cache[D]
	decode  func(ast.Value, made) (*D, error)
}

// builtinCaches are OPA's, kept over generations.
type builtinCaches struct {
	queries opacache.InterQueryCache
	values  opacache.InterQueryValueCache
}

// newSnapshot copies policy and data out of OPA's store and proves that they can
// decide, so that a bundle that is no use is turned down after OPA has taken it.
func newSnapshot(ctx context.Context, m *plugins.Manager, txn storage.Transaction, builtins builtinCaches) (*snapshot, error) {
	compiler := m.GetCompiler()
	root, err := m.Store.Read(ctx, txn, storage.RootPath)
	if err != nil {
		return nil, err
	}
	shared, ok := root.(ast.Object)
	if !ok {
		return nil, fmt.Errorf("data is %T, want an object", root)
	}
	data, ok := ast.NewTerm(shared).Copy().Value.(ast.Object)
	if !ok {
		return nil, errors.New("data did not copy to an object")
	}
	if err := usable(compiler, data); err != nil {
		return nil, err
	}
	s := &snapshot{}
	if s.revision, err = revision(ctx, m.Store, txn); err != nil {
		return nil, err
	}
	options := []func(*rego.Rego){
		rego.Compiler(compiler),
		rego.Store(inmem.NewFromASTObject(data)),
		rego.Runtime(m.Info),
		rego.StrictBuiltinErrors(true),
		rego.InterQueryBuiltinCache(builtins.queries),
		rego.InterQueryBuiltinValueCache(builtins.values),
	}
	prepare := func(ref ast.Ref) (rego.PreparedEvalQuery, error) {
		return rego.New(append(slices.Clone(options),
			rego.ParsedQuery(ast.NewBody(ast.NewExpr(ast.NewTerm(ref)))),
			rego.GenerateJSON(func(t *ast.Term, _ *rego.EvalContext) (any, error) { return t, nil }),
		)...).PrepareForEval(ctx)
	}
	s.session.decode, s.statement.decode = decodeSession, decodeStatement
	if s.session.query, err = prepare(sessionEntrypoint); err != nil {
		return nil, err
	}
	if s.statement.query, err = prepare(statementEntrypoint); err != nil {
		return nil, err
	}
	s.session.depends = dependenciesOf(compiler, sessionEntrypoint)
	s.statement.depends = dependenciesOf(compiler, statementEntrypoint, compiler.GetRulesDynamicWithOpts(rowsRoot, ast.RulesOptions{})...)
	s.rows = prepareRows(ctx, compiler, options)
	s.filtered = len(compiler.GetRulesDynamicWithOpts(filterRules, ast.RulesOptions{})) > 0
	s.faults = s.rows.faults(ctx, compiler)
	s.estimating = estimatingOf(compiler, statementEntrypoint)
	return s, s.canary(ctx)
}

// errNothing means that nothing was loaded yet, which is no fault of anybody's.
var errNothing = errors.New("no policy files")

func usable(compiler *ast.Compiler, data ast.Object) error {
	if len(compiler.Modules) == 0 {
		return errNothing
	}
	for _, ref := range []ast.Ref{sessionEntrypoint, statementEntrypoint} {
		if len(compiler.GetRulesExact(ref)) == 0 {
			return fmt.Errorf("there is no rule %v", ref)
		}
	}
	bindings := data.Get(ast.InternedTerm("bindings"))
	if bindings == nil {
		return nil
	}
	var errs []error
	for _, f := range bindingFaults(bindings.Value) {
		errs = append(errs, errors.New(f.String()))
	}
	return errors.Join(errs...)
}

// revision names the bundles that made this generation.
func revision(ctx context.Context, store storage.Store, txn storage.Transaction) (string, error) {
	names, err := bundle.ReadBundleNamesFromStore(ctx, store, txn)
	if err != nil && !storage.IsNotFound(err) {
		return "", err
	}
	slices.Sort(names)
	var parts []string
	for _, name := range names {
		rev, err := bundle.ReadBundleRevisionFromStore(ctx, store, txn, name)
		switch {
		case err != nil && !storage.IsNotFound(err):
			return "", err
		case len(names) == 1:
			return rev, nil
		}
		parts = append(parts, name+"="+rev)
	}
	return strings.Join(parts, ","), nil
}

// canary asks both questions once for somebody nobody knows. What comes of it does
// not matter, but it must be a decision.
func (s *snapshot) canary(ctx context.Context) error {
	in := canaryInput(PhaseSession)
	if len(s.session.depends.volatile) == 0 { // otherwise it might ask somebody over the network
		if _, err := s.session.evaluate(ctx, in, s); err != nil {
			return fmt.Errorf("%v, tried: %w", sessionEntrypoint, err)
		}
	}
	in = canaryInput(PhaseStatement)
	if len(s.statement.depends.volatile) == 0 {
		if _, err := s.statement.evaluate(ctx, in, s); err != nil {
			return fmt.Errorf("%v, tried: %w", statementEntrypoint, err)
		}
	}
	return nil
}

func canaryInput(phase string) *Input {
	now := time.Now().UTC()
	stamp := now.Format(time.RFC3339)
	in := &Input{
		Version: 1, Phase: phase, Time: At(now),
		Identity: Identity{
			Issuer: "canary", Subject: "canary", Kind: "workload", GroupsComplete: true,
			Token: &Token{IssuedAt: stamp, ExpiresAt: stamp},
		},
		Connection: Connection{Name: "canary", Host: "localhost", Database: "canary"},
		Session:    Session{ID: "canary", StartedAt: stamp, ClientAddress: "127.0.0.1"},
	}
	if phase == PhaseStatement {
		in.Statement = &Statement{
			Kind: "select", Class: "read", Protocol: "simple", Count: 1, Analysis: Analysis{Complete: true},
			Tables:  []Table{{ID: "public.canary", Schema: "public", Name: "canary", Kind: "table", Access: []string{"read"}}},
			Columns: []Column{{ID: "public.canary.c", Table: "public.canary", Name: "c", Uses: []string{"projected"}}},
		}
	}
	return in
}

// decide answers from the cache where that is sound, and evaluates otherwise.
func (p *entrypoint[D]) decide(ctx context.Context, in *Input, s *snapshot) (*D, error) {
	if !p.depends.cacheable() {
		return p.evaluate(ctx, in, s)
	}
	key, err := p.depends.key(in)
	if err != nil {
		return nil, err
	}
	if d := p.cache.get(key); d != nil {
		return d, nil
	}
	d, err := p.evaluate(ctx, in, s)
	if err == nil {
		p.cache.put(key, d)
	}
	return d, err
}

func (p *entrypoint[D]) evaluate(ctx context.Context, in *Input, s *snapshot) (d *D, err error) {
	// A fault in a builtin must refuse this statement, not end the process.
	defer func() {
		if r := recover(); r != nil {
			d, err = nil, fmt.Errorf("the evaluation broke down: %v\n%s", r, debug.Stack())
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	input, err := in.value()
	if err != nil {
		return nil, err
	}
	var tracker topdown.EvaluatedRuleTracker
	results, err := p.query.Eval(ctx,
		rego.EvalParsedInput(input),
		rego.EvalTime(time.Unix(0, in.Time.NowNS)),
		rego.EvalEvaluatedRuleTracker(&tracker))
	switch {
	case err != nil:
		return nil, err
	case len(results) != 1 || len(results[0].Expressions) != 1:
		return nil, errors.New("the decision is undefined")
	}
	term, ok := results[0].Expressions[0].Value.(*ast.Term)
	if !ok {
		return nil, errors.New("the decision is no term")
	}
	rows := func(path string) (Condition, error) {
		return s.rows.condition(ctx, path, input, time.Unix(0, in.Time.NowNS))
	}
	return p.decode(term.Value, made{s.generation, s.revision, ruleLabels(&tracker), rows, s.filtered, s.estimating})
}

// ruleLabels are the ids that METADATA gives to the rules that spoke.
func ruleLabels(t *topdown.EvaluatedRuleTracker) []string {
	var rules []string
	for _, labels := range t.Labels {
		if rule, ok := labels["rule"].(string); ok {
			rules = append(rules, rule)
		}
	}
	slices.Sort(rules)
	return slices.Compact(rules)
}
