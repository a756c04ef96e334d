#!/usr/bin/env python3
"""Reference relevances of the two bundled MNIST networks, by zennit 0.5.1 in float64.

    pip install -r tools/requirements.txt
    python tools/make_references.py

Reads examples/mnist/{cnn,clever-hans}.onnx and examples/mnist/digits.npy, writes cnn.npz and clever_hans.npz to
tests/references/. The torch modules are rebuilt from the ONNX files' weights, so retraining is not needed; their
forward pass is checked against onnxruntime. For the 16 digits the target is the argmax of the logits, and the starting
relevance is the logit at the target unless a case says otherwise. tests/references/README.md lists the keys.

What zennit does, read in its source (rules.py, composites.py, core.py, types.py)
==================================================================================

A composite maps module types to rules; the first entry that matches decides. Whatever no entry matches - here max
pooling and flatten - is a plain gradient: max pooling hands its relevance to the winner (the first of equals).

Shared by the five LRP composites (`layer_map_base`):
  any activation                    Pass            relevance unchanged
  zennit.layer.Sum                  Norm(1e-6)      epsilon without weights
  average pooling                   Norm(1e-6)
  batch norm                        Pass
and then, per composite (defaults: epsilon 1e-6, gamma 0.25, stabilizer 1e-6; `zero_params=None`, so every bias takes
part in the denominators):
                                    first layer     other convolutions    other Linear
  EpsilonPlus                       -               ZPlus                 Epsilon
  EpsilonPlusFlat                   Flat            ZPlus                 Epsilon
  EpsilonAlpha2Beta1                -               AlphaBeta(2, 1)       Epsilon
  EpsilonAlpha2Beta1Flat            Flat            AlphaBeta(2, 1)       Epsilon
  EpsilonGammaBox(low=0, high=1)    ZBox(0, 1)      Gamma(0.25)           Epsilon
"Convolution" includes transposed convolutions. "First" is the first module of the type in registration order: for Flat
a convolution or Linear, for ZBox a convolution only.

  ExcitationBackprop                average pooling and Sum: Norm(1e-6); convolutions and Linear, the first layer
                                    included: ZPlus(1e-6). The positive bias takes part in the denominator (absorbed),
                                    unlike in the paper, where biases play no part; zero_params=["bias"] would leave
                                    them out. Activations and batch norm are not mapped: plain gradient. For a ReLU that
                                    is the same as Pass, since ZPlus gives an input of 0 no relevance.
  GuidedBackprop                    ReLU: gradient * (relevance from above > 0), that is R * (z > 0) * (R > 0).
                                    Everything else: plain gradient, average pooling too.
  DeconvNet                         ReLU: max(R, 0), whatever z was. Everything else: plain gradient.
  BetaSmooth                        left out: a smooth surrogate of the gradient, not a relevance.

Rules, where one could take them otherwise (R arrives from above, stab(z) = z + 1e-6 * (+1 if z >= 0 else -1)):
  Epsilon     R / stab(z), z with bias.
  Norm        the same, without weights.
  Gamma       the generalized rule. z > 0: numerators x+(w + g w+) + x-(w + g w-), denominator with b + g b+; z < 0:
              w+ and w- change places, b + g b-. z = 0 exactly: R is dropped. The case is decided by the plain output z,
              which includes the bias even with zero_params=["bias"]: only the denominators lose it then.
  AlphaBeta   a (x+w+ + x-w-)/stab(z+) - b (x+w- + x-w+)/stab(z-); b+ belongs to z+, b- to z-.
  ZPlus       AlphaBeta(1, 0).
  WSquare     R w^2 / stab(sum w^2 + b^2): b^2 takes part unless zero_params=["bias"].
  Flat        R / stab(number of connected inputs): never a bias; padding is no input.
  ZBox        x w - low w+ - high w-; the bias cancels; padding is no input.
Epsilon(epsilon=0) divides 0 by 0 where z = 0. Here "zero" is gradient x input instead, by autograd in float64, which is
the same thing for a network of affine, ReLU and pooling layers in which no z is exactly 0 (none is, here).
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch import nn
from zennit import composites
from zennit.attribution import Gradient
from zennit.composites import LayerMapComposite, SpecialFirstLayerMapComposite, layer_map_base
from zennit.rules import AlphaBeta, Epsilon, Flat, Gamma, WSquare, ZBox, ZPlus
from zennit.types import Linear  # all convolutions and torch.nn.Linear

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples" / "mnist"
OUT = ROOT / "tests" / "references"

NO_BIAS = ["bias"]


# --- the network -----------------------------------------------------------------------------------------------------


def rebuild(path):
    """A float64 torch.nn.Sequential with the weights of a chain-shaped ONNX model."""
    graph = onnx.load(path).graph
    weights = {t.name: torch.from_numpy(numpy_helper.to_array(t).astype(np.float64)) for t in graph.initializer}
    modules = []
    current = graph.input[0].name
    for node in graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        parameters = [weights[name] for name in node.input[1:]]
        if node.input[0] != current:
            raise SystemExit(f"{path.name}: {node.name} does not continue the chain")
        current = node.output[0]
        pads = attributes.get("pads", [0, 0, 0, 0])
        if pads[:2] != pads[2:] or attributes.get("ceil_mode", 0) or attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
            raise SystemExit(f"{path.name}: {node.name} has attributes that this script does not know")
        if node.op_type == "Conv":
            weight, bias = parameters
            out, per_group, *kernel = weight.shape
            groups = attributes.get("group", 1)
            module = nn.Conv2d(
                per_group * groups,
                out,
                kernel,
                stride=attributes["strides"],
                padding=pads[:2],
                dilation=attributes["dilations"],
                groups=groups,
            )
        elif node.op_type == "Gemm":
            weight, bias = parameters
            if attributes.get("alpha", 1.0) != 1.0 or attributes.get("beta", 1.0) != 1.0 or attributes["transB"] != 1:
                raise SystemExit(f"{path.name}: {node.name} is not a plain dense layer")
            module = nn.Linear(weight.shape[1], weight.shape[0])
        elif node.op_type == "Relu":
            module = nn.ReLU()
        elif node.op_type == "MaxPool":
            module = nn.MaxPool2d(attributes["kernel_shape"], attributes["strides"], pads[:2])
        elif node.op_type == "AveragePool":
            module = nn.AvgPool2d(attributes["kernel_shape"], attributes["strides"], pads[:2])
        elif node.op_type == "Flatten":
            module = nn.Flatten(attributes.get("axis", 1))
        else:
            raise SystemExit(f"{path.name}: operator {node.op_type} is not known to this script")
        if parameters:
            module.weight = nn.Parameter(weight)
            module.bias = nn.Parameter(bias)
        modules.append(module)
    return nn.Sequential(*modules).eval()


def check_forward(name, path, logits, digits):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected = session.run(None, {session.get_inputs()[0].name: digits})[0]
    error = np.linalg.norm(logits - expected) / np.linalg.norm(expected)
    print(f"{name}: forward pass, relative L2 difference to onnxruntime (float32): {error:.1e}")
    if error > 1e-5 or (logits.argmax(1) != expected.argmax(1)).any():
        raise SystemExit(f"{name}: the rebuilt network is not the one in the file")


class WithTies(nn.Module):
    """Reports how close max pooling's winners are to being decided by rounding."""

    def __init__(self, pool):
        super().__init__()
        self.pool = pool
        self.report = None

    def forward(self, x):
        windows = x.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
        top = windows.sort(dim=-1, descending=True).values
        gap = top[..., 0] - top[..., 1]
        scale = top[..., 0].abs()
        alive = top[..., 0] > 0
        equal = (gap == 0) & alive
        close = (gap > 0) & (gap < 1e-9 * scale)
        close32 = (gap > 0) & (gap < 1e-5 * scale)
        self.report = [int(t.sum()) for t in (alive, equal, close, close32)]
        return self.pool(x)


