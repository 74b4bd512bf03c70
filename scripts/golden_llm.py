#!/usr/bin/env python3
"""Writes the golden files that docent's language models are tested against.

    pip install gguf torch transformers
    python scripts/golden_llm.py quants   # internal/tensor/testdata/quants.bin
"""
import os
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Types in the order of the file, with the places of the halves (scales) in a block, which must be
# finite numbers: other bytes are random.
QUANTS = [(T.Q4_0, [0]), (T.Q4_1, [0, 2]), (T.Q5_0, [0]), (T.Q5_1, [0, 2]), (T.Q8_0, [0]), (T.Q2_K, [80, 82]),
          (T.Q3_K, [108]), (T.Q4_K, [0, 2]), (T.Q5_K, [0, 2]), (T.Q6_K, [208]), (T.IQ4_NL, [0]), (T.IQ4_XS, [0]),
          (T.F16, [0]), (T.BF16, [])]


def random_blocks(rng, kind, halves, n):
    values, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (n // values, size), dtype=np.uint8)
    for at in halves:
        d = (rng.standard_normal(len(blocks)) * 0.01).astype(np.float16)
        blocks[:, at:at + 2] = d.view(np.uint8).reshape(-1, 2)
    if kind == T.BF16:
        blocks = rng.standard_normal(n).astype(np.float32).view(np.uint16)[1::2].repeat(2)[:n].view(np.uint8)
    return blocks.reshape(1, -1)


def quants():
    """For each type: the bytes of 512 values, then the values as the gguf package reads them, float32."""
    rng = np.random.default_rng(4)
    path = os.path.join(ROOT, "internal/tensor/testdata/quants.bin")
    with open(path, "wb") as out:
        for kind, halves in QUANTS:
            raw = random_blocks(rng, kind, halves, 512)
            values = gguf.quants.dequantize(raw, kind).astype("<f4").reshape(-1)
            assert values.shape == (512,), (kind, values.shape)
            out.write(raw.tobytes() + values.tobytes())
    print(path, os.path.getsize(path))


if __name__ == "__main__":
    for what in sys.argv[1:] or ["quants"]:
        {"quants": quants}[what]()
