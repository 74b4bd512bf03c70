package tensor

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestAVX2Registers: kernels for AVX2 use nothing of AVX-512. The assembler takes such instructions, and they do work
// on machines that have it, so that only a machine without would find them, by a crash.
func TestAVX2Registers(t *testing.T) {
	files, err := filepath.Glob("*_amd64.s")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	begin := regexp.MustCompile(`^TEXT ·(\w+)\(SB\)`)
	beyond := regexp.MustCompile(`\b(Z\d+|[XY](1[6-9]|2\d|3[01])|K[0-7])\b|\.BCST|VPTERNLOG|VPXORD|VMOVDQU(8|16|32|64)\b|(32|64)X[248]\b`)
	checked := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := ""
		for n, line := range strings.Split(string(text), "\n") {
			if m := begin.FindStringSubmatch(line); m != nil {
				name = m[1]
			}
			if !strings.HasSuffix(name, "AVX2") && !strings.HasSuffix(name, "F16C") {
				continue
			}
			checked++
			if code, _, _ := strings.Cut(line, "//"); beyond.MatchString(code) {
				t.Errorf("%s:%d: %s has an instruction of AVX-512: %s", file, n+1, name, strings.TrimSpace(line))
			}
		}
	}
	if checked == 0 {
		t.Error("no kernels for AVX2 were found")
	}
}
