#!/usr/bin/env python3
"""Writes the golden file of internal/beir: what trec_eval, SQuAD's evaluation script and SciPy make of the same input.

    pip install pytrec-eval-terrier torchmetrics scipy   # 0.5.11, 1.9.0 and 1.17.1 made the committed file
    python scripts/golden_metrics.py

internal/beir/testdata/golden.json
  rankings    documents in the order in which passages of them were found, judgements, and trec_eval's figures
  answers     answers, the expected ones, and SQuAD's exact match and F1 (torchmetrics' port of the script); Chinese
              with a space between the characters and without punctuation, which is how its characters become words
  bootstraps  values by query, SciPy's percentile interval, and the p-value from every resample there can be (small
              samples) or from a million of them
"""
import itertools
import json
import pathlib
import random

import numpy as np
import pytrec_eval
from scipy import stats
from torchmetrics.functional.text.squad import _compute_exact_match_score, _compute_f1_score

OUT = pathlib.Path(__file__).resolve().parent.parent / "internal/beir/testdata/golden.json"


def rankings():
    rng = random.Random(1)
    for n in range(40):
        documents = [f"d{i}" for i in range(30)]
        relevant = {d: rng.randint(0, 3) for d in rng.sample(documents, rng.randint(1, 15))}
        relevant[rng.choice(documents)] = 1
        # Passages of documents: some documents several times, as a search without a limit finds them.
        found = rng.choices(documents, k=rng.randint(0, 25)) if n % 2 else rng.sample(documents, rng.randint(0, 30))
        # trec_eval ranks by score and knows a document once; its best passage is its score.
        run = {}
        for i, d in enumerate(found):
            run.setdefault(d, float(len(found) - i))
        top = dict(sorted(run.items(), key=lambda x: -x[1])[:10])
        measures = {"ndcg_cut.10", "recall.5,10", "recip_rank"}
        full = pytrec_eval.RelevanceEvaluator({"q": relevant}, measures).evaluate({"q": run or {"none": 1.0}})["q"]
        cut = pytrec_eval.RelevanceEvaluator({"q": relevant}, measures).evaluate({"q": top or {"none": 1.0}})["q"]
        yield {
            "found": found,
            "relevant": {d: g for d, g in relevant.items() if g > 0},
            "ndcg@10": full["ndcg_cut_10"],
            "recall@5": full["recall_5"],
            "recall@10": full["recall_10"],
            "mrr@10": cut["recip_rank"],
        }


ENGLISH = [
    ("Denver Broncos", ["Denver Broncos", "The Broncos"]),
    ("The Denver Broncos!", ["Denver Broncos"]),
    ("the team was the Denver Broncos of Denver", ["Denver Broncos"]),
    ("", ["gold"]),
    ("the", ["a"]),
    ("gold", ["silver"]),
    ("a Theatre, an anthem; the ant.", ["theatre anthem ant"]),
    ("nearly $12 per barrel", ["nearly $12", "$12"]),
    ("1,000 km", ["1000 km"]),
    ("well-known", ["well known"]),
    ("it's", ["its"]),
    ("“the end”", ["end"]),
    ("the café’s owner", ["café’s owner"]),
    ("ÉCOLE NORMALE", ["école normale"]),
    ("to be or not to be", ["be be be"]),
    ("  spaced \t out\n", ["spaced out"]),
    ("snake_case", ["snakecase"]),
    ("1974 (March)", ["March 1974", "March 1974."]),
]
CHINESE = [
    ("梵語", ["梵語"]),
    ("印歐語系因為梵語而被發現。", ["梵語"]),
    ("《蘇達爾摩》", ["蘇達爾摩"]),
    ("1872年", ["西元1872年", "1872年"]),
    ("8月到5月", ["8月", "5月到8月"]),
    ("GitHub备份脚本", ["GitHub 备份"]),
    ("。", ["是"]),
    ("悉尼，澳大利亚", ["澳大利亚"]),
]


def spaced(text):
    """Chinese as SQuAD's script can read it."""
    out = ""
    for c in text:
        if "\u4e00" <= c <= "\u9fff":
            out += f" {c} "
        elif c in "。，《》":
            out += " "
        else:
            out += c
    return out


def answers():
    for cases, read in ((ENGLISH, str), (CHINESE, spaced)):
        for answer, expected in cases:
            yield {
                "answer": answer,
                "expected": expected,
                "exact": bool(max(int(_compute_exact_match_score(read(answer), read(e))) for e in expected)),
                "f1": max(float(_compute_f1_score(read(answer), read(e))) for e in expected),
            }


def bootstraps():
    rng = np.random.default_rng(1)
    samples = {
        "all there are of 4": rng.normal(0.3, 0.5, 4),
        "all there are of 6": rng.normal(0.1, 0.2, 6),
        "no difference": np.zeros(50),
        "mostly ties": np.where(rng.random(200) < 0.8, 0, rng.normal(0.05, 0.3, 200)),
        "clear": rng.normal(0.05, 0.2, 300),
        "by chance": rng.normal(0, 0.2, 300),
    }
    for name, values in samples.items():
        values = np.round(values, 4)
        n, observed = len(values), values.mean()
        if n <= 6:
            means = np.array([np.mean(c) for c in itertools.product(values, repeat=n)])
            low, high = np.quantile(means, [0.025, 0.975])
        elif not values.any():
            means, low, high = np.zeros(1), 0.0, 0.0  # SciPy declines
        else:
            done = stats.bootstrap((values,), np.mean, n_resamples=1_000_000, batch=10_000, method="percentile", rng=np.random.default_rng(2))
            means, (low, high) = done.bootstrap_distribution, done.confidence_interval
        yield {
            "name": name,
            "values": values.tolist(),
            "mean": observed,
            "low": float(low),
            "high": float(high),
            "p": float(np.mean(np.abs(means - observed) >= abs(observed) - 1e-12)),
        }


def main():
    golden = {"rankings": list(rankings()), "answers": list(answers()), "bootstraps": list(bootstraps())}
    OUT.parent.mkdir(exist_ok=True)
    parts = []
    for name, cases in golden.items():
        lines = ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases)
        parts.append(f'"{name}": [\n{lines}\n]')
    OUT.write_text("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    main()
