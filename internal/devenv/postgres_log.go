package devenv

import (
	"strings"
	"sync"

	"github.com/rs/zerolog"
)

// serverLog passes the server's log on, notices in it that the server is ready,
// and keeps its end for error messages.
type serverLog struct {
	out zerolog.Logger

	mu      sync.Mutex
	partial string
	last    []string
	ready   chan struct{}
	taken   bool
}

const (
	tailLines   = 20
	readyPhrase = "database system is ready to accept connections"
	takenPhrase = "could not bind IPv4 address"
)

func newServerLog(out zerolog.Logger) *serverLog {
	return &serverLog{out: out, ready: make(chan struct{})}
}

// restart forgets what an earlier server said; the channel is closed when the
// next one is ready.
func (l *serverLog) restart() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial, l.last, l.taken, l.ready = "", nil, false, make(chan struct{})
	return l.ready
}

// Write takes a piece of the log as it comes from the pipe.
func (l *serverLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Split(l.partial+string(b), "\n")
	l.partial = lines[len(lines)-1]
	for _, line := range lines[:len(lines)-1] {
		l.line(line)
	}
	return len(b), nil
}

func (l *serverLog) line(line string) {
	l.out.Debug().Str("from", "postgres").Msg(line)
	if l.last = append(l.last, line); len(l.last) > tailLines {
		l.last = l.last[1:]
	}
	switch {
	case strings.Contains(line, takenPhrase):
		l.taken = true
	case strings.Contains(line, readyPhrase):
		select {
		case <-l.ready: // said before, after a crash restart
		default:
			close(l.ready)
		}
	}
}

func (l *serverLog) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.last, "\n")
}

func (l *serverLog) portTaken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken
}
