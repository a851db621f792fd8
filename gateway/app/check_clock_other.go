//go:build !linux

package app

// synchronised is not known here.
func synchronised() bool { return true }
