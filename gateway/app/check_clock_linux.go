package app

import "golang.org/x/sys/unix"

// synchronised reports whether the kernel knows of somebody who keeps its clock
// right; true where it does not say.
func synchronised() bool {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return err != nil || state != unix.TIME_ERROR
}
