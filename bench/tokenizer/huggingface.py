#!/usr/bin/env python3
"""The Hugging Face side of bench/tokenizer: trains tokenizers on the texts, and times encoding on request.

    huggingface.py train TEXTS.json DIR      writes DIR/<family>.json
    huggingface.py serve TEXTS.json DIR      for each "family text" line on stdin, one line of seconds on stdout
"""
import json
import os
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

GPT4 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def train(texts, out):
    lines = [line for text in texts.values() for line in text]
    vocab = 32000

    def byte_level(name, pre, norm=None, **model):
        tok = Tokenizer(models.BPE(**model))
        tok.normalizer, tok.pre_tokenizer = norm or tok.normalizer, pre
        tok.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=vocab, show_progress=False, special_tokens=["<|endoftext|>"], initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
        tok.save(f"{out}/{name}.json")

    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    split = lambda digits: pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(GPT4 % digits), "isolated"), level])
    byte_level("gpt2", pre_tokenizers.ByteLevel(add_prefix_space=False))
    byte_level("llama3", split("{1,3}"), ignore_merges=True)
    byte_level("qwen2", split(""), normalizers.NFC())

    tok = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tok.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=vocab, show_progress=False, limit_alphabet=3000, special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]))
    data = json.loads(tok.to_str())
    data["pre_tokenizer"] = None
    data["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
    data["added_tokens"] = data["added_tokens"][:3]
    json.dump(data, open(f"{out}/llama2.json", "w"))

    tok = Tokenizer(models.Unigram())
    tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tok.train_from_iterator(lines, trainers.UnigramTrainer(vocab_size=vocab, show_progress=False, special_tokens=["<s>", "<unk>", "</s>"], unk_token="<unk>", n_sub_iterations=1))
    tok.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tok.save(f"{out}/unigram.json")
    import base64, io
    import sentencepiece as spm
    from sentencepiece import sentencepiece_model_pb2 as pb
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(sentence_iterator=iter(lines[:500]), model_writer=model, vocab_size=3000, hard_vocab_limit=False, character_coverage=0.99, minloglevel=2, num_threads=1)
    charsmap = pb.ModelProto.FromString(model.getvalue()).normalizer_spec.precompiled_charsmap
    tok.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap), normalizers.Replace(Regex(" {2,}"), " ")])
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")])
    tok.save(f"{out}/xlmr.json")

    tok = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tok.normalizer, tok.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tok.train_from_iterator(lines, trainers.WordPieceTrainer(vocab_size=vocab, show_progress=False, special_tokens=["[UNK]", "[CLS]", "[SEP]"]))
    tok.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    tok.save(f"{out}/wordpiece.json")


def serve(texts, out):
    known = {}
    print("ready", flush=True)
    for line in sys.stdin:
        family, name = line.split()
        if family not in known:
            known[family] = Tokenizer.from_file(f"{out}/{family}.json")
        tok, lines = known[family], texts[name]
        start = time.process_time()
        n = 0
        for text in lines:
            n += len(tok.encode(text, add_special_tokens=False))
        seconds = time.process_time() - start
        print(seconds, n, flush=True)


if __name__ == "__main__":
    with open(sys.argv[2]) as f:
        {"train": train, "serve": serve}[sys.argv[1]](json.load(f), sys.argv[3])
