package proxy

import "github.com/sallyport/sallyport/internal/pgwire"

// permit lets exactly one message through to the server. Only the gate makes
// one, after the decision is recorded; the zero permit lets nothing through.
type permit struct {
	frame pgwire.Frame
}

func (p permit) valid() bool { return len(p.frame) >= pgwire.HeaderSize }
