package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/devenv"
	"github.com/sallyport/sallyport/internal/identity"
)

// clientFlags say where the API is and who asks.
type clientFlags struct {
	Admin     string `placeholder:"URL" env:"SALLYPORT_ADMIN_URL" help:"The sidecar's admin API; default: that of sallyport dev, else ${adminurl}."`
	Token     string `placeholder:"TOKEN" env:"SALLYPORT_TOKEN" help:"Token to present. Other users of the machine can see arguments: prefer the variable or a file."`
	TokenFile string `placeholder:"FILE" env:"SALLYPORT_TOKEN_FILE" help:"File with the token to present."`
	JSON      bool   `name:"json" help:"Print JSON."`
}

const (
	defaultAdminURL = "http://127.0.0.1:6433"
	clientTimeout   = 30 * time.Second
	maxAnswerBytes  = 32 << 20
)

// client speaks to the admin API.
type client struct {
	base  *url.URL
	token identity.Token
	http  *http.Client
}

func (f *clientFlags) client(p *program) (*client, error) {
	token, err := f.token()
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(f.adminURL(p))
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("--admin %q is not a URL such as %s", f.adminURL(p), defaultAdminURL)
	}
	if base.Scheme == "http" && !isLoopback(base.Hostname()) {
		return nil, fmt.Errorf("the token would travel to %s in the clear: use https", base.Host)
	}
	return &client{base: base, token: token, http: &http.Client{
		Timeout:       clientTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token is for this address
	}}, nil
}

// adminURL is what was said, or what an environment of sallyport dev says.
func (f *clientFlags) adminURL(p *program) string {
	if f.Admin != "" {
		return f.Admin
	}
	if fromShell := p.getenv("ADMIN_URL"); fromShell != "" {
		return fromShell
	}
	if fromFile := devSetting(p, "ADMIN_URL"); fromFile != "" {
		return fromFile
	}
	return defaultAdminURL
}

// devSetting reads a line of dev.env, for shells that did not export it.
func devSetting(p *program, name string) string {
	dir := p.getenv("DEV_DIR")
	if dir == "" {
		dir = devenv.DefaultDir
	}
	content, err := os.ReadFile(filepath.Join(dir, "dev.env"))
	if err != nil {
		return "" // there is no such environment
	}
	for line := range strings.Lines(string(content)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			if quoted, ok := strings.CutPrefix(value, "'"); ok {
				value = strings.ReplaceAll(strings.TrimSuffix(quoted, "'"), `'\''`, "'")
			}
			return value
		}
	}
	return ""
}

func (f *clientFlags) token() (identity.Token, error) {
	if f.TokenFile != "" && f.Token == "" {
		content, err := os.ReadFile(f.TokenFile)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		f.Token = string(content)
	}
	if f.Token = strings.TrimSpace(f.Token); f.Token == "" {
		return "", errors.New("who are you? Give a token by SALLYPORT_TOKEN, --token-file or --token (with sallyport dev: \"$(sallyport dev token --client NAME)\")")
	}
	return identity.Token(f.Token), nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func (c *client) get(ctx context.Context, path string, parameters url.Values, into any) error {
	if len(parameters) > 0 {
		path += "?" + parameters.Encode()
	}
	_, err := c.do(ctx, http.MethodGet, path, nil, into)
	return err
}

func (c *client) post(ctx context.Context, path string, body, into any) (status int, err error) {
	content, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	return c.do(ctx, http.MethodPost, path, bytes.NewReader(content), into)
}

func (c *client) do(ctx context.Context, method, path string, body io.Reader, into any) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.base.String(), "/")+path, body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+string(c.token))
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" {
			return 0, fmt.Errorf("no sallyport answers at %s: is it running, and is --admin right? (%w)", c.base.Redacted(), dial.Err)
		}
		return 0, err
	}
	defer res.Body.Close()
	content, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerBytes))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", c.base.Redacted(), err)
	}
	if res.StatusCode/100 != 2 {
		return res.StatusCode, refused(res.StatusCode, content)
	}
	if err := json.Unmarshal(content, into); err != nil {
		return 0, fmt.Errorf("%s does not answer as sallyport does: %w", c.base.Redacted(), err)
	}
	return res.StatusCode, nil
}

// refused makes the API's words an error.
func refused(status int, content []byte) error {
	var f admin.Fault
	if json.Unmarshal(content, &f) != nil || f.Message == "" {
		return fmt.Errorf("the answer is %d %s: is --admin the address of sallyport's admin API?", status, http.StatusText(status))
	}
	text := admin.VisibleLine(f.Message)
	if f.DecisionID != "" {
		text += " (decision " + admin.VisibleLine(f.DecisionID) + ")"
	}
	if f.Hint != "" {
		text += "\nHint: " + admin.VisibleLine(f.Hint)
	}
	return errors.New(text)
}
