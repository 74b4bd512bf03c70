package catalog

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestSchemaSum: a new database has the checksum that each is compared with at its opening. A migration changes it.
func TestSchemaSum(t *testing.T) {
	ctx := t.Context()
	d, err := Open(ctx, filepath.Join(t.TempDir(), "a.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	parts, err := partsOf(ctx, d.write.DB)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sumOfParts(parts); sum != schemaSum {
		t.Errorf("schemaSum is %q, want %q", schemaSum, sum)
	}
}

// TestOpenSchemaDamaged: one letter of the name of a column is another.
func TestOpenSchemaDamaged(t *testing.T) {
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "a.db")
	d, err := Open(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.write.DB.ExecContext(ctx, `PRAGMA writable_schema = on`); err != nil {
		t.Fatal(err)
	}
	if _, err := d.write.DB.ExecContext(ctx, `UPDATE sqlite_schema SET sql = replace(sql, 'title', 'titlg') WHERE name = 'documents'`); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d, err = Open(ctx, path, nil)
	if err == nil {
		d.Close()
	}
	for _, want := range []string{path, "database damaged", "table documents"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
