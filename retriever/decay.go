package retriever

import (
	"math"
	"time"
)

// Decay prefers what is new: each halfLife of a document's age halves the scores of its passages (Li and Croft
// 2003, "Time-Based Language Models", whose prior falls exponentially too). date names what the age is counted
// from: "updated", which "" means, "added", or a key of the metadata that is read as Filter reads dates; a document
// without it counts from its update. Dates to come are of now. Scores below 0 count as 0, and MinScore applies to
// what is left. A halfLife of 0 or less changes nothing.
func Decay(halfLife time.Duration, date string) SearchOption {
	return func(c *searchConfig) {
		c.decay = nil
		if halfLife > 0 {
			c.decay = &decay{halfLife, date}
		}
	}
}

type decay struct {
	halfLife time.Duration
	date     string
}

// apply changes the scores, and the order with them.
func (d *decay) apply(hits []Hit) {
	now := time.Now()
	for i := range hits {
		age := max(0, now.Sub(d.of(&hits[i].Document)))
		hits[i].Score = max(0, hits[i].Score) * math.Exp2(-age.Seconds()/d.halfLife.Seconds())
	}
	sortHits(hits)
}

// of is the date of a document.
func (d *decay) of(doc *Document) time.Time {
	if d.date != "" {
		if v, ok := fieldOf(d.date).value(doc); ok && v.isDate {
			return v.to
		}
	}
	return doc.UpdatedAt
}
