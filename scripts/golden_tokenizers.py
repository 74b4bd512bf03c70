#!/usr/bin/env python3
"""Writes the fixtures and golden files of internal/tokenizer from Hugging Face tokenizers and SentencePiece.

    pip install tokenizers sentencepiece protobuf     # tokenizers 0.23, sentencepiece 0.2 made the committed files
    python scripts/golden_tokenizers.py
    python scripts/golden_tokenizers.py pre           # only the last file

Everything is trained here, on text that this script makes: nothing is downloaded, and the fixtures are
free of other people's text. The pipelines are those of the families they are named after.

internal/tokenizer/testdata/lines.json.gz     the input lines
internal/tokenizer/testdata/families/*.gz     tokenizer.json files and SentencePiece models
internal/tokenizer/testdata/golden.json.gz    digests of ids and byte offsets, and of decoded text, by line
internal/tokenizer/testdata/pretokenizers.json.gz    digests of where the pre-tokenizers of GGUF files cut, by line
"""
import base64
import gzip
import hashlib
import io
import json
import pathlib
import random
import struct
import sys

import sentencepiece as spm
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

OUT = pathlib.Path(__file__).resolve().parent.parent / "internal/tokenizer/testdata"
LINES = 24000

SENTENCES = [
    "Refunds are paid within five working days of a written cancellation.",
    "The pump's filter must be rinsed every 250 hours; see section 4.2(b).",
    "I'm sure they'll say we've done it, you'd agree, he's late and we're not. DON'T SHOUT, I'LL GO, WE'VE LEFT.",
    "E = mc², said nobody at the café on naïve Friday the 13th.",
    "func (e *Encoder) Dim() int { return e.model.cfg.Hidden } // 384",
    "\tfor i := range 10 {\n\t\tfmt.Printf(\"%d\\n\", i)\n\t}\n\n\n    return nil",
    "SELECT id, name FROM users WHERE created_at >= '2024-01-01' AND name LIKE '%o''neil%';",
    "https://example.org/a/b?q=1&lang=zh-CN#top and mailto:info@example.org",
    "Pneumonoultramicroscopicsilicovolcanoconiosis is not antidisestablishmentarianism.",
    "员工每年享有十五天带薪年假，须提前两周申请。",
    "本产品的保修期为24个月，自购买之日起计算；人为损坏除外。",
    "請參閱第三章「安全須知」，並妥善保存本手冊。",
    "我们用 Python 3.12 和 PyTorch 训练模型，F1 提高了 3.5%。",
    "東京都の人口は約1400万人です。カタカナとひらがなが混ざっています。ﾊﾝｶｸ ｶﾞ",
    "대한민국의 수도는 서울입니다. 한글은 자모로 나뉩니다.",
    "Москва — столица России; ёлка, йод и объезд.",
    "Ελληνικά: Ο γρήγορος καφές, ΣΊΣΥΦΟΣ και ΐ.",
    "Straße, GRÖSSE, Ærøskøbing, Łódź, İstanbul, ĳsvogel, ǅungla, ﬁn, ﬃ, ſt.",
    "Tiếng Việt có nhiều dấu: đường, nghĩa, ngữ, ở, ỡ, ặ.",
    "مرحبا بالعالم، كيف حالك؟ ١٢٣٤",
    "שלום עולם, מה שלומך? נִקּוּד",
    "हिन्दी में नमस्ते, क्षत्रिय और ज्ञान।",
    "ภาษาไทยไม่มีช่องว่างระหว่างคำ ๑๒๓ กำ",
    "தமிழ் மொழி, తెలుగు, ಕನ್ನಡ, മലയാളം, ខ្មែរ, မြန်မာ, ལྷ་ས།",
    "🙂👍🏽 family: 👨‍👩‍👧‍👦 flags: 🇨🇳🇩🇪 keycap: 1️⃣ ❤️‍🔥",
    "∀x∈ℝ: ⌈x⌉ ≥ x ≠ ∞ ≯ 3 → ½ + ⅓, x₂, 10⁻³ Ω Å K Å",
    "price: $5.00/£4/¥600 — “quoted” ‘single’ «guillemets» …",
    "Mixed中文English混排test測試，ＦＵＬＬｗｉｄｔｈ　space ㈱ ㍿ ①②③ ｱ",
    "a\u0301e\u0308 o\u031b\u0323 \u1e9b\u0323 decomposed and q\u0307\u0323 reordered \u0344 \u0958 \u2adc",
    "tab\tnewline\nreturn\r\nvertical\x0bform\x0cnul\x00bell\x07del\x7fc1\x85end",
    "zero\u200bwidth\u200djoiner\u00adsoft\ufeffbom\u2060word\u2028line\u2029para\u00a0nbsp\u3000wide\u180e\u1680ogham",
    "private \ue000 and \U000f0000, unassigned \u0378, noncharacter \ufdd0, replacement \ufffd",
    "𠀀𪜀𫝀 are rare ideographs, 豈﨑 compatibility ones, 𝒜𝓫𝔠 mathematical, 𐐀𐐨 Deseret, 𑄮 𑒺",
    "#hashtag @user under_score kebab-case camelCase HTTPServer XMLHttpRequest SNAKE_CASE ^caret `tick` ~tilde |pipe|",
    "0 1 12 123 1234 12345 3.14159 1e-9 0xDEADBEEF 2026-11-23T14:10:00Z ²³ ½ Ⅷ 〇 ੧੨",
    "def f(x):\n    if x > 0:\n        return {'a': [1, 2, 3]}  # note\n\n\nclass A(B):\n\tpass\r\n",
    "<div class=\"row\">\n  <p>Hello &amp; goodbye</p>\n</div>",
    "ʰello ʻokina ªº ǆ ǅ Ǆ ʼn ᴬ ᵃ ꟸ ℵ ℶ ロ々〻ー",
]
SPECIALS = ["<|endoftext|>", "<s>", "</s>", "<mask>", "<pad>", "<unk>", "<|im_start|>", "[CLS]", "<0x0A>", "▁", "Ġ"]
SYL = "ba be bi bo ra re ri ro sta ste ment tion ing er ly con pre un dis able ous ing est or an in th he qu ick own fox ump lazy".split()
EMOJI = ["🙂", "👍🏽", "👨‍👩‍👧‍👦", "🇨🇳", "🇩🇪", "1️⃣", "❤️‍🔥", "☺", "☺️", "🏴\U000e0067\U000e0062\U000e007f", "👩🏾‍🚀"]
MARKS = "\u0301\u0308\u0323\u031b\u0327\u0345\u0334\u093c\u094d\u3099\u05b0\u064b\u0f71\u302a\u0e38\u200d\ufe0f"
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n", "\n ", "\u00a0", "\u3000", "\u2028", "\x0b", "\x85", "\u1680", "\u200a", "    ", "\r"]
CONTROL = "\x00\x01\x07\x08\x1b\x7f\x80\x9f\u200b\u200e\u202e\u2060\ufeff\ufff9\u00ad\u061c\u0600\u06dd"
BLOCKS = [(0x20, 0x7F), (0x20, 0x7F), (0xA0, 0x250), (0x250, 0x370), (0x370, 0x530), (0x530, 0x700), (0x900, 0xE00), (0xE00, 0x1100), (0x1100, 0x1200),
          (0x1200, 0x2000), (0x2000, 0x2400), (0x2400, 0x2C00), (0x2C00, 0x3000), (0x3000, 0x3400), (0x4E00, 0xA000), (0xA000, 0xAC00), (0xAC00, 0xD7A4),
          (0xF900, 0xFB00), (0xFB00, 0xFE00), (0xFE00, 0x10000), (0x10000, 0x10800), (0x11000, 0x12000), (0x1D100, 0x1D800), (0x1E000, 0x1F000),
          (0x1F000, 0x1FB00), (0x20000, 0x20100), (0xE0000, 0xE0200)]


