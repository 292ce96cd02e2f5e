package rego

import (
	"testing"

	"github.com/rs/zerolog"
)

func benchEngine(b *testing.B) *snapshot {
	b.Helper()
	dir := shipped(b)
	e, err := New(b.Context(), Config{Directory: dir, Log: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { e.Close(b.Context()) })
	s := e.current.Load()
	if s == nil {
		b.Fatal(e.Status().Error)
	}
	return s
}

func benchInputs() map[string]*Input {
	catalogRead := customers()
	catalogRead.Tables = []Table{{ID: "pg_catalog.pg_class", Schema: "pg_catalog", Name: "pg_class", Kind: "table", Access: []string{"read"}}}
	change := customers("city")
	change.Kind, change.Class, change.Tables[0].Access = "update", "write", []string{"read", "update"}
	return map[string]*Input{
		"catalog": asking("jit-schema-checks", catalogRead),
		"point":   asking("support-desk", customers("id", "name"), "support-agents"),
		"masked":  asking("support-desk", customers("id", "name", "email", "ssn"), "support-agents"),
		"update":  asking("support-desk", change, "support-agents"),
	}
}

// What a statement costs that was never seen before.
func BenchmarkCold(b *testing.B) {
	s := benchEngine(b)
	for name, in := range benchInputs() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.statement.evaluate(b.Context(), in, s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What it costs from then on.
func BenchmarkCached(b *testing.B) {
	s := benchEngine(b)
	for name, in := range benchInputs() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.statement.decide(b.Context(), in, s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
