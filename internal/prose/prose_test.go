package prose_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"docent/internal/prose"
)

func TestSentences(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"empty", " \n\t", nil},
		{"english", "It rains. It pours!  Does it? Yes", []string{"It rains.", "It pours!", "Does it?", "Yes"}},
		{"abbreviations", "Dr. J. R. Smith of the U.S. Navy paid $3.50, i.e. little. He left.", []string{"Dr. J. R. Smith of the U.S. Navy paid $3.50, i.e. little.", "He left."}},
		{"quotes", `He said "Go." Then he went.`, []string{`He said "Go."`, "Then he went."}},
		{"footnote", "It fell.[12] It rose.", []string{"It fell.[12]", "It rose."}},
		{"wrapped", "The warranty of the device lasts for two years from\nthe day of purchase. Keep the bill.", []string{"The warranty of the device lasts for two years from\nthe day of purchase.", "Keep the bill."}},
		{"heading", "# Leave\nTwenty days.\n\nSick leave\nTen days.", []string{"# Leave", "Twenty days.", "Sick leave", "Ten days."}},
		{"list", "Bring:\n- a pen\n- paper\n1. Sit down", []string{"Bring:", "- a pen", "- paper", "1. Sit down"}},
		{"table", "| a | b |\n|---|---|\n| 1 | 2. 3 |", []string{"| a | b |", "|---|---|", "| 1 | 2. 3 |"}},
		{"chinese", "年假二十天。病假十天！「真的吗？」他问；是的。", []string{"年假二十天。", "病假十天！", "「真的吗？」", "他问；", "是的。"}},
		{"chinese wrapped", "员工每年享有二十天带薪年休假，入职满一年之后开始计算，\n未休完的可以结转。", []string{"员工每年享有二十天带薪年休假，入职满一年之后开始计算，\n未休完的可以结转。"}},
		{"mixed", "版本为 v2.0. 请升级。Done.", []string{"版本为 v2.0.", "请升级。", "Done."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, s := range prose.Sentences(c.text) {
				got = append(got, c.text[s.Start:s.End])
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestTerms(t *testing.T) {
	for _, c := range []struct {
		name string
		got  []string
		want []string
	}{
		{"english", prose.Terms("The Employees were given 1,250 days"), []string{"employe", "given", "1250", "day"}},
		{"part number", prose.Terms("ZX-2031B"), []string{"zx", "2031", "b"}},
		{"full width", prose.Terms("ＡＰＩ２"), []string{"api", "2"}},
		{"chinese", prose.Terms("年假规定"), []string{"年", "年假", "假", "假规", "规", "规定", "定"}},
		{"question", prose.QuestionTerms("年假有多少天？"), []string{"年假", "天"}},
		{"english question", prose.QuestionTerms("When was the bridge built?"), []string{"bridg", "built"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, c.got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestLanguage(t *testing.T) {
	for text, want := range map[string]string{
		"": "en", "What?": "en", "年假几天": "zh", "ZX-2031B 的保修期是多久？": "zh", "What does 年假 mean in English?": "en", "これは何ですか": "en",
	} {
		if got := prose.Language(text); got != want {
			t.Errorf("Language(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzSentences(f *testing.F) {
	f.Add("Dr. Who? 年假。[1] x\n\n- y")
	f.Fuzz(func(t *testing.T, text string) {
		last := 0
		for _, s := range prose.Sentences(text) {
			if s.Start < last || s.End <= s.Start || s.End > len(text) {
				t.Fatalf("span %v after %d", s, last)
			}
			if gap := text[last:s.Start]; strings.TrimSpace(gap) != "" {
				t.Fatalf("text %q lies in no sentence", gap)
			}
			if utf8.ValidString(text) && !utf8.ValidString(text[s.Start:s.End]) {
				t.Fatalf("span %v cuts a rune", s)
			}
			last = s.End
		}
		if strings.TrimSpace(text[last:]) != "" {
			t.Fatalf("text %q lies in no sentence", text[last:])
		}
		prose.Terms(text)
		prose.QuestionTerms(text)
	})
}
