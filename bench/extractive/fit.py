#!/usr/bin/env python3
"""Fit the extractive answerer's weights to what `go run ./bench/extractive -dump FILE` wrote.

fit.py FILE [--keywords] [--sets a,b]

A conditional logit: among the sentences of one question, the one that holds the answer should have the
highest sum. A second fit scales the sums so that their logistic is the share of questions whose best
sentence holds the answer. Questions are split in halves by id; figures are of the half not fitted to.
Needs numpy and scipy.
"""
import json, sys, zlib
import numpy as np
from scipy.optimize import minimize

path, keywords = sys.argv[1], '--keywords' in sys.argv
sets = sys.argv[sys.argv.index('--sets') + 1].split(',') if '--sets' in sys.argv else None
names = ['Cover', 'CoverNear', 'CoverPassage', 'Rank', 'Kind', 'Numbers', 'News', 'Length', 'Pairs', 'Names'] + ([] if keywords else ['Cosine'])

groups = {}
for line in open(path, encoding='utf-8'):
    r = json.loads(line)
    if sets and r['set'] not in sets:
        continue
    groups.setdefault((r['set'], r['q']), []).append(r)

def matrix(rs):
    return np.array([[r['features'][n] for n in names] for r in rs])

train, test, nogold, tricky = [], [], [], []
for key, rs in groups.items():
    X, y = matrix(rs), np.array([r['label'] for r in rs])
    half = zlib.crc32(key[1].encode()) % 2
    if not rs[0]['answerable']:
        tricky.append((half, X))
        continue
    g = np.array([r['gold'] for r in rs])
    if g.any() and (~g).any():
        # As if the right passage had not been found: those below it move up.
        N, right = X[~g].copy(), next(r['passage'] for r in rs if r['gold'])
        p = np.array([r['passage'] for r in rs])[~g]
        N[:, names.index('Rank')] = 1 / (p + 1.0 - (p > right))
        nogold.append((half, N))
    if y.any():
        (train if half else test).append((X, y))

def loss(w):
    total, grad = 0.0, np.zeros_like(w)
    for X, y in train:
        z = X @ w
        m = z.max()
        e = np.exp(z - m)
        s, p = e.sum(), e[y].sum()
        total += np.log(s) - np.log(p)
        grad += X.T @ (e / s) - X[y].T @ (e[y] / p)
    return total / len(train) + 0.003 * w @ w, grad / len(train) + 0.006 * w

w = minimize(loss, np.zeros(len(names)), jac=True, method='L-BFGS-B').x
first = np.mean([y[np.argmax(X @ w)] for X, y in test])
print('weights', dict(zip(names, w.round(2).tolist())), 'first right', first.round(4), 'of', len(test))

# Whether the best sentence is right, from its sum alone.
best = [((X @ w).max(), y[np.argmax(X @ w)]) for X, y in train] + [((X @ w).max(), False) for h, X in nogold if h]
z, y = np.array([b[0] for b in best]), np.array([b[1] for b in best], float)
fit = minimize(lambda v: np.mean(np.logaddexp(0, v[0] * z + v[1]) - y * (v[0] * z + v[1])), np.zeros(2)).x
print('scaled ', dict(zip(names, (w * fit[0]).round(3).tolist())), 'bias', float(fit[1].round(3)))
prob = lambda X: 1 / (1 + np.exp(-(fit[0] * (X @ w).max() + fit[1])))
a = np.array([prob(X) for X, y in test])
n = np.array([prob(X) for h, X in nogold if not h])
t = np.array([prob(X) for h, X in tricky])
print('threshold, answerable declined, right passage absent declined, tricky declined')
for th in (.1, .15, .2, .25, .3, .35, .4, .45, .5, .6):
    print(th, (a < th).mean().round(3), (n < th).mean().round(3), (t < th).mean().round(3) if len(t) else '')
