//go:build !linux

package devenv

import "syscall"

// dieWithParent does nothing here: only Linux has a parent-death signal. Stop
// must be called.
func dieWithParent(*syscall.SysProcAttr) {}
