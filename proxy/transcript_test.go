package proxy_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// checkRefusal checks the form that every refusal has.
func checkRefusal(gotCode, message, detail, code, text string) error {
	var d struct {
		DecisionID string `json:"decision_id"`
		Effect     string
		Retryable  *bool
	}
	if gotCode != code || !strings.Contains(message, text) {
		return fmt.Errorf("got %s %q, want %s %q", gotCode, message, code, text)
	}
	if !strings.HasPrefix(message, "sallyport: ") {
		return fmt.Errorf("%q does not say that it is of sallyport", message)
	}
	if err := json.Unmarshal([]byte(detail), &d); err != nil || d.Effect == "" || d.Retryable == nil {
		return fmt.Errorf("the detail %q is not as documented: %w", detail, err)
	}
	return nil
}

// shape reduces a transcript to what a refusal and an error of the server have in
// common: all but the words of errors.
func shape(heard []string) []string {
	out := slices.Clone(heard)
	for i, line := range out {
		if body, is := strings.CutPrefix(line, "ErrorResponse "); is {
			var e struct{ Severity string }
			_ = json.Unmarshal([]byte(body), &e)
			out[i] = "ErrorResponse " + e.Severity
		}
		if strings.HasPrefix(line, "RowDescription ") {
			out[i] = "RowDescription" // the twin's may come from elsewhere
		}
	}
	return out
}

// compare shows where two transcripts part.
func compare(t testing.TB, straight, proxied []string) {
	t.Helper()
	for i := range max(len(straight), len(proxied)) {
		a, b := "nothing", "nothing"
		if i < len(straight) {
			a = straight[i]
		}
		if i < len(proxied) {
			b = proxied[i]
		}
		if a == b {
			continue
		}
		t.Errorf("the conversations part at message %d\nbefore:\n  %s\nstraight:\n  %s\nproxied:\n  %s", i+1,
			strings.Join(straight[max(0, i-3):min(i, len(straight))], "\n  "),
			strings.Join(straight[min(i, len(straight)):min(i+4, len(straight))], "\n  "),
			strings.Join(proxied[min(i, len(proxied)):min(i+4, len(proxied))], "\n  "))
		return
	}
}
