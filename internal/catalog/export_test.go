package catalog

import "fmt"

// LimitPages makes the database full once it has n pages.
func LimitPages(d *DB, n int) {
	if _, err := d.write.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", n)); err != nil {
		panic(err)
	}
}
