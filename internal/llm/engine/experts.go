package engine

import (
	"math"
	"slices"

	"docent/internal/tensor"
)

// experts take the place of a layer's feed-forward network: a router chooses a few of them for each token and
// weighs what they make (Shazeer et al. 2017; Jiang et al. 2024).
type experts struct {
	router     linear
	nets       []mlp
	shared     *mlp   // sees all tokens; nil: none
	sharedGate linear // one output: how much of it is added
}

// experts reads those of a layer. The matrices of all of them are one tensor.
func (l *loader) experts(name func(string) string, p *params) *experts {
	e := &experts{router: l.linear(name("ffn_gate_inp"), p.experts, p.dim), nets: make([]mlp, p.experts)}
	each := func(tensor string, n, k int, of func(net *mlp) *linear) {
		all := l.stack(name(tensor+".weight"), p.experts, n, k)
		for i := range e.nets {
			if all != nil {
				of(&e.nets[i]).w = all.Rows(i*n, (i+1)*n)
			}
		}
	}
	each("ffn_gate_exps", p.expertFF, p.dim, func(net *mlp) *linear { return &net.gate })
	each("ffn_up_exps", p.expertFF, p.dim, func(net *mlp) *linear { return &net.up })
	each("ffn_down_exps", p.dim, p.expertFF, func(net *mlp) *linear { return &net.down })
	if l.has(name("ffn_up_shexp.weight")) {
		shared := l.mlp(name, "_shexp", p.dim, p.sharedFF, false)
		e.shared, e.sharedGate = &shared, linear{w: l.row(name("ffn_gate_inp_shexp.weight"), p.dim)}
	}
	return e
}

// routes says which expert a row goes to, and holds the buffers of a step's experts.
type routes struct {
	scores      []float32 // of experts, by row
	order       []int32   // the experts of one row
	by          [][]route // by expert
	mixed       []float32
	in, out     []float32 // rows of one expert
	sharedScale []float32
}

type route struct {
	row    int32
	weight float32
}

// mix returns what the experts make of n rows of h, which it changes. An expert is computed once, for all the
// rows that chose it.
func (m *Model) mix(s *state, e *experts, h []float32, n int) []float32 {
	d, r := m.params.dim, &s.routes
	scores := grow(&r.scores, n*m.params.experts)
	m.mul(s, h, n, out{e.router, scores})
	r.choose(scores, n, m.params.experts, m.params.used, !m.params.rawRoute)
	mixed := grow(&r.mixed, n*d)
	clear(mixed)
	for i, rows := range r.by {
		if len(rows) == 0 {
			continue
		}
		in, made := grow(&r.in, len(rows)*d), grow(&r.out, len(rows)*d)
		for j, to := range rows {
			copy(in[j*d:(j+1)*d], h[int(to.row)*d:])
		}
		m.transform(s, &e.nets[i], made, in, len(rows))
		for j, to := range rows {
			tensor.Axpy(mixed[int(to.row)*d:][:d], made[j*d:(j+1)*d], to.weight)
		}
	}
	if e.shared != nil {
		scale := grow(&r.sharedScale, n)
		m.mul(s, h, n, out{e.sharedGate, scale})
		m.transform(s, e.shared, h, h, n)
		for i, x := range scale {
			tensor.Axpy(mixed[i*d:(i+1)*d], h[i*d:(i+1)*d], float32(1/(1+math.Exp(-float64(x)))))
		}
	}
	return mixed
}

// choose routes each row to the experts whose scores are highest, weighted by the softmax of all scores; with
// normalise the weights of a row sum to 1.
func (r *routes) choose(scores []float32, n, experts, used int, normalise bool) {
	r.by = slices.Grow(r.by[:0], experts)[:experts]
	for i := range r.by {
		r.by[i] = r.by[i][:0]
	}
	r.order = slices.Grow(r.order[:0], experts)[:experts]
	for row := range n {
		p := scores[row*experts : (row+1)*experts]
		tensor.Softmax(p, 1)
		for i := range r.order {
			r.order[i] = int32(i)
		}
		slices.SortStableFunc(r.order, func(a, b int32) int {
			switch {
			case p[a] > p[b]:
				return -1
			case p[a] < p[b]:
				return 1
			}
			return 0
		})
		sum := float32(1)
		if normalise {
			sum = 0
			for _, i := range r.order[:used] {
				sum += p[i]
			}
		}
		for _, i := range r.order[:used] {
			r.by[i] = append(r.by[i], route{int32(row), p[i] / sum})
		}
	}
}
