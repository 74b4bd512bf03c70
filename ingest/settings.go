package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"docent/chunker"
	"docent/ingest/clean"
	"docent/retriever"
)

// ErrInvalidSetting is returned for a setting that is not known or cannot have the value given.
var ErrInvalidSetting = errors.New("invalid setting")

// Settings are what is chosen for each collection: how its files are read and made into chunks. They
// are stored with the collection as one JSON object.
//
// Fields are strings, integers or booleans, or structs of such. Their tags are all there is to a
// setting: `values` lists what a string may be (absent: anything), `min` and `max` bound an integer,
// `default` is the value without a choice (absent: zero), `help` is for people, and `documents:"same"`
// marks a setting that does not change what becomes of a file, so that files need not be read anew.
type Settings struct {
	OCR string `json:"ocr" values:"auto,off" default:"auto" help:"Recognition of text in pictures and scanned pages, where a program or model for it is there."`
	clean.Settings
	Chunks    ChunkSettings      `json:"chunks"`
	Retrieval retriever.Settings `json:"retrieval"`
}

// ChunkSettings are how the documents of a collection are cut into chunks.
type ChunkSettings struct {
	Strategy string `json:"strategy" values:"structure,sentence,parent,semantic" default:"structure" help:"Where text is cut: by its structure; into sentences, read with their neighbours; into small pieces of the passages that are read; where the topic changes."`
	Size     int    `json:"size" min:"0" max:"8192" help:"The most tokens in a chunk, as the encoder counts; 0 means the strategy's own."`
	Overlap  int    `json:"overlap" min:"-1" max:"4096" help:"The most tokens repeated from the chunk before; 0 means the strategy's own, -1 none."`
	Read     int    `json:"read" min:"0" max:"16384" help:"The most tokens that are read around a sentence or small piece; 0 means 400."`
	Context  string `json:"context" values:"headings,model,none" default:"headings" help:"What is indexed with each chunk: title and headings; a sentence of the language model too, on where it stands in the document; nothing."`
}

// Config is how the settings are put to package chunker.
func (s ChunkSettings) Config() chunker.Config {
	cfg := chunker.Config{
		Strategy:        chunker.Strategy(s.Strategy),
		RecursiveConfig: chunker.RecursiveConfig{MaxTokens: s.Size, Overlap: s.Overlap},
		ReadTokens:      s.Read,
	}
	if s.Context == "none" {
		cfg.ContextTokens = -1
	}
	return cfg
}

// DefaultSettings returns the settings of a collection for which nothing was chosen.
func DefaultSettings() Settings {
	var s Settings
	for _, f := range s.fields() {
		if err := f.parse(f.tag.Get("default")); err != nil {
			panic("ingest: " + err.Error())
		}
	}
	return s
}

// ReadSettings returns the settings of a collection, or ErrNotFound of package retriever.
func ReadSettings(ctx context.Context, store *retriever.Store, collection string) (Settings, error) {
	data, err := store.Catalog().CollectionSettings(ctx, collection)
	if err != nil {
		return Settings{}, err
	}
	return decodeSettings(data)
}

// decodeSettings reads what is stored. Keys of a later release are passed over.
func decodeSettings(data []byte) (Settings, error) {
	s := DefaultSettings()
	if err := json.Unmarshal(data, &s); err != nil {
		return Settings{}, fmt.Errorf("settings of the collection: %w", err)
	}
	return s, s.validate()
}

// ChangeSettings applies change to the settings of a collection and stores and returns the outcome. It
// returns ErrInvalidSetting, and changes nothing, when a field has a value that it cannot have.
func ChangeSettings(ctx context.Context, store *retriever.Store, collection string, change func(*Settings) error) (Settings, error) {
	var s Settings
	err := store.Catalog().UpdateCollectionSettings(ctx, collection, func(data []byte) ([]byte, error) {
		var err error
		if s, err = decodeSettings(data); err != nil {
			return nil, err
		}
		if err = change(&s); err == nil {
			err = s.validate()
		}
		if err != nil {
			return nil, err
		}
		return json.Marshal(s)
	})
	return s, err
}

// Merge sets the fields that a JSON object has and leaves the others.
func (s *Settings) Merge(patch []byte) error {
	dec := json.NewDecoder(bytes.NewReader(patch))
	dec.DisallowUnknownFields()
	changed := *s
	if err := dec.Decode(&changed); err != nil {
		return fmt.Errorf("%w: %s", ErrInvalidSetting, strings.TrimPrefix(err.Error(), "json: "))
	}
	if err := changed.validate(); err != nil {
		return err
	}
	*s = changed
	return nil
}

// Set sets one field by its key, such as "private.email".
func (s *Settings) Set(key, value string) error {
	fields := s.fields()
	for _, f := range fields {
		if f.key == key {
			return f.parse(value)
		}
	}
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.key
	}
	return fmt.Errorf("%w: there is no %q; there are %s", ErrInvalidSetting, key, strings.Join(keys, ", "))
}

// A Setting describes one field of Settings for people and programs.
type Setting struct {
	Key     string   `json:"key"` // levels are parted by dots
	Value   any      `json:"value"`
	Default any      `json:"default"`
	Values  []string `json:"values,omitempty"` // what it may be; absent when that is not a list
	Help    string   `json:"help"`
}

// List describes every field, with its value.
func (s Settings) List() []Setting {
	defaults := DefaultSettings()
	without := defaults.fields()
	var all []Setting
	for i, f := range s.fields() {
		all = append(all, Setting{Key: f.key, Value: f.value.Interface(), Default: without[i].value.Interface(), Values: f.values(), Help: f.tag.Get("help")})
	}
	return all
}

// fingerprint names what of the settings decides what becomes of a file; it is empty for the defaults.
func (s Settings) fingerprint() string {
	defaults := DefaultSettings()
	without := defaults.fields()
	var parts []string
	for i, f := range s.fields() {
		if f.tag.Get("documents") != "same" && !f.value.Equal(without[i].value) {
			parts = append(parts, fmt.Sprintf("%s=%v", f.key, f.value.Interface()))
		}
	}
	return strings.Join(parts, " ")
}

func (s *Settings) validate() error {
	for _, f := range s.fields() {
		if err := f.check(); err != nil {
			return err
		}
	}
	return nil
}

// A settingField is a field of a Settings that can be set.
type settingField struct {
	key   string
	tag   reflect.StructTag
	value reflect.Value
}

func (s *Settings) fields() []settingField {
	var all []settingField
	var walk func(prefix string, v reflect.Value)
	walk = func(prefix string, v reflect.Value) {
		for i := range v.NumField() {
			sf := v.Type().Field(i)
			name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
			switch {
			case sf.Anonymous:
				walk(prefix, v.Field(i))
			case sf.Type.Kind() == reflect.Struct:
				walk(prefix+name+".", v.Field(i))
			default:
				all = append(all, settingField{prefix + name, sf.Tag, v.Field(i)})
			}
		}
	}
	walk("", reflect.ValueOf(s).Elem())
	return all
}

func (f settingField) values() []string {
	if list := f.tag.Get("values"); list != "" {
		return strings.Split(list, ",")
	}
	if f.value.Kind() == reflect.Bool {
		return []string{"true", "false"}
	}
	return nil
}

// parse sets the field from text; empty text is the zero value.
func (f settingField) parse(text string) error {
	var err error
	switch f.value.Kind() {
	case reflect.String:
		f.value.SetString(text)
	case reflect.Int:
		n := 0
		if text != "" {
			if n, err = strconv.Atoi(text); err != nil {
				return fmt.Errorf("%w: %s should be a whole number, not %q", ErrInvalidSetting, f.key, text)
			}
		}
		f.value.SetInt(int64(n))
	case reflect.Bool:
		on := false
		if text != "" {
			if on, err = strconv.ParseBool(text); err != nil {
				return fmt.Errorf("%w: %s should be true or false, not %q", ErrInvalidSetting, f.key, text)
			}
		}
		f.value.SetBool(on)
	default:
		panic("ingest: setting " + f.key + " is of a kind that is not supported")
	}
	return f.check()
}

func (f settingField) check() error {
	switch f.value.Kind() {
	case reflect.String:
		if values := f.values(); values != nil && !slices.Contains(values, f.value.String()) {
			return fmt.Errorf("%w: %s should be %s, not %q", ErrInvalidSetting, f.key, strings.Join(values, " or "), f.value.String())
		}
	case reflect.Int:
		for _, bound := range []struct {
			tag  string
			sign int64
		}{{"min", 1}, {"max", -1}} {
			text, ok := f.tag.Lookup(bound.tag)
			if !ok {
				continue
			}
			limit, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				panic("ingest: setting " + f.key + ": " + err.Error())
			}
			if (f.value.Int()-limit)*bound.sign < 0 {
				return fmt.Errorf("%w: %s should be from %s to %s, not %d", ErrInvalidSetting, f.key, f.tag.Get("min"), f.tag.Get("max"), f.value.Int())
			}
		}
	}
	return nil
}
