package realserver

import "syscall"

// endWithParent has the kernel end the server when the test process dies without
// its cleanups: a panic, a time-out, a SIGKILL.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