def make_word(r):
    w = "".join(r.choice(SYL) for _ in range(r.choice((1, 1, 2, 2, 3, 4))))
    return r.choice((w, w, w, w.capitalize(), w.upper(), w + "'s", w + r.choice(".,;:!?"), w.capitalize() + w))


def make_lines():
    r = random.Random(20261123)
    words = [make_word(r) for _ in range(3000)]
    words += [w for s in SENTENCES for w in s.split(" ")]
    pick = lambda: words[int(len(words) * r.random() ** 2.5)]
    chinese = sorted({c for s in SENTENCES for c in s if "\u4e00" <= c <= "\u9fff"})
    zh = lambda n: "".join(chinese[int(len(chinese) * r.random() ** 1.7)] for _ in range(n))

    def char():
        lo, hi = r.choice(BLOCKS)
        return chr(r.randrange(lo, hi))

    def english():
        return " ".join(pick() for _ in range(r.randint(1, 14)))

    def han():
        return "，".join(zh(r.randint(1, 12)) for _ in range(r.randint(1, 3))) + r.choice("。！？")

    def cut():
        s = r.choice(SENTENCES)
        a = r.randrange(len(s))
        return s[a:a + r.randint(1, 40)]

    def mixed():
        return "".join(r.choice((english, han, cut, soup, code, spaces, emoji))()[:25] for _ in range(r.randint(2, 4)))

    def soup():
        return "".join(char() for _ in range(r.randint(1, 24)))

    def marks():
        return "".join(r.choice((char(), r.choice("aeiouqqAK가한ᄀ한かｶक")) ) + "".join(r.choice(MARKS) for _ in range(r.choice((0, 0, 1, 1, 2, 3)))) for _ in range(r.randint(1, 14)))

    def spaces():
        return "".join(r.choice((r.choice(SPACES), r.choice(SPACES), pick(), r.choice("a1.!中é"))) for _ in range(r.randint(1, 16)))

    def emoji():
        return "".join(r.choice((r.choice(EMOJI), r.choice(EMOJI), " ", "a", "\u200d", "\ufe0f")) for _ in range(r.randint(1, 12)))

    def code():
        n = r.choice((0, 1, 2, 4, 8))
        return "\n".join(" " * n + r.choice(("if ", "return ", "x = ", "// ", "\t")) + pick() + r.choice(("(x)", "();", " {", "[0]", "://", "/*/", "\n}", "\r\n")) for _ in range(r.randint(1, 4)))

    def numbers():
        return "".join(r.choice((str(r.randrange(10 ** r.randint(1, 12))), r.choice(" .,-%$²½٣৩Ⅳ"), "'" + r.choice(("s", "S", "ll", "LL", "Re", "ve", "T", "ſ", "d", "x")))) for _ in range(r.randint(1, 10)))

    def controls():
        return "".join(r.choice((r.choice(CONTROL), pick(), " ", "中")) for _ in range(r.randint(1, 14)))

    def long():
        return r.choice(("x", "ab", "🙂", "é", "中", "a\u0301", "1", "!", " ", "\n", "'s", "ABc"))*r.randint(20, 90)

    def special():
        return "".join(r.choice((r.choice(SPECIALS), pick(), " ", "  ", "\n", "NEWTOK", "New Tok", "newtok", "ＷＩＤＥ")) for _ in range(r.randint(1, 8)))

    kinds = [english, english, english, han, han, cut, mixed, mixed, soup, soup, marks, marks, spaces, spaces, emoji, code, code, numbers, controls, special, special]
    lines = ["", " ", "  ", "\n", "\t ", "a", " a", "a ", "中", "🙂", ".", "'s", "\u0301", "\u200d", "\x00", "\ufeff", "\r", "\r\n", " \r\n "]
    lines += SENTENCES
    lines += ["".join(chr(c) for c in range(a, a + 64) if not 0xD800 <= c < 0xE000) for a in range(0, 0x3400, 64)]
    lines += [" ".join(chr(c) for c in range(a, a + 64)) for a in [*range(0xA000, 0xA9C0, 64), *range(0xF900, 0x10000, 64), *range(0x10000, 0x12000, 64), *range(0x1D000, 0x1F700, 64)]]
    lines += [" ".join(pick() for _ in range(2500)), "".join(zh(3) + r.choice("，。、 的") for _ in range(3500)), "a" * 3000, "ab" * 2000, "中" * 3000, " " * 3000, "🙂é" * 900,
              "\n".join(code() for _ in range(300)), "".join(r.choice(SENTENCES) + " " for _ in range(120))]
    while len(lines) < LINES:
        lines.append(long() if r.random() < 0.01 else r.choice(kinds)())
    return lines


