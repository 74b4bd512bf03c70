#!/usr/bin/env python3
"""Writes the golden files that docent's language models are tested against.

    pip install gguf torch transformers
    python scripts/golden_llm.py quants   # internal/tensor/testdata/quants.bin
    python scripts/golden_llm.py rounded  # internal/tensor/testdata/rounded.bin; GGML=libggml-base.so names ggml's library
    python scripts/golden_llm.py models   # internal/llm/engine/testdata/*.gguf and *.golden; MODELS="a b" only these;
                                          # llama-k, llama-iq4_* and llama-q*_k need GGML too

Models are tiny and random. A .golden file holds, little-endian: the number of prompt tokens, of
continuation tokens and of the vocabulary (uint32), the prompt, the greedy continuation (int32), and
for each place of the prompt the logits (float32). The reference computes in float32 with the weights
as the .gguf file has them. Seeds are tried until no step of the continuation is close. Programs that compute with
weights round activations too, each in its own way, which moves the logits of a random model by more than its tokens
are apart; the models in LEARNT have therefore learnt one text by heart, which they continue without a doubt.

Models in f16 are also written as transformers keeps them, for docent's converter: CHECKPOINTS below.
For two models there is also a LoRA adapter: NAME.lora.gguf with NAME.lora.golden, by peft (pip install peft).
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


def rounded():
    """1,024 values, float32, then the bytes that ggml makes of them in each type that docent writes."""
    x = np.random.default_rng(7).standard_t(5, 1024).astype("<f4") * 0.02
    x[512:544] = 0
    path = os.path.join(ROOT, "internal/tensor/testdata/rounded.bin")
    with open(path, "wb") as out:
        out.write(x.tobytes())
        for kind in (T.F16, T.BF16, T.Q8_0, T.Q4_0, T.Q5_0, T.Q4_K, T.Q5_K, T.Q6_K):
            out.write(by_ggml(x, kind).tobytes())
    print(path, os.path.getsize(path))


def by_ggml(x, kind):
    """The bytes that ggml makes of float32 values."""
    import ctypes

    lib = ctypes.CDLL(os.environ["GGML"])
    lib.ggml_quantize_chunk.restype = ctypes.c_size_t
    lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
                                        ctypes.c_int64, ctypes.c_void_p]
    values, size = gguf.GGML_QUANT_SIZES[kind]
    raw = np.zeros(x.size // values * size, dtype=np.uint8)
    n = lib.ggml_quantize_chunk(int(kind), x.ctypes.data, raw.ctypes.data, 0, 1, x.size, None)
    assert n == raw.size, (kind, n, raw.size)
    return raw


LAYERS, VOCAB, PROMPT, STEPS = 2, 96, 24, 64
SHAPE = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=64, num_hidden_layers=LAYERS, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0)
WIDE = SHAPE | dict(hidden_size=256, intermediate_size=256, num_hidden_layers=1)
GEMMA = SHAPE | dict(head_dim=16, query_pre_attn_scalar=16, hidden_activation="gelu_pytorch_tanh")
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=32)
# The scores grow with the place, every 16 tokens; of YaRN's factor nothing is left.
MINISTRAL = dict(rope_type="yarn", rope_theta=10000.0, factor=8.0, original_max_position_embeddings=16, beta_fast=32.0, beta_slow=1.0,
                 mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.5)
LINEAR = dict(rope_type="linear", rope_theta=10000.0, factor=2.0)
NEAR = dict(rope_type="default", rope_theta=1e4)
LOCAL = dict(full_attention=dict(rope_type="default", rope_theta=1e6), sliding_attention=NEAR)
FAR = dict(full_attention=dict(rope_type="linear", rope_theta=1e6, factor=8.0), sliding_attention=NEAR)
EXPERTS = SHAPE | dict(num_experts=4, num_local_experts=4, num_experts_per_tok=2, moe_intermediate_size=32,
                       shared_expert_intermediate_size=48)
LONG = dict(rope_type="longrope", rope_theta=10000.0, short_factor=[1.0, 1.1, 1.2, 1.3], long_factor=[1.5, 2.0, 3.0, 4.0],
            original_max_position_embeddings=16)  # less than the prompt: the short factors are never used
MIXED = {"attn_q": T.Q4_K, "attn_k": T.Q5_K, "attn_v": T.Q6_K, "attn_output": T.Q2_K, "ffn_gate": T.Q3_K,
         "ffn_up": T.Q4_K, "ffn_down": T.Q6_K, "token_embd": T.IQ4_XS, "output": T.Q6_K}
TWICE = dict(rope_type="default", rope_theta=20000.0, partial_rotary_factor=0.5)
NTK = dict(rope_type="default", rope_theta=10000.0 * 4 ** (8 / 6))  # four times as far, of heads 8 wide
# Blocks of 256 values, so rows of as many; those of attn_output are shorter.
BLOCKS = WIDE | dict(head_dim=16)
MATRICES = ("attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up", "ffn_down", "token_embd")
# name: (transformers' configuration, its settings, GGUF's architecture, type of matrices, tied)
MODELS = {
    "llama-f32": ("LlamaConfig", SHAPE, "LLAMA", T.F32, False),
    "llama3-f16": ("LlamaConfig", SHAPE | dict(rope_parameters=LLAMA3), "LLAMA", T.F16, True),
    "llama-linear-bf16": ("LlamaConfig", SHAPE | dict(rope_parameters=LINEAR), "LLAMA", T.BF16, True),
    "llama-yarn-f16": ("LlamaConfig", SHAPE | dict(rope_parameters=YARN), "LLAMA", T.F16, False),
    "llama-q8_0": ("LlamaConfig", SHAPE, "LLAMA", T.Q8_0, False),
    "llama-q4_0": ("LlamaConfig", SHAPE, "LLAMA", T.Q4_0, False),
    "llama-q4_1": ("LlamaConfig", SHAPE, "LLAMA", T.Q4_1, True),
    "llama-q5_0": ("LlamaConfig", SHAPE, "LLAMA", T.Q5_0, True),
    "llama-q5_1": ("LlamaConfig", SHAPE, "LLAMA", T.Q5_1, True),
    "llama-iq4_nl": ("LlamaConfig", SHAPE, "LLAMA", T.IQ4_NL, True),
    "llama-k": ("LlamaConfig", WIDE, "LLAMA", MIXED, False),
    **{f"llama-{kind.name.lower()}": ("LlamaConfig", BLOCKS, "LLAMA", dict.fromkeys(MATRICES, kind) | {"attn_output": T.Q8_0}, True)
       for kind in (T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K, T.IQ4_XS)},
    "llama-ntk-f16": ("LlamaConfig", SHAPE | dict(rope_parameters=NTK), "LLAMA", T.F16, True),
    "mistral-f16": ("MistralConfig", SHAPE | dict(sliding_window=8), "LLAMA", T.F16, False),
    "mistral3-f16": ("Ministral3Config", SHAPE | dict(head_dim=8, rope_parameters=MINISTRAL, sliding_window=None), "MISTRAL3", T.F16, False),
    "qwen2-f16": ("Qwen2Config", SHAPE, "QWEN2", T.F16, True),
    "qwen3-f16": ("Qwen3Config", SHAPE | dict(head_dim=16), "QWEN3", T.F16, True),
    "gpt2-f16": ("GPT2Config", dict(vocab_size=VOCAB, n_embd=32, n_layer=LAYERS, n_head=4, n_positions=128, n_inner=64), "GPT2", T.F16, True),
    "gemma-f16": ("GemmaConfig", GEMMA, "GEMMA", T.F16, True),
    "gemma2-f16": ("Gemma2Config", GEMMA | dict(sliding_window=8), "GEMMA2", T.F16, True),
    "gemma3-f16": ("Gemma3TextConfig", GEMMA | dict(sliding_window=8, num_hidden_layers=7, rope_parameters=LOCAL), "GEMMA3", T.F16, True),
    "gemma3-linear-f16": ("Gemma3TextConfig", GEMMA | dict(sliding_window=8, num_hidden_layers=7, rope_parameters=FAR), "GEMMA3", T.F16, True),
    "phi3-f16": ("Phi3Config", SHAPE, "PHI3", T.F16, False),
    "phi3-long-f16": ("Phi3Config", SHAPE | dict(rope_parameters=LONG, original_max_position_embeddings=16), "PHI3", T.F16, False),
    "mixtral-f16": ("MixtralConfig", EXPERTS, "LLAMA", T.F16, False),
    "mixtral-q8_0": ("MixtralConfig", EXPERTS, "LLAMA", T.Q8_0, False),
    "qwen2moe-f16": ("Qwen2MoeConfig", EXPERTS, "QWEN2MOE", T.F16, False),
    "qwen3moe-f16": ("Qwen3MoeConfig", EXPERTS | dict(head_dim=16, norm_topk_prob=True), "QWEN3MOE", T.F16, True),
    "phi2-f16": ("PhiConfig", SHAPE, "PHI2", T.F16, False),
    "chatglm-f16": ("GlmConfig", SHAPE | dict(head_dim=8), "CHATGLM", T.F16, False),
    "chatglm-original-f16": ("GlmConfig", SHAPE | dict(head_dim=8, attention_bias=True, rope_parameters=TWICE), "CHATGLM", T.F16, False),
    "glm4-f16": ("Glm4Config", SHAPE | dict(head_dim=8), "GLM4", T.F16, False),
    "stablelm-f16": ("StableLmConfig", SHAPE, "STABLELM", T.F16, False),
    "stablelm2-f16": ("StableLmConfig", SHAPE | dict(use_parallel_residual=True, qk_layernorm=True), "STABLELM", T.F16, False),
}


def convert(values, kind, rng, learnt=False):
    """Bytes of a type, and the values that they stand for."""
    if kind == T.F32:
        return values, values
    if learnt and kind in (T.IQ4_NL, T.IQ4_XS, T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K):  # the package cannot write these
        raw = by_ggml(np.ascontiguousarray(values), kind).reshape(values.shape[0], -1)
        return raw, np.ascontiguousarray(gguf.quants.dequantize(raw, kind).reshape(values.shape), dtype=np.float32)
    try:
        raw = gguf.quants.quantize(values, kind)
    except NotImplementedError:
        # The package cannot write it: random blocks, with the scales brought to the same spread.
        halves = dict(QUANTS)[kind]
        raw = random_blocks(rng, kind, halves, values.size).reshape(values.shape[0], -1)
        size = gguf.GGML_QUANT_SIZES[kind][1]
        factor = values.std() / gguf.quants.dequantize(raw, kind).std()
        blocks = raw.reshape(-1, size)
        for at in halves:
            d = blocks[:, at:at + 2].copy().view(np.float16).astype(np.float32) * factor
            blocks[:, at:at + 2] = d.astype(np.float16).view(np.uint8)
    back = raw.astype(np.float32) if kind == T.F16 else gguf.quants.dequantize(raw, kind).reshape(values.shape)
    return raw, np.ascontiguousarray(back, dtype=np.float32)


PAIRED = ("LLAMA", "MISTRAL3")


def pairwise(w, heads):
    """Llama's rotated pairs lie side by side in GGUF files, half a head apart in transformers."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def parameters(net, names):
    """Parameters that may be set in place, by transformers' names and by those of GGUF files."""
    done = set()
    for key, p in net.named_parameters():
        p = p.detach()
        layer = key.rsplit(".", 1)[0]
        if key.endswith("mlp.experts.gate_up_proj"):
            ff = p.shape[1] // 2
            for part, rows in (("gate", p[:, :ff]), ("up", p[:, ff:])):
                yield key, names.get_name(layer + f".{part}_proj") + ".weight", rows
        elif key.endswith("mlp.experts.down_proj"):
            yield key, names.get_name(key) + ".weight", p
        elif key.endswith("shared_expert_gate.weight"):
            yield key, names.get_name(key, try_suffixes=(".weight",)), p[0]
        elif "_layernorm.norms." in key:
            layer = layer.rsplit(".norms.", 1)[0]
            if layer in done:
                continue
            done.add(layer)
            norms = [m.weight.detach() for m in net.get_submodule(layer).norms]
            yield key, names.get_name(layer) + ".weight", Stacked(norms)
        else:
            short = names.get_name(key, try_suffixes=(".weight", ".bias"))
            assert short, key
            yield key, short, p


