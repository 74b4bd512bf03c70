package agent

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/tmc/langchaingo/tools"
)

// Calculator is the tool that works out arithmetic: + - * / ^ ( ), % as modulo between two operands and
// as percent after one ("15% of 240"), thousands separators, the constants pi and e, and the functions
// abs, ceil, floor, round, sqrt, cbrt, pow, exp, ln, log, log2, log10, sin, cos, tan, min, max, sum, avg.
// Numbers are float64 and results are shown with up to 15 significant digits. Input is at most 500 bytes
// and nothing in it can loop, so a call ends at once. Mistakes come back as text that starts with
// "error:", for the model to mend. The zero value is ready, and safe for concurrent use.
type Calculator struct{}

var _ tools.Tool = Calculator{}

const (
	maxExpression      = 500 // bytes
	maxExpressionNodes = 300
)

// Name is "calculator".
func (Calculator) Name() string { return "calculator" }

// Description says what the tool is for, to the model.
func (Calculator) Description() string {
	return "works out arithmetic exactly. Input: one expression of numbers, such as 1200 * (1 - 15%) or round(8400 / 21.75, 2); functions: abs ceil floor round sqrt pow exp ln log10 min max sum avg."
}

// Parameters is the JSON schema of the input for models with tool calling.
func (Calculator) Parameters() any {
	return stringParameter("expression", "an arithmetic expression, numbers only")
}

// Call evaluates input. Its error is always nil, except when ctx has ended.
func (Calculator) Call(ctx context.Context, input string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	v, err := calculate(input)
	if err != nil {
		return "error: " + err.Error(), nil
	}
	return formatNumber(v), nil
}

func calculate(input string) (result float64, err error) {
	if len(input) > maxExpression {
		return 0, fmt.Errorf("the expression is longer than %d characters; split it up", maxExpression)
	}
	src, err := normalizeExpression(input)
	if err != nil {
		return 0, err
	}
	if src == "" {
		return 0, errors.New("the expression is empty")
	}
	// The library recovers from its own panics; this is for what it may miss.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("cannot work out %q", input)
		}
	}()
	guard := &arithmeticOnly{}
	opts := append([]expr.Option{
		expr.DisableAllBuiltins(), expr.MaxNodes(maxExpressionNodes), expr.Optimize(false), expr.Patch(guard),
		expr.Env(map[string]any{"pi": math.Pi, "e": math.E}), expr.AsFloat64(),
	}, mathFunctions...)
	program, err := expr.Compile(src, opts...)
	if guard.err != nil {
		return 0, guard.err
	}
	if err != nil {
		message, _, _ := strings.Cut(err.Error(), "\n")
		return 0, fmt.Errorf("cannot read %q: %s", shorten(input, 80), message)
	}
	out, err := expr.Run(program, map[string]any{"pi": math.Pi, "e": math.E})
	if err != nil {
		message, _, _ := strings.Cut(err.Error(), "\n")
		return 0, errors.New(message)
	}
	v, ok := out.(float64)
	switch {
	case !ok:
		return 0, fmt.Errorf("%q is not a number", shorten(input, 80))
	case math.IsNaN(v):
		return 0, errors.New("the result is not a number (such as 0/0 or the root of a negative number)")
	case math.IsInf(v, 0):
		return 0, errors.New("the result is infinite: a division by zero, or a number too large")
	}
	return v, nil
}

