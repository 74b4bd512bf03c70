package retriever

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrInvalidFilter: a filter that cannot be read, or compares what cannot be compared. The error names the place.
var ErrInvalidFilter = errors.New("invalid filter")

// A FilterOp is what a Filter does.
type FilterOp string

const (
	And     FilterOp = "and"    // all of Of hold
	Or      FilterOp = "or"     // one of Of holds
	Not     FilterOp = "not"    // the one of Of does not hold
	Equal   FilterOp = "="      // Field is Values[0]
	Unequal FilterOp = "!="     // not Equal; so it holds for a document without the field
	In      FilterOp = "in"     // Field is one of Values
	Less    FilterOp = "<"      // Field is below Values[0]; so on for AtMost, More and AtLeast
	AtMost  FilterOp = "<="     //
	More    FilterOp = ">"      //
	AtLeast FilterOp = ">="     //
	Prefix  FilterOp = "prefix" // the text of Field begins with Values[0]
	Exists  FilterOp = "exists" // the document has Field
)

// A Filter says which documents are searched. The zero value lets all through. ParseFilter makes one of text.
//
// Field is one of id, path, title, format, language, added, updated, pages, bytes, or else a key of the
// document's metadata; "metadata.title" is always the key. A document without the field, or with an empty
// built-in one, fits Unequal, and no other comparison.
//
// added and updated are compared as times, pages and bytes as numbers. A key of the metadata is equal to a
// value when both texts are; less or more as numbers where both are numbers, else as dates where both are,
// else as text. A date is 2026, 2026-11, 2026-11-25 or as in RFC 3339, UTC where no zone is given, and stands
// for the whole year, month or day: updated <= 2026 is all of 2026 and before.
//
// As JSON it is an object of these fields, or a string that ParseFilter reads.
type Filter struct {
	Op     FilterOp `json:"op"`
	Field  string   `json:"field,omitempty"`
	Values []string `json:"values,omitempty"`
	Of     []Filter `json:"of,omitempty"`
}

const (
	metadataField   = "metadata." // before a key that may be named like a built-in field
	maxFilterDepth  = 64
	maxFilterValues = 100_000
)

// Where searches only the documents that the filter lets through, and costs nothing by the passage: the
// filter is applied before ranking. Several must all hold. Search returns ErrInvalidFilter for one that cannot be applied.
func Where(f Filter) SearchOption {
	return func(c *searchConfig) {
		switch {
		case f.Op == "":
		case c.filter.Op == "":
			c.filter = f
		default:
			c.filter = Filter{Op: And, Of: []Filter{c.filter, f}}
		}
	}
}

// InDocuments searches only the documents with these ids; none when there are no ids.
func InDocuments(ids ...string) SearchOption {
	return Where(Filter{Op: In, Field: "id", Values: slices.Clone(ids)})
}

// WithMetadata searches only documents whose metadata has the key with one of the values. A document
// without the key never matches, not even an empty value.
func WithMetadata(key string, values ...string) SearchOption {
	return Where(Filter{Op: In, Field: metadataField + key, Values: slices.Clone(values)})
}

// UnmarshalJSON reads an object, or a string in ParseFilter's syntax.
func (f *Filter) UnmarshalJSON(data []byte) error {
	if data = bytes.TrimSpace(data); len(data) > 0 && data[0] == '"' {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		parsed, err := ParseFilter(text)
		if err == nil {
			*f = parsed
		}
		return err
	}
	type plain Filter
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var p plain
	if err := dec.Decode(&p); err != nil {
		return fmt.Errorf("%w: %s", ErrInvalidFilter, strings.TrimPrefix(err.Error(), "json: "))
	}
	*f = Filter(p)
	return nil
}

// Matches says whether the filter lets the document through, or returns ErrInvalidFilter.
func (f Filter) Matches(d Document) (bool, error) {
	match, err := f.compile(0)
	if err != nil {
		return false, err
	}
	return match(&d), nil
}