class Stacked:
    """Vectors of which a GGUF file makes one matrix."""

    def __init__(self, vectors):
        self.vectors = vectors

    def numpy(self):
        return np.stack([v.numpy() for v in self.vectors])

    def copy_(self, values):
        for vector, row in zip(self.vectors, values):
            vector.copy_(row)


def model(name, seed):
    import torch
    import transformers

    config_class, settings, arch, kinds, tied = MODELS[name]
    config = getattr(transformers, config_class)(**settings, tie_word_embeddings=tied, attn_implementation="eager")
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    out = os.path.join(ROOT, "internal/llm/engine/testdata", name + ".gguf")
    arch_id = gguf.MODEL_ARCH[arch]
    arch_name = gguf.MODEL_ARCH_NAMES[arch_id]
    w = gguf.GGUFWriter(out, arch_name)
    get = lambda key, default=None: getattr(config, key, default)
    heads, kv = config.num_attention_heads, get("num_key_value_heads") or config.num_attention_heads
    layers = config.num_hidden_layers
    w.add_name(name)
    w.add_block_count(layers)
    w.add_context_length(config.max_position_embeddings)
    w.add_embedding_length(config.hidden_size)
    w.add_feed_forward_length(get("intermediate_size") or config.n_inner)
    w.add_head_count(heads)
    w.add_head_count_kv(kv)
    if arch in ("GPT2", "PHI2", "STABLELM"):
        w.add_layer_norm_eps(get("layer_norm_epsilon") or get("layer_norm_eps"))
    else:
        w.add_layer_norm_rms_eps(config.rms_norm_eps)
    if get("num_experts_per_tok"):
        w.add_expert_count(get("num_local_experts") or config.num_experts)
        w.add_expert_used_count(config.num_experts_per_tok)
    if arch in ("QWEN2MOE", "QWEN3MOE"):
        w.add_expert_feed_forward_length(config.moe_intermediate_size)
    if arch == "QWEN2MOE":
        w.add_expert_shared_feed_forward_length(config.shared_expert_intermediate_size)
    if arch == "STABLELM":
        w.add_parallel_residual(config.use_parallel_residual)
    if arch != "GPT2":
        head = get("head_dim") or config.hidden_size // heads
        w.add_key_length(head)
        w.add_value_length(head)
        rope = config.rope_parameters
        rope = rope.get("full_attention", rope)
        w.add_rope_dimension_count(int(head * rope.get("partial_rotary_factor", 1)))
        w.add_rope_freq_base(rope["rope_theta"])
        kind = rope.get("rope_type", "default")
        if kind in ("linear", "yarn"):
            w.add_rope_scaling_type(gguf.RopeScalingType(kind))
            w.add_rope_scaling_factor(rope["factor"])
        if kind == "yarn":
            w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
            if rope.get("mscale_all_dim"):
                w.add_rope_scaling_yarn_log_mul(rope["mscale_all_dim"])
            if rope.get("llama_4_scaling_beta"):
                w.add_attn_temperature_scale(rope["llama_4_scaling_beta"])
        if kind == "longrope":
            w.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
            w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
            longer = config.max_position_embeddings / rope["original_max_position_embeddings"]
            w.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(longer) / np.log(rope["original_max_position_embeddings"]))))
            w.add_tensor("rope_factors_long.weight", np.array(rope["long_factor"], dtype=np.float32))
            w.add_tensor("rope_factors_short.weight", np.array(rope["short_factor"], dtype=np.float32))
        if kind == "llama3":
            freqs = 1.0 / (rope["rope_theta"] ** (np.arange(0, head, 2, dtype=np.float32) / head))
            low = rope["original_max_position_embeddings"] / rope["low_freq_factor"]
            high = rope["original_max_position_embeddings"] / rope["high_freq_factor"]
            factors = []
            for f in freqs:
                wavelen = 2 * np.pi / f
                if wavelen < high:
                    factors.append(1)
                elif wavelen > low:
                    factors.append(rope["factor"])
                else:
                    smooth = (rope["original_max_position_embeddings"] / wavelen - rope["low_freq_factor"]) / (rope["high_freq_factor"] - rope["low_freq_factor"])
                    factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
            w.add_tensor("rope_freqs.weight", np.array(factors, dtype=np.float32))
        if get("sliding_window") and arch in ("LLAMA", "GEMMA2", "GEMMA3"):
            w.add_sliding_window(config.sliding_window)
    if get("attn_logit_softcapping"):
        w.add_attn_logit_softcapping(config.attn_logit_softcapping)
        w.add_final_logit_softcapping(config.final_logit_softcapping)
    w.add_string("tokenizer.ggml.model", "none")

    names = gguf.get_tensor_name_map(arch_id, layers)
    rows = {}  # of products that are one in the file

    def put(short, v, **kind):
        layer, part, ending = (short.rsplit(".", 2) + [""])[:3]
        if name != ORIGINAL or part not in ("attn_q", "attn_k", "attn_v"):
            return w.add_tensor(short, v, **kind)
        three = rows.setdefault((layer, ending), {})
        three[part] = v
        if len(three) == 3:
            w.add_tensor(f"{layer}.attn_qkv.{ending}", np.concatenate([three["attn_q"], three["attn_k"], three["attn_v"]]), **kind)

    text = learn(net, names, kinds, rng) if name in LEARNT else None
    with torch.no_grad():
        for key, short, p in parameters(net, names):
            part = short.split(".")[-2]
            v = p.numpy()
            if v.ndim == 1 and part != "ffn_gate_inp_shexp" or part in ("attn_q_norm", "attn_k_norm"):
                v = v - ("norm" in key) if text is not None else rng.standard_normal(v.shape) * 0.1
                if "norm" in key or ".ln_" in key:
                    v += 0 if arch.startswith("GEMMA") or key.endswith(".bias") else 1
                v = v.astype(np.float32)
                p.copy_(torch.from_numpy(v))
                if arch.startswith("GEMMA") and "norm" in key:
                    v = v + 1  # transformers adds the 1, files have it
                if arch in PAIRED and part in ("attn_q", "attn_k"):
                    v = pairwise(v, heads if part == "attn_q" else kv)
                put(short, v)
                continue
            embeds = part in ("token_embd", "position_embd")
            if text is None:
                v = (rng.standard_normal(v.shape) * (1.0 if embeds else 2.0 / np.sqrt(v.shape[0 if arch == "GPT2" else -1]))).astype(np.float32)
            if embeds and arch.startswith("GEMMA"):
                # With norms after the layers, larger ones make every answer repeat its token.
                v *= (1 if arch == "GEMMA" else 0.4) / np.sqrt(config.hidden_size)
            linear = arch == "GPT2" and not embeds and "lm_head" not in key  # Conv1D: inputs first
            if linear:
                v = np.ascontiguousarray(v.T)
            raw, back = convert(v, kind := kind_of(part, kinds), rng, text is not None)
            if arch in PAIRED and part in ("attn_q", "attn_k"):
                # Rows move whole, so their bytes do.
                raw = pairwise(np.ascontiguousarray(raw), heads if part == "attn_q" else kv)
            p.copy_(torch.from_numpy(back.T.copy() if linear else back))
            put(short, np.ascontiguousarray(raw), raw_dtype=kind)
        w.write_header_to_file()
        w.write_kv_data_to_file()
        w.write_tensors_to_file()
        w.close()
    margin, distinct = golden(net, rng, out.removesuffix(".gguf") + ".golden", text)
    if name in CHECKPOINTS:
        checkpoint(name, net)
    if name in ADAPTERS:
        adapter(name, net, names, rng)
    return margin, distinct, os.path.getsize(out)


