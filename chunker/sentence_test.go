package chunker_test

import (
	"strings"
	"testing"

	"docent/chunker"
)

func TestSentences(t *testing.T) {
	// Cases are written with | at the borders; a | that is not wanted shows as a difference.
	for _, tc := range []struct{ name, want string }{
		{"empty", ""},
		{"plain", "One. |Two! |Three?"},
		{"no end", "One. |And so"},
		{"abbreviations", "Dr. Smith met Mrs. Jones, i.e. the owner, vs. Prof. Xu. |They left."},
		{"an abbreviation that ends", "Nuts, bolts, etc. |The rest follows. |It closes at 5 p.m. |Then we go."},
		{"initials", "J. R. R. Tolkien wrote it. |C. S. Lewis did not."},
		{"decimals and versions", "It costs 3.14 euros. |Use v1.2.3 or docs.example.org now. |Yes."},
		{"numbers of things", "See No. 5 and fig. 3 on p. 12. |No. |That is wrong."},
		{"list numbers", "1. Open the lid. |2. Close it. |2.1. Lock it."},
		{"ellipsis", "Well... maybe. |Well... |Maybe. |He paused… then spoke."},
		{"quotes", "He said “Go.” |She went. |\"Really?\" he asked. |(See below.) |Done."},
		{"wrapped lines", "A sentence that\nis wrapped. |Another\none."},
		{"a blank line", "A title\n\n|Some text"},
		{"list markers", "Bring:\n|- a pen\n|- paper\n|3) ink"},
		{"chinese", "年假十五天。|须提前申请！|可以吗？|可以；|不必；|好。"},
		{"chinese quotes", "他说：“走吧。”|她走了。|（见下文。）|完。"},
		{"chinese decimals", "增长3.5%，约12.7万。|完。"},
		{"chinese ellipsis", "他想……算了。|“等等……”|他说。"},
		{"mixed", "版本是v1.2。|Use it. |然后重启！|Done."},
		{"ascii stops in chinese", "第一句.|第二句!|第三句"},
		{"many marks", "什么？！|真的。。。|Really?! |Yes!!!"},
		{"citations of law", "See 11 U.S.C. § 321 and 28 C.F.R. 58.6 for it. |Done."},
		{"no capitals", "call dr. lee at 5. |bring e.g. the plan. |what next? |well... maybe."},
		{"a space before the stop", "The flow is laminar . |it is also steady . |No slip ."},
		{"an abbreviation with dots", "The U.S. |Army is large. |The U.S. army too."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := strings.ReplaceAll(tc.want, "|", "")
			var want []string
			for _, s := range strings.Split(tc.want, "|") {
				if s = strings.TrimSpace(s); s != "" {
					want = append(want, s)
				}
			}
			var got []string
			for s, e := range chunker.Sentences(text) {
				got = append(got, text[s:e])
			}
			if g, w := strings.Join(got, "|"), strings.Join(want, "|"); g != w {
				t.Errorf("\ngot  %s\nwant %s", g, w)
			}
		})
	}
}

func FuzzSentences(f *testing.F) {
	f.Add("Dr. Smith. “你好。”\n\n- a… b")
	f.Fuzz(func(t *testing.T, text string) {
		at := 0
		for s, e := range chunker.Sentences(text) {
			if s < at || e <= s || e > len(text) || strings.TrimSpace(text[at:s]) != "" || strings.TrimSpace(text[s:e]) != text[s:e] {
				t.Fatalf("[%d, %d) after %d in %q", s, e, at, text)
			}
			at = e
		}
		if strings.TrimSpace(text[at:]) != "" {
			t.Fatalf("%q is in no sentence", text[at:])
		}
	})
}
