#!/usr/bin/env python3
"""A slow second derivation of relevance, for the files of tests/shipped: it reads the ONNX file itself, runs it node by node in double
precision, and walks back node by node.

    pip install -r tools/requirements.txt
    python tools/zoo_reference.py                      # all files of tests/shipped; writes tests/shipped/reference.npz
    python tools/zoo_reference.py --only siamese       # files whose names begin so; the others' arrays stay

Nothing here is taken from the program: the rules are those of Bach et al. 2015 (LRP-ε), Arras et al. 2017 and 2019 (gates and recurrent
layers) and Achtibat et al. 2024 (softmax, products, normalisations, activations), as docs/reference/rules.md and operators.md state them.
The recipe is LRP-ε with ε = 1e-6 everywhere; `stab(z) = z + ε·s(z)` with `s(0) = +1`. torch only differentiates single steps: a step
that is affine gives `x ⊙ Aᵀ(R / stab(z))`, one that moves elements `Aᵀ R`, and every other kind of step its own few lines below.

reference.npz has for every file NAME (without `.onnx`), in the order of computation:

    NAME/x/INPUT     an input (written by the exporting scripts), of one sample
    NAME/fix/INPUT   the value of an input that is fixed (likewise)
    NAME/y           the file's output by onnxruntime, in float32
    NAME/z           what is explained: the output, or the logits before the function that hides them at its end
    NAME/target      the number of the largest element of z
    NAME/r/INPUT     the relevance of each explained input
    NAME/g/INPUT     gradient × input, where the network is piecewise linear
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from zoo_canon import Canon, Gates, explained_output, needed
from zoo_layers import Layers
from zoo_operators import Unsupported

OUT = Path(__file__).resolve().parents[1] / "tests" / "shipped"
EPSILON = 1e-6
# Steps through which LRP-0 is gradient × input: everything affine, everything that moves elements, and functions with φ(x) = φ′(x) x.
LINEAR = {"Relu", "LeakyRelu", "PRelu", "Abs", "Scale", "Mul", "Div", "Neg", "Identity"}


def stab(z, epsilon):
    return z + epsilon * torch.where(z >= 0, 1.0, -1.0)


def pulled_back(step, cotangent, xs):
    """The vector-Jacobian product of a step, for each of its inputs."""
    z = step.function(*xs)
    grads = torch.autograd.grad(z, xs, cotangent, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(xs, grads)]


def folded(r, shape):
    """Relevance of what was broadcast: the sum over its copies."""
    while r.ndim > len(shape):
        r = r.sum(0)
    for axis, size in enumerate(shape):
        if size == 1 and r.shape[axis] != 1:
            r = r.sum(axis, keepdim=True)
    return r


def propagate(step, r, gates, epsilon):
    """The relevance of each input of a step."""
    xs = [x.data.detach().to(torch.float64).requires_grad_() for x in step.inputs]
    with torch.enable_grad():
        if step.kind == "affine":
            z = step.function(*xs).detach()
            if epsilon == 0:
                q = torch.where(z == 0, torch.zeros_like(z), r / torch.where(z == 0, torch.ones_like(z), z))
            else:
                q = r / stab(z, epsilon)
            return [x.detach() * c for x, c in zip(xs, pulled_back(step, q, xs))]
        if step.kind == "route":
            return pulled_back(step, r, xs)
        if step.kind == "pass":
            return [r * step.extra.get("nonzero", 1.0)]
        if step.kind == "product":
            return [folded(share * r, x.shape) for share, x in zip(gates.shares(step), xs)]
        if step.kind == "division":
            return [folded(r, xs[0].shape), torch.zeros_like(xs[1])]
        if step.kind == "matmul":
            z = step.function(*xs).detach()
            return [0.5 * x.detach() * c for x, c in zip(xs, pulled_back(step, r / stab(z, EPSILON), xs))]
        if step.kind == "softmax":
            x, axis = xs[0].detach(), step.extra["axis"]
            if step.extra["flat"]:
                shape = x.shape
                x, r = (v.flatten(axis % len(shape)) for v in (x, r))
                axis = -1
            s = torch.softmax(x, axis)
            out = torch.where(s == 0, torch.zeros_like(x), x * (r - s * r.sum(axis, keepdim=True)))
            return [out.reshape(xs[0].shape)]
        if step.kind == "ids":
            if "width" in step.extra:
                width = step.extra["width"]
                return [r.sum(tuple(range(width, r.ndim))) if r.ndim > width else r]
            return [r.sum(step.extra["axis"], keepdim="keep" in step.extra)]
    raise Unsupported(f"{step.op} has no relevance behaviour")


def walk(steps, output, start, back):
    """Relevance of every value, from the output backwards; `back` gives that of a step's inputs."""
    at = {output: start}
    for step in reversed(steps):
        r = at.get(step.output)
        if r is None:
            continue
        for x, part in zip(step.inputs, back(step, r)):
            at[x] = at[x] + part if x in at else part
    return at


def is_linear(steps):
    for step in steps:
        if step.kind in ("product", "matmul", "division", "softmax", "undefined") or step.op == "cell" or "norm" in step.extra:
            return False
        if step.kind == "pass" and step.op not in LINEAR and "scale" not in step.extra:
            return False
    return True