def kind_of(part, kinds):
    if part.startswith("ffn_gate_inp"):
        return T.F32
    return kinds[part] if isinstance(kinds, dict) else kinds


# Models that have learnt a text.
LEARNT = ["llama-yarn-f16", "phi3-long-f16", "llama-linear-bf16", "llama-q8_0", "llama-q4_0", "llama-q5_0", "llama-q5_1", "llama-iq4_nl", "llama-k", "mixtral-q8_0",
          "llama-q2_k", "llama-q3_k", "llama-q4_k", "llama-q5_k", "llama-q6_k", "llama-iq4_xs"]
FAR_APART = 8  # logits, of each place's token from the next


def learn(net, names, kinds, rng):
    """Teaches the model a text of random tokens, whose first PROMPT are the prompt, and returns it. Weights are rounded
    at each step as the file will have them, and the gradients go to the exact ones."""
    import torch

    text = torch.tensor(rng.integers(3, VOCAB, (1, PROMPT + STEPS)))
    with torch.no_grad():
        for p in net.parameters():
            if p.ndim > 1:
                p.normal_(0, 1 / np.sqrt(p.shape[-1]))
    matrices = [(kind_of(short.split(".")[-2], kinds), p) for _, short, p in parameters(net, names) if p.numpy().ndim > 1]
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for step in range(3000):
        exact = [p.clone() for _, p in matrices]
        for kind, p in matrices:
            flat = p.numpy().reshape(-1, p.shape[-1])
            p.copy_(torch.from_numpy(convert(flat, kind, rng, True)[1].reshape(p.shape)))
        logits = net(text[:, :-1]).logits[0, PROMPT - 1:]
        wanted = text[0, PROMPT:]
        others = logits.scatter(1, wanted[:, None], -torch.inf).max(1).values
        apart = logits.gather(1, wanted[:, None])[:, 0] - others
        if apart.min() > FAR_APART:
            for (_, p), w in zip(matrices, exact):
                p.copy_(w)
            return text[0].numpy()
        loss = torch.nn.functional.softplus(1.5 * FAR_APART - apart).mean()
        optimizer.zero_grad()
        loss.backward()
        for (_, p), w in zip(matrices, exact):
            p.copy_(w)
        optimizer.step()
    raise SystemExit(f"the text is not learnt: {apart.min():.1f} apart")


