#!/usr/bin/env python3
"""Small transformers with random weights as ONNX files, and relevance by a second derivation of AttnLRP and CP-LRP.

    pip install -r tools/requirements.txt
    python tools/make_attention_references.py

Writes tests/attention/NAME.ts.onnx (TorchScript, operator set 17) and NAME.dynamo.onnx (dynamo, operator set 20), and
tests/attention/references.npz with, for each network, the inputs, the output, the position in the output that is explained, and the
relevance of each token or pixel in float64: NAME.attn, and NAME.cp with the softmax as a constant; Mamba, which has none, has the parameters of
its state space as constants in both. NAME.npz has the inputs for the program.

The derivation (Achtibat et al. 2024) is gradient × input of a changed model, by autograd, and shares nothing with our program:
the scales of normalisations are detached, activations are x · (f(x) / x) with the bracket detached, and both factors of a product of
two activations have half of their gradient. For CP-LRP the softmax is detached, and values have their whole gradient.
"""

import contextlib
import warnings
from pathlib import Path

import numpy as np
import onnx
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


def clip():
    c = config(
        transformers.CLIPTextConfig, vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=16, eos_token_id=2,
    )
    net = transformers.CLIPTextModel(c)
    return net, lambda m, ids: m(input_ids=ids).pooler_output, net.get_input_embeddings()


def t5():
    c = config(
        transformers.T5Config, vocab_size=VOCABULARY, d_model=WIDTH, d_kv=8, d_ff=24, num_layers=2, num_heads=2,
        relative_attention_num_buckets=8, relative_attention_max_distance=16, feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
    )
    net = transformers.T5ForConditionalGeneration(c)

    def call(m, ids, written):
        return m(input_ids=ids, decoder_input_ids=written, use_cache=False).logits[:, -1]

    return net, call, (net.encoder.embed_tokens, net.decoder.embed_tokens)


def swin():
    c = config(
        transformers.SwinConfig, image_size=16, patch_size=2, embed_dim=8, depths=[2, 1], num_heads=[1, 2], window_size=2,
        num_labels=5,
    )
    return transformers.SwinForImageClassification(c), lambda m, x: m(pixel_values=x).logits, None


def swinv2():
    c = config(
        transformers.Swinv2Config, image_size=16, patch_size=2, embed_dim=8, depths=[2, 1], num_heads=[1, 2], window_size=2,
        num_labels=5,
    )
    return transformers.Swinv2ForImageClassification(c), lambda m, x: m(pixel_values=x).logits, None


