package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/exec"
)

// keyOrder remembers the order of objects' members, which models were tuned on and Go's maps do not keep,
// by the maps' addresses.
type keyOrder map[uintptr][]string

const maxJSONDepth = 200

// object makes one of keys and values in turn.
func (o keyOrder) object(members ...any) map[string]any {
	out := map[string]any{}
	var keys []string
	for i := 0; i < len(members); i += 2 {
		key := members[i].(string)
		out[key], keys = members[i+1], append(keys, key)
	}
	o[reflect.ValueOf(out).Pointer()] = keys
	return out
}

func (o keyOrder) keys(m map[string]any) []string {
	if keys, ok := o[reflect.ValueOf(m).Pointer()]; ok && len(keys) == len(m) {
		return keys
	}
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// read reads JSON; nothing is an empty object. Strings go through text.
func (o keyOrder) read(data []byte, text func(string) string) (any, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return o.object(), nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	v, err := o.value(dec, text, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("text after the JSON value")
	}
	return v, nil
}

func (o keyOrder) value(dec *json.Decoder, text func(string) string, depth int) (any, error) {
	if depth > maxJSONDepth {
		return nil, fmt.Errorf("JSON of over %d levels", maxJSONDepth)
	}
	t, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			list := []any{}
			for dec.More() {
				v, err := o.value(dec, text, depth+1)
				if err != nil {
					return nil, err
				}
				list = append(list, v)
			}
			_, err := dec.Token()
			return list, err
		}
		out := map[string]any{}
		var keys []string
		for dec.More() {
			k, err := dec.Token()
			if err != nil {
				return nil, err
			}
			key := text(k.(string))
			v, err := o.value(dec, text, depth+1)
			if err != nil {
				return nil, err
			}
			if _, again := out[key]; !again {
				keys = append(keys, key)
			}
			out[key] = v
		}
		o[reflect.ValueOf(out).Pointer()] = keys
		_, err := dec.Token()
		return out, err
	case string:
		return text(t), nil
	case json.Number:
		if n, err := t.Int64(); err == nil {
			return n, nil
		}
		return t.Float64()
	}
	return t, nil
}

// toJSON is the filter tojson as Hugging Face's library has it: Python's json.dumps with
// ensure_ascii=False, and an optional indent.
func (t *template) toJSON(_ *exec.Evaluator, in *exec.Value, params *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	w := jsonWriter{order: *t.order.Load(), indent: -1}
	if v, ok := params.KwArgs["indent"]; ok && v.IsInteger() {
		w.indent = min(max(v.Integer(), 0), 16)
	}
	if err := w.write(in.Interface(), 0); err != nil {
		return exec.AsValue(err)
	}
	return exec.AsSafeValue(w.String())
}

// jsonWriter writes JSON with Python's spaces.
type jsonWriter struct {
	strings.Builder
	order  keyOrder
	indent int // negative: on one line
}

func (w *jsonWriter) list(open, end string, n, depth int, item func(i int) error) error {
	w.WriteString(open)
	for i := range n {
		switch {
		case w.indent >= 0:
			if i > 0 {
				w.WriteByte(',')
			}
			w.WriteString("\n" + strings.Repeat(" ", w.indent*(depth+1)))
		case i > 0:
			w.WriteString(", ")
		}
		if err := item(i); err != nil {
			return err
		}
	}
	if n > 0 && w.indent >= 0 {
		w.WriteString("\n" + strings.Repeat(" ", w.indent*depth))
	}
	w.WriteString(end)
	return nil
}

func (w *jsonWriter) write(v any, depth int) error {
	if depth > maxJSONDepth {
		return fmt.Errorf("tojson: over %d levels", maxJSONDepth)
	}
	switch v := v.(type) {
	case nil:
		w.WriteString("null")
	case string:
		w.quote(v)
	case bool:
		w.WriteString(strconv.FormatBool(v))
	case int:
		w.WriteString(strconv.Itoa(v))
	case int64:
		w.WriteString(strconv.FormatInt(v, 10))
	case float64:
		s := strconv.FormatFloat(v, 'g', -1, 64)
		if v == math.Trunc(v) && math.Abs(v) < 1e16 {
			s = strconv.FormatFloat(v, 'f', 1, 64)
		}
		w.WriteString(s)
	case map[string]any:
		keys := w.order.keys(v)
		return w.list("{", "}", len(keys), depth, func(i int) error {
			w.quote(keys[i])
			w.WriteString(": ")
			return w.write(v[keys[i]], depth+1)
		})
	case []any:
		return w.list("[", "]", len(v), depth, func(i int) error { return w.write(v[i], depth+1) })
	case *exec.Value:
		return w.write(v.Interface(), depth)
	case *exec.Dict:
		return w.write(*v, depth)
	case exec.Dict:
		return w.list("{", "}", len(v.Pairs), depth, func(i int) error {
			w.quote(v.Pairs[i].Key.String())
			w.WriteString(": ")
			return w.write(v.Pairs[i].Value, depth+1)
		})
	default:
		r := reflect.ValueOf(v)
		if r.Kind() != reflect.Slice {
			return fmt.Errorf("tojson: cannot write a %T", v)
		}
		return w.list("[", "]", r.Len(), depth, func(i int) error { return w.write(r.Index(i).Interface(), depth+1) })
	}
	return nil
}

