package agent_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"docent/agent"
)

func TestCalculator(t *testing.T) {
	tests := []struct{ in, want string }{
		{"2+2", "4"},
		{"2 + 3 * 4", "14"},
		{"(2+3)*4", "20"},
		{"0.1+0.2", "0.3"},
		{"10/4", "2.5"},
		{"10 % 3", "1"},
		{"7.5 % 2", "1.5"},
		{"15% of 240", "36"},
		{"240 * 15%", "36"},
		{"1200 * (1 - 15%)", "1020"},
		{"200 + 10%", "200.1"},
		{"（2＋3）×４÷2", "10"},
		{"240的15％", "error:"},
		{"15％的240", "36"},
		{"1,234,567 + 1", "1234568"},
		{"max(1,200)", "200"},
		{"max((1,200), 3)", "1200"},
		{"$1,200.50 * 2", "2401"},
		{"2^10", "1024"},
		{"2**10", "1024"},
		{"-2 ^ 2", "-4"},
		{"sqrt(2)", "1.4142135623731"},
		{"round(2.675, 2)", "2.68"},
		{"round(8400 / 21.75, 2)", "386.21"},
		{"2 * pi", "6.28318530717959"},
		{"log(1000)", "3"},
		{"sum(1, 2, 3) / 3", "2"},
		{"avg(1, 2, 3, 6)", "3"},
		{"9007199254740993 * 10", "9.00719925474099e+16"},
		{"2 x 3 x 4", "24"},
		{"12*3=", "36"},
		{"12*3 = ?", "36"},
		{"1e3", "1000"},
		{"1/0", "error: the result is infinite"},
		{"0/0", "error: the result is not a number"},
		{"sqrt(-1)", "error: the result is not a number"},
		{"", "error: the expression is empty"},
		{"two plus two", "error:"},
		{"1..1000000000", "error:"},
		{"map(1..9, # * 2)", "error:"},
		{`"a" + "b"`, "error:"},
		{"x = 5", "error:"},
		{"true ? 1 : 2", "error:"},
		{"1 == 1", "error:"},
		{"[1,2,3][0]", "error:"},
		{`{"a": 1}.a`, "error:"},
		{"let x = 1; x", "error:"},
		{"now()", "error:"},
		{"round()", "error:"},
		{"max", "error:"},
		{"pow(2)", "error:"},
		{"2^99999", "error: the result is infinite"},
		{strings.Repeat("(", 400) + "1", "error:"},
		{strings.Repeat("1+", 249) + "1", "error:"},
		{strings.Repeat("9", 501), "error: the expression is longer"},
		{"\xff\xfe", "error: the expression is not text"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, err := agent.Calculator{}.Call(t.Context(), tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want && (!strings.HasPrefix(tt.want, "error:") || !strings.HasPrefix(got, tt.want)) {
				t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (agent.Calculator{}).Call(ctx, "1+1"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func FuzzCalculator(f *testing.F) {
	for _, s := range []string{"1+1", "15% of 3", "1,000*2", "max(1,2)", "2^^2", "((", "1..9", "%%%", "（１）％"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		start := time.Now()
		out, err := agent.Calculator{}.Call(context.Background(), s)
		if err != nil || out == "" {
			t.Errorf("%q: %q, %v", s, out, err)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("%q took %v", s, d)
		}
	})
}

func ExampleCalculator() {
	out, _ := agent.Calculator{}.Call(context.Background(), "1,200 * (1 - 15%)")
	fmt.Println(out)
	// Output: 1020
}
