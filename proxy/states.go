package proxy

// state is where a session's protocol stands. Admission, authentication and the
// connection to the server come before the machine exists (admit.go,
// authenticate.go, connect.go); from then on:
//
//	ready     takes the client's next message. Messages already forwarded are
//	          kept in expects until the server has answered them (forwarding).
//	deciding  one message is being decided; those behind it wait in the inbox.
//	awaiting  one message is held for a person; the client is told by notices,
//	          may leave or cancel, and what it sends meanwhile waits.
//	closing   the session ends; nothing is forwarded any more.
//
// Four more conditions qualify ready, each a field of the machine: discarding
// (after an error or refusal in the extended protocol, until Sync), copyIn (the
// server takes COPY data), a barrier (a forwarded message may change what names
// mean, so the next one waits for its answer) and stopping (a cancel request is
// being delivered, so nothing is sent that it could hit instead).
type state int

// The zero state forwards nothing.
const (
	closing state = iota
	ready
	decidingState
	awaiting
)

func (s state) String() string {
	switch s {
	case ready:
		return "ready"
	case decidingState:
		return "deciding"
	case awaiting:
		return "awaiting approval"
	default:
		return "closing"
	}
}

// Transaction status, as ReadyForQuery tells it.
const (
	txIdle   byte = 'I'
	txOpen   byte = 'T'
	txFailed byte = 'E'
)
