package engine

import "syscall"

// yieldProcessor lets other threads of the machine run, if there are any that want to.
func yieldProcessor() { _, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }
