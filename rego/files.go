package rego

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/loader/filter"
	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/policies"
)

// bundleFiles is one consistent copy of the files of a bundle, so that what was
// hashed is what is used.
type bundleFiles struct {
	files  []file
	size   int
	digest string
}

type file struct {
	name    string // with slashes, relative to the bundle
	content []byte
}

const (
	maxBytes = 64 << 20 // of a whole bundle
	maxDepth = 16
)

// readDirectory reads a bundle and lays the shipped library under it where it has
// none of its own.
func readDirectory(dir string) (*bundleFiles, error) {
	root := dir
	if data, err := filepath.EvalSymlinks(filepath.Join(dir, "..data")); err == nil {
		root = data // a mounted ConfigMap or Secret: read one generation of it
	}
	b := &bundleFiles{}
	if err := b.read(root, "", maxDepth); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(b.files, func(f file) bool { return path.Ext(f.name) == ".rego" }) {
		return nil, errors.New("there is no policy: no file ends in .rego")
	}
	if err := b.overlay(); err != nil {
		return nil, err
	}
	slices.SortFunc(b.files, func(x, y file) int { return strings.Compare(x.name, y.name) })
	sum := sha256.New()
	for _, f := range b.files {
		fmt.Fprintf(sum, "%q %d\n", f.name, len(f.content))
		sum.Write(f.content)
	}
	b.digest = hex.EncodeToString(sum.Sum(nil))
	return b, nil
}

func (b *bundleFiles) read(root, below string, depth int) error {
	if depth == 0 {
		return fmt.Errorf("%s: directories are nested too deep", below)
	}
	entries, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(below)))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(below, e.Name())
		full := filepath.Join(root, filepath.FromSlash(name))
		info, err := os.Stat(full) // follows symlinks
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // just gone, or a dangling link
		case err != nil:
			return err
		case info.IsDir() && !hidden(e.Name()):
			if err := b.read(root, name, depth-1); err != nil {
				return err
			}
		case info.Mode().IsRegular() && belongs(e.Name()):
			content, err := os.ReadFile(full)
			if err != nil {
				return err
			}
			b.files = append(b.files, file{name, content})
			if b.size += len(content); b.size > maxBytes {
				return errors.New("the bundle is larger than 64 MiB")
			}
		}
	}
	return nil
}

func hidden(name string) bool { return strings.HasPrefix(name, ".") }

// belongs tells a bundle's files from tests, notes and editors' leftovers.
func belongs(name string) bool {
	switch {
	case name == manifestName:
		return true
	case hidden(name), strings.HasSuffix(name, "_test.rego"):
		return false
	}
	return slices.Contains([]string{".rego", ".json", ".yaml", ".yml"}, path.Ext(name))
}

const manifestName = ".manifest"

var ownLibrary = regexp.MustCompile(`(?m)^\s*package\s+sallyport\b`)

// overlay adds what a team's directory lacks of the shipped library: the
// entrypoints and what they are made of, schema annotations, the log's mask.
func (b *bundleFiles) overlay() error {
	own := slices.ContainsFunc(b.files, func(f file) bool {
		return path.Ext(f.name) == ".rego" && ownLibrary.Match(f.content)
	})
	present := map[string]bool{}
	for _, f := range b.files {
		present[f.name] = true
		if path.Dir(f.name) == "system/log" {
			present["system/log/log.rego"] = true
		}
	}
	added := map[string]bool{}
	err := fs.WalkDir(policies.Library(), ".", func(name string, e fs.DirEntry, err error) error {
		root, _, _ := strings.Cut(name, "/")
		switch {
		case err != nil:
			return err
		case e.IsDir() || !belongs(e.Name()) || present[name] || root == "sallyport" && own:
			return nil
		}
		content, err := fs.ReadFile(policies.Library(), name)
		added[root] = true
		b.files = append(b.files, file{name, content})
		return err
	})
	if err != nil {
		return err
	}
	return b.widenManifest(added)
}