// compile returns the filter as a function.
func (f Filter) compile(depth int) (func(*Document) bool, error) {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrInvalidFilter, fmt.Sprintf(format, args...))
	}
	if depth > maxFilterDepth {
		return nil, bad("it is nested more than %d deep", maxFilterDepth)
	}
	switch f.Op {
	case "":
		if f.Field != "" || len(f.Values) > 0 || len(f.Of) > 0 {
			return nil, bad("op is missing")
		}
		return func(*Document) bool { return true }, nil
	case And, Or, Not:
		if len(f.Of) == 0 || f.Op == Not && len(f.Of) != 1 || f.Field != "" || len(f.Values) > 0 {
			return nil, bad("%s wants filters in \"of\", for not exactly one, and neither field nor values", f.Op)
		}
		of := make([]func(*Document) bool, len(f.Of))
		for i, part := range f.Of {
			var err error
			if of[i], err = part.compile(depth + 1); err != nil {
				return nil, err
			}
		}
		decides := f.Op == Or // the outcome of a part that decides
		if f.Op == Not {
			return func(d *Document) bool { return !of[0](d) }, nil
		}
		return func(d *Document) bool {
			for _, match := range of {
				if match(d) == decides {
					return decides
				}
			}
			return !decides
		}, nil
	}
	want := 1
	switch f.Op {
	case In:
		want = len(f.Values)
	case Exists:
		want = 0
	case Equal, Unequal, Less, AtMost, More, AtLeast, Prefix:
	default:
		return nil, bad("there is no op %q; there are = != in < <= > >= prefix exists and or not", f.Op)
	}
	if f.Field == "" || strings.TrimPrefix(f.Field, metadataField) == "" {
		return nil, bad("%s wants a field", f.Op)
	}
	if len(f.Values) != want || len(f.Of) > 0 || want > maxFilterValues {
		return nil, bad("field %q: %s has %d values and %d filters of its own", f.Field, f.Op, len(f.Values), len(f.Of))
	}
	fd := fieldOf(f.Field)
	switch f.Op {
	case Exists:
		return func(d *Document) bool { _, ok := fd.text(d); return ok }, nil
	case Prefix:
		if fd.kind == number || fd.kind == date {
			return nil, bad("field %q is no text that could have a prefix", f.Field)
		}
		return func(d *Document) bool { t, ok := fd.text(d); return ok && strings.HasPrefix(t, f.Values[0]) }, nil
	}
	values := make([]operand, len(f.Values))
	for i, v := range f.Values {
		values[i] = parseOperand(v)
		switch {
		case fd.kind == number && !values[i].isNumber:
			return nil, bad("field %q is compared with a number, not %q", f.Field, v)
		case fd.kind == date && !values[i].isDate:
			return nil, bad("field %q is compared with a date such as 2026-11-25, not %q", f.Field, v)
		}
	}
	switch f.Op {
	case Equal, Unequal, In:
		equals := f.Op != Unequal
		if fd.kind == text || fd.kind == metadata {
			set := make(map[string]bool, len(f.Values))
			for _, v := range f.Values {
				set[v] = true
			}
			return func(d *Document) bool { t, ok := fd.text(d); return (ok && set[t]) == equals }, nil
		}
		return func(d *Document) bool {
			t, ok := fd.value(d)
			return (ok && slices.ContainsFunc(values, func(v operand) bool { return compare(t, v, fd.kind) == 0 })) == equals
		}, nil
	}
	v := values[0]
	return func(d *Document) bool {
		t, ok := fd.value(d)
		if !ok {
			return false
		}
		switch c := compare(t, v, fd.kind); f.Op {
		case Less:
			return c < 0
		case AtMost:
			return c <= 0
		case More:
			return c > 0
		default:
			return c >= 0
		}
	}, nil
}

// A kind is how a field is compared.
type kind int

const (
	text kind = iota
	number
	date
	metadata // whatever both sides look like
)

// A field is what a filter looks at.
type field struct {
	kind kind
	text func(*Document) (string, bool)
	of   func(*Document) operand // of number and date
}