class Result:
    def __init__(self, path, inputs, fixed):
        model = onnx.load(path)
        run = Layers(model, inputs, fixed)
        given = next((v for v in run.outputs.values() if v.data.is_floating_point() and v.carries), None)
        if given is None:
            raise Unsupported("no output depends on an explained input")
        self.output_name = next(name for name, v in run.outputs.items() if v is given)
        self.given = given.data
        output = explained_output(given)
        self.z = output.data
        self.target = int(self.z.reshape(-1).argmax())
        self.canon = Canon(run.tape, output)
        gates = Gates(self.canon.steps)
        start = torch.zeros(self.z.shape, dtype=torch.float64)
        start.reshape(-1)[self.target] = self.z.reshape(-1)[self.target]
        explained = run.explained
        self.relevance = self.at_inputs(explained, self.canon.steps, output, start, gates, EPSILON)
        self.gradient = None
        raw = needed(run.tape, output)
        if is_linear(raw):
            one = (start != 0).to(torch.float64)
            ids = any(step.kind == "ids" for step in raw)
            if not ids and self.z.reshape(-1)[self.target] != 0:
                values = walk(raw, output, one, self.vjp)
                self.gradient = {n: (v.data * values.get(v, torch.zeros_like(v.data))).numpy() for n, v in explained.items()}
                self.check_gradient(explained, output, start, gates)

    def check_gradient(self, explained, output, start, gates):
        """The reference's own LRP-0 is gradient × input, unless the entrance of the model passes relevance."""
        if any("preprocessing" in step.extra for step in self.canon.steps):
            return
        zero = self.at_inputs(explained, self.canon.steps, output, start, gates, 0)
        for name, g in self.gradient.items():
            if np.abs(zero[name] - g).max() > 1e-10 * max(np.abs(g).max(), 1e-30):
                raise SystemExit(f"LRP-0 of the reference is not gradient × input at '{name}'")

    @staticmethod
    def vjp(step, r):
        xs = [x.data.detach().to(torch.float64).requires_grad_() for x in step.inputs]
        with torch.enable_grad():
            return pulled_back(step, r, xs)

    @staticmethod
    def at_inputs(explained, steps, output, start, gates, epsilon):
        values = walk(steps, output, start, lambda step, r: propagate(step, r, gates, epsilon))
        zero = lambda v: torch.zeros(v.data.shape, dtype=torch.float64)
        return {name: values.get(value, zero(value)).numpy() for name, value in explained.items()}


def shorten(a):
    """A relative precision of 2**-37, for the sake of the compressed size."""
    mantissa, exponent = np.frexp(a)
    return np.ldexp(np.round(np.ldexp(mantissa, 37)), exponent - 37)


def onnxruntime_output(path, feeds, name):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    known = {i.name for i in session.get_inputs()}
    result = session.run([name], {key: value for key, value in feeds.items() if key in known})[0]
    if isinstance(result, list):  # a ZipMap's dictionaries
        result = np.array([list(row.values()) for row in result], np.float32)
    return result


def main():
    parser = argparse.ArgumentParser(description="Explain the files of tests/shipped a second time, slowly.")
    parser.add_argument("--out", type=Path, default=OUT, help="the folder with the files and reference.npz")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only files whose names begin so")
    parser.add_argument("--steps", action="store_true", help="print the steps that rules see")
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    path = args.out / "reference.npz"
    names = {file.stem for file in args.out.glob("*.onnx")}
    arrays = {key: a for key, a in np.load(path).items() if key.split("/")[0] in names}
    failures = []
    for file in sorted(args.out.glob("*.onnx")):
        name = file.stem
        if args.only and not any(name.startswith(prefix) for prefix in args.only):
            continue
        part = lambda kind: {key.split("/", 2)[2]: a for key, a in arrays.items() if key.startswith(f"{name}/{kind}/")}
        inputs, fixed = part("x"), part("fix")
        for key in [k for k in arrays if k.startswith(f"{name}/") and k.split("/")[1] in ("y", "z", "target", "r", "g")]:
            del arrays[key]
        try:
            result = Result(file, inputs, fixed)
        except Unsupported as error:
            failures.append(f"{name}: {error}")
            continue
        y = onnxruntime_output(file, inputs | fixed, result.output_name)
        extent = max(y.max() - y.min(), np.abs(y).max(), 1e-30)
        error = np.abs(result.given.numpy().reshape(y.shape) - y).max() / extent
        z = result.z.reshape(-1)[result.target]
        sums = ", ".join(f"{key} {r.sum():.4g} of {np.abs(r).max():.2g}" for key, r in result.relevance.items())
        kind = "" if result.gradient is None else "; linear"
        print(f"{name:36} {error:8.1e} from onnxruntime; score {z:.4g}; sum and largest of relevance: {sums}{kind}")
        if args.steps:
            print("   ", *result.canon.steps, sep="\n    ")
        arrays[f"{name}/y"], arrays[f"{name}/z"] = y.astype(np.float32), shorten(result.z.numpy())
        arrays[f"{name}/target"] = np.array([result.target], np.int64)
        for key, r in result.relevance.items():
            if not np.isfinite(r).all() or not r.any():
                raise SystemExit(f"{name}: relevance that is not finite, or zero")
            arrays[f"{name}/r/{key}"] = shorten(r)
        for key, g in (result.gradient or {}).items():
            arrays[f"{name}/g/{key}"] = shorten(g)
    np.savez_compressed(path, **dict(sorted(arrays.items())))
    print(f"{path.name}: {path.stat().st_size} bytes")
    if failures:
        sys.exit("not done:\n" + "\n".join(failures))


if __name__ == "__main__":
    main()
