#!/usr/bin/env python3
"""Small transformers with random weights as ONNX files, and relevance by a second derivation of AttnLRP and CP-LRP.

    pip install -r tools/requirements.txt
    python tools/make_attention_references.py

Writes tests/attention/NAME.ts.onnx (TorchScript, operator set 17) and NAME.dynamo.onnx (dynamo, operator set 20), and
tests/attention/references.npz with, for each network, the inputs, the output, the position in the output that is explained, and the
relevance of each token or pixel in float64: NAME.attn, and NAME.cp with the softmax as a constant. NAME.npz has the inputs for the program.

The derivation (Achtibat et al. 2024) is gradient × input of a changed model, by autograd, and shares nothing with our program:
the scales of normalisations are detached, activations are x · (f(x) / x) with the bracket detached, and both factors of a product of
two activations have half of their gradient. For CP-LRP the softmax is detached, and values have their whole gradient.
"""

import contextlib
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import transformers
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore")
OUT = Path(__file__).resolve().parents[1] / "tests" / "attention"
VOCABULARY, TOKENS, WIDTH = 61, 6, 16


class Wrapped(nn.Module):
    """A network with plain tensors as inputs and output."""

    def __init__(self, net, call):
        super().__init__()
        self.net, self.call = net, call

    def forward(self, *inputs):
        return self.call(self.net, *inputs)


def config(kind, **options):
    made = kind(**options)
    made._attn_implementation = "eager"
    return made


def bert():
    c = config(
        transformers.BertConfig, vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=16, num_labels=3,
    )
    net = transformers.BertForSequenceClassification(c)
    return net, lambda m, ids, mask: m(input_ids=ids, attention_mask=mask).logits, net.bert.embeddings.word_embeddings


def gpt2():
    c = config(transformers.GPT2Config, vocab_size=VOCABULARY, n_embd=WIDTH, n_layer=2, n_head=2, n_positions=16)
    net = transformers.GPT2LMHeadModel(c)
    return net, lambda m, ids: m(input_ids=ids, use_cache=False).logits[:, -1], net.transformer.wte


def llama():
    c = config(
        transformers.LlamaConfig, vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, intermediate_size=24, max_position_embeddings=16,
    )
    net = transformers.LlamaForCausalLM(c)
    return net, lambda m, ids: m(input_ids=ids, use_cache=False).logits[:, -1], net.model.embed_tokens


def vit():
    c = config(
        transformers.ViTConfig, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        image_size=12, patch_size=4, num_labels=5,
    )
    return transformers.ViTForImageClassification(c), lambda m, x: m(pixel_values=x).logits, None


# Their masks are made by operators that the TorchScript exporter does not know.
ONLY_DYNAMO = ["gpt2", "llama"]

NETWORKS = {"bert": bert, "gpt2": gpt2, "llama": llama, "vit": vit}


def half(x):
    return 0.5 * x + 0.5 * x.detach()


def passed(function):
    """The function, whose gradient × input is that of its output."""

    def changed(x, *args, **kwargs):
        y = function(x, *args, **kwargs)
        # Where x is zero, so is its relevance.
        return x * torch.where(x == 0, torch.zeros_like(x), y / x).detach()

    return changed


def layer_norm(self, x):
    centred = x - x.mean(-1, keepdim=True)
    scale = (x.var(-1, unbiased=False, keepdim=True) + self.eps).sqrt().detach()
    return centred / scale * self.weight + self.bias


def rms_norm(self, x):
    return x / (x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon).sqrt().detach() * self.weight


def llama_mlp(self, x):
    return self.down_proj(half(passed(F.silu)(self.gate_proj(x))) * half(self.up_proj(x)))


