package ingest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	stdhtml "html"

	"docent/chunker"
)

const (
	subtitleGap       = 4.0 // seconds of silence that end a paragraph
	subtitleParagraph = 600 // characters after which one ends with a sentence
)

var (
	subtitleTime = regexp.MustCompile(`^\s*((?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3})\s*-->\s*((?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3})`)
	subtitleTag  = regexp.MustCompile(`<[^>]{0,200}>|\{\\[^}]{0,200}\}`)
	subtitleWho  = regexp.MustCompile(`^<v(?:\.[^\s>]*)?\s+([^>]{1,100})>`)
)

// parseSubtitles reads the speech of SRT and WebVTT files, joined into paragraphs at silences, changes
// of speaker and, once they are long, ends of sentences. The times are dropped; the length is kept.
func parseSubtitles(p *parser, in *input, f form) (*Document, error) {
	raw, err := in.textBytes()
	if err != nil {
		return nil, err
	}
	text, enc := decodeText(raw, "")
	b := newDocBuilder(f.format, in.cfg.MaxText)
	if enc != "utf-8" {
		b.meta("encoding", enc)
	}
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	var para strings.Builder
	flush := func() {
		b.add(chunker.Paragraph, 0, para.String())
		para.Reset()
	}
	who, last, lastLine := "", 0.0, ""
	inCue, passing := false, false
	title := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		if line == "" {
			inCue, passing = false, false
			continue
		}
		if m := subtitleTime.FindStringSubmatch(line); m != nil {
			start, end := subtitleSeconds(m[1]), subtitleSeconds(m[2])
			if para.Len() > 0 && (start-last > subtitleGap || utf8.RuneCountInString(para.String()) > subtitleParagraph && endsSentence(para.String())) {
				flush()
			}
			last, inCue = end, true
			continue
		}
		if !inCue {
			switch word, rest, _ := strings.Cut(line, " "); word {
			case "WEBVTT":
				title = strings.Trim(rest, " -")
				passing = true // what follows up to the blank line is header
			case "NOTE", "STYLE", "REGION":
				passing = true
			}
			continue // the number of the cue, or a comment
		}
		if passing {
			continue
		}
		if m := subtitleWho.FindStringSubmatch(line); m != nil && m[1] != who {
			flush()
			who = m[1]
			para.WriteString(who + ":")
		}
		line = strings.TrimSpace(stdhtml.UnescapeString(subtitleTag.ReplaceAllString(line, "")))
		if line == "" || line == lastLine { // rolling captions repeat the line above
			continue
		}
		lastLine = line
		if strings.HasPrefix(line, "- ") && para.Len() > 0 {
			para.WriteByte('\n')
		}
		writeJoin(&para, line)
		para.WriteString(line)
	}
	flush()
	if last > 0 {
		b.meta("duration", fmt.Sprintf("%d:%02d:%02d", int(last)/3600, int(last)/60%60, int(last)%60))
	}
	return b.finish(in.name, title)
}

func subtitleSeconds(s string) float64 {
	total := 0.0
	for part := range strings.SplitSeq(strings.ReplaceAll(s, ",", "."), ":") {
		v, _ := strconv.ParseFloat(part, 64)
		total = total*60 + v
	}
	return total
}

func endsSentence(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(strings.TrimRight(s, `"'”’」』)）`))
	return strings.ContainsRune(".!?。！？…", r)
}
