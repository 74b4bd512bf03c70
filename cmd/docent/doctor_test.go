package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A record that is damaged is refused with what to do, mended by that, and gives what it gave before.
func TestDoctorRepair(t *testing.T) {
	h := newHome(t)
	h.write("leave.md", "Employees get thirty days of leave a year.\n")
	h.write("pumps.md", "The bilge pump is serviced every ninety days.\n")
	h.ok("ingest", "-c", "house", "leave.md", "pumps.md")
	if out := h.ok("doctor"); !strings.Contains(out, "2 documents, 2 chunks, 2 vectors and 2 files agree") {
		t.Errorf("doctor says %s", out)
	}
	record := filepath.Join(h.data, "docent.db")
	data, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		damage func() error
		says   string
		found  bool // afterwards
	}{
		{"the beginning of the record", func() error {
			spoilt := append([]byte("no database at all"), data[18:]...)
			return os.WriteFile(record, spoilt, 0o600)
		}, "recovered rows: collections 1, documents 2", true},
		{"an original", func() error {
			kept, err := filepath.Glob(filepath.Join(h.data, "files", "*", "*"))
			if err != nil {
				return err
			}
			return os.Truncate(kept[0], 5)
		}, "it was read again from", true},
		{"the whole record", func() error { return os.Truncate(record, 0) }, "original files belong to no document any more", false},
	} {
		if err := tc.damage(); err != nil {
			t.Fatal(err)
		}
		if tc.name != "an original" {
			h.fails(1, []string{record, "docent doctor --repair"}, "search", "-c", "house", "leave")
		} else if out := h.run("doctor"); out.code != 1 || !strings.Contains(out.stdout, "--repair looks for it") {
			t.Errorf("%s: doctor says %s", tc.name, out.stdout)
		}
		if out := h.ok("doctor", "--repair"); !strings.Contains(out, tc.says) {
			t.Errorf("%s: doctor --repair says %s, want %q in it", tc.name, out, tc.says)
		}
		if out := h.run("search", "-c", "house", "how much leave"); strings.Contains(out.stdout, "thirty days") != tc.found {
			t.Errorf("%s: found %+v", tc.name, out)
		}
	}
	h.fails(2, nil, "doctor", "--repair", "--quick")
}

func TestMigrateStore(t *testing.T) {
	h := newHome(t)
	h.write("leave.md", "Employees get thirty days of leave a year.\n")
	h.ok("ingest", "-c", "house", "leave.md")
	to := filepath.Join(h.work, "elsewhere")
	if out := h.ok("migrate-store", h.data, to); !strings.Contains(out, "1 collection, 1 document, 1 chunk, 1 vector, 0 jobs, 0 conversations, 0 watched folders, 1 file") || !strings.Contains(out, "100.0 % by keyword and 100.0 % by meaning") {
		t.Errorf("migrate-store says %s", out)
	}
	if out := h.ok("--data", to, "search", "-c", "house", "how much leave"); !strings.Contains(out, "thirty days") {
		t.Errorf("found %s", out)
	}
	h.fails(1, []string{"already exists", "empty"}, "migrate-store", h.data, to)
	h.fails(1, []string{"mysql://", "postgres://"}, "migrate-store", h.data, "mysql://localhost/docent")
}
