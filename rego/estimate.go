package rego

import "github.com/open-policy-agent/opa/v1/ast"

// estimating says which policies refer to input.statement.estimate, so that nobody
// asks the server for what no policy in force looks at.
type estimating struct {
	always   bool // something besides the policies does
	policies map[string]bool
}

// estimatingOf walks the rules of each policy by itself, and what the entrypoint
// reaches without them. A policy that hands on more than it names, as by
// object.get(input.statement, key, 0), refers to the estimate as well.
func estimatingOf(c *ast.Compiler, entrypoint ast.Ref) *estimating {
	e := &estimating{policies: map[string]bool{}}
	library := &walker{compiler: c, skip: isPolicy, seen: map[*ast.Rule]bool{}, found: &dependencies{}}
	for _, r := range c.GetRules(entrypoint) {
		library.rule(r)
	}
	e.always = referToEstimate(library.inputs)
	for _, m := range c.Modules {
		for _, r := range m.Rules {
			name, phase := policyOf(r)
			if name == "" || phase != "statement" && phase != "" || e.policies[name] {
				continue
			}
			w := &walker{compiler: c, seen: map[*ast.Rule]bool{}, found: &dependencies{}}
			w.rule(r)
			e.policies[name] = referToEstimate(w.inputs)
		}
	}
	return e
}

// any reports whether one of the policies refers to the estimate; of a decision
// that does not say by which policies it was made, whether any at all does.
func (e *estimating) any(policies []string) bool {
	if e == nil {
		return false
	}
	if e.always {
		return true
	}
	for _, name := range policies {
		if e.policies[name] {
			return true
		}
	}
	if len(policies) == 0 {
		for _, refers := range e.policies {
			if refers {
				return true
			}
		}
	}
	return false
}

func isPolicy(r *ast.Rule) bool {
	name, _ := policyOf(r)
	return name != ""
}

// policyOf splits data.policy.NAME.PHASE… of a rule; what is not constant is "".
func policyOf(r *ast.Rule) (name, phase string) {
	path := keysOf(r.Ref().GroundPrefix())
	if len(path) == 0 || path[0] != "policy" {
		return "", ""
	}
	path = append(path, "", "")
	return path[1], path[2]
}

func referToEstimate(inputs []ast.Ref) bool {
	for _, ref := range inputs {
		path := keysOf(ref)
		if len(path) == 0 || path[0] == "statement" && (len(path) == 1 || path[1] == "estimate") {
			return true
		}
	}
	return false
}
