package retriever

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// A pgFilter is a filter as a condition on the rows t of a table that name their document.
type pgFilter struct {
	condition string // on documents d, with %d for the numbers of args in their order; "" lets all through
	args      []any
	let       int // chunks of the documents that it lets through
}

// maxOrdered is how many numbers or dates a condition compares with.
const maxOrdered = 1000

// where is the clause of a statement whose parameters from first on are the filter's args; "" without a filter.
func (f pgFilter) where(first int) string {
	if f.condition == "" {
		return ""
	}
	return `WHERE document IN (` + f.documents(first) + `)`
}

// documents is the query of those that it lets through.
func (f pgFilter) documents(first int) string {
	numbers := make([]any, len(f.args))
	for i := range numbers {
		numbers[i] = first + i
	}
	return `SELECT d.id FROM documents d WHERE ` + fmt.Sprintf(f.condition, numbers...)
}

// chunks is how many of all it lets through.
func (f pgFilter) chunks(all int) int {
	if f.condition == "" {
		return all
	}
	return f.let
}

// filterSQL makes a condition of a filter, which compiles. Comparisons by order of a key of the metadata,
// whose kind depends on both sides, have none in SQL: for a filter with one the documents of the collection
// are read, and those that it lets through are named one by one.
func filterSQL(ctx context.Context, tx queryer, collection int64, f Filter) (pgFilter, error) {
	if f.Op == "" {
		return pgFilter{}, nil
	}
	var out pgFilter
	if condition, ok := out.sql(f); ok {
		out.condition = condition
	} else {
		ids, err := matching(ctx, tx, collection, f)
		if err != nil {
			return pgFilter{}, err
		}
		out = pgFilter{condition: `d.id = ANY ($%d::text[])`, args: []any{ids}}
	}
	out.condition = `d.collection_id = $%d AND (` + out.condition + `)`
	out.args = append([]any{collection}, out.args...)
	err := tx.QueryRowContext(ctx, `SELECT coalesce(sum(chunks), 0)::bigint FROM documents WHERE id IN (`+out.documents(1)+`)`, out.args...).Scan(&out.let)
	return out, err
}

// matching returns the ids of the documents that a filter lets through.
func matching(ctx context.Context, tx queryer, collection int64, f Filter) ([]string, error) {
	match, err := f.compile(0)
	if err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, `SELECT id, path, title, format, language, bytes, pages, metadata, added_at, updated_at FROM documents WHERE collection_id = $1`, collection)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	ids := []string{}
	for rows.Next() {
		var d Document
		var metadata string
		var added, updated int64
		if err := rows.Scan(&d.ID, &d.Path, &d.Title, &d.Format, &d.Language, &d.Bytes, &d.Pages, &metadata, &added, &updated); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(metadata), &d.Metadata); err != nil {
			return nil, fmt.Errorf("document %s: %w: %w", d.ID, ErrCorrupt, err)
		}
		d.AddedAt, d.UpdatedAt = time.UnixMicro(added).UTC(), time.UnixMicro(updated).UTC()
		if match(&d) {
			ids = append(ids, d.ID)
		}
	}
	return ids, rows.Err()
}

// sql returns the condition and adds its args; false where SQL cannot say it.
func (p *pgFilter) sql(f Filter) (string, bool) {
	switch f.Op {
	case And, Or, Not:
		parts := make([]string, len(f.Of))
		for i, of := range f.Of {
			var ok bool
			if parts[i], ok = p.sql(of); !ok {
				return "", false
			}
		}
		if f.Op == Not {
			return "NOT " + parts[0], true
		}
		return "(" + strings.Join(parts, " "+strings.ToUpper(string(f.Op))+" ") + ")", true
	case "":
		return "true", true
	}
	column := "d." + f.Field
	switch kind := fieldOf(f.Field).kind; kind {
	case number:
		return p.ordered(f, column, "::float8", func(o operand) (from, to any) { return o.number, o.number })
	case date:
		return p.ordered(f, column+"_at", "::bigint", func(o operand) (from, to any) { return microCeil(o.from), o.to.UnixMicro() })
	case text:
		return p.text(f, column, column+" <> ''")
	default:
		key := p.arg(strings.TrimPrefix(f.Field, metadataField), "::text")
		column = "(d.metadata::json ->> " + key + ")"
		switch f.Op {
		case Less, AtMost, More, AtLeast:
			return "", false
		}
		if f.Op == Exists {
			return column + " IS NOT NULL", true
		}
		return p.text(f, column, "true")
	}
}

// arg adds an argument and returns its place.
func (p *pgFilter) arg(a any, cast string) string {
	p.args = append(p.args, a)
	return "$%d" + cast
}

// microCeil is the first microsecond that is not before t.
func microCeil(t time.Time) int64 {
	us := t.UnixMicro()
	if t.Nanosecond()%1000 != 0 {
		us++
	}
	return us
}

// text compares a text, that is there when has holds.
func (p *pgFilter) text(f Filter, column, has string) (string, bool) {
	switch f.Op {
	case Exists:
		return "(" + has + ")", true
	case Prefix:
		return "coalesce(" + has + " AND starts_with(" + column + ", " + p.arg(f.Values[0], "::text") + "), false)", true
	case Equal, In, Unequal:
		equal := "coalesce(" + has + " AND " + column + " = ANY (" + p.arg(f.Values, "::text[]") + "), false)"
		if f.Op == Unequal {
			return "NOT " + equal, true
		}
		return equal, true
	}
	return "(" + has + " AND " + column + ` COLLATE "C" ` + string(f.Op) + " " + p.arg(f.Values[0], "::text") + ")", true
}

// ordered compares a number or a date, that is there when it is above 0, with values that reach from one to
// another.
func (p *pgFilter) ordered(f Filter, column, cast string, bounds func(operand) (from, to any)) (string, bool) {
	has := column + " > 0"
	if strings.HasSuffix(column, "_at") {
		has = column + " <> 0"
	}
	if f.Op == Exists {
		return "(" + has + ")", true
	}
	if len(f.Values) > maxOrdered {
		return "", false
	}
	column += cast
	var parts []string
	for _, v := range f.Values {
		from, to := bounds(parseOperand(v))
		switch f.Op {
		case Equal, In, Unequal:
			parts = append(parts, column+" BETWEEN "+p.arg(from, cast)+" AND "+p.arg(to, cast))
		case Less, AtLeast:
			parts = append(parts, column+" "+string(f.Op)+" "+p.arg(from, cast))
		case AtMost, More:
			parts = append(parts, column+" "+string(f.Op)+" "+p.arg(to, cast))
		}
	}
	if len(parts) == 0 {
		parts = []string{"false"} // in, of nothing
	}
	condition := "(" + has + " AND (" + strings.Join(parts, " OR ") + "))"
	if f.Op == Unequal {
		return "NOT " + condition, true
	}
	return condition, true
}
