package audit

import (
	"path/filepath"
	"testing"
)

func typical() *Record {
	return &Record{
		Type: Decision, Session: "s-4j2kq8zmw1xa", DecisionID: "d-7ybn3c5tq0lp", Grant: "g-1mx8hq2v9zra",
		Identity:   Identity{Issuer: "entra", Tenant: "5c1b7c3e-8b5b-4a0e-9d6b-2f7f0c1d2e3f", Subject: "0b6f2a9e-1d5c-4f5e-9d0b-6f2f3c4d5e6f", Name: "support-agent", Kind: "workload"},
		Connection: "prod-replica", Database: "shop", Client: "10.1.2.3:55012", Application: "psycopg",
		Normalized: "SELECT id, name, email FROM app.customers WHERE country = $1 ORDER BY id LIMIT $2", Fingerprint: "50fde20626009aba",
		Kind: "select", Class: "read", Protocol: "extended", Phase: "execute", Effect: "mask", Masks: []string{"app.customers.email"},
		Relations: []string{"app.customers"}, Binding: "support", Policy: "support_desk", Revision: "2026-03-01", Generation: 3,
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		name     string
		d        Durability
		parallel int
	}{
		{"written/1", Written, 0}, {"written/8", Written, 4}, {"written/64", Written, 32},
		{"synced/1", Synced, 0}, {"synced/8", Synced, 4}, {"synced/64", Synced, 32},
	} {
		b.Run(c.name, func(b *testing.B) {
			l := mustOpen(b, Config{Path: filepath.Join(b.TempDir(), "audit.jsonl")})
			b.ReportAllocs()
			if c.parallel == 0 {
				for b.Loop() {
					mustAppend(b, l, typical(), c.d)
				}
				return
			}
			b.SetParallelism(c.parallel)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					mustAppend(b, l, typical(), c.d)
				}
			})
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	l := mustOpen(b, Config{})
	const n = 20000
	for range n {
		mustAppend(b, l, typical(), Written)
	}
	for b.Loop() {
		if err := Verify(l.cfg.Path); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
}
