package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Fault is what is answered when something is not done.
type Fault struct {
	status int

	Word       string `json:"error"` // for programs
	Message    string `json:"message"`
	Hint       string `json:"hint,omitempty"` // what to do
	Reason     string `json:"reason,omitempty"`
	DecisionID string `json:"decision_id,omitempty"`
}

func (f *Fault) Error() string { return f.Message }

func invalid(format string, args ...any) *Fault {
	return &Fault{status: http.StatusBadRequest, Word: "invalid_request", Message: fmt.Sprintf(format, args...)}
}

func writeFault(w http.ResponseWriter, f *Fault) {
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="sallyport"`)
	}
	writeJSON(w, f.status, f)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // SQL is read by people; no browser takes it for HTML: see plainly
	if err := enc.Encode(body); err != nil {
		status = http.StatusInternalServerError
		out.Reset()
		out.WriteString(`{"error":"internal","message":"the answer could not be written"}` + "\n")
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // the client is gone: there is nobody to tell
}

const maxBodyBytes = 64 << 10

// readBody reads a JSON object, strictly. No body at all is an empty object.
func readBody(w http.ResponseWriter, r *http.Request, into any) *Fault {
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return &Fault{status: http.StatusRequestEntityTooLarge, Word: "too_large", Message: fmt.Sprintf("the body is larger than %d bytes", maxBodyBytes)}
	case err != nil:
		return invalid("the body could not be read")
	case len(bytes.TrimSpace(content)) == 0:
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(content))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return invalid("the body is not the JSON object that is expected: %s", jsonProblem(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return invalid("the body goes on after its JSON object")
	}
	return nil
}

func jsonProblem(err error) string {
	var typed *json.UnmarshalTypeError
	if errors.As(err, &typed) {
		return fmt.Sprintf("%s must be a %s", typed.Field, typed.Type)
	}
	return Visible(strings.TrimPrefix(err.Error(), "json: "))
}

// query reads the parameters of a list, strictly.
func query(r *http.Request, known ...string) (map[string]string, *Fault) {
	values := map[string]string{}
	for name, given := range r.URL.Query() {
		found := false
		for _, k := range known {
			found = found || k == name
		}
		if !found {
			return nil, invalid("unknown parameter %q: there are %s", Visible(name), strings.Join(known, ", "))
		}
		if len(given) > 1 {
			return nil, invalid("parameter %s is given more than once", name)
		}
		values[name] = given[0]
	}
	return values, nil
}