func (f field) value(d *Document) (operand, bool) {
	if f.of != nil {
		o := f.of(d)
		return o, o.isNumber && o.number > 0 || o.isDate && !o.from.IsZero()
	}
	t, ok := f.text(d)
	if !ok || f.kind == text {
		return operand{text: t}, ok
	}
	return parseOperand(t), true
}

func fieldOf(name string) field {
	texts := func(get func(*Document) string) field {
		return field{kind: text, text: func(d *Document) (string, bool) { t := get(d); return t, t != "" }}
	}
	numbers := func(get func(*Document) int64) field {
		return field{number, func(d *Document) (string, bool) { return strconv.FormatInt(get(d), 10), get(d) > 0 },
			func(d *Document) operand { return operand{number: float64(get(d)), isNumber: true} }}
	}
	dates := func(get func(*Document) time.Time) field {
		return field{date, func(d *Document) (string, bool) { return get(d).Format(time.RFC3339), !get(d).IsZero() },
			func(d *Document) operand { return operand{from: get(d), to: get(d), isDate: true} }}
	}
	switch name {
	case "id":
		return texts(func(d *Document) string { return d.ID })
	case "path":
		return texts(func(d *Document) string { return d.Path })
	case "title":
		return texts(func(d *Document) string { return d.Title })
	case "format":
		return texts(func(d *Document) string { return d.Format })
	case "language":
		return texts(func(d *Document) string { return d.Language })
	case "added":
		return dates(func(d *Document) time.Time { return d.AddedAt })
	case "updated":
		return dates(func(d *Document) time.Time { return d.UpdatedAt })
	case "pages":
		return numbers(func(d *Document) int64 { return int64(d.Pages) })
	case "bytes":
		return numbers(func(d *Document) int64 { return d.Bytes })
	}
	key := strings.TrimPrefix(name, metadataField)
	return field{kind: metadata, text: func(d *Document) (string, bool) { t, ok := d.Metadata[key]; return t, ok }}
}

// An operand is a side of a comparison, as all that it can be read as.
type operand struct {
	text     string
	number   float64
	from, to time.Time // the first and the last instant of a date
	isNumber bool
	isDate   bool
}

func parseOperand(s string) operand {
	o := operand{text: s}
	trimmed := strings.TrimSpace(s)
	if n, err := strconv.ParseFloat(trimmed, 64); err == nil && !math.IsInf(n, 0) && !math.IsNaN(n) {
		o.number, o.isNumber = n, true
	}
	o.from, o.to, o.isDate = parseDate(trimmed)
	return o
}

// parseDate reads a date as Filter describes it.
func parseDate(s string) (from, to time.Time, ok bool) {
	if len(s) < 4 || s[0] < '0' || s[0] > '9' {
		return from, to, false
	}
	for _, l := range []struct {
		layout              string
		years, months, days int
	}{{"2006", 1, 0, 0}, {"2006-01", 0, 1, 0}, {time.DateOnly, 0, 0, 1}, {"2006/01/02", 0, 0, 1}, {time.RFC3339, 0, 0, 0}, {"2006-01-02T15:04:05", 0, 0, 0}, {time.DateTime, 0, 0, 0}} {
		t, err := time.Parse(l.layout, s)
		if err != nil {
			continue
		}
		if l.years+l.months+l.days == 0 {
			return t, t, true
		}
		return t, t.AddDate(l.years, l.months, l.days).Add(-1), true
	}
	return from, to, false
}

// compare returns -1, 0 or 1, as a is before, within or after b.
func compare(a, b operand, k kind) int {
	switch {
	case k == number, k == metadata && a.isNumber && b.isNumber:
		switch {
		case a.number < b.number:
			return -1
		case a.number > b.number:
			return 1
		}
		return 0
	case k == date, k == metadata && a.isDate && b.isDate:
		switch {
		case a.to.Before(b.from):
			return -1
		case a.from.After(b.to):
			return 1
		}
		return 0
	}
	return strings.Compare(a.text, b.text)
}
