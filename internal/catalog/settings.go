package catalog

import (
	"context"
)

// CollectionSettings returns the settings of a collection, a JSON object, or ErrNotFound.
func (d *DB) CollectionSettings(ctx context.Context, name string) ([]byte, error) {
	var settings []byte
	err := d.read.queryRow(ctx, `SELECT settings FROM collections WHERE name = ?`, name).Scan(&settings)
	return settings, found(err, "collection", name)
}

// UpdateCollectionSettings stores what change makes of the settings of a collection. Nothing else
// changes them in between. An error of change is returned as it is; ErrNotFound when there is no such
// collection.
func (d *DB) UpdateCollectionSettings(ctx context.Context, name string, change func(settings []byte) ([]byte, error)) error {
	return d.update(ctx, func(tx *transaction) error {
		var settings []byte
		if err := tx.queryRow(ctx, `SELECT settings FROM collections WHERE name = ? {for update}`, name).Scan(&settings); err != nil {
			return found(err, "collection", name)
		}
		settings, err := change(settings)
		if err != nil {
			return err
		}
		_, err = tx.exec(ctx, `UPDATE collections SET settings = ? WHERE name = ?`, string(settings), name)
		return err
	})
}
