"""Writes f32.onnx, int8.onnx and hugot.onnx of a sentence-transformers checkpoint into a folder.

    python export.py MODEL_DIR ONNX_DIR

float32 is torch's export, with attention, layer norms and GELU fused by onnxruntime's own optimiser
for transformers; int8 is that, quantised dynamically with a scale for each output channel. hugot.onnx is
for a reader that knows neither the fused operators nor those by which transformers makes its mask: the
mask is plain arithmetic there, and onnxruntime has folded the constants.
"""
import pathlib
import sys

import onnx
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers import optimizer
from transformers import AutoModel

model_dir, out = sys.argv[1], pathlib.Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)
model = AutoModel.from_pretrained(model_dir, attn_implementation="eager").eval()


class Hidden(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).last_hidden_state


class PlainMask(Hidden):
    def forward(self, input_ids, attention_mask, token_type_ids):
        x = self.model.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
        mask = (1 - attention_mask.float())[:, None, None] * -10000.0
        for layer in self.model.encoder.layer:
            x = layer(x, mask)
            x = x[0] if isinstance(x, tuple) else x
        return x


def export(module, path):
    ids = torch.ones(2, 16, dtype=torch.long)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    torch.onnx.export(
        module, (ids, ids, torch.zeros_like(ids)), path, input_names=names, output_names=["hidden"],
        dynamic_axes={n: {0: "batch", 1: "length"} for n in [*names, "hidden"]}, opset_version=17, dynamo=False,
    )


export(Hidden(), out / "plain.onnx")
m = optimizer.optimize_model(str(out / "plain.onnx"), model_type="bert", num_heads=12, hidden_size=384, opt_level=0)
print("fused:", m.get_fused_operator_statistics())
m.save_model_to_file(str(out / "f32.onnx"))
quantize_dynamic(
    out / "f32.onnx", out / "int8.onnx", per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Attention"],
    extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
)

export(PlainMask(), out / "plain.onnx")
options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
options.optimized_model_filepath = str(out / "hugot.onnx")
onnxruntime.InferenceSession(out / "plain.onnx", options, providers=["CPUExecutionProvider"])
(out / "plain.onnx").unlink()
