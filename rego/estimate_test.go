package rego

import (
	"reflect"
	"testing"
)

func TestPoliciesThatReferToTheEstimate(t *testing.T) {
	for name, c := range map[string]struct {
		rules string
		want  bool
	}{
		"a field":       {`statement.deny contains "much" if input.statement.estimate.rows > 10`, true},
		"negated":       {`statement.deny contains "much" if not input.statement.estimate.cost < 10`, true},
		"in a helper":   {"statement.allow if few\nfew if input.statement.estimate.rows < 10", true},
		"whole":         {`statement.allow if object.get(input.statement, "limit", 0) < 10`, true},
		"by a variable": {"statement.allow if {\n\tsome k\n\tinput.statement[k].rows < 10\n}", true},
		"other fields":  {`statement.allow if input.statement.limit < 10`, false},
		"nobody asks":   {"statement.allow := true\nother if input.statement.estimate.rows < 10", false},
		"only sessions": {"session.allow if input.statement.estimate\nstatement.allow := true", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := shipped(t)
			write(t, dir, map[string]string{"policy/extra/extra.rego": "package policy.extra\n\n" + c.rules + "\n",
				"bindings/extra/data.yaml": "policy: extra\nsubjects: [somebody]\n"})
			e, r := start(t, dir)
			if s := r.next(t); s.Error != "" {
				t.Fatal(s.Error)
			}
			in := asking("support-desk", customers("id"), "support-agents")
			d, err := e.DecideStatement(t.Context(), in)
			if err != nil || d.NeedsEstimate {
				t.Errorf("not bound: %+v, %v", d, err)
			}
			in.Identity.Subject = "somebody"
			d, err = e.DecideStatement(t.Context(), in)
			if err != nil || d.NeedsEstimate != c.want {
				t.Errorf("bound: %+v, %v", d, err)
			}
		})
	}
}

// A decision by an estimate serves that estimate only.
func TestEstimatesAreTold(t *testing.T) {
	dir := shipped(t)
	write(t, dir, map[string]string{
		"policy/extra/extra.rego":  "package policy.extra\n\nstatement.deny contains $\"{input.statement.estimate.rows} rows\" if input.statement.estimate.rows > 10\n",
		"bindings/extra/data.yaml": "policy: extra\n"})
	e, r := start(t, dir)
	r.next(t)
	st := customers("id")
	for rows, want := range map[int64]Effect{1: Allow, 10: Allow, 11: Deny, 1 << 40: Deny} {
		in := asking("support-desk", st.Estimated(&Estimate{Rows: rows, Cost: 1.5}, ""), "support-agents")
		d, err := e.DecideStatement(t.Context(), in)
		if err != nil || d.Effect != want {
			t.Errorf("%d rows: %+v, %v", rows, d, err)
		}
	}
	d, err := e.DecideStatement(t.Context(), asking("support-desk", st.Estimated(nil, "COPY"), "support-agents"))
	if err != nil || d.Effect != Deny || d.Reasons[0].Rule != "sallyport/estimate" {
		t.Errorf("no estimate: %+v, %v", d, err)
	}
	if d, err := e.DecideStatement(t.Context(), asking("support-desk", st, "support-agents")); err != nil || d.Effect != Allow {
		t.Errorf("not asked for: %+v, %v", d, err)
	}
}

func TestEstimatedKeepsTheRest(t *testing.T) {
	st := customers("id", "email")
	fill(reflect.ValueOf(st).Elem())
	st.Estimate, st.Unestimated = nil, ""
	got := st.Estimated(&Estimate{Rows: 3}, "")
	if got.Estimate.Rows != 3 {
		t.Error("the estimate is lost")
	}
	got.Estimate = nil
	if !reflect.DeepEqual(got, st) {
		t.Errorf("%+v\n%+v", got, st)
	}
}
