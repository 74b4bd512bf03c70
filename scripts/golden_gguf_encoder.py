#!/usr/bin/env python3
"""Writes embed/testdata/gguf/: tiny encoders as GGUF files, with vectors by Hugging Face transformers.

    pip install torch transformers tokenizers sentencepiece gguf numpy
    python scripts/golden_gguf_encoder.py

Weights are those of the checkpoints that golden_embed.py wrote, under the names and with the metadata that
llama.cpp's converter (conversion/bert.py) gives them; gguf is that project's own package.

    bert-f32 nomic-f32 jina-f32   from tiny-f32-mean, tiny-nomic and tiny-jina: the same vectors as those
    bert-q8_0 bert-f16            other types; the vectors are those of the rounded weights
    roberta-bpe xlmr-unigram      RoBERTa's and XLM-RoBERTa's tokenizers, trained on a few sentences here
    cross-xlmr                    a reranker with a classifier of two layers
"""
import json
import pathlib
import shutil
import tempfile

import gguf
import numpy as np
import sentencepiece
import torch
import transformers
from safetensors.torch import load_file
from tokenizers import ByteLevelBPETokenizer, Tokenizer

from golden_embed import FAMILY_TEXTS, PAIRS, REACH, SENTENCES, SIZE, seeded

REPO = pathlib.Path(__file__).resolve().parent.parent
OUT = REPO / "embed/testdata/gguf"
POOLING = {"mean": gguf.PoolingType.MEAN, "cls": gguf.PoolingType.CLS, "rank": gguf.PoolingType.RANK}


def wordpiece(w, tok):
    """The converter's phantom spaces; special tokens stay."""
    vocab = sorted(tok.get_vocab().items(), key=lambda kv: kv[1])
    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    w.add_tokenizer_model("bert")
    w.add_tokenizer_pre("default")
    w.add_token_list([t if t in special else t[2:] if t.startswith("##") else "\u2581" + t for t, _ in vocab])
    w.add_token_types([gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t, _ in vocab])
    ids = dict(vocab)
    w.add_bos_token_id(ids["[CLS]"])  # where SpecialVocab puts cls
    w.add_sep_token_id(ids["[SEP]"])
    w.add_unk_token_id(ids["[UNK]"])
    w.add_pad_token_id(ids["[PAD]"])


def write(name, arch, tensors, shape, tokenizer, pooling, kind=None, positions=None, extra=None):
    """Tensors under Hugging Face's names; kind is how matrices are kept."""
    path = OUT / f"{name}.gguf"
    w = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[arch])
    w.add_context_length(positions or shape["positions"])
    w.add_embedding_length(shape["hidden_size"])
    w.add_feed_forward_length(shape["intermediate_size"])
    w.add_block_count(shape["num_hidden_layers"])
    w.add_head_count(shape["num_attention_heads"])
    w.add_layer_norm_eps(shape.get("layer_norm_eps", 1e-12))
    w.add_causal_attention(False)
    w.add_pooling_type(POOLING[pooling])
    if extra:
        extra(w)
    tokenizer(w)
    names = gguf.get_tensor_name_map(arch, shape["num_hidden_layers"])
    kept = {}
    for key, value in tensors.items():
        new = names.get_name(key, (".weight", ".bias"))
        if new is None:
            raise SystemExit(f"{name}: no GGUF name for {key}")
        data = value.float().squeeze().numpy()
        as_is = kind is None or data.ndim < 2 or "token_types" in new or "position_embd" in new or new.startswith("cls")
        quant = gguf.GGMLQuantizationType.F32 if as_is else kind
        packed = gguf.quants.quantize(np.ascontiguousarray(data), quant)
        w.add_tensor(new, packed, raw_dtype=quant)
        kept[key] = torch.tensor(gguf.quants.dequantize(packed, quant)).reshape(value.shape)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    path.chmod(0o644)
    return kept


def rows(encode, model, pool):
    out = []
    for text in FAMILY_TEXTS:
        ids = encode(text)
        with torch.no_grad():
            h = model(torch.tensor([ids])).last_hidden_state[0]
        v = h.mean(0) if pool == "mean" else h[0]
        out.append({"text": text, "ids": ids, "vector": [float(f"{x:.8g}") for x in (v / v.norm()).tolist()]})
    return out


def save(name, golden):
    (OUT / f"{name}.json").write_text(json.dumps(golden, ensure_ascii=False) + "\n")


def cut(ids, limit):
    return ids if len(ids) <= limit else [*ids[: limit - 1], ids[-1]]


def from_checkpoints():
    from golden_embed import TINY_VOCAB, tiny_tokenizer

    src = REPO / "embed/testdata/tiny-f32-mean"
    config = json.loads((src / "config.json").read_text())
    weights = load_file(src / "model.safetensors")
    tok = tiny_tokenizer()
    shape = dict(config, positions=config["max_position_embeddings"])
    cfg = transformers.BertConfig(**config, attn_implementation="eager")
    for name, kind in (("bert-f32", None), ("bert-f16", gguf.GGMLQuantizationType.F16), ("bert-q8_0", gguf.GGMLQuantizationType.Q8_0)):
        kept = write(name, gguf.MODEL_ARCH.BERT, weights, shape, lambda w: wordpiece(w, tok), "mean", kind)
        model = transformers.BertModel(cfg, add_pooling_layer=False).eval()
        model.load_state_dict(kept, strict=False)
        save(name, rows(lambda text: cut(tok.encode(text).ids, 40), model, "mean"))
    for name, arch in (("nomic", gguf.MODEL_ARCH.NOMIC_BERT), ("jina", gguf.MODEL_ARCH.JINA_BERT_V2)):
        src = REPO / f"embed/testdata/tiny-{name}"
        shape = dict(SIZE, positions=REACH)

        def extra(w):
            if name == "nomic":
                w.add_rope_freq_base(1000)
            w.add_token_type_count(2)

        write(name + "-f32", arch, load_file(src / "model.safetensors"), shape, lambda w: wordpiece(w, Tokenizer.from_file(str(src / "tokenizer.json"))), "mean", extra=extra)
        shutil.copyfile(src / "golden.json", OUT / f"{name}-f32.json")  # their vectors are of these very weights


