package pgtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority is a certificate authority made for one test.
type Authority struct {
	File string // its certificate: sslrootcert

	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Pair is a certificate and its key, in files.
type Pair struct {
	CertFile, KeyFile string
}

// NewAuthority makes a certificate authority.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{dir: t.TempDir()}
	a.key = newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pgtest authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.File = a.write(t, "ca.crt", "CERTIFICATE", der)
	return a
}

// Issue makes a certificate for the common name. Hosts are the names and addresses
// of a server; a client has none.
func (a *Authority) Issue(t testing.TB, commonName string, hosts ...string) Pair {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: commonName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return Pair{
		CertFile: a.write(t, commonName+".crt", "CERTIFICATE", der),
		KeyFile:  a.write(t, commonName+".key", "PRIVATE KEY", keyDER),
	}
}

// TLS is the configuration of a client that trusts the authority and shows the
// pair, if one is given.
func (a *Authority) TLS(t testing.TB, serverName string, client ...Pair) *tls.Config {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: serverName, MinVersion: tls.VersionTLS12}
	config.RootCAs.AddCert(a.cert)
	for _, pair := range client {
		cert, err := tls.LoadX509KeyPair(pair.CertFile, pair.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = append(config.Certificates, cert)
	}
	return config
}

// EnableTLS makes the server offer TLS with a certificate of the authority for the
// hosts (localhost and 127.0.0.1 when there are none), and take client certificates
// of it, until the test's end.
func (s *Server) EnableTLS(t testing.TB, a *Authority, hba []string, hosts ...string) {
	t.Helper()
	if len(hosts) == 0 {
		hosts = []string{"localhost", "127.0.0.1"}
	}
	pair := a.Issue(t, "server", hosts...)
	settings := map[string]string{"ssl": "on"}
	for setting, file := range map[string]string{"ssl_cert_file": pair.CertFile, "ssl_key_file": pair.KeyFile, "ssl_ca_file": a.File} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if settings[setting], err = s.WriteFile("pgtest_"+setting, data); err != nil {
			t.Fatal(err)
		}
	}
	s.Reconfigure(t, hba, settings)
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *Authority) write(t testing.TB, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
