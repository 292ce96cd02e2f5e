package devenv

import (
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// reaper is a small process that outlives this one, however it ends: when the pipe
// to it closes without a word, it ends the server and removes its files.
type reaper struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

// reaperScript reads the server's process ids, the last one counting, until the end
// of its input, or leaves at "done".
const reaperScript = `
while read -r line; do
	[ "$line" = done ] && exit 0
	pid=$line
done
if [ -n "$pid" ]; then
	kill -QUIT "$pid" 2>/dev/null
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.2
	done
fi
rm -rf -- "$@"
`

func startReaper(dirs []string) (*reaper, error) {
	cmd := exec.Command("/bin/sh", append([]string{"-c", reaperScript, "sallyport-reaper"}, dirs...)...)
	cmd.Dir = "/"
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is not for it
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	return &reaper{cmd: cmd, in: in}, cmd.Start()
}

// watch names the server to end. The reaper being gone is no reason to fail.
func (r *reaper) watch(pid int) { _, _ = io.WriteString(r.in, strconv.Itoa(pid)+"\n") }

// dismiss ends the reaper, which then has nothing to do.
func (r *reaper) dismiss() {
	_, _ = io.Copy(r.in, strings.NewReader("done\n"))
	_ = r.in.Close()
	_ = r.cmd.Wait() // it has done all it will
}