// formatNumber writes v as people do: no exponent below 1e15, no digits that binary fractions made up.
func formatNumber(v float64) string {
	if v == 0 {
		return "0"
	}
	short := strconv.FormatFloat(v, 'g', 15, 64)
	rounded, err := strconv.ParseFloat(short, 64)
	if err != nil {
		return short
	}
	if abs := math.Abs(rounded); abs >= 1e15 || abs < 1e-6 {
		return strconv.FormatFloat(rounded, 'g', -1, 64)
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

var (
	percentOfRE = regexp.MustCompile(`(?i)%\s*(?:of\b|的)`)
	unknownREs  = regexp.MustCompile(`(?i)\s*(?:=|等于)\s*[?？]?\s*$`)
	timesRE     = regexp.MustCompile(`(\d)\s*[xX]\s*(\d)`)
)

var expressionReplacer = strings.NewReplacer("×", "*", "·", "*", "✕", "*", "÷", "/", "−", "-", "–", "-", "—", "-",
	"％", "%", "（", "(", "）", ")", "，", ",", "＋", "+", "－", "-", "＊", "*", "／", "/", "＝", "=", "＾", "^", "．", ".",
	"$", "", "€", "", "£", "", "¥", "", "￥", "", "_", "", "\u00a0", " ", "\u202f", " ", "**", "^",
	"乘以", "*", "除以", "/", "加上", "+", "减去", "-", "π", "pi", "²", "^2", "³", "^3", "?", "", "？", "")

// normalizeExpression rewrites how people write arithmetic into the expression language.
func normalizeExpression(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errors.New("the expression is not text")
	}
	s = strings.TrimSpace(unknownREs.ReplaceAllString(strings.TrimSpace(s), ""))
	s = strings.Map(func(r rune) rune {
		if r >= '０' && r <= '９' {
			return r - '０' + '0'
		}
		return r
	}, expressionReplacer.Replace(s))
	s = percentOfRE.ReplaceAllString(s, "/100*")
	s = timesRE.ReplaceAllString(s, "$1*$2")
	s = timesRE.ReplaceAllString(s, "$1*$2") // 2x3x4
	return percents(thousands(s)), nil
}

// thousands takes the commas out of 1,234,567, but not out of max(1,200), where they part arguments.
func thousands(s string) string {
	var b strings.Builder
	var calls []bool // for each open parenthesis, whether it belongs to a function
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch c {
		case '(':
			j := len(strings.TrimRight(s[:i], " "))
			calls = append(calls, j > 0 && isLetter(s[j-1]))
		case ')':
			if len(calls) > 0 {
				calls = calls[:len(calls)-1]
			}
		case ',':
			inCall := len(calls) > 0 && calls[len(calls)-1]
			if !inCall && i > 0 && isDigit(s[i-1]) && groupOfThree(s[i+1:]) {
				continue
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

func groupOfThree(s string) bool {
	return len(s) >= 3 && isDigit(s[0]) && isDigit(s[1]) && isDigit(s[2]) && (len(s) == 3 || !isDigit(s[3]))
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return unicode.IsLetter(rune(c)) || isDigit(c) }

// percents turns a % that no operand follows into a division by 100; the others stay modulo.
func percents(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		rest := strings.TrimLeft(s[i+1:], " ")
		if rest != "" && (isLetter(rest[0]) || rest[0] == '(' || rest[0] == '.') {
			b.WriteByte('%')
			continue
		}
		// 1200 * (1 - 15%): a hundredth, bound tighter than any operator by taking the number with it.
		text := b.String()
		j := len(text)
		for j > 0 && (isDigit(text[j-1]) || text[j-1] == '.') {
			j--
		}
		if j == len(text) { // (2+3)%
			b.WriteString("*0.01")
			continue
		}
		b.Reset()
		b.WriteString(text[:j] + "(" + text[j:] + "/100)")
	}
	return b.String()
}

// arithmeticOnly refuses every part of the expression language that is not arithmetic, and makes all
// numbers float64, so that nothing overflows silently.
type arithmeticOnly struct{ err error }

func (a *arithmeticOnly) Visit(node *ast.Node) {
	if a.err != nil {
		return
	}
	switch n := (*node).(type) {
	case *ast.IntegerNode:
		ast.Patch(node, &ast.FloatNode{Value: float64(n.Value)})
	case *ast.FloatNode:
	case *ast.IdentifierNode:
		if n.Value != "pi" && n.Value != "e" && !isMathFunction[n.Value] {
			a.err = fmt.Errorf("%q is not a number: use numbers only", n.Value)
		}
	case *ast.UnaryNode:
		if n.Operator != "-" && n.Operator != "+" {
			a.err = fmt.Errorf("%q is not arithmetic", n.Operator)
		}
	case *ast.BinaryNode:
		switch n.Operator {
		case "+", "-", "*", "/", "^", "**":
		case "%":
			ast.Patch(node, &ast.CallNode{Callee: &ast.IdentifierNode{Value: "mod"}, Arguments: []ast.Node{n.Left, n.Right}})
		default:
			a.err = fmt.Errorf("%q is not arithmetic", n.Operator)
		}
	case *ast.CallNode:
		callee, ok := n.Callee.(*ast.IdentifierNode)
		if !ok || !isMathFunction[callee.Value] {
			a.err = fmt.Errorf("%q is not a function of the calculator", n.Callee.String())
		}
	default:
		a.err = errors.New("only arithmetic with numbers is possible")
	}
}

var mathFunctions, isMathFunction = func() ([]expr.Option, map[string]bool) {
	var opts []expr.Option
	names := map[string]bool{}
	add := func(name string, lo, hi int, f func(v []float64) float64) {
		names[name] = true
		opts = append(opts, expr.Function(name, func(params ...any) (any, error) {
			if len(params) < lo || len(params) > hi {
				return nil, fmt.Errorf("%s takes %s", name, arity(lo, hi))
			}
			v := make([]float64, len(params))
			for i, p := range params {
				switch p := p.(type) {
				case float64:
					v[i] = p
				case int:
					v[i] = float64(p)
				default:
					return nil, fmt.Errorf("%s takes numbers", name)
				}
			}
			return f(v), nil
		}, new(func(...float64) float64)))
	}
	one := func(name string, f func(float64) float64) {
		add(name, 1, 1, func(v []float64) float64 { return f(v[0]) })
	}
	one("abs", math.Abs)
	one("ceil", math.Ceil)
	one("floor", math.Floor)
	one("sqrt", math.Sqrt)
	one("cbrt", math.Cbrt)
	one("exp", math.Exp)
	one("ln", math.Log)
	one("log2", math.Log2)
	one("log10", math.Log10)
	one("sin", math.Sin)
	one("cos", math.Cos)
	one("tan", math.Tan)
	add("log", 1, 2, func(v []float64) float64 { // log(x) is to base 10 as on a pocket calculator
		if len(v) == 2 {
			return math.Log(v[0]) / math.Log(v[1])
		}
		return math.Log10(v[0])
	})
	add("pow", 2, 2, func(v []float64) float64 { return math.Pow(v[0], v[1]) })
	add("mod", 2, 2, func(v []float64) float64 { return math.Mod(v[0], v[1]) })
	add("round", 1, 2, func(v []float64) float64 {
		if len(v) == 1 {
			return math.Round(v[0])
		}
		digits := math.Max(-12, math.Min(12, math.Trunc(v[1])))
		scale := math.Pow(10, digits)
		// Half-way cases are decimal to people: 1.005 is not 1.00499999999999989…
		return math.Round(math.Nextafter(v[0]*scale, math.Inf(int(math.Copysign(1, v[0]))))) / scale
	})
	add("min", 1, 64, func(v []float64) float64 {
		m := v[0]
		for _, x := range v {
			m = math.Min(m, x)
		}
		return m
	})
	add("max", 1, 64, func(v []float64) float64 {
		m := v[0]
		for _, x := range v {
			m = math.Max(m, x)
		}
		return m
	})
	total := func(v []float64) float64 {
		t := 0.0
		for _, x := range v {
			t += x
		}
		return t
	}
	add("sum", 1, 64, total)
	add("avg", 1, 64, func(v []float64) float64 { return total(v) / float64(len(v)) })
	return opts, names
}()

func arity(lo, hi int) string {
	switch {
	case lo == hi && lo == 1:
		return "one number"
	case lo == hi:
		return fmt.Sprintf("%d numbers", lo)
	}
	return fmt.Sprintf("%d to %d numbers", lo, hi)
}
