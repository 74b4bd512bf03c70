package clean_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"docent/chunker"
	"docent/ingest/clean"
)

var off = clean.Settings{Normalization: "nfc", Boilerplate: "keep", LowQuality: "off", Private: all("leave")}

func all(action string) clean.PrivateData {
	return clean.PrivateData{Email: action, Phone: action, IDCard: action, BankCard: action, IP: action, Secret: action}
}

// paragraphs is a document of one paragraph a text, on pages of perPage paragraphs; 0 means no pages.
func paragraphs(perPage int, texts ...string) chunker.Document {
	var doc chunker.Document
	for i, t := range texts {
		if doc.Text != "" {
			doc.Text += "\n\n"
		}
		start := len(doc.Text)
		doc.Text += t
		doc.Blocks = append(doc.Blocks, chunker.Block{Kind: chunker.Paragraph, Start: start, End: len(doc.Text)})
		switch {
		case perPage == 0:
		case i%perPage == 0:
			doc.Pages = append(doc.Pages, chunker.Page{Number: len(doc.Pages) + 1, Start: start, End: len(doc.Text)})
		default:
			doc.Pages[len(doc.Pages)-1].End = len(doc.Text)
		}
	}
	return doc
}

// blocks are the texts of a document's blocks.
func blocks(doc chunker.Document) (texts []string) {
	for _, b := range doc.Blocks {
		texts = append(texts, doc.Text[b.Start:b.End])
	}
	return texts
}

func TestApply(t *testing.T) {
	doc := paragraphs(2, "one", "two", "three", "four")
	doc.Links = []chunker.Link{{Start: 5, End: 8, Target: "https://example.com/two"}, {Start: 17, End: 21, Target: "https://example.com/four"}}
	for _, c := range []struct {
		name  string
		edits []clean.Edit
		text  string
		want  []string
		pages []string
	}{
		{"none", nil, "one\n\ntwo\n\nthree\n\nfour", []string{"one", "two", "three", "four"}, []string{"one\n\ntwo", "three\n\nfour"}},
		{"within", []clean.Edit{{0, 3, "1"}, {10, 13, "THR"}}, "1\n\ntwo\n\nTHRee\n\nfour", []string{"1", "two", "THRee", "four"}, []string{"1\n\ntwo", "THRee\n\nfour"}},
		{"a block", []clean.Edit{{3, 8, ""}}, "one\n\nthree\n\nfour", []string{"one", "three", "four"}, []string{"one", "three\n\nfour"}},
		{"a page", []clean.Edit{{0, 10, ""}}, "three\n\nfour", []string{"three", "four"}, []string{"", "three\n\nfour"}},
		{"everything", []clean.Edit{{0, 21, ""}}, "", nil, []string{"", ""}},
		{"insertion", []clean.Edit{{3, 3, "!"}}, "one!\n\ntwo\n\nthree\n\nfour", []string{"one", "two", "three", "four"}, []string{"one!\n\ntwo", "three\n\nfour"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := clean.Apply(doc, c.edits)
			var pages []string
			for _, p := range got.Pages {
				pages = append(pages, got.Text[p.Start:p.End])
			}
			if got.Text != c.text || !reflect.DeepEqual(blocks(got), c.want) || !reflect.DeepEqual(pages, c.pages) {
				t.Errorf("text %q, blocks %q, pages %q", got.Text, blocks(got), pages)
			}
			for i, want := range []string{"two", "four"} {
				if l := got.Links[i]; got.Text[l.Start:l.End] != want && strings.Contains(got.Text, want) || l.Target != doc.Links[i].Target {
					t.Errorf("link %d is on %q", i, got.Text[l.Start:l.End])
				}
			}
		})
	}
}

func TestNormalization(t *testing.T) {
	s := off
	s.Normalization = "nfkc"
	got, report, err := clean.Document(paragraphs(0, "Ｄｏｃｅｎｔ ２０２６", "⽣⽤⽂ ﬁne", "plain"), s)
	want := []string{"Docent 2026", "生用文 fine", "plain"}
	if err != nil || !reflect.DeepEqual(blocks(got), want) {
		t.Errorf("%q, %v", blocks(got), err)
	}
	if report.Normalized != 14 {
		t.Errorf("%d characters replaced, want 14", report.Normalized)
	}
}

