package llm_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tmc/langchaingo/llms"

	"docent/internal/llm"
)

var handbook = []llm.Passage{
	{Context: "Employee handbook\nLeave", Text: "Every employee has 25 days of paid leave a year. Leave that is not taken by 31 March of the next year lapses.\n\nSick leave is reported to the team lead before 9:30 on the first day."},
	{Context: "Employee handbook\nTravel", Text: "Travel expenses are reimbursed within ten working days. Flights above 6 hours may be booked in premium economy. Maria Keller approves trips abroad."},
	{Context: "员工手册\n休假", Text: "员工每年享有25天带薪年休假。未休完的年假须在次年3月31日前使用，逾期作废。病假须在当天上午9点30分之前通知主管。"},
	{Context: "产品手册\nX200", Text: "X200 的保修期为24个月，电池保修6个月。清洁前请拔下电源插头。"},
}

func texts(passages []llm.Passage, picked []llm.Sentence) []string {
	var out []string
	for _, s := range picked {
		out = append(out, passages[s.Passage].Text[s.Start:s.End])
	}
	return out
}

func TestSelect(t *testing.T) {
	x := llm.NewExtractive(nil)
	for _, c := range []struct {
		name, question string
		want           string // what the first sentence holds; empty: declined
	}{
		{"how many", "How many days of paid leave does an employee have?", "25 days"},
		{"when", "When does leave that is not taken lapse?", "31 March"},
		{"who", "Who approves trips abroad?", "Maria Keller"},
		{"chinese number", "员工每年有多少天年休假？", "25天"},
		{"chinese date", "未休完的年假什么时候作废？", "3月31日"},
		{"chinese how long", "X200的保修期是多久？", "24个月"},
		{"not there", "What is the boiling point of mercury?", ""},
		{"not there in chinese", "公司的股票代码是什么？", ""},
		{"only stop words", "What is it?", ""},
		{"empty", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			picked, err := x.SelectFrom(t.Context(), c.question, handbook)
			if err != nil {
				t.Fatal(err)
			}
			got := texts(handbook, picked)
			if c.want == "" && len(got) > 0 || c.want != "" && (len(got) == 0 || !strings.Contains(got[0], c.want)) {
				t.Errorf("picked %q, want one with %q", got, c.want)
			}
			if len(got) > 3 {
				t.Errorf("picked %d sentences", len(got))
			}
		})
	}
}

// A heading and a question that name the subject are not the answer; what stands below them is. A
// sentence that two overlapping passages hold is quoted once.
func TestSelectLooksBelowHeadings(t *testing.T) {
	x := llm.NewExtractive(nil)
	passages := []llm.Passage{
		{Text: "# Parental leave policy\nParents may take up to 14 weeks off. Ask the office for the form."},
		{Text: "Parents may take up to 14 weeks off. Ask the office for the form.\n\nHow is the parental leave policy applied?\nThe head of department decides."},
		{Text: "育儿假规定\n父母最多可休14周。请向办公室索取表格。"},
	}
	for question, want := range map[string]string{
		"What is the parental leave policy?": "Parents may take up to 14 weeks off.",
		"育儿假规定是什么？":                          "父母最多可休14周。",
	} {
		picked, err := x.SelectFrom(t.Context(), question, passages)
		if err != nil {
			t.Fatal(err)
		}
		got := texts(passages, picked)
		seen := map[string]bool{}
		for _, s := range got {
			if seen[s] || strings.HasPrefix(s, "#") || strings.HasSuffix(s, "?") || s == "育儿假规定" {
				t.Errorf("%s picked %q", question, got)
			}
			seen[s] = true
		}
		if len(got) == 0 || got[0] != want {
			t.Errorf("%s picked %q, want %q first", question, got, want)
		}
	}
}

// english is an encoder that may be asked about English only, and likes one word.
type english struct {
	t     *testing.T
	likes string
}

func (english) Languages() []string { return []string{"en"} }
func (e english) EmbedQuery(_ context.Context, text string) ([]float32, error) {
	e.check(text)
	return []float32{1, 0}, nil
}
func (e english) EmbedDocuments(_ context.Context, texts []string) ([][]float32, error) {
	var out [][]float32
	for _, s := range texts {
		e.check(s)
		if strings.Contains(s, e.likes) {
			out = append(out, []float32{1, 0})
		} else {
			out = append(out, []float32{0, 1})
		}
	}
	return out, nil
}

func (e english) check(text string) {
	if strings.ContainsAny(text, "年休假的") {
		e.t.Errorf("the encoder was asked about %q", text)
	}
}