def corpus(lines):
    r = random.Random(7)
    known = set("".join(SENTENCES + EMOJI))
    out = [s for s in SENTENCES for _ in range(12)] + [l for l in lines[600:] if len(l) < 400 and known.issuperset(l)]
    r.shuffle(out)
    return out[:14000]


GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN35 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CL100K = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
         r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"


def byte_bpe(text, pre, norm=None, vocab=3000, post=None, special=("<|endoftext|>", "<|im_start|>"), added=(), **model):
    tok = Tokenizer(models.BPE(**model))
    if norm:
        tok.normalizer = norm
    tok.pre_tokenizer = pre
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(text, trainers.BpeTrainer(vocab_size=vocab, show_progress=False, special_tokens=list(special), initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    if added:
        tok.add_tokens(list(added))
    if post:
        tok.post_processor = post(tok)
    return tok


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def template(tok, *around):
    return processors.TemplateProcessing(single=" ".join(around), special_tokens=[(t, tok.token_to_id(t)) for t in around if not t.startswith("$")])


def families(text, charsmap, spm_bpe, spm_unigram):
    S, B = pre_tokenizers.Sequence, pre_tokenizers.ByteLevel
    level = B(add_prefix_space=False, use_regex=False)
    yield "gpt2", byte_bpe(text, B(add_prefix_space=False), post=lambda t: processors.ByteLevel(trim_offsets=False), special=["<|endoftext|>"])
    roberta = ["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True, normalized=False)]
    for name, prefix in (("roberta", False), ("roberta-prefix", True)):
        yield name, byte_bpe(text, B(add_prefix_space=prefix), special=roberta, vocab=2000,
                             post=lambda t: processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=prefix))
    yield "llama3", byte_bpe(text, S([split(LLAMA3), level]), ignore_merges=True,
                             post=lambda t: processors.Sequence([processors.ByteLevel(trim_offsets=True, add_prefix_space=True, use_regex=True), template(t, "<|endoftext|>", "$A")]))
    yield "qwen2", byte_bpe(text, S([split(QWEN2), level]), norm=normalizers.NFC(), post=lambda t: processors.ByteLevel(trim_offsets=False))
    yield "qwen3.5", byte_bpe(text, S([split(QWEN35), level]), norm=normalizers.NFC(), vocab=2000)
    yield "cl100k", byte_bpe(text, S([split(CL100K, "removed", True), level]), vocab=2000)
    yield "o200k", byte_bpe(text, S([split(O200K), level]), vocab=2000)
    yield "deepseek", byte_bpe(text, S([split(r"\p{N}{1,3}"), split("[一-龥぀-ゟ゠-ヿ]+"), split(DEEPSEEK), level]), vocab=2000)
    yield "added", byte_bpe(text, B(add_prefix_space=False), norm=normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]), vocab=1200, added=[
        AddedToken("newtok", normalized=True), AddedToken("New Tok", normalized=False, rstrip=True), AddedToken("WIDE", normalized=True, single_word=True),
        AddedToken("  ", normalized=False), AddedToken("ba", normalized=False, single_word=True, lstrip=True), AddedToken("<0x0A>", normalized=True, lstrip=True, rstrip=True),
        AddedToken("\n\n", normalized=False)], post=lambda t: processors.ByteLevel(trim_offsets=True, add_prefix_space=True))

    # Llama-2: SentencePiece BPE with byte fallback; the old conversion and the new.
    vocab, merges = spm_bpe
    for name, legacy in (("llama2", True), ("llama2-metaspace", False)):
        tok = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        if legacy:
            tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        else:
            tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
        tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
        tok.add_special_tokens([AddedToken(t, normalized=False) for t in ("<unk>", "<s>", "</s>")])
        tok.post_processor = template(tok, "<s>", "$A")
        yield name, tok

    # XLM-R and T5: Unigram.
    pieces = spm_unigram
    tok = Tokenizer(models.Unigram([("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + pieces + [("<mask>", 0.0)], unk_id=3))
    tok.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap), normalizers.Replace(Regex(" {2,}"), " ")])
    tok.pre_tokenizer = S([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")])
    tok.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tok.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True)])
    tok.post_processor = template(tok, "<s>", "$A", "</s>")
    yield "xlmr", tok
    tok = Tokenizer(models.Unigram([("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + pieces, unk_id=2))
    tok.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap), normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")])
    tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tok.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tok.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tok.add_tokens([AddedToken("newtok", lstrip=True, rstrip=True, normalized=False)])
    tok.post_processor = template(tok, "$A", "</s>")
    yield "t5", tok
    fallback = [("<unk>", 0.0)] + [(f"<0x{i:02X}>", -30.0) for i in range(256)] + [p for p in pieces if len(p[0]) < 5]
    tok = Tokenizer(models.Unigram(fallback, unk_id=0, byte_fallback=True))
    tok.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(" ", "▁")])
    tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first")
    tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tok.add_special_tokens([AddedToken("<unk>", normalized=False)])
    yield "unigram-bytes", tok

    # The rest of the normalisers and pre-tokenizers.
    P, N = pre_tokenizers, normalizers

    def bpe(name, norm, pre, suffix="", prefix="", **kw):
        tok = Tokenizer(models.BPE(unk_token="<unk>", **kw))
        tok.normalizer, tok.pre_tokenizer = norm, pre
        extra = {"continuing_subword_prefix": prefix} if prefix else {"end_of_word_suffix": suffix} if suffix else {}
        tok.train_from_iterator(text, trainers.BpeTrainer(vocab_size=1500, show_progress=False, special_tokens=["<unk>"], limit_alphabet=500, **extra))
        tok.decoder = decoders.BPEDecoder(suffix=suffix) if suffix else decoders.WordPiece(prefix="##", cleanup=False)
        return name, tok
    yield bpe("clip", N.Sequence([N.NFC(), N.Replace(Regex(r"\s+"), " "), N.Lowercase()]), S([split(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", "removed", True)]), "</w>")
    yield bpe("words", N.Sequence([N.NFD(), N.StripAccents(), N.Strip()]), S([P.Whitespace(), P.Digits(individual_digits=True)]), prefix="##", fuse_unk=True)
    yield bpe("punct", N.NFKD(), S([P.WhitespaceSplit(), P.Punctuation("merged_with_previous"), P.Digits(False)]))
    yield bpe("bert", N.BertNormalizer(), P.BertPreTokenizer())
    yield bpe("bert-cased", N.BertNormalizer(lowercase=False), S([P.BertPreTokenizer(), P.Split("a", "merged_with_next"), P.Split("e", "contiguous"), P.Punctuation("contiguous")]))


def pre_tokenizers_of_files():
    """What the names of tokenizer.ggml.pre stand for: the pre_tokenizer of the tokenizer.json that each is named after,
    or, where that is not public, the expressions that llama.cpp has for it. Spaces that a normaliser replaces stay."""
    P = pre_tokenizers
    contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    upper, lower = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
    lead = r"[^\r\n\p{L}\p{N}]?"
    kimi = "|".join([r"[\p{Han}]+", rf"{lead}[{upper}&&[^\p{{Han}}]]*[{lower}&&[^\p{{Han}}]]+{contraction}?", rf"{lead}[{upper}&&[^\p{{Han}}]]+[{lower}&&[^\p{{Han}}]]*{contraction}?",
                     r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
    words, end = rf"{lead}\p{{L}}+", r"\s*[\r\n]+|\s+(?!\S)|\s+"
    seed = rf"{contraction}|{words}|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{end}"
    halves = "|".join([rf"\s{{{1 << k}}}(?!\S)" for k in range(9, 1, -1)] + [r"\s{1,2}(?!\S)", r"\s{1}"])
    jais2 = rf"{contraction}|{words}|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|{halves}"
    exaone = rf"{contraction}|{lead}(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
    tekken = rf"{lead}[{upper}]*[{lower}]+|{lead}[{upper}]+[{lower}]*|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{end}"
    minicpm = LLAMA3.replace("{1,3}", "+")
    bailing = CL100K.replace("{1,3}", "")
    spark = DEEPSEEK.replace("[\\r\\n]*|\\s*[\\r\\n]+", "|[\\r\\n]")
    cased = ("\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386"
             "\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf"
             "\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4"
             "\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-"
             "\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2"
             "\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-"
             "\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943]+")
    ideographs = "[一-龥ࠀ-一가-\ud7ff]+"
    asian = ("[\u4e00-\u9fff\u3400-\u4dbf\u8c48-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf\u0e40-\u0e7f\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f"
             "\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+")
    youtu = "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+"
    bloom = " ?[^(\\s|.,!?…。，、।۔،)]+"
    digits3, cjk = r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+"
    return {
        "gpt-2": [GPT2], "llama-bpe": [LLAMA3], "dbrx": [LLAMA3], "jais-2": [jais2], "minicpm5": [digits3, minicpm], "qwen2": [QWEN2], "solar-open": [QWEN2], "bailingmoe": [bailing],
        "qwen35": [QWEN35], "laguna": [r"[^\n]+|[\n]+", QWEN2], "ufakzeka": [QWEN2.split("|", 7)[-1]], "seed-coder": [seed], "exaone-moe": [exaone], "gpt-4o": [O200K],
        "granite-embed-multi-97m": [O200K], "tiny_aya": [r"\d{1,3}(?=(?:\d{3})*\b)", O200K], "youtu": [youtu, O200K.replace("{1,3}", "")], "tekken": [tekken], "kimi-k2": [kimi],
        "deepseek-llm": ["[\r\n]", cased, "\\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", ideographs, r"\p{N}+"],
        "deepseek-coder": ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", ideographs, r"\p{N}"],
        "deepseek-v3": [digits3, cjk, DEEPSEEK], "spark2_5": [digits3, cjk, spark, r"\p{N}"], "afmoe": [r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))", asian, DEEPSEEK],
        "falcon": ["[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]"], "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
        "bloom": [bloom], "viking": [bloom, r"\p{N}"], "starcoder": [r"\p{N}", GPT2],
        "chameleon": ["<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\t\n]|    |  )", r"\p{N}", P.Punctuation("isolated"), GPT2],
        "superbpe": [r"\p{N}+", r"(?=(\d{3})+(?!\d))"], "gemma4": [r"[^\n]+|[\n]+"], "whitespace": [P.WhitespaceSplit()],
    }


PRE_LINES = 3000  # of the lines, for pre-tokenizers
PRE_EXTRA = ["a <sentinel:0> b<sentinel:12345>c <sentinel:>", "IMGIMGABCDZ IMGIMGZ IMGIMGAZIMGIMGIIIIZ xIMGIMGABCDEZ", "12 123 1234 12345 123456 1234567abc 1234567_ 1234567个 1234567。 ½1234 12³456 １２３４５６７",
             *("x" + " " * n + tail for n in (1, 2, 3, 4, 5, 7, 8, 9, 31, 64, 65, 511, 512, 513, 514, 1100) for tail in ("y", "", "\n  z")), "ab cd  ef g\u0301 h i'm it's\u3000中 文 字", "中文〇々⺀ABC漢字's Ⅳ 한글 조합",
             "!!\n\n  /a//\n\r\n/ x\r\n\r\ny \n", "1" * 1000 + "a" + "2" * 1001]


def write_pre_tokenizers(lines):
    lines = lines[:PRE_LINES] + PRE_EXTRA
    golden = {"extra": PRE_EXTRA, "lines": PRE_LINES, "cuts": {}}
    for name, steps in pre_tokenizers_of_files().items():
        pre = pre_tokenizers.Sequence([split(s) if isinstance(s, str) else s for s in steps])
        out = ""
        for line in lines:
            at = [0]
            for c in line:
                at.append(at[-1] + len(c.encode()))
            cuts = [at[x] for _, span in pre.pre_tokenize_str(line) for x in span]
            out += hashlib.sha256(struct.pack("<%dI" % len(cuts), *cuts)).hexdigest()[:4]
        golden["cuts"][name] = out
    gz(OUT / "pretokenizers.json.gz", json.dumps(golden, separators=(",", ":")).encode())


def unmatchable(tok):
    """The same tokenizer, but special tokens in text are text, for the model's vocabulary too."""
    data = json.loads(tok.to_str())
    special = {t["id"]: t["content"] for t in data["added_tokens"] if t["special"]}
    if data["model"]["type"] == "Unigram":
        for i, (piece, _) in enumerate(data["model"]["vocab"]):
            if i in special:
                data["model"]["vocab"][i][0] = f"\U0010fffe{i}"
                special[i] = f"\U0010fffe{i}"
        for t in data["added_tokens"]:
            t["content"] = special.get(t["id"], t["content"])
        data["post_processor"] = None
    tok = Tokenizer.from_str(json.dumps(data))
    tok.encode_special_tokens = True
    return tok


def digest(ids, spans, text, digits=4):
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    h = hashlib.sha256()
    for part in (ids, [at[a] for a, _ in spans], [at[b] for _, b in spans]):
        h.update(struct.pack("<%dI" % len(part), *part) + b"|")
    return h.hexdigest()[:digits]


def gz(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as f, gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
        z.write(data)


def train_spm(text, **kw):
    out = io.BytesIO()
    spm.SentencePieceTrainer.train(sentence_iterator=iter(l.replace("\n", " ").replace("\x00", "") for l in text), model_writer=out, minloglevel=2, num_threads=1, **kw)
    return out.getvalue()


def main():
    lines = make_lines()
    write_pre_tokenizers(lines)
    if sys.argv[1:] == ["pre"]:
        return
    text = corpus(lines)
    gz(OUT / "lines.json.gz", json.dumps(lines, ensure_ascii=False, separators=(",", ":")).encode())
    from sentencepiece import sentencepiece_model_pb2 as pb

    spms = {
        "spm-bpe": train_spm(text, model_type="bpe", vocab_size=3000, normalization_rule_name="identity", byte_fallback=True, split_digits=True, remove_extra_whitespaces=False,
                             character_coverage=0.995, allow_whitespace_only_pieces=True),
        "spm-unigram": train_spm(text, model_type="unigram", vocab_size=2500, normalization_rule_name="nmt_nfkc", character_coverage=0.995, user_defined_symbols=["NEWTOK"]),
        "spm-nfkc-cf": train_spm(text, model_type="bpe", vocab_size=1500, normalization_rule_name="nfkc_cf", character_coverage=0.99, hard_vocab_limit=False),
    }
    protos = {}
    for name, data in spms.items():
        protos[name] = pb.ModelProto.FromString(data)
        gz(OUT / f"families/{name}.model.gz", data)
    p = protos["spm-bpe"]
    vocab = {x.piece: i for i, x in enumerate(p.pieces)}
    score = {x.piece: x.score for x in p.pieces}
    merges = []
    for x in p.pieces:
        if x.type == 1:
            for i in range(1, len(x.piece)):
                a, b = x.piece[:i], x.piece[i:]
                if a in vocab and b in vocab:
                    merges.append((-score[x.piece], vocab[a], vocab[b], a, b))
    merges = [(a, b) for *_, a, b in sorted(merges)]
    u = protos["spm-unigram"]
    pieces = [(x.piece, x.score) for x in u.pieces if x.type == 1]
    golden = {}
    for name, tok in families(text, u.normalizer_spec.precompiled_charsmap, (vocab, merges), pieces):
        data = json.loads(tok.to_str())
        gz(OUT / f"families/{name}.json.gz", json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode())
        tok = Tokenizer.from_str(tok.to_str())  # scores from JSON are not always those that went into it
        plain = unmatchable(tok)
        g = {"text": "", "trusted": {}, "decoded": ""}
        for i, e in enumerate(plain.encode_batch(lines, add_special_tokens=False)):
            g["text"] += digest(e.ids, e.offsets, lines[i])
            g["decoded"] += hashlib.sha256(tok.decode(e.ids).encode()).hexdigest()[:2]
        tok.encode_special_tokens = False
        for i, e in enumerate(tok.encode_batch(lines, add_special_tokens=False)):
            if (d := digest(e.ids, e.offsets, lines[i])) != g["text"][4 * i:4 * i + 4]:
                g["trusted"][i] = d
        e = tok.encode("a")
        n = len(tok.encode("a", add_special_tokens=False).ids)
        at = e.special_tokens_mask.index(0)
        g["prefix"], g["suffix"] = e.ids[:at], e.ids[at + n:]
        golden[name] = g
        print(name, tok.get_vocab_size(), flush=True)
    vocab_txt = OUT.parent.parent.parent / "embed/builtin/vocab.txt"
    tok = Tokenizer(models.WordPiece.from_file(str(vocab_txt), unk_token="[UNK]"))
    tok.normalizer, tok.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    golden["wordpiece"] = {"text": "".join(digest(e.ids, e.offsets, lines[i]) for i, e in enumerate(tok.encode_batch(lines)))}
    for name, data in spms.items():
        sp = spm.SentencePieceProcessor(model_proto=data)
        g = ""
        for line in lines:
            ids = sp.encode(line)
            g += hashlib.sha256(struct.pack("<%dI" % len(ids), *ids)).hexdigest()[:4]
        golden[name] = {"ids": g}
    gz(OUT / "golden.json.gz", json.dumps(golden, separators=(",", ":")).encode())


if __name__ == "__main__":
    main()