def report_ties(name, model, x):
    modules = [WithTies(m) if isinstance(m, nn.MaxPool2d) else m for m in model]
    with torch.no_grad():
        nn.Sequential(*modules)(x)
    for module in modules:
        if isinstance(module, WithTies):
            alive, equal, close, close32 = module.report
            print(
                f"{name}: max pooling, windows with a positive maximum {alive}: exact ties {equal}, "
                f"within 1e-9 relative {close}, within 1e-5 {close32}"
            )


# --- the cases -------------------------------------------------------------------------------------------------------


def uniform(rule):
    """One rule for all convolutions and dense layers; average pooling Norm, activations Pass."""
    return LayerMapComposite(layer_map_base() + [(Linear, rule)])


def first_then(first, rule):
    return SpecialFirstLayerMapComposite(layer_map_base() + [(Linear, rule)], [(Linear, first)])


def cases():
    """Key, composite, what the starting relevance is."""
    rules = {
        "epsilon": Epsilon(1e-6),
        "epsilon-0.1": Epsilon(0.1),
        "epsilon-ignore-bias": Epsilon(1e-6, zero_params=NO_BIAS),
        "gamma-0.25": Gamma(0.25),
        "gamma-1": Gamma(1.0),
        "gamma-0.25-ignore-bias": Gamma(0.25, zero_params=NO_BIAS),
        "alpha2-beta1": AlphaBeta(2, 1),
        "alpha2-beta1-ignore-bias": AlphaBeta(2, 1, zero_params=NO_BIAS),
        "alpha1-beta0": AlphaBeta(1, 0),
        "z-plus": ZPlus(),
        "w-square": WSquare(zero_params=NO_BIAS),
        "w-square-absorb": WSquare(),
        "flat": Flat(),
    }
    for key, rule in rules.items():
        yield key, uniform(rule), "logit"
    yield "z-box", first_then(ZBox(0.0, 1.0), Epsilon(1e-6)), "logit"

    yield "preset-epsilon-plus", composites.EpsilonPlus(), "logit"
    yield "preset-epsilon-plus-flat", composites.EpsilonPlusFlat(), "logit"
    yield "preset-epsilon-alpha2-beta1", composites.EpsilonAlpha2Beta1(), "logit"
    yield "preset-epsilon-alpha2-beta1-flat", composites.EpsilonAlpha2Beta1Flat(), "logit"
    yield "preset-epsilon-gamma-box", composites.EpsilonGammaBox(low=0.0, high=1.0), "logit"
    yield "preset-excitation-backprop", composites.ExcitationBackprop(), "logit"
    yield "preset-guided-backprop", composites.GuidedBackprop(), "one"
    yield "preset-deconvnet", composites.DeconvNet(), "one"


