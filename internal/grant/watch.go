package grant

import (
	"sync"
)

// watchers are told of transitions.
type watchers struct {
	mu  sync.Mutex
	all map[*watcher]struct{}
}

// watcher holds, for one who watches, the latest state of each window that moved
// and has not been taken yet. So a slow watcher holds up nobody and misses no window.
type watcher struct {
	out  chan Grant
	wake chan struct{}
	stop chan struct{}
	done chan struct{}

	mu    sync.Mutex
	moved map[string]Grant
	order []string
}

// add starts a watcher; cancel ends it, waits for it and closes the channel.
func (ws *watchers) add() (<-chan Grant, func()) {
	w := &watcher{
		out: make(chan Grant), wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		moved: map[string]Grant{},
	}
	ws.mu.Lock()
	if ws.all == nil {
		ws.all = map[*watcher]struct{}{}
	}
	ws.all[w] = struct{}{}
	ws.mu.Unlock()
	go w.run()
	return w.out, sync.OnceFunc(func() {
		ws.mu.Lock()
		delete(ws.all, w)
		ws.mu.Unlock()
		close(w.stop)
		<-w.done
	})
}

func (ws *watchers) tell(g Grant) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.all {
		w.push(g)
	}
}

func (w *watcher) push(g Grant) {
	w.mu.Lock()
	if _, waits := w.moved[g.ID]; !waits {
		w.order = append(w.order, g.ID)
	}
	w.moved[g.ID] = g
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watcher) take() (Grant, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.order) == 0 {
		return Grant{}, false
	}
	id := w.order[0]
	w.order = w.order[1:]
	g := w.moved[id]
	delete(w.moved, id)
	return g, true
}

func (w *watcher) run() {
	defer close(w.done)
	defer close(w.out)
	for {
		g, ok := w.take()
		if !ok {
			select {
			case <-w.wake:
				continue
			case <-w.stop:
				return
			}
		}
		select {
		case w.out <- g:
		case <-w.stop:
			return
		}
	}
}
