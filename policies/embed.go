// Package policies holds the shipped bundle: the library every decision is made
// by, guardrails, and examples.
package policies

import (
	"embed"
	"io/fs"
)

// Bundle is the shipped bundle whole, with its tests.
//
//go:embed .manifest sallyport policy bindings classification system
var Bundle embed.FS

//go:embed sallyport policy/policy.rego system
var library embed.FS

// Library is what a bundle of one's own is laid over: the entrypoints and what
// they are made of, without any policy or binding.
func Library() fs.FS { return library }