func TestFindPrivate(t *testing.T) {
	for _, c := range []struct {
		text string
		want string // kind: piece, …
	}{
		{"write to li.wei@example.com.cn, please", "email: li.wei@example.com.cn"},
		{"the file logo@2x.png", ""},
		{"手机：13812345678，微信同号", "phone: 13812345678"},
		{"电话 +86 138-1234-5678 或 010-62345678", "phone: +86 138-1234-5678, phone: 010-62345678"},
		{"call 400-810-8888 or (415) 555-0123", "phone: 400-810-8888, phone: (415) 555-0123"},
		{"ring +44 20 7946 0958 today", "phone: +44 20 7946 0958"},
		{"order 2138123456789, part 13812345678X", ""},
		// Made up; the check digits are right, and then wrong.
		{"身份证号 11010519491231002X", "id_card: 11010519491231002X"},
		{"身份证号 110105194912310021", ""},
		{"born never: 11010519491331002X", ""},
		{"card 4111 1111 1111 1111 exp 12/27", "bank_card: 4111 1111 1111 1111"},
		{"card 4111 1111 1111 1112", ""},
		{"银行卡 6222021234567890128。", "bank_card: 6222021234567890128"},
		{"isbn 9787111213826", ""},
		{"host 192.168.10.20:8080 and 2001:db8::8a2e:370:7334", "ip: 192.168.10.20, ip: 2001:db8::8a2e:370:7334"},
		{"at 12:34:56, version 1.2.3.4, v10.0.0.1, 127.0.0.1, std::vector", ""},
		{"on 2024-01-15 10:20:30 it was 3.14159265358979", ""},
		{"key AKIAIOSFODNN7EXAMPLE", "secret: AKIAIOSFODNN7EXAMPLE"},
		{"token ghp_abcdefghijklmnopqrstuvwxyz0123456789", "secret: ghp_abcdefghijklmnopqrstuvwxyz0123456789"},
		{`api_key = "f3a9c27be81d4056"`, "secret: f3a9c27be81d4056"},
		{"password: see the handbook chapter", ""},
		{"Password: required. The password: https://example.org/1", ""},
		{"password: hunter2secret; 密码：abc123, pwd=1234 and pwd=20240117", "secret: hunter2secret;, secret: abc123,, secret: 20240117"},
		{"Server 192.168.1.20, dev 10.0.0.1 and ver. 1.2.3.4, 版本 1.2.3.4", "ip: 192.168.1.20, ip: 10.0.0.1"},
		{"risk-management-and-governance-framework", ""},
		{"-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----", "secret: -----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"},
	} {
		var got []string
		for _, p := range clean.FindPrivate(c.text) {
			got = append(got, p.Kind+": "+c.text[p.Start:p.End])
		}
		if g := strings.Join(got, ", "); g != c.want {
			t.Errorf("%q: found %q, want %q", c.text, g, c.want)
		}
	}
}