func (w *jsonWriter) quote(s string) {
	w.WriteByte('"')
	for _, r := range s {
		switch r {
		case '"', '\\':
			w.WriteByte('\\')
			w.WriteRune(r)
		case '\n':
			w.WriteString(`\n`)
		case '\r':
			w.WriteString(`\r`)
		case '\t':
			w.WriteString(`\t`)
		case '\b':
			w.WriteString(`\b`)
		case '\f':
			w.WriteString(`\f`)
		default:
			if r < 0x20 {
				fmt.Fprintf(w, `\u%04x`, r)
			} else {
				w.WriteRune(r)
			}
		}
	}
	w.WriteByte('"')
}

// dictMethods are a dictionary's, in the order of its members.
func (t *template) dictMethods() map[string]exec.Method[map[string]any] {
	each := func(item func(self map[string]any, key string) any) exec.Method[map[string]any] {
		return func(self map[string]any, value *exec.Value, args *exec.VarArgs) (any, error) {
			if err := args.Take(); err != nil {
				return nil, exec.ErrInvalidCall(err)
			}
			if m, ok := value.Interface().(map[string]any); ok {
				self = m // not a copy, whose order is not known
			}
			out := jinjaList{}
			for _, key := range t.order.Load().keys(self) {
				out = append(out, item(self, key))
			}
			return out, nil
		}
	}
	return map[string]exec.Method[map[string]any]{
		"keys":   each(func(_ map[string]any, key string) any { return key }),
		"values": each(func(self map[string]any, key string) any { return self[key] }),
		"items":  each(func(self map[string]any, key string) any { return []any{key, self[key]} }),
		"get": func(self map[string]any, _ *exec.Value, args *exec.VarArgs) (any, error) {
			if len(args.Args) < 1 || len(args.Args) > 2 {
				return nil, exec.ErrInvalidCall(errors.New("get takes one or two arguments"))
			}
			if v, ok := self[args.Args[0].String()]; ok {
				return v, nil
			}
			if len(args.Args) == 2 {
				return args.Args[1].Interface(), nil
			}
			return nil, nil
		},
	}
}

// jinjaList is a list whose items can be counted from its end. The library takes no x[-n] of n items.
type jinjaList []any

// GetItem implements exec.ItemGetter.
func (s jinjaList) GetItem(key any) (*exec.Value, bool) {
	i, ok := key.(int)
	if i < 0 {
		i += len(s)
	}
	if !ok || i < 0 || i >= len(s) {
		return exec.AsValue(nil), false
	}
	return exec.ToValue(s[i]), true
}

// jinjaListOf makes a jinjaList of a list that the library made.
func jinjaListOf(v any) any {
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Slice {
		return v
	}
	out := make(jinjaList, r.Len())
	for i := range out {
		out[i] = r.Index(i).Interface()
	}
	return out
}

// listFilter is the filter list.
func listFilter(e *exec.Evaluator, in *exec.Value, params *exec.VarArgs) *exec.Value {
	list, _ := builtins.Filters.Get("list")
	out := list(e, in, params)
	if out.IsError() {
		return out
	}
	return exec.AsValue(jinjaListOf(out.Interface()))
}

// stringMethods are the library's.
func stringMethods() map[string]exec.Method[string] {
	out := map[string]exec.Method[string]{}
	for _, name := range strings.Fields(`capitalize casefold center count encode endswith expandtabs find format index isalnum isalpha isascii isdecimal
		isdigit islower isnumeric isspace istitle isupper join ljust lower lstrip partition removeprefix removesuffix replace rfind rindex rjust
		rpartition rsplit rstrip split splitlines startswith strip swapcase title upper zfill`) {
		m, ok := builtins.Methods.Str.Get(name)
		if !ok {
			continue
		}
		out[name] = func(self string, value *exec.Value, args *exec.VarArgs) (any, error) {
			v, err := m(self, value, args)
			return jinjaListOf(v), err
		}
	}
	return out
}