@contextlib.contextmanager
def changed(constant_softmax):
    from transformers.models.llama import modeling_llama

    kept = []

    def patch(owner, name, value):
        kept.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    matmul, softmax = torch.matmul, F.softmax

    def product(a, b):
        if not (a.requires_grad and b.requires_grad):
            return matmul(a, b)
        return matmul(half(a), half(b))

    patch(torch, "matmul", product)
    patch(F, "softmax", lambda *a, **k: softmax(*a, **k).detach() if constant_softmax else softmax(*a, **k))
    patch(nn.LayerNorm, "forward", layer_norm)
    patch(modeling_llama.LlamaRMSNorm, "forward", rms_norm)
    patch(modeling_llama.LlamaMLP, "forward", llama_mlp)
    for name in ("GELUActivation", "NewGELUActivation"):
        owner = getattr(transformers.activations, name)
        original = owner.forward
        patch(owner, "forward", lambda self, x, original=original: passed(lambda v: original(self, v))(x))
    patch(nn.Tanh, "forward", lambda self, x: passed(torch.tanh)(x))
    try:
        yield
    finally:
        for owner, name, value in reversed(kept):
            setattr(owner, name, value)


def relevance(net, inputs, embedding, place, constant_softmax):
    seen = []
    if embedding is None:
        pixels = inputs[0].clone().requires_grad_(True)
        inputs = [pixels, *inputs[1:]]
        seen.append(pixels)
    else:
        # The first call is the one for the ids.
        def hook(_, __, output):
            leaf = output.detach().clone().requires_grad_(True)
            seen.append(leaf)
            return leaf

        handle = embedding.register_forward_hook(hook)
    with changed(constant_softmax):
        y = net(*inputs)
        y[0, place].backward()
    if embedding is not None:
        handle.remove()
    leaf = seen[0]
    r = leaf * leaf.grad
    return y.detach(), r if embedding is None else r.sum(-1)


def main():
    OUT.mkdir(exist_ok=True)
    arrays = {}
    for name, make in NETWORKS.items():
        torch.manual_seed(3)
        net, call, embedding = make()
        for parameter in net.parameters():
            # Biases and scales that are not 0 and 1.
            if parameter.dim() == 1:
                parameter.data += 0.1 * torch.randn_like(parameter)
            else:
                parameter.data = torch.randn_like(parameter) * (0.5 if embedding is None else 0.4)
        net = Wrapped(net, call).eval()
        if name == "vit":
            inputs, names = [torch.randn(1, 3, 12, 12)], ["x"]
        else:
            inputs, names = [torch.randint(1, VOCABULARY, (1, TOKENS))], ["input_ids"]
        if name == "bert":
            inputs.append(torch.tensor([[1] * (TOKENS - 2) + [0, 0]]))
            names.append("attention_mask")
        for exporter in ("ts", "dynamo"):
            if exporter == "ts" and name in ONLY_DYNAMO:
                continue
            path = OUT / f"{name}.{exporter}.onnx"
            if exporter == "ts":
                axes = {input: {0: "N"} for input in names}
                torch.onnx.export(
                    net, tuple(inputs), path, input_names=names, output_names=["y"], opset_version=17, dynamo=False,
                    dynamic_axes=axes,
                )
            else:
                torch.onnx.export(
                    net, tuple(inputs), path, input_names=names, output_names=["y"], opset_version=20, dynamo=True,
                    external_data=False,
                )
            session = onnxruntime.InferenceSession(path)
            given = {input: value.numpy() for input, value in zip(names, inputs)}
            y = session.run(None, given)[0]
            expected = net(*inputs).detach().numpy()
            assert np.abs(y - expected).max() < 1e-4, (name, exporter, np.abs(y - expected).max())
        double = net.double()
        wide = [x.double() if x.is_floating_point() else x for x in inputs]
        place = int(double(*wide)[0].argmax())
        for key, constant in ("attn", False), ("cp", True):
            y, r = relevance(double, wide, embedding, place, constant)
            arrays[f"{name}.{key}"] = r.detach().numpy()
            print(f"{name}.{key}: output {float(y[0, place]):.4f}, relevance {float(r.sum()):.4f}")
        arrays[f"{name}.y"], arrays[f"{name}.place"] = y.numpy(), np.array([place])
        for input, value in zip(names, inputs):
            arrays[f"{name}.{input}"] = value.numpy()
        # As the program takes them.
        np.savez(OUT / f"{name}.npz", **{input: value.numpy() for input, value in zip(names, inputs)})
    np.savez_compressed(OUT / "references.npz", **arrays)


if __name__ == "__main__":
    main()
