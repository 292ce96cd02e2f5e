package rego

import (
	"sync"

	"github.com/open-policy-agent/opa/v1/plugins"
)

// news passes every change of status on, in order, without making whoever tells
// it wait: bundles are put into use while OPA's store is locked, and listeners
// may take their time.
type news struct {
	manager *plugins.Manager
	listen  func(Status)
	done    chan struct{}

	mu     sync.Mutex
	wake   *sync.Cond
	queue  []Status // guarded by mu
	closed bool     // guarded by mu
}

func startNews(m *plugins.Manager, listen func(Status)) *news {
	n := &news{manager: m, listen: listen, done: make(chan struct{})}
	n.wake = sync.NewCond(&n.mu)
	m.UpdatePluginStatus(pluginName, &plugins.Status{State: plugins.StateNotReady})
	go n.run()
	return n
}

func (n *news) tell(s Status) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queue = append(n.queue, s)
	n.wake.Signal()
}

// close passes on what was told and ends.
func (n *news) close() {
	n.mu.Lock()
	n.closed = true
	n.wake.Signal()
	n.mu.Unlock()
	<-n.done
}

func (n *news) run() {
	defer close(n.done)
	for {
		s, ok := n.next()
		if !ok {
			return
		}
		n.manager.UpdatePluginStatus(pluginName, pluginStatus(s))
		if n.listen != nil {
			n.listen(s)
		}
	}
}

func (n *news) next() (Status, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.queue) == 0 {
		if n.closed {
			return Status{}, false
		}
		n.wake.Wait()
	}
	s := n.queue[0]
	n.queue = n.queue[1:]
	return s, true
}

func pluginStatus(s Status) *plugins.Status {
	switch {
	case s.Error == "":
		return &plugins.Status{State: plugins.StateOK}
	case s.Ready:
		return &plugins.Status{State: plugins.StateWarn, Message: s.Error}
	default:
		return &plugins.Status{State: plugins.StateErr, Message: s.Error}
	}
}
