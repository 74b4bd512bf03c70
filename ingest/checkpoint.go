package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A checkpoint keeps what parsing yielded until the document is stored, so that work that was cut off goes
// on with the stage after it. It is a file named by what it was made from, and begins with the sum of the
// rest: one that a power cut left half written is parsed anew. The zero value keeps nothing.
type checkpoint struct{ file string }

// checkpointAge is how long a parsed document is kept that nobody came back for.
const checkpointAge = 7 * 24 * time.Hour

func (c checkpoint) load() (*Document, bool) {
	data, err := os.ReadFile(c.file)
	if err != nil || len(data) < sha256.Size {
		return nil, false
	}
	if sum := sha256.Sum256(data[sha256.Size:]); string(sum[:]) != string(data[:sha256.Size]) {
		return nil, false
	}
	doc := new(Document)
	return doc, json.Unmarshal(data[sha256.Size:], doc) == nil
}

func (c checkpoint) save(doc *Document) error {
	body, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	dir := filepath.Dir(c.file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, "incoming-*")
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	_, err = temp.Write(append(sum[:], body...))
	if cerr := temp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(temp.Name(), c.file)
	}
	if err != nil {
		os.Remove(temp.Name())
	}
	return err
}

// end removes the checkpoint unless the work was cut off: a file's own failure is not.
func (c checkpoint) end(ctx context.Context, err error) {
	if c.file != "" && (err == nil || ctx.Err() == nil) {
		os.Remove(c.file)
	}
}

// sweepCheckpoints removes those that are older than checkpointAge.
func (p *Pipeline) sweepCheckpoints() {
	entries, _ := os.ReadDir(p.checkpoints())
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > checkpointAge {
			os.Remove(filepath.Join(p.checkpoints(), e.Name()))
		}
	}
}

// checkpoints is the folder they are in.
func (p *Pipeline) checkpoints() string { return filepath.Join(p.store.Dir(), "parsed") }

// parse extracts the stored copy of the file, unless an earlier attempt that was cut off has done so.
func (w *work) parse(ctx context.Context, f File) (*Document, error) {
	cfg := w.extractor.cfg
	key := sha256.Sum256(fmt.Appendf(nil, "%d %s %q %q %d %d %q %v %s", pipelineVersion, w.item.SHA256, f.Name, f.URL, cfg.MaxText, cfg.MaxUnpacked, f.OCR, f.KeepBoilerplate, cfg.recognizerName()))
	w.parsed.file = filepath.Join(w.checkpoints(), hex.EncodeToString(key[:]))
	if doc, ok := w.parsed.load(); ok {
		return doc, nil
	}
	doc, err := w.extractor.Extract(ctx, f)
	if err != nil {
		return nil, err
	}
	if err := w.parsed.save(doc); err != nil {
		w.cfg.Logger.WarnContext(ctx, "a parsed document is not kept; work that is cut off will parse it again", "error", err)
	}
	return doc, nil
}
