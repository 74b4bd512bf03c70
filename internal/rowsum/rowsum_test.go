package rowsum_test

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"docent/internal/rowsum"
)

var columns = func() []rowsum.Column {
	all := []rowsum.Column{rowsum.NewColumn("t", "id"), rowsum.NewColumn("t", "title"), rowsum.NewColumn("t", "vector"), rowsum.NewColumn("t", "state")}
	all[3].Default = "{}"
	return all
}()

// The hash is the polynomial of its comment.
func TestHash(t *testing.T) {
	prime := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 61), big.NewInt(1))
	base := big.NewInt(0x1a6f_3c5d_92b7_48e1)
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range 40 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		c := rowsum.Column{Seed: rnd.Uint64N(1<<61 - 4)}
		want := new(big.Int).SetUint64(c.Seed + 2)
		next := func(w uint64) { want.Mul(want, base).Add(want, new(big.Int).SetUint64(w)).Mod(want, prime) }
		for i := 0; i < n; i += 4 {
			var w uint64
			for j := i; j < min(i+4, n); j++ {
				w |= uint64(b[j]) << (8 * (j - i))
			}
			next(w)
		}
		next(uint64(n))
		if got := c.Hash(b); got != want.Uint64() {
			t.Fatalf("%d bytes: %#x, want %#x", n, got, want.Uint64())
		}
	}
}

func TestSum(t *testing.T) {
	row := []any{int64(3), "Leave", []byte{0, 0, 128, 63}, "{}"}
	sum := rowsum.Sum(columns, row)
	if before := rowsum.Sum(columns[:3], row[:3]); before != sum {
		t.Errorf("a column that has its default changes the sum from %#x to %#x", before, sum)
	}
	for _, other := range [][]any{
		{int64(4), "Leave", []byte{0, 0, 128, 63}, "{}"},
		{int64(3), "Leave\x00", []byte{0, 0, 128, 63}, "{}"},
		{int64(3), "Leave", "\x00\x00\x80\x3f", "{}"},
		{int64(3), "Leave", nil, "{}"},
		{int64(3), "{}", []byte{0, 0, 128, 63}, "Leave"},
		{int64(3), "", []byte{0, 0, 128, 63}, "{}"},
	} {
		if rowsum.Sum(columns, other) == sum {
			t.Errorf("%v has the sum of %v", other, row)
		}
	}
	if rowsum.Sum(nil, nil) == 0 || rowsum.Sum(columns, []any{nil, nil, nil, nil}) == 0 {
		t.Error("the sum of nothing is 0")
	}
	// A change leaves a row damaged that was so before.
	now := []any{int64(3), "Leave", []byte{0, 0, 128, 63}, "on"}
	if got := rowsum.Update(sum, sum, rowsum.Sum(columns, now)); got != rowsum.Sum(columns, now) {
		t.Errorf("after a change %#x, want %#x", got, rowsum.Sum(columns, now))
	}
	spoilt, later := []any{int64(3), "Leavd", []byte{0, 0, 128, 63}, "{}"}, []any{int64(3), "Leavd", []byte{0, 0, 128, 63}, "on"}
	stored := rowsum.Update(sum, rowsum.Sum(columns, spoilt), rowsum.Sum(columns, later))
	if stored == rowsum.Sum(columns, later) {
		t.Error("a change covers damage up")
	}
	if i, v, ok := rowsum.Correct(columns, later, stored); i != 1 || v != "Leave" || !ok {
		t.Errorf("corrected %d to %v, %v", i, v, ok)
	}
}

// FuzzCorrect: any byte of a row that becomes any other is found.
func FuzzCorrect(f *testing.F) {
	f.Add(int64(7), "Annual leave of 30 days", []byte("\x00\x00\x80\x3f\x01\x02"), "{}", uint16(9), byte(1))
	f.Add(int64(-1), "", []byte(nil), "", uint16(3), byte(128))
	f.Add(int64(0), "年假规定", bytes.Repeat([]byte{255}, 1536), `{"a":1}`, uint16(1000), byte(32))
	f.Fuzz(func(t *testing.T, id int64, title string, vector []byte, state string, at uint16, by byte) {
		row := []any{id, title, vector, state}
		sum := rowsum.Sum(columns, row)
		spoilt, column := spoil(row, int(at), by)
		if column < 0 {
			return
		}
		if rowsum.Sum(columns, spoilt) == sum {
			t.Fatalf("%q has the sum of %q", spoilt, row)
		}
		if i, v, ok := rowsum.Correct(columns, spoilt, sum); !ok || i != column || !cmp.Equal(v, row[column]) {
			t.Fatalf("%q: corrected %d to %q, %v, want %d to be %q", spoilt, i, v, ok, column, row[column])
		}
		if i, _, ok := rowsum.Correct(columns, row, sum^uint64(by)<<(at%8*8)); by != 0 && (i != -1 || !ok) {
			t.Fatalf("a damaged sum: %d, %v", i, ok)
		}
	})
}

// spoil changes a byte of a row and says of which column; -1 when it changes nothing.
func spoil(row []any, at int, by byte) ([]any, int) {
	all := append([]any(nil), row...)
	if by == 0 {
		return all, -1
	}
	i := at % len(row)
	at /= len(row)
	switch v := row[i].(type) {
	case int64:
		all[i] = v ^ int64(by)<<(at%8*8)
	case string:
		if v == "" {
			return all, -1
		}
		b := []byte(v)
		b[at%len(b)] ^= by
		all[i] = string(b)
	case []byte:
		if len(v) == 0 {
			return all, -1
		}
		b := bytes.Clone(v)
		b[at%len(b)] ^= by
		all[i] = b
	}
	return all, i
}

// What is damaged in two places is told from a byte: no answer is made up.
func TestCorrectTooMuch(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	row := []any{int64(3), strings.Repeat("The pump is serviced every ninety days. ", 400), make([]byte, 1536), "{}"}
	sum := rowsum.Sum(columns, row)
	for range 40 {
		spoilt, first := spoil(row, rnd.IntN(1<<16), byte(1+rnd.IntN(255)))
		spoilt, second := spoil(spoilt, rnd.IntN(1<<16), byte(1+rnd.IntN(255)))
		if first < 0 || second < 0 || cmp.Equal(spoilt, row) {
			continue
		}
		if rowsum.Sum(columns, spoilt) == sum {
			t.Fatal("two damaged bytes are not found")
		}
		if i, v, ok := rowsum.Correct(columns, spoilt, sum); ok {
			now := append([]any(nil), spoilt...)
			if now[i] = v; !cmp.Equal(now, row) {
				t.Fatalf("column %d was made up", i)
			}
		}
	}
}

func BenchmarkSum(b *testing.B) {
	row := []any{int64(3), strings.Repeat("pump ", 120), make([]byte, 1536), "{}"}
	b.SetBytes(1536 + 600)
	for b.Loop() {
		rowsum.Sum(columns, row)
	}
}
