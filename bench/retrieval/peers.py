"""FAISS and hnswlib as workers of bench/retrieval: ENGINE VECTORS QUESTIONS, the protocol of worker.go."""
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

DIM = 384


def resident():
    with open("/proc/self/status") as f:
        return next(float(l.split()[1]) / 1024 for l in f if l.startswith("VmRSS"))


def main():
    engine, vectors, questions = sys.argv[1:]
    q = np.fromfile(questions, np.float32).reshape(-1, DIM)
    x = np.fromfile(vectors, np.float32).reshape(-1, DIM)
    begin = time.perf_counter()
    if engine == "faiss":
        import faiss

        faiss.omp_set_num_threads(os.cpu_count())
        index = faiss.IndexFlatIP(DIM)
        index.add(x)
        find = lambda i: index.search(q[i : i + 1], 10)[1][0]
    else:
        import hnswlib

        index = hnswlib.Index("ip", DIM)
        index.init_index(len(x), ef_construction=100, M=16)
        index.set_num_threads(os.cpu_count())
        index.add_items(x)
        index.set_ef(100)
        find = lambda i: index.knn_query(q[i : i + 1], 10, num_threads=1)[0][0]
    del x
    print(json.dumps({"build": time.perf_counter() - begin, "mib": resident()}), flush=True)
    for line in sys.stdin:
        t = json.loads(line)

        def ask(i):
            begin = time.perf_counter()
            found = find((t["from"] + i) % len(q))
            return 1000 * (time.perf_counter() - begin), [int(n) + 1 for n in found]

        begin = time.perf_counter()
        with ThreadPoolExecutor(max(1, t["clients"])) as pool:
            done = list(pool.map(ask, range(t["count"])))
        print(json.dumps({"total": time.perf_counter() - begin, "mib": resident(), "millis": [d[0] for d in done], "found": [d[1] for d in done]}), flush=True)


main()
