package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sallyport/sallyport/rego"
)

// probeTimeout is less than a kubelet waits by default.
const probeTimeout = 900 * time.Millisecond

type drain struct{ begun atomic.Bool }

// Drain makes the process not ready from now on.
func (a *API) Drain() { a.drain.begun.Store(true) }

func (a *API) probes(mux *http.ServeMux) {
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.Metrics, promhttp.HandlerOpts{}))
}

// Check is one thing that must be so before statements are decided on.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"` // what is missing; or what to know although it is well
}

// Readiness is the body of /readyz.
type Readiness struct {
	Ready  bool    `json:"ready"`
	Checks []Check `json:"checks"`
}

func (a *API) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), probeTimeout)
	defer cancel()
	ready := a.Readiness(ctx)
	status := http.StatusOK
	if !ready.Ready {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, ready)
}

// Readiness looks at everything that a statement needs, but for the database: a
// client that cannot reach that is told so.
func (a *API) Readiness(ctx context.Context) Readiness {
	policy := a.Services.Policy.Status()
	state := errors.New("there is no store")
	if a.State != nil {
		state = a.State(ctx)
	}
	ready := Readiness{Ready: true, Checks: []Check{
		{Name: "policy", OK: policy.Ready, Detail: policyDetail(policy)},
		check("keys", a.Services.Identity.Ready()),
		check("audit", a.Services.Audit.Ready()),
		check("state", state),
	}}
	if a.drain.begun.Load() {
		ready.Checks = append(ready.Checks, Check{Name: "serving", Detail: "shutting down"})
	}
	for _, c := range ready.Checks {
		ready.Ready = ready.Ready && c.OK
	}
	return ready
}

func check(name string, err error) Check {
	if err != nil {
		return Check{Name: name, Detail: err.Error()}
	}
	return Check{Name: name, OK: true}
}

// policyDetail tells of a refused bundle also while an older one serves.
func policyDetail(s rego.Status) string {
	switch {
	case s.Error != "" && s.Ready:
		return "the newest policies are refused, and the last good ones in use: " + s.Error
	case s.Error != "":
		return s.Error
	case !s.Ready:
		return "no policy is loaded yet"
	case len(s.Warnings) > 0:
		return "in use, but look at: " + strings.Join(s.Warnings, "; ")
	default:
		return ""
	}
}