def golden(net, rng, path, text=None):
    import torch

    prompt = rng.integers(3, VOCAB, PROMPT) if text is None else text[:PROMPT]
    ids = torch.tensor(prompt[None])
    with torch.no_grad():
        logits = net(ids).logits[0].numpy()
        step, past, margin, answer = logits[-1], ids, np.inf, []
        for _ in range(STEPS):
            top = np.sort(step)[-2:]
            margin = min(margin, top[1] - top[0])
            answer.append(int(step.argmax()))
            past = torch.cat([past, torch.tensor([[answer[-1]]])], 1)
            step = net(past).logits[0, -1].numpy()
    with open(path, "wb") as f:
        f.write(np.array([PROMPT, STEPS, VOCAB], dtype="<u4").tobytes() + prompt.astype("<i4").tobytes())
        f.write(np.array(answer, dtype="<i4").tobytes() + logits.astype("<f4").tobytes())
    return margin, len(set(answer))


ORIGINAL = "chatglm-original-f16"  # as the code that came with ChatGLM's checkpoints keeps it


def original(tensors, config, path):
    """Renames tensors, joins queries, keys and values, and writes config.json in its words."""
    import json

    import torch

    out = {"transformer.rotary_pos_emb.inv_freq": torch.ones(2)}
    for key, v in tensors.items():
        for here, there in (("model.embed_tokens", "transformer.embedding.word_embeddings"), ("model.norm", "transformer.encoder.final_layernorm"), ("lm_head", "transformer.output_layer"),
                            ("model.layers", "transformer.encoder.layers"), ("self_attn.o_proj", "self_attention.dense"), ("mlp.gate_up_proj", "mlp.dense_h_to_4h"),
                            ("mlp.down_proj", "mlp.dense_4h_to_h")):
            key = key.replace(here, there)
        if ".q_proj." in key:
            three = [tensors[key.replace("transformer.encoder.layers", "model.layers").replace("q_proj", f"{x}_proj")] for x in "qkv"]
            out[key.replace("self_attn.q_proj", "self_attention.query_key_value")] = torch.cat(three)
        elif ".self_attn." not in key:
            out[key] = v
    with open(path, "w") as f:
        json.dump(dict(architectures=["ChatGLMModel"], model_type="chatglm", add_bias_linear=False, add_qkv_bias=True, apply_residual_connection_post_layernorm=False,
                       ffn_hidden_size=config.intermediate_size, hidden_size=config.hidden_size, kv_channels=config.head_dim, layernorm_epsilon=config.rms_norm_eps,
                       multi_query_attention=True, multi_query_group_num=config.num_key_value_heads, num_attention_heads=config.num_attention_heads,
                       num_layers=config.num_hidden_layers, original_rope=True, padded_vocab_size=config.vocab_size, post_layer_norm=True, rmsnorm=True,
                       rope_ratio=TWICE["rope_theta"] / 10000, seq_length=config.max_position_embeddings, eos_token_id=2, pad_token_id=0), f, indent=1)
    return out


