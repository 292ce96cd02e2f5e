package proxy_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// exceptSecrets lets everything pass but what touches public.secrets.
const exceptSecrets = `package policy.open_door

session.allow := true

statement.allow := true

statement.trusted_functions contains name if some name in {"public.shout", "public.fails", "pg_catalog.pg_notify"}

statement.deny contains {"message": "secrets are secret", "hint": "ask for something else", "rule": "open-door/secrets"} if {
	some table in input.statement.tables
	table.id in {"public.secrets", "other.hidden"}
}

statement.limits.rows := 2 if {
	some table in input.statement.tables
	table.id == "public.limited"
}
`

// Conversations that nothing in is refused of sound the same straight and through
// the proxy, byte for byte but for process ids and OIDs.
func TestConversations(t *testing.T) {
	s := startWireSidecar(t)
	for _, file := range conversations(t, "*.txt") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			straight, proxied := s.both(t, readConversation(t, file))
			compare(t, straight, proxied)
		})
	}
}

// A refusal has the place, the consequences and the transaction status that an
// error of the server has.
func TestRefusedConversations(t *testing.T) {
	s := startWireSidecar(t)
	for _, file := range conversations(t, "refused/*.txt") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			straight, proxied := s.both(t, readConversation(t, file))
			compare(t, shape(straight), shape(proxied))
		})
	}
}

func startWireSidecar(t testing.TB) *sidecar {
	return startSidecar(t, sidecarOptions{SQL: readScript(t, "schema.sql"), Policies: map[string]string{
		"policy/open_door/open_door.rego": exceptSecrets, "bindings/open-door/data.yaml": openDoorBinding}})
}

// both plays the steps straight and through the sidecar, on the same data.
func (s *sidecar) both(t testing.TB, steps []step) (straight, proxied []string) {
	t.Helper()
	reset := readScript(t, "reset.sql")
	s.Database.Exec(t, reset)
	straight = newTalker(t, s.Database.DSN(), false).play(steps)
	s.Database.Exec(t, reset)
	dsn := s.DSN("support-agent")
	w := newTalker(t, dsn, true)
	w.server = s.Database.DSN()
	return straight, w.play(steps)
}
