package llm

import "golang.org/x/sys/unix"

// systemMemory is the machine's main memory in bytes.
func systemMemory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return int64(uint64(info.Totalram) * uint64(info.Unit))
}