def chopped(model, prefix):
    """RoBERTa's positions begin after the padding token's id; the converter cuts the rows before."""
    t = {k.removeprefix(prefix): v for k, v in model.state_dict().items() if v.is_floating_point() and "pooler" not in k}
    t["embeddings.position_embeddings.weight"] = t["embeddings.position_embeddings.weight"][2:]
    return t


def roberta():
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(SENTENCES * 3, vocab_size=340, min_frequency=2, special_tokens=special, show_progress=False)
    bpe._tokenizer.encode_special_tokens = True
    vocab = sorted(bpe.get_vocab().items(), key=lambda kv: kv[1])
    merges = json.loads(bpe.to_str())["model"]["merges"]

    def tokenizer(w):
        w.add_tokenizer_model("gpt2")
        w.add_tokenizer_pre("roberta-bpe")
        w.add_token_list([t for t, _ in vocab])
        w.add_token_types([gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t, _ in vocab])
        w.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
        w.add_bos_token_id(0)
        w.add_eos_token_id(2)
        w.add_unk_token_id(3)
        w.add_sep_token_id(2)
        w.add_pad_token_id(1)

    torch.manual_seed(300)
    cfg = transformers.RobertaConfig(vocab_size=len(vocab), max_position_embeddings=REACH, type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5, attn_implementation="eager", **SIZE)
    model = seeded(transformers.RobertaModel(cfg, add_pooling_layer=False))
    write("roberta-bpe", gguf.MODEL_ARCH.BERT, chopped(model, ""), dict(SIZE, layer_norm_eps=1e-5), tokenizer, "cls", positions=REACH - 2)
    save("roberta-bpe", rows(lambda text: [0, *bpe.encode(text, add_special_tokens=False).ids[: REACH - 4], 2], model, "cls"))


def unigram():
    """XLM-RoBERTa's numbering of a SentencePiece model, as the converter writes it."""
    with tempfile.TemporaryDirectory() as tmp:
        lines = pathlib.Path(tmp, "lines.txt")
        lines.write_text("\n".join(SENTENCES * 3))
        sentencepiece.SentencePieceTrainer.train(input=str(lines), model_prefix=tmp + "/spm", vocab_size=450, model_type="unigram", character_coverage=1.0,
                                                 normalization_rule_name="identity", unk_id=0, bos_id=1, eos_id=2, minloglevel=2)
        spm = sentencepiece.SentencePieceProcessor(model_file=tmp + "/spm.model")
    pieces = [(spm.id_to_piece(i), spm.get_score(i)) for i in range(3, spm.get_piece_size())]
    tokens = ["<s>", "<pad>", "</s>", "<unk>"] + [p for p, _ in pieces] + ["<mask>"]
    scores = [0.0] * 4 + [s for _, s in pieces] + [0.0]
    types = [gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.UNKNOWN] + [gguf.TokenType.NORMAL] * len(pieces) + [gguf.TokenType.CONTROL]

    def tokenizer(w):
        w.add_tokenizer_model("t5")
        w.add_tokenizer_pre("default")
        w.add_token_list(tokens)
        w.add_token_scores(scores)
        w.add_token_types(types)
        w.add_add_space_prefix(True)
        w.add_remove_extra_whitespaces(True)
        w.add_bos_token_id(0)
        w.add_eos_token_id(2)
        w.add_unk_token_id(3)
        w.add_sep_token_id(2)
        w.add_pad_token_id(1)

    def encode(text):
        return [i + 1 if i else 3 for i in spm.encode(text)]

    return len(tokens), tokenizer, encode


def xlmr():
    size, tokenizer, encode = unigram()
    shape = dict(vocab_size=size, max_position_embeddings=REACH, type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5, attn_implementation="eager", **SIZE)
    torch.manual_seed(301)
    model = seeded(transformers.XLMRobertaModel(transformers.XLMRobertaConfig(**shape), add_pooling_layer=False))
    write("xlmr-unigram", gguf.MODEL_ARCH.BERT, chopped(model, ""), dict(SIZE, layer_norm_eps=1e-5), tokenizer, "cls", positions=REACH - 2)
    save("xlmr-unigram", rows(lambda text: [0, *encode(text)[: REACH - 4], 2], model, "cls"))

    torch.manual_seed(302)
    cross = seeded(transformers.XLMRobertaForSequenceClassification(transformers.XLMRobertaConfig(num_labels=1, **shape)))
    write("cross-xlmr", gguf.MODEL_ARCH.BERT, chopped(cross, "roberta."), dict(SIZE, layer_norm_eps=1e-5), tokenizer, "rank", positions=REACH - 2,
          extra=lambda w: w.add_classifier_output_labels(["LABEL_0"]))
    golden = []
    for query, passage in PAIRS:
        a, b = encode(query), encode(passage)
        while len(a) + len(b) > REACH - 6:
            (a if len(a) > len(b) else b).pop()
        ids = [0, *a, 2, 2, *b, 2]
        with torch.no_grad():
            score = torch.sigmoid(cross(torch.tensor([ids])).logits[0, 0]).item()
        golden.append({"query": query, "passage": passage, "ids": ids, "score": float(f"{score:.8g}")})
    save("cross-xlmr", golden)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    from_checkpoints()
    roberta()
    xlmr()


if __name__ == "__main__":
    main()
