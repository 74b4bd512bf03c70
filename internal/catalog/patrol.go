package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// patrolStep is how long Patrol reads, a row at least, before it rests. Tests lower it.
var patrolStep = 10 * time.Millisecond

// Patrol reads all of the database beside what else is done with it, and reports each row that is not what was written and,
// at last, what is wrong with the structure of the file. It takes at most about share, above 0 and up to 1, of one
// processor, but for the structure, which SQLite looks at table by table. Where a table cannot be read on it goes on
// with the next one. The error is that of ctx. Postgres, which has checks of its own, it does not read.
func (d *DB) Patrol(ctx context.Context, share float64, report func(what string)) error {
	for _, t := range d.summed {
		var last []any
		for more := true; more && ctx.Err() == nil; {
			start := time.Now()
			var err error
			if last, more, err = t.patrol(ctx, d.read, last, report); err != nil && ctx.Err() == nil {
				report(fmt.Sprintf("table %s: %v", t.name, Explain(err)))
				break
			}
			Rest(ctx, time.Since(start), share)
		}
	}
	for _, t := range d.summed {
		start := time.Now()
		found, err := findings(ctx, d.read.DB, fmt.Sprintf("quick_check(%s)", t.name))
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			found = []string{Explain(err).Error()}
		}
		for _, f := range found {
			report(f)
		}
		Rest(ctx, time.Since(start), share)
	}
	return ctx.Err()
}

// patrol reads rows after the key last, of all when it is nil, for patrolStep, reports those that are damaged, and
// returns the key of the last one and whether there are more.
func (t summed) patrol(ctx context.Context, q querier, last []any, report func(string)) (key []any, more bool, err error) {
	name := "''"
	if about, known := describedRows[t.name]; known {
		name = about.name
	}
	keys := strings.Join(t.key, ", ")
	after := ""
	if last != nil {
		after = fmt.Sprintf("WHERE (%s) > (?%s)", keys, strings.Repeat(", ?", len(t.key)-1))
	}
	rows, err := q.query(ctx, fmt.Sprintf(`SELECT sum = %s, %s, %s FROM %s %s ORDER BY %[3]s`, t.sum(""), name, keys, t.name, after), last...)
	if err != nil {
		return last, false, err
	}
	defer rows.Close()
	key = make([]any, len(t.key))
	for start := time.Now(); ; {
		if !rows.Next() {
			return last, false, rows.Err()
		}
		var whole bool
		var of string
		into := []any{&whole, &of}
		for i := range key {
			into = append(into, &key[i])
		}
		if err := rows.Scan(into...); err != nil {
			return last, false, err
		}
		if !whole {
			report(describe(t.name, of) + " does not match its checksum")
		}
		if last = slices.Clone(key); time.Since(start) >= patrolStep {
			return last, true, nil
		}
	}
}

// Rest waits until the time worked is the share, above 0 and up to 1, of all that has passed.
func Rest(ctx context.Context, worked time.Duration, share float64) {
	select {
	case <-time.After(time.Duration(float64(worked) * (1/share - 1))):
	case <-ctx.Done():
	}
}
