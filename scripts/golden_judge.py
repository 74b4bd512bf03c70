#!/usr/bin/env python3
"""Writes chain/testdata/judge.json: how likely transformers finds a question after each of some passages.

    pip install gguf torch transformers
    python scripts/golden_judge.py

The model is internal/llm/engine/testdata/llama-f32.gguf with characters for tokens, as internal/llm/llmtest gives it;
the prompt is worded and put into ChatML here once more, so that chain.Judge is checked as a whole. A score is the
geometric mean of the probabilities of the question's tokens.
"""
import json
import os

import gguf
import torch
import transformers

from golden_llm import ROOT, SHAPE

QUESTION = "when is the pump oiled?"
PASSAGES = [
    "The pump is oiled in spring, before it is first used.",
    "A hose, a pump and a tank are in the shed.",
    "Annual leave is thirty days, of which ten can be taken over.",
    "when is the pump oiled? when is the pump oiled? when is the pump oiled?",
    "xyz",
    "Of all that is  kept\n\nhere, nothing is older than the wooden tank.",
]
TOKENS = ["<|bos|>", "<|im_start|>", "<|im_end|>", " ", "\n"] + [chr(c) for c in range(ord("!"), ord("~") + 1) if chr(c) not in "^`@"]


def load():
    config = transformers.LlamaConfig(**SHAPE, attn_implementation="eager")
    net = transformers.LlamaForCausalLM(config).float().eval()
    weights = {t.name: torch.from_numpy(t.data.copy()) for t in gguf.GGUFReader(os.path.join(ROOT, "internal/llm/engine/testdata/llama-f32.gguf")).tensors}

    def halves(w, heads):  # the file has the two halves of each head's rotated pairs side by side
        return w.reshape(heads, -1, 2, w.shape[-1]).swapaxes(1, 2).reshape(w.shape)

    state = {"model.embed_tokens.weight": weights["token_embd.weight"], "model.norm.weight": weights["output_norm.weight"], "lm_head.weight": weights["output.weight"]}
    for i in range(config.num_hidden_layers):
        to, of = f"model.layers.{i}.", f"blk.{i}."
        for ours, theirs in (("attn_v", "self_attn.v_proj"), ("attn_output", "self_attn.o_proj"), ("ffn_gate", "mlp.gate_proj"), ("ffn_up", "mlp.up_proj"),
                             ("ffn_down", "mlp.down_proj"), ("attn_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm")):
            state[to + theirs + ".weight"] = weights[of + ours + ".weight"]
        state[to + "self_attn.q_proj.weight"] = halves(weights[of + "attn_q.weight"], config.num_attention_heads)
        state[to + "self_attn.k_proj.weight"] = halves(weights[of + "attn_k.weight"], config.num_key_value_heads)
    missing = net.load_state_dict(state, strict=False)
    assert not missing.missing_keys and not missing.unexpected_keys, missing
    return net


def main():
    net = load()
    letters = lambda text: [TOKENS.index(c) for c in text]
    question = letters(QUESTION)
    scores = []
    for passage in PASSAGES:
        ask = f"Passage: {' '.join(passage.split())}\n\nPlease write a question based on this passage."
        prompt = [1] + letters(f"user\n{ask}") + [2] + letters("\n") + [1] + letters("assistant\n")
        with torch.no_grad():
            logits = net(torch.tensor([prompt + question])).logits[0, len(prompt) - 1:-1]
        chosen = torch.log_softmax(logits, -1)[range(len(question)), question]
        scores.append(chosen.mean().exp().item())
    path = os.path.join(ROOT, "chain/testdata/judge.json")
    with open(path, "w") as out:
        json.dump({"question": QUESTION, "passages": PASSAGES, "scores": scores}, out, indent=1)
        out.write("\n")
    print(scores)


main()
