package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Load reads a file that has no fault. Its error is Complaints: all of them.
func Load(path string) (*Config, error) {
	c, complaints := Read(path)
	if len(complaints) > 0 {
		return nil, complaints
	}
	return c, nil
}

// Read is Load for who goes on to look at the rest in spite of complaints, as
// `sallyport check` does. Nothing may be served from a Config with complaints.
func Read(path string) (*Config, Complaints) {
	c := &Config{}
	d := &decoder{file: filepath.Base(path), dir: filepath.Dir(path), lines: map[string]int{}}
	content, err := os.ReadFile(path)
	if err != nil {
		d.complain(0, "cannot be read: %v", errors.Unwrap(err))
		return c, d.complaints
	}
	root, line, err := parse(content)
	if err != nil {
		d.complain(line, "%v", err)
		return c, d.complaints
	}
	d.decode(root, reflect.ValueOf(c).Elem(), "")
	c.resolvePaths(d.dir)
	v := &validator{decoder: d}
	v.config(c)
	return c, d.complaints.sorted()
}

// parse gives the only document of a file.
func parse(content []byte) (*yaml.Node, int, error) {
	reader := yaml.NewDecoder(bytes.NewReader(content))
	var document, more yaml.Node
	switch err := reader.Decode(&document); {
	case errors.Is(err, io.EOF):
		return &yaml.Node{Kind: yaml.MappingNode}, 0, nil
	case err != nil:
		line, text := syntaxError(err)
		return nil, line, errors.New(text)
	}
	switch err := reader.Decode(&more); {
	case errors.Is(err, io.EOF):
		return document.Content[0], 0, nil
	case err != nil:
		line, text := syntaxError(err)
		return nil, line, errors.New(text)
	}
	return nil, more.Line, errors.New("a second document begins here, and only one is read: remove the ---")
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

// syntaxError takes the line out of the YAML library's message.
func syntaxError(err error) (int, string) {
	text := err.Error()
	if found := yamlLine.FindStringSubmatch(text); found != nil {
		line, _ := strconv.Atoi(found[1])
		return line, fmt.Sprintf("not YAML: %s", text[len(found[0]):])
	}
	return 0, fmt.Sprintf("not YAML: %s", strings.TrimPrefix(text, "yaml: "))
}

// resolvePaths makes every path independent of the working directory.
func (c *Config) resolvePaths(dir string) {
	paths := []*string{&c.Policies.Directory, &c.Policies.OPA, &c.State.Path, &c.Audit.Path}
	tls := []*TLS{c.Admin.TLS}
	for i := range c.Listen {
		paths = append(paths, &c.Listen[i].Unix)
		tls = append(tls, c.Listen[i].TLS)
	}
	for i := range c.Identity.Issuers {
		paths = append(paths, &c.Identity.Issuers[i].KeysTokenFile, &c.Identity.Issuers[i].CAFile)
	}
	for _, t := range tls {
		if t != nil {
			paths = append(paths, &t.Cert, &t.Key)
		}
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}
