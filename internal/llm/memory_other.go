//go:build !linux

package llm

// systemMemory is 0 where it is not known: then there is no limit but what is configured.
func systemMemory() int64 { return 0 }
