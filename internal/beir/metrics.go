package beir

import (
	"math"
	"slices"
)

// NDCG returns the normalised discounted cumulative gain of the first k documents ranked (Järvelin and
// Kekäläinen 2002, with the grade as gain, as trec_eval's ndcg_cut has it).
//
// Here and below, ranked may name a document several times, once for each passage of it that was found;
// its rank is that of the first, and the others do not count.
func NDCG(ranked []string, relevant map[string]int, k int) float64 {
	var gain float64
	for i, id := range distinct(ranked, k) {
		gain += float64(relevant[id]) * discount(i)
	}
	grades := make([]int, 0, len(relevant))
	for _, g := range relevant {
		grades = append(grades, g)
	}
	slices.SortFunc(grades, func(a, b int) int { return b - a })
	var ideal float64
	for i, g := range grades[:min(k, len(grades))] {
		ideal += float64(g) * discount(i)
	}
	if ideal == 0 {
		return 0
	}
	return gain / ideal
}

// discount is what the gain at index i, from 0, counts for.
func discount(i int) float64 { return 1 / math.Log2(float64(i+2)) }

// Recall returns the share of the relevant documents among the first k ranked.
func Recall(ranked []string, relevant map[string]int, k int) float64 {
	if len(relevant) == 0 {
		return 0
	}
	n := 0
	for _, id := range distinct(ranked, k) {
		if relevant[id] > 0 {
			n++
		}
	}
	return float64(n) / float64(len(relevant))
}

// ReciprocalRank returns one over the rank of the first relevant document, 0 when it is past k.
func ReciprocalRank(ranked []string, relevant map[string]int, k int) float64 {
	for i, id := range distinct(ranked, k) {
		if relevant[id] > 0 {
			return 1 / float64(i+1)
		}
	}
	return 0
}

// distinct returns the first k different ids, in order.
func distinct(ranked []string, k int) []string {
	first := make([]string, 0, min(k, len(ranked)))
	for _, id := range ranked {
		if len(first) == k {
			break
		}
		if !slices.Contains(first, id) {
			first = append(first, id)
		}
	}
	return first
}