def shorten(a):
    """Rounds to 36 bits behind the binary point of the mantissa (relative error at most 2**-37 = 7e-12, far below
    any tolerance in use), for the sake of the compressed size."""
    mantissa, exponent = np.frexp(a)
    return np.ldexp(np.round(np.ldexp(mantissa, 37)), exponent - 37)


def references(name, path, digits):
    model = rebuild(path)
    x = torch.from_numpy(digits.astype(np.float64))
    with torch.no_grad():
        logits = model(x)
    check_forward(name, path, logits.numpy(), digits)
    report_ties(name, model, x)
    target = logits.argmax(1)
    one_hot = nn.functional.one_hot(target, logits.shape[1]).to(logits)

    result = {"logits": logits.numpy(), "target": target.numpy().astype(np.int64)}

    # By autograd alone: the gradient of the target's logit.
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(leaf), leaf, one_hot)
    start = (logits * one_hot).sum(1)[:, None, None, None]
    result["zero"] = (x * gradient).numpy()
    result["gradient"] = (start * gradient).numpy()

    for key, composite, kind in cases():
        start_of = (lambda output: output * one_hot) if kind == "logit" else (lambda output: one_hot)
        attributor = Gradient(model=model, composite=composite, attr_output=start_of)
        output, relevance = attributor(x.clone())
        relevance = relevance.detach().numpy()
        if not np.isfinite(relevance).all() or relevance.shape != digits.shape:
            raise SystemExit(f"{name}: {key} is not finite")
        if not torch.equal(output.detach(), logits):
            raise SystemExit(f"{name}: {key} changed the network's output")
        result[key] = relevance
    return result


def main():
    parser = argparse.ArgumentParser(description="Make the reference relevances of the bundled networks with zennit.")
    parser.add_argument("--examples", type=Path, default=EXAMPLES, help="folder with the networks and digits.npy")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write to")
    args = parser.parse_args()

    torch.use_deterministic_algorithms(True)
    args.out.mkdir(parents=True, exist_ok=True)
    digits = np.load(args.examples / "digits.npy")
    for name, file in (("cnn", "cnn.onnx"), ("clever_hans", "clever-hans.onnx")):
        result = references(name, args.examples / file, digits)
        path = args.out / f"{name}.npz"
        stored = {key: shorten(value) if value.ndim == 4 else value for key, value in result.items()}
        np.savez_compressed(path, **{key: np.ascontiguousarray(value) for key, value in stored.items()})
        print(f"\n{path.name}: {path.stat().st_size} bytes, {len(result)} arrays; sums per sample:")
        with np.printoptions(precision=3, suppress=True, linewidth=220, floatmode="fixed"):
            start = result["logits"].max(1)
            print(f"{'target':34} {result['target']}")
            print(f"{'logit of the target':34} {start}")
            for key, value in result.items():
                if value.ndim == 4:
                    print(f"{key:34} {value.sum((1, 2, 3))}")
        print()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
