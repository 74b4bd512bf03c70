package ingest

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// selfLimiting says that a worker bounds its own memory.
const selfLimiting = true

// limitOwnMemory bounds the writable private memory of this process (RLIMIT_DATA, which unlike
// RLIMIT_AS leaves out the address space that Go only reserves) to mib beyond what it uses now.
// An allocation over it ends the process with "out of memory".
func limitOwnMemory(mib int) {
	used, mapped := uint64(64)<<20, uint64(256)<<20
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(status)) {
			for name, size := range map[string]*uint64{"RssAnon:": &used, "VmData:": &mapped} {
				if v, ok := strings.CutPrefix(line, name); ok {
					if kib, err := strconv.ParseUint(strings.Fields(v)[0], 10, 64); err == nil {
						*size = kib << 10
					}
				}
			}
		}
	}
	// What counts is mapped memory, some of it not touched yet: left out, it would come on top. Half of a small
	// limit is to be there for more all the same.
	limit := max(used+uint64(mib)<<20, mapped+uint64(mib)<<19)
	_ = unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: limit, Max: limit})
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}

// isolateProcess keeps the terminal's signals from a worker: its parent decides when it ends. (A
// parent death signal is not used: it comes when the thread that started the worker ends.)
func isolateProcess(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func residentMemory(int) int64 { return 0 }

// killProcess ends a process that isolateProcess was called for, and those it started.
func killProcess(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// limitMemory bounds the address space of another process, which has just begun.
func limitMemory(pid, mib int) {
	limit := uint64(mib) << 20
	_ = unix.Prlimit(pid, unix.RLIMIT_AS, &unix.Rlimit{Cur: limit, Max: limit}, nil)
	_ = unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
}
