package admin_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/rs/zerolog"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/pgtest"
)

// TestServeTLS: a certificate that is replaced is in use at the next handshake, half
// a replacement changes nothing, and the end of the context is the end.
func TestServeTLS(t *testing.T) {
	authority := pgtest.NewAuthority(t)
	first, second := authority.Issue(t, "first", "127.0.0.1"), authority.Issue(t, "second", "127.0.0.1")
	cert, err := admin.LoadCertificate(first.CertFile, first.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- admin.Serve(ctx, l, cert, http.NotFoundHandler(), zerolog.Nop()) }()
	name := func() string {
		t.Helper()
		client := &http.Transport{TLSClientConfig: authority.TLS(t, "127.0.0.1"), DisableKeepAlives: true}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+l.Addr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.TLS.PeerCertificates[0].Subject.CommonName
	}
	replace := func(from, to string) {
		t.Helper()
		content, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := name(); n != "first" {
		t.Errorf("the certificate is %s", n)
	}
	replace(second.CertFile, first.CertFile)
	if n := name(); n != "first" {
		t.Errorf("with another's key the certificate is %s", n)
	}
	replace(second.KeyFile, first.KeyFile)
	if n := name(); n != "second" {
		t.Errorf("after it was replaced the certificate is %s", n)
	}
	end()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := admin.LoadCertificate(first.CertFile, "nowhere"); err == nil {
		t.Error("a key that is not there is no fault")
	}
}
