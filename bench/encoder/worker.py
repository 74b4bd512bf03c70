"""The other engines' part of compare.py: one engine, the protocol of main.go.

    python worker.py ENGINE texts.json MODEL_DIR ONNX_DIR

ENGINE is ort-f32, ort-int8 or torch. Threads are the cores of the machine. Batches are of 32 texts
sorted by length, as sentence-transformers makes them, each padded to its longest.
"""
import json
import os
import resource
import sys
import time
import warnings

warnings.filterwarnings("ignore")
import numpy as np

BATCH, MAX = 32, 256


def cpu():
    r = resource.getrusage(resource.RUSAGE_SELF)
    return r.ru_utime + r.ru_stime


class ORT:
    def __init__(self, model_dir, path):
        import onnxruntime as ort
        from tokenizers import Tokenizer

        self.tok = Tokenizer.from_file(f"{model_dir}/tokenizer.json")
        self.tok.enable_truncation(MAX)
        self.tok.enable_padding(pad_id=0)
        o = ort.SessionOptions()
        o.intra_op_num_threads, o.inter_op_num_threads = os.cpu_count(), 1
        o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])
        self.names = {i.name for i in self.session.get_inputs()}
        self.version = "onnxruntime " + ort.__version__

    def encode(self, texts):
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        out = np.empty((len(texts), 384), np.float32)
        for at in range(0, len(order), BATCH):
            part = order[at : at + BATCH]
            enc = self.tok.encode_batch([texts[i] for i in part])
            ids = np.array([e.ids for e in enc], np.int64)
            mask = np.array([e.attention_mask for e in enc], np.int64)
            feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            hidden = self.session.run(None, {k: v for k, v in feed.items() if k in self.names})[0]
            m = mask[:, :, None].astype(np.float32)
            v = (hidden * m).sum(1) / m.sum(1)
            out[part] = v / np.linalg.norm(v, axis=1, keepdims=True)
        return out


class Torch:
    def __init__(self, model_dir):
        import sentence_transformers
        import torch

        torch.set_num_threads(os.cpu_count())
        self.model = sentence_transformers.SentenceTransformer(model_dir, device="cpu")
        self.version = f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}"

    def encode(self, texts):
        return self.model.encode(texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)


def main():
    engine, texts, model_dir, onnx_dir = sys.argv[1:5]
    workloads = json.load(open(texts))
    if engine == "torch":
        e = Torch(model_dir)
    else:
        e = ORT(model_dir, f"{onnx_dir}/{engine.removeprefix('ort-')}.onnx")
    print(json.dumps({"model": engine, "version": e.version, "threads": os.cpu_count()}), flush=True)
    for line in sys.stdin:
        list_ = workloads[line.strip()]
        wall, used = time.perf_counter(), cpu()
        v = e.encode(list_)
        a = {"cpu": cpu() - used, "wall": time.perf_counter() - wall, "head": [float(x) for x in v[0][:4]]}
        print(json.dumps(a), flush=True)


main()
