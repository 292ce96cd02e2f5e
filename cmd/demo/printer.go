package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// printer tells the story, in colour on a terminal.
type printer struct {
	out                   io.Writer
	bold, dim, green, red string
	plain                 string
}

func newPrinter(out *os.File) *printer {
	p := &printer{out: out}
	info, err := out.Stat()
	if err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		p.bold, p.dim, p.green, p.red, p.plain = "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[31m", "\x1b[0m"
	}
	return p
}

func (p *printer) chapter(title string) {
	fmt.Fprintf(p.out, "\n%s%s%s\n", p.bold, title, p.plain)
}

// Widths of the columns of a step, in characters.
const (
	doesWidth    = 56
	expectsWidth = 44
)

// step is one line, and below it what is worth seeing.
func (p *printer) step(number int, s step, o outcome, err error) {
	fmt.Fprintf(p.out, "%2d  %s  expected: %s  ", number, pad(s.does, doesWidth), pad(s.expects, expectsWidth))
	if err != nil {
		fmt.Fprintf(p.out, "%s✗ came: %s%s\n", p.red, indented(err.Error()), p.plain)
		return
	}
	fmt.Fprintf(p.out, "%s✓%s came: %s\n", p.green, p.plain, o.came)
	p.note(o.shown)
}

// note is lines that accompany what was said last.
func (p *printer) note(text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintf(p.out, "    %s│ %s%s\n", p.dim, strings.TrimRight(line, "\n"), p.plain)
	}
}

func indented(text string) string {
	return strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n      ")
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}
