package chain

import (
	"strings"
	"testing"
	"unicode/utf8"
)

type filtered struct{ answer, reasoning string }

func runFilter(labels bool, chunks ...string) filtered {
	f := &filter{passages: 3, labels: labels}
	for _, c := range chunks {
		f.write(c)
	}
	f.close()
	a, r := f.result()
	return filtered{a, r}
}

var filterCases = []struct {
	name   string
	labels bool
	in     string
	want   filtered
}{
	{"plain", false, "Twenty days [1].", filtered{"Twenty days [1].", ""}},
	{"list", false, "Both [1, 2].", filtered{"Both [1][2].", ""}},
	{"chinese list", false, "两者【1、2】。", filtered{"两者[1][2]。", ""}},
	{"range", false, "All [1-3].", filtered{"All [1][2][3].", ""}},
	{"range too far", false, "All [2–9].", filtered{"All [2][3].", ""}},
	{"run", false, "Both [1] [2] [1].", filtered{"Both [1][2].", ""}},
	{"lenticular", false, "二十天【1】。", filtered{"二十天[1]。", ""}},
	{"lenticular dagger", false, "It is【2†handbook.pdf】.", filtered{"It is[2].", ""}},
	{"full width", false, "二十天［１］。", filtered{"二十天[1]。", ""}},
	{"footnote", false, "Yes[^1].", filtered{"Yes[1].", ""}},
	{"worded", false, "Yes [source 1] and [Passage 2; passage 3].", filtered{"Yes [1] and [2][3].", ""}},
	{"worded chinese", false, "是的[来源1]，[段落 2]。", filtered{"是的[1]，[2]。", ""}},
	{"nowhere", false, "Yes [4]. No [0] more[9] words", filtered{"Yes. No more words", ""}},
	{"nowhere, glued", false, "more[9]words", filtered{"more words", ""}},
	{"part nowhere", false, "Yes [1, 7].", filtered{"Yes [1].", ""}},
	{"not markers", false, "x [a] [2023] [1", filtered{"x [a] [2023] [1", ""}},
	{"code", false, "Use `a[1]` and\n```\nb[9]\n```\nso [1]", filtered{"Use `a[1]` and\n```\nb[9]\n```\nso [1]", ""}},
	{"think", false, "<think>Is it [1]?</think>\n\nTwenty [1].", filtered{"Twenty [1].", "Is it [1]?"}},
	{"think twice", false, "<think>a</think><think>b</think>c", filtered{"c", "ab"}},
	{"think in between", false, "One. <think>hm</think>Two.", filtered{"One. Two.", "hm"}},
	{"think capitals", false, "<Thinking>a</THINKING>b", filtered{"b", "a"}},
	{"orphan", false, "Let me see.\n</think>\nTwenty [1].", filtered{"Twenty [1].", "Let me see."}},
	{"unclosed", false, "<think>for ever", filtered{"", "for ever"}},
	{"less than", false, "a < b <thin> c", filtered{"a < b <thin> c", ""}},
	{"labels", true, "Reasoning: the text [1] says.\nAnswer: Twenty [1].", filtered{"Twenty [1].", "the text [1] says."}},
	{"labels bold", true, "**Reasoning:**\nhm\n\n**Answer:** Twenty.", filtered{"Twenty.", "hm"}},
	{"labels chinese", true, "推理：看第一段。\n回答：二十天【1】。", filtered{"二十天[1]。", "看第一段。"}},
	{"labels without the first", true, "The text says so.\nAnswer: Twenty.", filtered{"Twenty.", "The text says so."}},
	{"labels after think", true, "<think>x</think>\nAnswer: Twenty", filtered{"Twenty", "x"}},
	{"labels, no answer", true, "Reasoning: a\nb\n\nTwenty days [1].", filtered{"Twenty days [1].", "a\nb"}},
	{"labels not asked for", false, "Reasoning: a\nAnswer: b", filtered{"Reasoning: a\nAnswer: b", ""}},
	{"answer twice", true, "Answer: a\nAnswer: b", filtered{"a\nAnswer: b", ""}},
	{"broken bytes", false, "a\xff\xfeb\xe4\xbd", filtered{"a\uFFFD\uFFFDb\uFFFD\uFFFD", ""}},
}

func TestFilter(t *testing.T) {
	for _, c := range filterCases {
		t.Run(c.name, func(t *testing.T) {
			if got := runFilter(c.labels, c.in); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			// However the reply is cut, the result is one.
			var bytes []string
			for i := range len(c.in) {
				bytes = append(bytes, c.in[i:i+1])
				if got := runFilter(c.labels, c.in[:i], c.in[i:]); got != c.want {
					t.Errorf("cut at %d: got %q, want %q", i, got, c.want)
				}
			}
			if got := runFilter(c.labels, bytes...); got != c.want {
				t.Errorf("byte by byte: got %q, want %q", got, c.want)
			}
		})
	}
}

// What is streamed is what the answer ends up as, unless reasoning is found out afterwards.
func TestFilterStreamsTheAnswer(t *testing.T) {
	for _, c := range filterCases {
		f := &filter{passages: 3, labels: c.labels}
		var text strings.Builder
		for i := range len(c.in) {
			for _, p := range f.write(c.in[i : i+1]) {
				if !p.reasoning {
					text.WriteString(p.text)
				}
			}
		}
		for _, p := range f.close() {
			if !p.reasoning {
				text.WriteString(p.text)
			}
		}
		if got := strings.TrimSpace(text.String()); got != c.want.answer && c.name != "orphan" && c.name != "labels without the first" {
			t.Errorf("%s: streamed %q, want %q", c.name, got, c.want.answer)
		}
	}
}

// Text shows as soon as it can be told what it is.
func TestFilterHoldsBackLittle(t *testing.T) {
	f := &filter{passages: 1}
	got := ""
	for _, p := range f.write("Twenty days [1") {
		got += p.text
	}
	if got != "Twenty days" {
		t.Errorf("shown %q", got)
	}
}

func FuzzFilter(f *testing.F) {
	for _, c := range filterCases {
		f.Add(c.in, c.labels, 3, 7)
	}
	f.Fuzz(func(t *testing.T, in string, labels bool, a, b int) {
		want := runFilter(labels, in)
		n := len(in) + 1
		a, b = ((a%n)+n)%n, ((b%n)+n)%n
		if a > b {
			a, b = b, a
		}
		if got := runFilter(labels, in[:a], in[a:b], in[b:]); got != want {
			t.Fatalf("cut at %d and %d: %q, whole: %q", a, b, got, want)
		}
		if !utf8.ValidString(want.answer) || !utf8.ValidString(want.reasoning) {
			t.Fatalf("invalid UTF-8: %q", want)
		}
		for _, m := range markers(want.answer) {
			if m.n < 1 || m.n > 3 {
				t.Fatalf("marker [%d] of %q points nowhere", m.n, want.answer)
			}
		}
	})
}