CHECKPOINTS = ["llama3-f16", "llama-yarn-f16", "mistral-f16", "mixtral-f16", "qwen2-f16", "qwen2moe-f16", "qwen3-f16", "qwen3moe-f16", "gemma-f16",
               "gemma2-f16", "gemma3-f16", "phi2-f16", "phi3-f16", "phi3-long-f16", "gpt2-f16", "chatglm-f16", "chatglm-original-f16", "glm4-f16", "mistral3-f16", "stablelm-f16", "stablelm2-f16"]


def checkpoint(name, net):
    """Writes internal/llm/convert/testdata/NAME: matrices in half precision, vectors as they are."""
    import json
    import shutil
    import tempfile

    import safetensors.torch
    import torch

    out = os.path.join(ROOT, "internal/llm/convert/testdata", name)
    os.makedirs(out, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        net.save_pretrained(work)
        tensors = safetensors.torch.load_file(os.path.join(work, "model.safetensors"))
        shutil.copy(os.path.join(work, "config.json"), out)
    if name == ORIGINAL:
        tensors = original(tensors, net.config, os.path.join(out, "config.json"))
    for key, v in tensors.items():
        if v.ndim > 1 and "gate.weight" not in key and "relative" not in key:
            tensors[key] = v.to(torch.float16)
    if name.startswith("mistral"):  # in parts, as large checkpoints come
        keys = sorted(tensors)
        parts = {f"model-0000{i + 1}-of-00002.safetensors": keys[i::2] for i in range(2)}
        for file, own in parts.items():
            safetensors.torch.save_file({k: tensors[k] for k in own}, os.path.join(out, file))
        with open(os.path.join(out, "model.safetensors.index.json"), "w") as f:
            json.dump({"weight_map": {k: file for file, own in parts.items() for k in own}}, f, indent=1)
    else:
        safetensors.torch.save_file(tensors, os.path.join(out, "model.safetensors"))


# The products that adapters change.
ADAPTERS = {
    "llama-f32": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"],
    "phi3-f16": ["qkv_proj", "gate_up_proj", "down_proj"],
}


def adapter(name, net, names, rng):
    import peft
    import torch

    rank, alpha = 4, 6
    arch = MODELS[name][2]
    config = net.config
    tuned = peft.get_peft_model(net, peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=ADAPTERS[name])).eval()
    out = os.path.join(ROOT, "internal/llm/engine/testdata", name + ".lora")
    w = gguf.GGUFWriter(out + ".gguf", gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH[arch]])
    w.add_type("adapter")
    w.add_string("adapter.type", "lora")
    w.add_float32("adapter.lora.alpha", alpha)
    with torch.no_grad():
        for key, p in tuned.named_parameters():
            if ".lora_" not in key:
                continue
            base, half = key.removeprefix("base_model.model.").removesuffix(".default.weight").rsplit(".", 1)
            short = names.get_name(base) + ".weight." + half.lower()
            v = (rng.standard_normal(p.shape) * 0.2).astype(np.float32)
            p.copy_(torch.from_numpy(v))
            if half == "lora_B" and arch == "LLAMA" and base.endswith(("q_proj", "k_proj")):
                v = pairwise(v, config.num_attention_heads if base.endswith("q_proj") else config.num_key_value_heads)
            w.add_tensor(short, np.ascontiguousarray(v))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    margin, distinct = golden(tuned, rng, out + ".golden")
    print(f"{name}.lora: margin {margin:.4f}, {distinct} tokens", flush=True)


