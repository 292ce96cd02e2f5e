package admin

import (
	"net/http"

	"github.com/sallyport/sallyport/internal/approval"
	"github.com/sallyport/sallyport/internal/identity"
	"github.com/sallyport/sallyport/proxy"
)

// listSessions shows the sessions that are open now; what was is in the record.
func (a *API) listSessions(_ http.ResponseWriter, r *http.Request, by *identity.Principal) (int, any, *Fault) {
	if _, fault := query(r); fault != nil {
		return 0, nil, fault
	}
	out := []proxy.SessionInfo{}
	for _, s := range a.Server.Sessions() {
		if !sees(by, approval.Party{Key: s.Key, Issuer: s.Issuer, Tenant: s.Tenant}, nil) {
			continue
		}
		s.Subject, s.Name, s.Application = VisibleLine(s.Subject), VisibleLine(s.Name), VisibleLine(s.Application)
		out = append(out, s)
	}
	return http.StatusOK, map[string]any{"sessions": out}, nil
}
