package catalog

import "context"

// VectorsByID returns the vectors of the chunks with the ids. Unknown ids, and chunks without a vector, are left
// out.
func (d *DB) VectorsByID(ctx context.Context, ids []int64) (map[int64][]float32, error) {
	rows, err := d.read.QueryContext(ctx, `SELECT k.id, k.vector FROM chunks k WHERE k.vector IS NOT NULL AND k.id IN (SELECT value FROM json_each(?))`, marshal(ids))
	type row struct {
		id     int64
		vector []float32
	}
	all, err := collect(rows, err, func(s scanner) (r row, err error) {
		var blob []byte
		err = s.Scan(&r.id, &blob)
		r.vector = decodeVector(blob)
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
