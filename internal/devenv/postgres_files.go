package devenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrNoServer says that no PostgreSQL server is installed.
var ErrNoServer = errors.New("no PostgreSQL server binaries (initdb, postgres) found: install them " +
	"(Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; Alpine: apk add postgresql; macOS: brew install postgresql) " +
	"or put their directory into PATH")

// findServer returns the directory and version of the newest installed server.
func findServer() (dir, version string, err error) {
	best := -1.0
	for _, candidate := range serverDirs() {
		if _, err := os.Stat(filepath.Join(candidate, "initdb")); err != nil {
			continue
		}
		out, err := exec.Command(filepath.Join(candidate, "postgres"), "--version").Output()
		if err != nil {
			continue
		}
		text := strings.TrimSpace(string(out)) // postgres (PostgreSQL) 16.3 (Debian 16.3-1)
		if n := versionNumber(text); n > best {
			best, dir, version = n, candidate, strings.Replace(text, "postgres (PostgreSQL)", "PostgreSQL", 1)
		}
	}
	if dir == "" {
		return "", "", ErrNoServer
	}
	return dir, version, nil
}

// versionNumber reads 16.3 out of "postgres (PostgreSQL) 16.3 (Debian …)"; betas count as their major version.
func versionNumber(text string) float64 {
	fields := strings.Fields(text)
	if len(fields) < 3 {
		return -1
	}
	digits := strings.TrimRight(strings.FieldsFunc(fields[2], func(r rune) bool { return (r < '0' || r > '9') && r != '.' })[0], ".")
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return -1
	}
	return n
}

// serverDirs lists where servers are installed, most explicit first: at equal
// versions the first wins.
func serverDirs() []string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		// Resolved, since distributions link single programs into PATH.
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		dirs = append(dirs, filepath.Dir(path))
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/libexec/postgresql*", "/usr/local/pgsql/bin",
		"/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin", "/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		found, _ := filepath.Glob(pattern) // the patterns are well-formed
		dirs = append(dirs, found...)
	}
	return dirs
}

// owner is who the server runs as. PostgreSQL refuses to run as root.
type owner struct {
	other    bool // not who we are
	uid, gid int
}

func serverOwner() (owner, error) {
	if os.Geteuid() != 0 {
		return owner{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.Atoi(u.Uid)
		if err != nil {
			return owner{}, err
		}
		gid, err := strconv.Atoi(u.Gid)
		if err != nil {
			return owner{}, err
		}
		return owner{other: true, uid: uid, gid: gid}, nil
	}
	return owner{}, errors.New("running as root, which PostgreSQL refuses, and there is neither a user postgres nor nobody to run it as: start as another user")
}

func (o owner) own(path string) error {
	if !o.other {
		return nil
	}
	return os.Chown(path, o.uid, o.gid)
}

func (o owner) sysProcAttr() *syscall.SysProcAttr {
	// Its own process group: Ctrl-C at the terminal is ours to handle.
	attr := &syscall.SysProcAttr{Setpgid: true}
	if o.other {
		attr.Credential = &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}
	}
	return attr
}

// reaches reports whether the owner may enter the directory and all above it.
func (o owner) reaches(dir string) bool {
	if !o.other {
		return true
	}
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// makeDirs makes DIR/data and DIR/run, the socket's. Where the server's user
// cannot reach the wanted directory (below /root, say) or the socket's path would
// be too long for the kernel, a temporary directory is taken instead.
func (p *Postgres) makeDirs(wanted string) error {
	dir, err := p.makeRoot(wanted)
	if err != nil {
		return err
	}
	p.DataDir = filepath.Join(dir, "data")
	p.SocketDir = filepath.Join(dir, "run")
	if len(filepath.Join(p.SocketDir, ".s.PGSQL.65535")) > 100 {
		if p.SocketDir, err = p.tempDir(); err != nil {
			return err
		}
	}
	for _, d := range []string{p.DataDir, p.SocketDir} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
		if err := p.owner.own(d); err != nil {
			return err
		}
	}
	return nil
}

func (p *Postgres) makeRoot(wanted string) (string, error) {
	if wanted == "" {
		return p.tempDir()
	}
	wanted, err := filepath.Abs(wanted)
	if err != nil {
		return "", err
	}
	if entries, err := os.ReadDir(wanted); err == nil && len(entries) > 0 {
		return "", fmt.Errorf("%s is not empty, and a throwaway server would delete what is there: give an empty or new directory", wanted)
	}
	if err := os.MkdirAll(wanted, 0o755); err != nil {
		return "", err
	}
	p.remove = append(p.remove, wanted)
	if err := p.owner.own(wanted); err != nil {
		return "", err
	}
	if !p.owner.reaches(filepath.Dir(wanted)) {
		return p.tempDir()
	}
	return wanted, nil
}

func (p *Postgres) tempDir() (string, error) {
	for _, base := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if !p.owner.reaches(base) {
			continue
		}
		dir, err := os.MkdirTemp(base, "sallyport-pg-")
		if err != nil {
			return "", err
		}
		p.remove = append(p.remove, dir)
		return dir, p.owner.own(dir)
	}
	return "", fmt.Errorf("the server's user cannot reach %s: set TMPDIR to a directory everybody may enter", os.TempDir())
}
