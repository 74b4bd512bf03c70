//go:build !linux

package ingest

import (
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

const selfLimiting = false

func limitOwnMemory(int) {}

func isolateProcess(*exec.Cmd) {}

func killProcess(cmd *exec.Cmd) error { return cmd.Process.Kill() }

func limitMemory(pid, mib int) {}

// residentMemory is how much memory a process holds, or 0 when the system does not say.
func residentMemory(pid int) int64 {
	if runtime.GOOS == "windows" {
		out, err := exec.Command("tasklist", "/FI", "PID eq "+strconv.Itoa(pid), "/FO", "CSV", "/NH").Output()
		if err != nil {
			return 0
		}
		fields := strings.Split(strings.TrimSpace(string(out)), `","`)
		if len(fields) < 5 {
			return 0
		}
		digits := strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return r
			}
			return -1
		}, fields[4])
		kib, _ := strconv.ParseInt(digits, 10, 64)
		return kib << 10
	}
	out, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return 0
	}
	kib, _ := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return kib << 10
}
