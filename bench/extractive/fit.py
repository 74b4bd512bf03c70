#!/usr/bin/env python3
"""Fit the extractive answerer's weights to what `go run ./bench/extractive -dump FILE` wrote.

fit.py FILE --train SETS [--test SETS] [--features A,B,...] [--drop A,B,...]

"order" is a conditional logit: among the sentences of one question, one that holds the answer should have
the highest sum. A logistic scales it, so that the score is the share of questions whose best sentence is
right. "trust" is a logistic over the evidence for that best sentence: is the right passage among those
found, or was it taken out, or other texts asked? Questions of a set in both lists are split in halves by id; figures are of what was not fitted to.

Needs numpy and scipy.
"""
import argparse, json, zlib
import numpy as np
from scipy.optimize import minimize

ap = argparse.ArgumentParser()
ap.add_argument('file')
ap.add_argument('--train', required=True)
ap.add_argument('--test')
ap.add_argument('--features', default='Cover,CoverNear,CoverPassage,Chars,Rank,Kind,Numbers,News,Length,Pairs,Names,Cosine,Similarity,Margin')
ap.add_argument('--drop', default='')
a = ap.parse_args()
names = [n for n in a.features.split(',') if n not in a.drop.split(',')]
trained, tested = set(a.train.split(',')), set((a.test or a.train).split(','))

train, test = [], []  # (kind, has answers, X, holds the answer, passage is right)
for line in open(a.file, encoding='utf-8'):
    r = json.loads(line)
    s = r['sentences']
    if not s or r['set'] not in trained | tested:
        continue
    g = (r['kind'], r['answers'] > 0, np.array([[x['features'][n] for n in names] for x in s]),
         np.array([x['answer'] for x in s]), np.array([x['right'] for x in s]), r['set'])
    half = zlib.crc32(r['id'].encode()) % 2
    if r['set'] in trained and (r['set'] not in tested or half):
        train.append(g)
    elif r['set'] in tested:
        test.append(g)

pairs = [(X, y) for kind, has, X, y, right, _ in train if kind == 'right' and has and y.any() and not y.all()]

def loss(w):
    total, grad = 0.0, np.zeros_like(w)
    for X, y in pairs:
        z = X @ w
        m = z.max()
        e = np.exp(z - m)
        s, p = e.sum(), e[y].sum()
        total += np.log(s) - np.log(p)
        grad += X.T @ (e / s) - X[y].T @ (e[y] / p)
    return total / len(pairs) + 0.003 * w @ w, grad / len(pairs) + 0.006 * w

w = minimize(loss, np.zeros(len(names)), jac=True, method='L-BFGS-B').x

def best(g):
    z = g[2] @ w
    return g[2][z.argmax()], bool((g[3] if g[1] else g[4])[z.argmax()])

# The score of a sentence, by which the second and third are weighed against the first.
of = [best(g) for g in train if g[0] != 'unanswerable']
z, y = np.array([b[0] @ w for b in of]), np.array([b[1] for b in of], float)
fit = minimize(lambda v: np.mean(np.logaddexp(0, v[0] * z + v[1]) - y * (v[0] * z + v[1])), np.zeros(2)).x
show = lambda w, bias: ', '.join(f'{n}: {v:.3f}' for n, v in zip(names, w)) + f', bias: {bias:.3f}'
print('order:', show(w * fit[0], fit[1]))

# Whether to quote at all: is the right passage among those found, by the evidence for the best sentence.
X, y = np.array([b[0] for b in of]), np.array([g[0] == 'right' for g in train if g[0] != 'unanswerable'], float)
X1, by = np.c_[X, np.ones(len(X))], np.where(y > 0, 0.5 / y.mean(), 0.5 / (1 - y.mean()))

def logistic(v):
    z = X1 @ v
    return np.mean(by * (np.logaddexp(0, z) - y * z)) + 0.001 * v[:-1] @ v[:-1], X1.T @ (by * (1 / (1 + np.exp(-z)) - y)) / len(y) + 0.002 * np.r_[v[:-1], 0]

v = minimize(logistic, np.zeros(X1.shape[1]), jac=True, method='L-BFGS-B').x
print('trust:', show(v[:-1], v[-1]))

score = lambda g: 1 / (1 + np.exp(-(best(g)[0] @ v[:-1] + v[-1])))
for name in sorted({g[5] for g in test}):
    mine = [g for g in test if g[5] == name]
    first = [best(g)[1] for g in mine if g[0] == 'right' and g[3].any()]
    of = {k: np.array([score(g) for g in mine if g[0] == k]) for k in ('right', 'without', 'elsewhere', 'unanswerable')}
    print(f'{name}: first right {np.mean(first):.3f} of {len(first)}')
    print('  threshold, declined:', ', '.join(f'{k} ({len(v)})' for k, v in of.items() if len(v)))
    for th in [*(np.quantile(of['right'], q) for q in (.03, .05)), .05, .1, .15, .2, .25, .3]:
        print(f'  {th:.3f} ', ' '.join(f'{(v < th).mean():.3f}' for v in of.values() if len(v)))