// The built-in encoder is English: it has a say on English, and none on Chinese.
func TestSelectEncoderVotes(t *testing.T) {
	passages := []llm.Passage{{Text: "The leave rules for staff are kept by the office. The leave rules for staff are old. 年休假的规定。", Similarity: 0.5}}
	x := llm.NewExtractive(english{t, "kept"})
	for _, likes := range []string{"kept", "old"} {
		x = llm.NewExtractive(english{t, likes})
		ranked, err := x.Rank(t.Context(), "Where do I see the leave rules for staff?", passages)
		if err != nil {
			t.Fatal(err)
		}
		c := ranked[0]
		if got := passages[0].Text[c.Start:c.End]; !strings.Contains(got, likes) {
			t.Errorf("the encoder likes %q, first is %q", likes, got)
		}
	}
	if _, err := x.SelectFrom(t.Context(), "年休假的规定是什么？", passages); err != nil {
		t.Fatal(err)
	}
}

// A heading is never quoted; a line that announces a list is quoted with it, and a table's row is read with
// the header above it.
func TestSelectStructure(t *testing.T) {
	manual := []llm.Passage{
		{Context: "Manual\n3 Contents", Text: "## 3 Contents of the box\n\nThe delivery of the meter includes:\n\n- the meter\n- two electrodes\n- a cable\n\nKeep the box."},
		{Context: "Manual\nTravel\n| Item | Limit per night |", Text: "| Hotel, London | 180 pounds |\n| Hotel, elsewhere | 120 pounds |"},
		{Context: "手册", Text: "框架的组件包含：\n\n1. 检索器\n2. 编排器\n\n其他内容见附录。"},
		{Context: "Error codes\n| Code | Meaning |", Text: "| E06 | Error of the sensor |\n| E09 | Error of the drive |"},
		{Context: "Errors", Text: "8 Meaning of the codes\n\n| Code | Meaning |\n|---|---|\n| E02 | Imbalance |\n| E03 | Lid open |"},
		{Text: "# The warranty period of the probe"},
		{Text: "The spare parts of the pump are:"},
	}
	x := llm.NewExtractive(nil)
	for question, want := range map[string]string{
		"What does the delivery of the meter include?":   "The delivery of the meter includes:\n\n- the meter\n- two electrodes\n- a cable",
		"What is the limit per night of a London hotel?": "| Hotel, London | 180 pounds |",
		"What is the meaning of error code E02?":         "| E02 | Imbalance |",
		"框架的组件包含什么？":                                     "框架的组件包含：\n\n1. 检索器\n2. 编排器",
		"What is the warranty period of the probe?":      "",
		"What are the spare parts of the pump?":          "",
	} {
		picked, err := x.SelectFrom(t.Context(), question, manual)
		if err != nil {
			t.Fatal(err)
		}
		got := append(texts(manual, picked), "")
		if got[0] != want {
			t.Errorf("%s\npicked %q, want %q", question, got, want)
		}
	}
}

func TestSelectCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := llm.NewExtractive(nil).SelectFrom(ctx, "How many days?", handbook); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// As an llms.Model it reads the passages out of the prompt.
func TestExtractiveModel(t *testing.T) {
	var streamed string
	resp, err := llm.NewExtractive(nil).GenerateContent(t.Context(), []llms.MessageContent{
		llms.TextParts(llms.ChatMessageTypeSystem, "rules"),
		llms.TextParts(llms.ChatMessageTypeHuman, "Passages:\n\n<passage n=\"1\" source=\"a\">\nTravel is paid.\n</passage>\n<passage n=\"2\">\nEvery employee has 25 days of leave.\n</passage>\n\nQuestion: How many days of leave has an employee?"),
	}, llms.WithStreamingFunc(func(_ context.Context, chunk []byte) error { streamed += string(chunk); return nil }))
	if err != nil {
		t.Fatal(err)
	}
	want := "Every employee has 25 days of leave. [2]"
	if d := cmp.Diff([]string{want, want}, []string{resp.Choices[0].Content, streamed}); d != "" {
		t.Error(d)
	}
	if _, err := llm.NewExtractive(nil).Call(t.Context(), "Write a poem"); err == nil {
		t.Error("it wrote a poem")
	}
}

func ExampleExtractive_Select() {
	x := llm.NewExtractive(nil)
	passages := []string{"Its warranty lasts 24 months. Keep the bill.", "Clean the filter once a week."}
	picked, err := x.Select(context.Background(), "How long does the warranty last?", passages)
	if err != nil {
		panic(err)
	}
	for _, s := range picked {
		fmt.Println(passages[s.Passage][s.Start:s.End])
	}
	// Output:
	// Its warranty lasts 24 months.
}

func FuzzSelect(f *testing.F) {
	f.Add("How many days?", "Every employee has 25 days. 年假二十天。")
	f.Add("谁？", "｜\x00<passage>")
	f.Fuzz(func(t *testing.T, question, passage string) {
		picked, err := llm.NewExtractive(nil).Select(t.Context(), question, []string{passage, question})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range picked {
			text := []string{passage, question}[s.Passage]
			if s.Start < 0 || s.End > len(text) || s.Start >= s.End {
				t.Fatalf("sentence %+v outside its passage", s)
			}
		}
	})
}