T5 = {
    "t5-f16": dict(feed_forward_proj="relu", tie_word_embeddings=True, scale_decoder_outputs=True),
    "t5-gated-f16": dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False, scale_decoder_outputs=False),
}


def t5(name, seed):
    """An encoder-decoder's golden file: the prompt is the encoder's, the logits are those of the first tokens of the answer."""
    import torch
    import transformers

    config = transformers.T5Config(vocab_size=VOCAB, d_model=32, d_kv=16, d_ff=64, num_layers=LAYERS, num_heads=4, n_positions=128, pad_token_id=0,
                                   decoder_start_token_id=0, relative_attention_num_buckets=16, **T5[name])
    rng = np.random.default_rng(seed)
    net = transformers.T5ForConditionalGeneration(config).float().eval()
    if not T5[name]["tie_word_embeddings"]:
        net.lm_head.weight = torch.nn.Parameter(net.lm_head.weight.detach().clone())
    out = os.path.join(ROOT, "internal/llm/engine/testdata", name + ".gguf")
    w = gguf.GGUFWriter(out, "t5")
    w.add_name(name)
    w.add_context_length(config.n_positions)
    w.add_embedding_length(config.d_model)
    w.add_feed_forward_length(config.d_ff)
    w.add_block_count(config.num_layers)
    w.add_decoder_block_count(config.num_decoder_layers)
    w.add_head_count(config.num_heads)
    w.add_key_length(config.d_kv)
    w.add_value_length(config.d_kv)
    w.add_relative_attn_buckets_count(config.relative_attention_num_buckets)
    w.add_layer_norm_eps(config.layer_norm_epsilon)
    w.add_layer_norm_rms_eps(config.layer_norm_epsilon)
    w.add_decoder_start_token_id(config.decoder_start_token_id)
    w.add_string("tokenizer.ggml.model", "none")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.T5, LAYERS)
    with torch.no_grad():
        for key, p in net.named_parameters():
            short = names.get_name(key, try_suffixes=(".weight",))
            if p.ndim == 1 or "relative" in key:
                v = (rng.standard_normal(tuple(p.shape)) * 0.3 + (p.ndim == 1)).astype(np.float32)
                p.copy_(torch.from_numpy(v))
                w.add_tensor(short, v)
                continue
            # Large embeddings make every answer repeat its token.
            scale = 0.3 if key == "shared.weight" else 3.0 / np.sqrt(p.shape[1])
            if ".q." in key:
                scale /= np.sqrt(config.d_kv)  # scores are not scaled
            raw, back = convert((rng.standard_normal(tuple(p.shape)) * scale).astype(np.float32), T.F16, rng)
            p.copy_(torch.from_numpy(back))
            w.add_tensor(short, np.ascontiguousarray(raw), raw_dtype=T.F16)
        w.write_header_to_file()
        w.write_kv_data_to_file()
        w.write_tensors_to_file()
        w.close()
        checkpoint(name, net)
        prompt = rng.integers(3, VOCAB, PROMPT)
        past, margin, answer, rows = torch.tensor([[config.decoder_start_token_id]]), np.inf, [], []
        for _ in range(STEPS):
            step = net(input_ids=torch.tensor(prompt[None]), decoder_input_ids=past).logits[0, -1].numpy()
            top = np.sort(step)[-2:]
            margin = min(margin, top[1] - top[0])
            answer.append(int(step.argmax()))
            rows.append(step)
            past = torch.cat([past, torch.tensor([[answer[-1]]])], 1)
    with open(out.removesuffix(".gguf") + ".golden", "wb") as f:
        f.write(np.array([PROMPT, STEPS, VOCAB], dtype="<u4").tobytes() + prompt.astype("<i4").tobytes())
        f.write(np.array(answer, dtype="<i4").tobytes() + np.stack(rows[:PROMPT]).astype("<f4").tobytes())
    return margin, len(set(answer)), os.path.getsize(out)


def models():
    os.makedirs(os.path.join(ROOT, "internal/llm/engine/testdata"), exist_ok=True)
    only = os.environ.get("MODELS", "").split()
    for name in list(MODELS) + list(T5):
        if only and name not in only:
            continue
        for seed in range(100):
            margin, distinct, size = (t5 if name in T5 else model)(name, seed)
            if margin > (0.001 if "gemma" in name or "t5" in name else 0.004) and distinct > 8:
                break
        print(f"{name}: seed {seed}, margin {margin:.4f}, {distinct} tokens, {size} bytes", flush=True)


if __name__ == "__main__":
    for what in sys.argv[1:] or ["quants", "models"]:
        {"quants": quants, "rounded": rounded, "models": models}[what]()
