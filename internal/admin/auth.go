package admin

import (
	"errors"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/internal/identity"
)

// handler answers somebody. What it returns is written as JSON, with the status.
type handler func(w http.ResponseWriter, r *http.Request, by *identity.Principal) (status int, body any, fault *Fault)

// authenticated asks who it is, at each request.
func (a *API) authenticated(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		by, fault := a.principal(r)
		if fault != nil {
			writeFault(w, fault)
			return
		}
		status, body, fault := h(w, r, by)
		if fault != nil {
			writeFault(w, fault)
			return
		}
		writeJSON(w, status, body)
	})
}

func (a *API) principal(r *http.Request) (*identity.Principal, *Fault) {
	given := r.Header.Values("Authorization")
	fault := &Fault{status: http.StatusUnauthorized, Word: "unauthenticated",
		Hint: "Send a token of an identity provider that is accepted here as \"Authorization: Bearer …\"."}
	if len(given) != 1 {
		fault.Message, fault.Reason = "who are you? There is no token", string(identity.ReasonMissing)
		return nil, fault
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		fault.Message, fault.Reason = "the Authorization header holds no bearer token", string(identity.ReasonMissing)
		return nil, fault
	}
	p, err := a.Services.Identity.Verify(r.Context(), identity.Token(strings.TrimSpace(token)))
	var refused *identity.Error
	switch {
	case err == nil:
		return p, nil
	case errors.As(err, &refused):
		// Its message is made for whoever presented the token, and says what to do.
		fault.Message, fault.Reason, fault.Hint = refused.Message, string(refused.Reason), ""
	default:
		fault.Message = "the token is not accepted"
	}
	return nil, fault
}
