package ingest

import (
	"math"
	"testing"
	"time"
)

// The time left of one large file is true from the first chunks on, whether reading it or embedding it takes
// the most of the time.
func TestMeterTimeLeft(t *testing.T) {
	for name, c := range map[string]struct{ parse, embed time.Duration }{
		"a text":        {time.Second, 99 * time.Second},
		"a PDF":         {25 * time.Second, 75 * time.Second},
		"a slow format": {80 * time.Second, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			at := func(d time.Duration) time.Time { return start.Add(d) }
			var m Meter
			m.Begin("a", 10<<20)
			m.advance("a", Progress{Stage: StageParsing}, at(0))
			if f := m.Flow(at(c.parse / 2)); f.SecondsLeft != 0 {
				t.Errorf("while it is parsed: %.1f s left, want none told", f.SecondsLeft)
			}
			m.advance("a", Progress{Stage: StageChunking}, at(c.parse))
			m.advance("a", Progress{Stage: StageEmbedding, Total: 1000}, at(c.parse))
			for done := 50; done < 1000; done += 50 {
				spent := c.parse + c.embed*time.Duration(done)/1000
				m.advance("a", Progress{Stage: StageEmbedding, Done: done, Total: 1000}, at(spent))
				left := (c.embed - c.embed*time.Duration(done)/1000).Seconds()
				got := m.Flow(at(spent)).SecondsLeft
				if math.Abs(got-left) > 0.15*left+4 {
					t.Errorf("%d of 1000: %.1f s left, want %.1f", done, got, left)
				}
			}
		})
	}
}
