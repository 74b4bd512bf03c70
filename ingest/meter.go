package ingest

import (
	"time"
)

// A Flow is how far the work on a batch of files is.
type Flow struct {
	Files          int            `json:"files"` // of the batch: since nothing was left to do
	FilesDone      int            `json:"files_done"`
	Bytes          int64          `json:"bytes"`
	BytesDone      int64          `json:"bytes_done"`
	BytesPerSecond float64        `json:"bytes_per_second"`       // of the last minute; 0 while it is not known
	SecondsLeft    float64        `json:"seconds_left,omitempty"` // 0 while it is not known
	Stages         map[string]int `json:"stages"`                 // how many files are in each
	Paused         bool           `json:"paused"`                 // the whole queue is
}

// A Meter measures the work on a batch of files, to tell how fast it goes and how long it will take. The
// zero value is an empty batch. It is not safe for concurrent use.
type Meter struct {
	open    map[string]*metered // by key
	files   int
	done    int
	bytes   int64
	full    int64 // bytes of the files that are done
	samples []sample
}

type metered struct {
	bytes int64
	share float64 // done, 0 to 1
	stage string

	began     time.Time     // the work on it
	before    time.Duration // what it took until it was cut into chunks
	embedding time.Time     // when that began
}

type sample struct {
	at   time.Time
	done float64 // bytes
}

const (
	// meterWindow is the time over which the rate is taken.
	meterWindow = time.Minute
	sampleEvery = 500 * time.Millisecond
	// perFile stands for what a file costs however small it is, in bytes of a larger one.
	perFile = 4 << 10
)

// meter returns the meter of a collection. The caller holds mu.
func (q *queue) meter(collection string) *Meter {
	m := q.meters[collection]
	if m == nil {
		m = &Meter{}
		q.meters[collection] = m
	}
	return m
}

// Begin counts a file into the batch, by a key of the caller's; into a new batch when none is left.
func (m *Meter) Begin(key string, bytes int64) {
	if len(m.open) == 0 {
		*m = Meter{open: map[string]*metered{}}
	}
	if m.open[key] == nil {
		m.open[key] = &metered{bytes: bytes}
		m.files++
		m.bytes += bytes
	}
	m.sample(time.Now())
}

// Advance notes how far a file is.
func (m *Meter) Advance(key string, pr Progress) {
	m.advance(key, pr, time.Now())
}

func (m *Meter) advance(key string, pr Progress, now time.Time) {
	if f := m.open[key]; f != nil {
		f.advance(pr, now)
		m.sample(now)
	}
}

// advance estimates the share of the file's work that is done. How long embedding takes beside what came
// before differs a hundredfold between a text and a scanned book, so it is measured: the time it took so far
// tells, by the chunks that are done, the time it will take in all.
func (f *metered) advance(pr Progress, now time.Time) {
	if f.began.IsZero() {
		f.began = now
	}
	part := 0.0
	if pr.Total > 0 {
		part = min(float64(pr.Done)/float64(pr.Total), 1)
	}
	if f.stage != pr.Stage {
		switch pr.Stage {
		case StageChunking: // after it the file may wait for another to be embedded
			f.before = now.Sub(f.began)
		case StageEmbedding:
			f.embedding = now
		}
	}
	f.stage = pr.Stage
	switch pr.Stage {
	case StageOCR:
		f.share = recognized * part
	case StageEmbedding:
		if part > 0 {
			all := f.before.Seconds() + now.Sub(f.embedding).Seconds()/part
			if all > 0 {
				before := f.before.Seconds() / all
				f.share = (before + (1-before)*part) * embedded
			}
		}
	case StageStoring:
		f.share = embedded + (1-embedded)*part
	}
}

// How much of a file's work is done when its pages have been recognised, as long as nothing tells how long
// the rest will take, and when its chunks have been embedded.
const (
	recognized = 0.8
	embedded   = 0.97
)

// End counts a file as done.
func (m *Meter) End(key string) {
	if f := m.open[key]; f != nil {
		delete(m.open, key)
		m.done++
		m.full += f.bytes
		m.sample(time.Now())
	}
}

// Drop takes a file out of the batch.
func (m *Meter) Drop(key string) {
	if f := m.open[key]; f != nil {
		delete(m.open, key)
		m.files--
		m.bytes -= f.bytes
	}
}

// weigh notes the size of a file that was not known at first.
func (m *Meter) weigh(key string, bytes int64) {
	if f := m.open[key]; f != nil {
		m.bytes += bytes - f.bytes
		f.bytes = bytes
	}
}

// rest forgets the rate: the work stood still.
func (m *Meter) rest() { m.samples = nil }

// work is what is done, and what there is in all, in bytes and what files cost besides.
func (m *Meter) work() (done, all float64) {
	done = float64(m.full) + float64(m.done)*perFile
	for _, f := range m.open {
		done += f.share * float64(f.bytes+perFile)
	}
	return done, float64(m.bytes) + float64(m.files)*perFile
}

func (m *Meter) sample(now time.Time) {
	if n := len(m.samples); n > 0 && now.Sub(m.samples[n-1].at) < sampleEvery {
		return
	}
	done, _ := m.work()
	m.samples = append(m.samples, sample{now, done})
	for len(m.samples) > 2 && now.Sub(m.samples[1].at) > meterWindow {
		m.samples = m.samples[1:]
	}
}

// Flow is how things stand at a time.
func (m *Meter) Flow(now time.Time) Flow {
	done, all := m.work()
	f := Flow{Files: m.files, FilesDone: m.done, Bytes: m.bytes, Stages: map[string]int{}}
	f.BytesDone = min(int64(done), m.bytes)
	for _, o := range m.open {
		if o.stage != "" {
			f.Stages[o.stage]++
		}
	}
	if len(m.open) == 0 || len(m.samples) == 0 {
		return f
	}
	first := m.samples[0]
	if elapsed := now.Sub(first.at).Seconds(); elapsed >= 1 && done > first.done {
		f.BytesPerSecond = (done - first.done) / elapsed
		f.SecondsLeft = max(all-done, 0) / f.BytesPerSecond
	}
	return f
}

// Flow is how far the work on a collection's present batch is: the jobs since its queue was last empty.
func (p *Pipeline) Flow(collection string) Flow {
	q := &p.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	f := Flow{Stages: map[string]int{}}
	if m := q.meters[collection]; m != nil {
		f = m.Flow(time.Now())
	}
	f.Paused = q.held
	return f
}
