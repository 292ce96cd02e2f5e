// Package admin is the operators' and approvers' HTTP API.
package admin

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/sallyport/sallyport/proxy"
)

// Config is what an API answers from.
type Config struct {
	Services *proxy.Services
	Server   *proxy.Server
	State    func(context.Context) error // whether the store of windows answers; nil: never ready
	Metrics  prometheus.Gatherer
	Log      zerolog.Logger
}

// API answers over HTTP. Everything below /v1 wants a bearer token of one of the
// issuers, verified at each request; probes and metrics want none.
//
// Who may do what (rights.go): a person sees everything, a workload its own; who
// decides is said by the approvers of what is decided; nothing is decided by GET.
type API struct {
	Config
	drain drain
}

// New makes an API.
func New(cfg Config) *API { return &API{Config: cfg} }

// Handler answers everything.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	a.probes(mux)
	for pattern, h := range map[string]handler{
		"POST /v1/grants":             a.requestGrant,
		"GET /v1/grants":              a.listGrants,
		"GET /v1/grants/{id}":         a.getGrant,
		"POST /v1/grants/{id}/revoke": a.revokeGrant,
		"POST /v1/grants/{id}/end":    a.endGrant,

		"GET /v1/approvals":               a.listApprovals,
		"GET /v1/approvals/{id}":          a.getApproval,
		"POST /v1/approvals/{id}/approve": a.approve,
		"POST /v1/approvals/{id}/refuse":  a.refuse,

		"GET /v1/sessions": a.listSessions,
	} {
		mux.Handle(pattern, a.authenticated(h))
	}
	mux.HandleFunc("/", noSuchThing)
	// Browsers hold no token of ours, but may be made to send one that a proxy in
	// front adds.
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(foreignOrigin))
	return plainly(guard.Handler(mux))
}

// Probes answers what kubelets and scrapers ask and nothing else.
func (a *API) Probes() http.Handler {
	mux := http.NewServeMux()
	a.probes(mux)
	mux.HandleFunc("/", noSuchThing)
	return plainly(mux)
}

// plainly keeps answers out of caches and browsers from guessing what they are.
func plainly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

func noSuchThing(w http.ResponseWriter, r *http.Request) {
	writeFault(w, &Fault{status: http.StatusNotFound, Word: "not_found", Message: r.Method + " " + Visible(r.URL.Path) + " is nothing that is answered here",
		Hint: "Windows are at /v1/grants, requests for approval at /v1/approvals, open sessions at /v1/sessions; approve, refuse, revoke and end by POST."})
}

func foreignOrigin(w http.ResponseWriter, _ *http.Request) {
	writeFault(w, &Fault{status: http.StatusForbidden, Word: "cross_origin", Message: "a page of another origin may not do this",
		Hint: "Use the command line, or a client that is no browser."})
}
