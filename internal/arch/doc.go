// Package arch holds the test that keeps the packages in the order that docs/ARCHITECTURE.md gives them.
package arch
