package main_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"docent/internal/llm/llmtest"
)

// TestOffline runs docent in a network of its own that has nothing in it: all of it works, and nothing tries to reach
// anything. The kernel counts what does and finds no way.
func TestOffline(t *testing.T) {
	h := newHome(t)
	handbook, err := os.ReadFile(filepath.Join("..", "..", "examples", "corpus", "employee-handbook.pdf"))
	if err != nil {
		t.Fatal(err)
	}
	h.write("docs/handbook.pdf", string(handbook))
	h.write("docs/travel.md", "# Travel\n\nTrains come first; flights need the consent of the head of the team.\n")
	model := llmtest.Random(t, filepath.Join(t.TempDir(), "random.gguf"))
	// docent runs a command there and returns its output, its exit code, and how often it found no way.
	docent := func(args ...string) (out string, code, lost int) {
		t.Helper()
		counters := filepath.Join(t.TempDir(), "snmp")
		inner := h.command(args...)
		cmd := h.command()
		cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `"$@"; code=$?; grep ^Ip: /proc/net/snmp >"$0"; exit $code`, counters}, inner.Args...)
		var all bytes.Buffer
		cmd.Stdout, cmd.Stderr = &all, &all
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}}
		if err := cmd.Start(); err != nil {
			t.Skipf("a network of its own is not to be had here: %v", err)
		}
		_ = cmd.Wait()
		snmp, err := os.ReadFile(counters)
		if err != nil {
			t.Fatal(err)
		}
		names, values, _ := strings.Cut(strings.TrimSpace(string(snmp)), "\n")
		value := strings.Fields(values)
		lost = -1
		for i, name := range strings.Fields(names) {
			if name == "OutNoRoutes" && i < len(value) {
				lost, _ = strconv.Atoi(value[i])
			}
		}
		return all.String(), cmd.ProcessState.ExitCode(), lost
	}
	for _, c := range []struct {
		says string
		args []string
	}{
		{`"ingested"`, []string{"ingest", "--json", "docs"}},
		{"Trains come first", []string{"search", "which comes first, trains or flights"}},
		{"travel.md", []string{"ask", "--model-provider", "extractive", "what comes first, trains or flights?"}},
		{"", []string{"ask", "--model-provider", "local", "--model", model, "what comes first, trains or flights?"}},
		{"", []string{"agent", "--model-provider", "local", "--model", model, "--max-steps", "2", "find out what comes first"}},
		{"", []string{"generate", "--model", model, "--prompt", "Hello", "-n", "4"}},
		{"", []string{"models", "list"}},
		{"", []string{"doctor", "--model-provider", "extractive"}}, // else it looks whether Ollama runs on this machine
	} {
		out, code, lost := docent(c.args...)
		if code != 0 || !strings.Contains(out, c.says) || lost != 0 {
			t.Errorf("docent %s: exit %d, %d attempts to reach something\n%s", strings.Join(c.args, " "), code, lost, out)
		}
	}
	// What is counted is counted.
	if _, code, lost := docent("ingest", "--private", "http://192.0.2.1/page.html"); code == 0 || lost < 1 {
		t.Errorf("an address: exit %d, %d attempts", code, lost)
	}
}
