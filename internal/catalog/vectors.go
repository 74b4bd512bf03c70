package catalog

import "context"

// VectorsByID returns the vectors of the chunks with the ids. Unknown ids, and chunks without a vector, are left
// out.
func (d *DB) VectorsByID(ctx context.Context, ids []int64) (map[int64][]float32, error) {
	rows, err := d.read.query(ctx, `SELECT k.id, k.vector FROM chunks k WHERE k.vector IS NOT NULL AND k.id IN {ints}`, list(ids))
	type row struct {
		id     int64
		vector []float32
	}
	all, err := collect(rows, err, func(s scanner) (r row, err error) {
		var blob []byte
		if err = s.Scan(&r.id, &blob); err != nil {
			return r, err
		}
		r.vector, err = d.dialect.floats(blob)
		return r, err
	})
	if err != nil {
		return nil, err
	}
	vectors := make(map[int64][]float32, len(all))
	for _, r := range all {
		vectors[r.id] = r.vector
	}
	return vectors, nil
}