// widenManifest lets a manifest that lists its roots own what was laid under it.
func (b *bundleFiles) widenManifest(added map[string]bool) error {
	i := slices.IndexFunc(b.files, func(f file) bool { return f.name == manifestName })
	if i < 0 {
		return nil
	}
	var manifest map[string]json.RawMessage
	var roots []string
	if err := json.Unmarshal(b.files[i].content, &manifest); err != nil {
		return fmt.Errorf("%s: %w", manifestName, err)
	}
	raw, ok := manifest["roots"]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, &roots); err != nil {
		return fmt.Errorf("%s: roots: %w", manifestName, err)
	}
	for root := range added {
		if root == "system" {
			root = "system/log"
		}
		if !slices.ContainsFunc(roots, func(r string) bool { return r == "" || r == root || strings.HasPrefix(root, r+"/") }) {
			roots = append(roots, root)
		}
	}
	slices.Sort(roots)
	widened, err := json.Marshal(roots)
	if err != nil {
		return err
	}
	manifest["roots"] = widened
	if b.files[i].content, err = json.Marshal(manifest); err != nil {
		return err
	}
	return nil
}

// unread lists files that somebody took for bindings and OPA passes over: nothing
// would say why nobody is let in.
func (b *bundleFiles) unread() []string {
	var names []string
	for _, f := range b.files {
		meant := strings.HasPrefix(f.name, "bindings/") || strings.HasPrefix(f.name, "bindings.")
		if meant && path.Ext(f.name) != ".rego" && !isData(f.name) {
			names = append(names, f.name)
		}
	}
	return names
}

func isData(name string) bool {
	return slices.Contains([]string{"data.json", "data.yaml", "data.yml"}, path.Base(name))
}

const whereBindingsAre = "is not read: OPA's bundles read data.yaml and data.json only, so name it bindings/NAME/data.yaml"

// bundle parses the files.
func (b *bundleFiles) bundle() (*bundle.Bundle, error) {
	if names := b.unread(); len(names) > 0 {
		return nil, fmt.Errorf("%s %s", strings.Join(names, ", "), whereBindingsAre)
	}
	if err := b.unambiguous(); err != nil {
		return nil, err
	}
	parsed, err := bundle.NewCustomReader(&reader{files: b.files}).
		WithRegoVersion(ast.RegoV1).
		WithProcessAnnotations(true).
		WithSkipBundleVerification(true).
		Read()
	if err != nil {
		return nil, err
	}
	if parsed.Manifest.Revision == "" {
		parsed.Manifest.Revision = "sha256:" + b.digest[:16]
	}
	return &parsed, nil
}

// unambiguous refuses data in which a key stands twice. OPA's reader takes the last
// one, and whoever wrote the file may have meant the other.
func (b *bundleFiles) unambiguous() error {
	for _, f := range b.files {
		if !isData(f.name) {
			continue
		}
		var v any
		if err := yaml.Unmarshal(f.content, &v); err != nil && strings.Contains(err.Error(), "already defined") {
			return fmt.Errorf("%s: %w", strings.TrimPrefix(f.name, "/"), err)
		}
	}
	return nil
}

// reader is OPA's view of the files.
type reader struct {
	files []file
	next  int
}

func (l *reader) NextFile() (*bundle.Descriptor, error) {
	if l.next >= len(l.files) {
		return nil, io.EOF
	}
	f := l.files[l.next]
	l.next++
	name := "/" + f.name
	return bundle.NewDescriptor(name, name, bytes.NewReader(f.content)), nil
}

func (l *reader) WithFilter(filter.LoaderFilter) bundle.DirectoryLoader   { return l }
func (l *reader) WithPathFormat(bundle.PathFormat) bundle.DirectoryLoader { return l }
func (l *reader) WithSizeLimitBytes(int64) bundle.DirectoryLoader         { return l }
func (l *reader) WithFollowSymlinks(bool) bundle.DirectoryLoader          { return l }