class Attention(nn.Module):
    """With products that `changed` knows."""

    def __init__(self, heads=2):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x, memory):
        def split(layer, x):
            return layer(x).reshape(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

        q, k, v = split(self.q, x), split(self.k, memory), split(self.v, memory)
        weights = F.softmax(torch.matmul(q, k.transpose(-2, -1)) / (WIDTH // self.heads) ** 0.5, dim=-1)
        return self.out(torch.matmul(weights, v).transpose(1, 2).reshape(x.shape))


class Detr(nn.Module):
    """Boxes of learned queries, which look at the features of a convolution (Carion et al. 2020), in small."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTH, 4, stride=4)
        self.positions = nn.Parameter(torch.randn(1, 9, WIDTH))
        self.queries = nn.Parameter(torch.randn(1, 4, WIDTH))
        self.encoder, self.own, self.cross = Attention(), Attention(), Attention()
        self.up, self.down = nn.Linear(WIDTH, 24), nn.Linear(24, WIDTH)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(4))
        self.classes = nn.Linear(WIDTH, 5)

    def forward(self, x):
        memory = self.stem(x).flatten(2).transpose(1, 2) + self.positions
        memory = self.norms[0](memory + self.encoder(memory, memory))
        y = self.queries.expand(x.shape[0], -1, -1)
        y = self.norms[1](y + self.own(y, y))
        y = self.norms[2](y + self.cross(y, memory))
        y = self.norms[3](y + self.down(F.relu(self.up(y))))
        return self.classes(y)


def detr():
    return Detr(), lambda m, x: m(x)[:, 1], None


def mamba():
    c = transformers.MambaConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, state_size=4, num_hidden_layers=2, time_step_rank=3, conv_kernel=3,
        pad_token_id=0, bos_token_id=0, eos_token_id=0,
    )
    net = transformers.MambaForCausalLM(c)
    # MambaLRP (Jafari et al. 2024): the parameters of the state space are constants, and the gate and the signal have half each.
    for block in net.backbone.layers:
        block.mixer.x_proj.register_forward_hook(lambda _, __, y: y.detach() if CHANGED else y)
        block.mixer.out_proj.register_forward_pre_hook(lambda _, xs: (half(xs[0]),) if CHANGED else xs)
    return net, lambda m, ids: m(input_ids=ids, use_cache=False).logits[:, -1], net.backbone.embeddings


# Whether networks are those of the derivation now.
CHANGED = []

# Their masks are made by operators that the TorchScript exporter does not know.
ONLY_DYNAMO = ["gpt2", "llama"]

# The height and width of pictures.
PIXELS = {"vit": 12, "swin": 16, "swinv2": 16, "detr": 12}

NETWORKS = {"bert": bert, "gpt2": gpt2, "llama": llama, "vit": vit, "clip": clip, "t5": t5, "swin": swin, "swinv2": swinv2, "detr": detr, "mamba": mamba}


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
    return self.down_proj(half(F.silu(self.gate_proj(x))) * half(self.up_proj(x)))


def t5_mlp(self, x):
    return self.wo(half(self.act(self.wi_0(x))) * half(self.wi_1(x)))


@contextlib.contextmanager
def changed(constant_softmax):
    from transformers.models.llama import modeling_llama
    from transformers.models.mamba import modeling_mamba
    from transformers.models.t5 import modeling_t5

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
    patch(torch.Tensor, "__matmul__", product)
    patch(F, "softmax", lambda *a, **k: softmax(*a, **k).detach() if constant_softmax else softmax(*a, **k))
    patch(nn.LayerNorm, "forward", layer_norm)
    patch(modeling_llama.LlamaRMSNorm, "forward", rms_norm)
    patch(modeling_llama.LlamaMLP, "forward", llama_mlp)
    patch(modeling_t5.T5LayerNorm, "forward", rms_norm)
    patch(modeling_t5.T5DenseGatedActDense, "forward", t5_mlp)
    for name in ("GELUActivation", "NewGELUActivation", "QuickGELUActivation"):
        owner = getattr(transformers.activations, name)
        original = owner.forward
        patch(owner, "forward", lambda self, x, original=original: passed(lambda v: original(self, v))(x))
    patch(F, "silu", passed(F.silu))
    patch(modeling_mamba.MambaRMSNorm, "forward", rms_norm)
    patch(F, "normalize", lambda x, dim=1, eps=1e-12, **_: x / x.norm(dim=dim, keepdim=True).clamp_min(eps).detach())
    CHANGED.append(True)
    patch(nn.Tanh, "forward", lambda self, x: passed(torch.tanh)(x))
    try:
        yield
    finally:
        CHANGED.clear()
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

        embeddings = embedding if isinstance(embedding, tuple) else (embedding,)
        handles = [module.register_forward_hook(hook) for module in embeddings]
    with changed(constant_softmax):
        y = net(*inputs)
        y[0, place].backward()
    if embedding is not None:
        for handle in handles:
            handle.remove()
    leaf = seen[0]
    r = leaf * leaf.grad
    return y.detach(), r if embedding is None else r.sum(-1)


def without_traces(path):
    """The file without the lines of Python code that each node came from, which are most of it."""
    model = onnx.load(path)
    graphs = [model.graph, *model.functions]
    for graph in graphs:
        for node in graph.node:
            kept = [p for p in node.metadata_props if not p.key.endswith(("stack_trace", "fx_node"))]
            del node.metadata_props[:]
            node.metadata_props.extend(kept)
    onnx.save(model, path)


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
        # A product with parameters is one with a constant.
        net = Wrapped(net, call).eval().requires_grad_(False)
        if name in PIXELS:
            inputs, names = [torch.randn(1, 3, PIXELS[name], PIXELS[name])], ["x"]
        else:
            inputs, names = [torch.randint(1, VOCABULARY, (1, TOKENS))], ["input_ids"]
        if name == "bert":
            inputs.append(torch.tensor([[1] * (TOKENS - 2) + [0, 0]]))
            names.append("attention_mask")
        if name == "t5":
            inputs.append(torch.randint(1, VOCABULARY, (1, 4)))
            names.append("decoder_input_ids")
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
                without_traces(path)
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
