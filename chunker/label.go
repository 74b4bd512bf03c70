package chunker

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
)

// caption matches the beginning of what is written over or under a table or figure, up to its number.
var caption = regexp.MustCompile(`^(?i:(table|figure|fig\.|chart)\s*|(表|图|圖)\s*)([0-9]+(?:[.\-–][0-9]+)*|[A-Z][0-9]*(?:\.[0-9]+)*)(?:[.:：．。\s　]|$)`)

// labelsOf names the tables and figures of the blocks: a caption by what it says, a table by the caption
// next to it, or else by its sheet or by its place among the tables.
func labelsOf(b *builder) (labels map[int32]string, tables int) {
	labels = make(map[int32]string)
	captions := make(map[int]string)
	for i, blk := range b.blocks {
		if blk.Kind != Paragraph && blk.Kind != Heading {
			continue
		}
		text := strings.TrimLeft(b.doc.Text[blk.Start:blk.End], "*_# ")
		if m := caption.FindStringSubmatch(text); m != nil {
			word, sep := m[1]+m[2], " "
			if m[2] == "" {
				word = strings.ToUpper(word[:1]) + strings.ToLower(word[1:])
			}
			captions[i] = word + sep + m[3]
			labels[int32(i)] = captions[i]
		}
	}
	for i, blk := range b.blocks {
		if blk.Kind != Table {
			continue
		}
		tables++
		labels[int32(i)] = cmp.Or(blk.Name, fmt.Sprintf("table %d", tables))
		for _, near := range []int{i - 1, i + 1} {
			if c := captions[near]; strings.HasPrefix(c, "Table") || strings.HasPrefix(c, "表") {
				labels[int32(i)] = c
				break
			}
		}
	}
	return labels, tables
}
