package chunker_test

import (
	"context"
	"fmt"

	"docent/chunker"
)

func ExampleNewRecursive() {
	text := "Leave\n\nStaff have 15 days of leave a year. Ask for it two weeks ahead.\n\nPay\n\nSalaries are paid on the 25th."
	doc := chunker.Document{Title: "Handbook", Text: text, Blocks: []chunker.Block{
		{Kind: chunker.Heading, Start: 0, End: 5, Level: 1},
		{Kind: chunker.Paragraph, Start: 7, End: 70},
		{Kind: chunker.Heading, Start: 72, End: 75, Level: 1},
		{Kind: chunker.Paragraph, Start: 77, End: len(text)},
	}}
	split, err := chunker.NewRecursive(nil, chunker.RecursiveConfig{MaxTokens: 64}) // nil: chunker.Approximate
	if err != nil {
		fmt.Println(err)
		return
	}
	chunks, _ := split.Split(context.Background(), doc)
	for _, c := range chunks {
		fmt.Printf("%d-%d %v %q: %q\n", c.Start, c.End, c.Headings, c.Context, c.Text)
	}
	// Output:
	// 0-70 [Leave] "Handbook": "Leave\n\nStaff have 15 days of leave a year. Ask for it two weeks ahead."
	// 72-107 [Pay] "Handbook": "Pay\n\nSalaries are paid on the 25th."
}

func ExampleSentences() {
	text := "Dr. Lee paid 3.50 euros. 她问：“真的吗？”是的。"
	for start, end := range chunker.Sentences(text) {
		fmt.Println(text[start:end])
	}
	// Output:
	// Dr. Lee paid 3.50 euros.
	// 她问：“真的吗？”
	// 是的。
}