func TestMask(t *testing.T) {
	s := off
	s.Private.Email, s.Private.Secret = "mask", "mask"
	doc := paragraphs(0, "Mail ann@example.com, ring 13812345678.", "-----BEGIN PRIVATE KEY-----\nMIIEow12\n-----END PRIVATE KEY-----")
	got, report, err := clean.Document(doc, s)
	want := []string{"Mail ***@*******.***, ring 13812345678.", "-----BEGIN PRIVATE KEY-----\n********\n-----END PRIVATE KEY-----"}
	if err != nil || !reflect.DeepEqual(blocks(got), want) {
		t.Errorf("%q, %v", blocks(got), err)
	}
	counts := []clean.PrivateCount{{Kind: "email", Count: 1, Action: "mask"}, {Kind: "phone", Count: 1, Action: "leave"}, {Kind: "secret", Count: 1, Action: "mask"}}
	if len(report.Private) != 3 {
		t.Errorf("counted %v", report.Private)
	}
	for _, want := range counts {
		found := false
		for _, got := range report.Private {
			found = found || got == want
		}
		if !found {
			t.Errorf("%v is not among %v", want, report.Private)
		}
	}
	doc.Links = []chunker.Link{{Start: 0, End: 4, Target: "mailto:ann@example.com"}, {Start: 0, End: 4, Target: "mailto:bob@example.com"}}
	got, report, err = clean.Document(doc, s)
	if err != nil || got.Links[0].Target != "mailto:***@*******.***" || strings.Contains(got.Links[1].Target, "bob") || doc.Links[0].Target != "mailto:ann@example.com" {
		t.Errorf("links %v of %v, %v", got.Links, doc.Links, err)
	}
	if !slices.Contains(report.Private, clean.PrivateCount{Kind: "email", Count: 2, Action: "mask"}) {
		t.Errorf("counted %v, want two addresses: one stands in a link alone", report.Private)
	}
	s.Private.Phone = "refuse"
	if _, report, err := clean.Document(doc, s); !errors.Is(err, clean.ErrRefused) || !strings.Contains(err.Error(), "1 × phone number") || len(report.Private) != 3 {
		t.Errorf("refused: %v, %v", err, report.Private)
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"English", "The quick brown fox jumps over the lazy dog, and nobody minds it at all.", ""},
		{"Chinese", "员工每年享有十五天带薪年假，未休完的假期可以结转到第二年三月底。", ""},
		{"traditional", "員工每年享有十五天帶薪年假，未休完的假期可以結轉到第二年三月底。", ""},
		{"German", "Donaudampfschifffahrtsgesellschaftskapitän und Rechtsschutzversicherungsgesellschaften schwitzen nachts", ""},
		{"Polish", "W Szczebrzeszynie chrząszcz brzmi w trzcinie i Szczebrzeszyn z tego słynie", ""},
		{"figures", "1,024.00 2,048.50 4,096.25 8,192.75 16,384.00 32,768.50", ""},
		{"abbreviations", "NATO, UNESCO, HTTP, TCP, BBC, PWM, GPS, LSTM, RNN, CNN, BERT, GPT", ""},
		{"a formula", "(1+x)^n=1+(nx)/(1!)+(n(n-1)x^2)/(2!)+…, -∞<x<∞", ""},
		{"a series", "e^x=1+(x)/(1!)+(x^2)/(2!)+(x^3)/(3!)+…, -∞<x<∞", ""},
		{"lost symbols", "Some inline math, let � and � satisfy � > �.", ""},
		{"file names", strings.Repeat("pdfjs__bug12.pdf: 3 wxjs__tz7.pdf: 4 ", 9), ""},
		{"formulas set apart", "f(x)=a_0+∑_{n=1}^∞(a_ncos(nπx)/(L)+b_nsin(nπx)/(L)) (x+a)^n=∑_{k=0}^n((n)/(k))x^ka^{n-k}", ""},
		{"a reference", "15. ^ a b c d e f g Carboneras 1992, p. 537.", ""},
		{"Russian", "Съешь же ещё этих мягких французских булок, да выпей чаю", ""},
		{"a rule", "-------------------- x --------------------", ""},
		{"one link", "See https://example.com/a/very/long/path for what is meant by this.", ""},
		{"short", "xqzvk wqrtp", ""},
		{"keys", "asdkjh qwlekjz xmcnbv qpwoeir zmxnc vbqjw kdhfgq wlkjh zxcvq mnbpw", "gibberish"},
		{"misread", "å‘˜å·¥æ¯å¹´äº«æœ‰åäº”å¤©å¸¦è–ªå¹´å‡ï¼Œæœªä¼‘å®Œçš„å‡æœŸå¯ä»¥", "gibberish"},
		{"misread as GBK", "鍛樺伐姣忓勾浜湁鍗佷簲澶╁甫钖勾鍋囷紝鏈紤瀹岀殑鍋囨湡鍙互缁撹浆", "gibberish"},
		{"replacement", strings.Repeat("a\ufffd b\ufffd ", 10), "gibberish"},
		{"noise", `| . ; ~ _ l i " ' | -- . , : | / \ ~ = . i ' " ;; | _ - . l ,`, "noise"},
		{"links", strings.Repeat("buy https://shop.example.com/item/1234 ", 6), "links"},
		{"sources", "[1] http://a.example.com/users/ann [2] http://b.example.com/2013-conference [3] http://c.example.com/x [4] https://d.example.com/ [5] http://www.e.example.com/f", ""},
	} {
		if got := clean.Judge(c.text); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestLowQuality(t *testing.T) {
	good := "The handbook says how many days of leave there are, and who must agree to them."
	bad := `| . ; ~ _ l i " ' | -- . , : | / \ ~ = . i ' " ;; | _ - . l ,`
	doc := paragraphs(2, bad, good, bad, bad, good)
	s := off
	s.LowQuality = "drop"
	got, report, _ := clean.Document(doc, s)
	if want := []string{good, good}; !reflect.DeepEqual(blocks(got), want) || got.Text != good+"\n\n"+good {
		t.Errorf("kept %q of %q", blocks(got), got.Text)
	}
	if len(report.Dropped) != 3 || report.Dropped[1].Page != 2 || report.Dropped[0].Reason != "noise" {
		t.Errorf("report %+v", report.Dropped)
	}
	s.LowQuality = "report"
	if got, report, _ := clean.Document(doc, s); got.Text != doc.Text || len(report.Doubtful) != 3 {
		t.Errorf("report only: %q, %+v", got.Text, report.Doubtful)
	}
}

func TestRepeatedLines(t *testing.T) {
	s := off
	s.Boilerplate = "remove"
	var paged, flat []string
	for i := range 6 {
		body := fmt.Sprintf("Paragraph %d says something of its own. %s", i, strings.Repeat("It goes on for a while. ", 80))
		paged = append(paged, "ACME Confidential", body, fmt.Sprintf("Page %d of 6", i+1))
		flat = append(flat, body, fmt.Sprintf("ACME Confidential, page %d", i+1))
	}
	for _, c := range []struct {
		name string
		doc  chunker.Document
		left int
	}{
		{"pages", paragraphs(3, paged...), 6},
		{"no pages", paragraphs(0, flat...), 6},
		{"a refrain", paragraphs(0, "Yes.", "a b c", "Yes.", "d e f", "Yes.", "g", "Yes.", "h", "Yes."), 9},
		{"slides that are alike", paragraphs(1, "same", "same", "same", "same"), 4},
	} {
		got, report, _ := clean.Document(c.doc, s)
		if len(got.Blocks) != c.left || len(got.Blocks)+len(report.Dropped) != len(c.doc.Blocks) {
			t.Errorf("%s: %d blocks left, want %d; dropped %+v", c.name, len(got.Blocks), c.left, report.Dropped)
		}
	}
}

func TestSignature(t *testing.T) {
	text := "Employees have twenty-five days of paid leave a year. Leave that is not taken by the end of March of the next year is lost, unless the company asked for it to be put off. A request is made in the portal, at least two weeks ahead, and the team lead answers within three days."
	a, ok := clean.Sign(text)
	if !ok {
		t.Fatal("no signature")
	}
	b, _ := clean.Sign(strings.Replace(text, "three days", "four days", 1))
	if s := a.Similarity(b); s < clean.NearDuplicateFrom || s == 1 {
		t.Errorf("one word changed: similarity %.2f", s)
	}
	shared := 0
	for i, k := range a.Bands() {
		if b.Bands()[i] == k {
			shared++
		}
	}
	if shared == 0 {
		t.Error("no band in common")
	}
	c, _ := clean.Sign("The reactor is cooled by water that passes the core four times a second. When a pump fails the control rods fall by their own weight, and the heat that is left is carried away by convection, for which no power is needed.")
	if s := a.Similarity(c); s > 0.1 {
		t.Errorf("another text: similarity %.2f", s)
	}
	if _, ok := clean.Sign("too short to tell"); ok {
		t.Error("a few words have a signature")
	}
	data, _ := a.MarshalBinary()
	var back clean.Signature
	if err := back.UnmarshalBinary(data); err != nil || back != a {
		t.Errorf("back: %v", err)
	}
	if back.UnmarshalBinary(data[1:]) == nil {
		t.Error("a cut signature was taken")
	}
}

// FuzzDocument checks that cleaning leaves ranges on the text and in order.
func FuzzDocument(f *testing.F) {
	f.Add("one\n\n１３８１２３４５６７８\n\n| . ; ~ _ l i \" ' | -- . , : | / \\ ~ = . i ' \" ;;\n\nann@example.com", uint8(2))
	f.Add("ﬁ\n\nÅ\n\n-----BEGIN PRIVATE KEY-----", uint8(0))
	f.Fuzz(func(t *testing.T, text string, perPage uint8) {
		doc := paragraphs(int(perPage%5), strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool { return r == '\n' })...)
		got, _, _ := clean.Document(doc, clean.Settings{Normalization: "nfkc", Boilerplate: "remove", LowQuality: "drop", Private: all("mask")})
		at := 0
		for _, b := range got.Blocks {
			if b.Start < at || b.End <= b.Start || b.End > len(got.Text) {
				t.Fatalf("block %v after %d in %d bytes", b, at, len(got.Text))
			}
			at = b.End
		}
		at = 0
		for _, p := range got.Pages {
			if p.Start < at || p.End < p.Start || p.End > len(got.Text) {
				t.Fatalf("page %v after %d in %d bytes", p, at, len(got.Text))
			}
			at = p.End
		}
	})
}
