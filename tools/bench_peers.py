#!/usr/bin/env python3
"""Times this program side by side with zennit, Captum, autolrp, and bare forward passes of PyTorch and ONNX Runtime.

    pip install -r tools/requirements.txt
    cargo build --release
    python tools/zoo.py --only vgg16 resnet50 mobilenet_v2 efficientnet_b0
    python tools/zoo_transformers.py                   # for ViT and MiniLM, in an environment with transformers
    python tools/bench_peers.py                        # everything; a quarter of an hour on two cores
    python tools/bench_peers.py --only vgg16           # cases whose names contain a word
    python tools/bench_peers.py --rounds 21 --out table.md
    python tools/bench_peers.py --errors 12            # how far f32 is from f64, instead of times

Every program runs in a process of its own, with its model loaded and its rules attached: what is timed is one explanation of one batch, in
the steady state, from the input to the relevance of the input. In each round every process does two, one right after the other, of which the
second is timed (after a pause every program is slower: threads and caches have to wake up), and waits for the machine to be quiet before the
next process has its turn (threads of OpenMP spin for a while after a call). Columns give medians over the rounds, and ratios of
these. `memory` is the most that a process has had at any time. Cold start is the whole process for one digit, files included.

Peers do what their documentation shows, once: composites and canonizers stay attached between calls where that is possible; batch norms are
merged before anything is timed (for zennit by its canonizers, for the others by `fuse_conv_bn_eval`), because that makes peers faster. Captum
takes its rules away after each call, so they are given anew in each, and its modules must not be used in place or flattened by a module.
"""

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ZOO = ROOT / "target" / "zoo"
MNIST = ROOT / "examples" / "mnist"
STEADY = ROOT / "target" / "release" / "steady"
LRP = ROOT / "target" / "release" / "lrp"

BOX = 'schema = 1\nextends = "epsilon-gamma-box"\n[input]\nrange = [{}, {}]\n'
GAMMA = """schema = 1
[[assign]]
rule = { type = "epsilon", epsilon = 1e-9 }
[[assign]]
ops = "conv"
rule = { type = "gamma", gamma = 0.25, stabilizer = 1e-9 }
"""

# Title, network, batch, recipe, the peer whose rules are the same, and bare forward passes.
FORWARD = ["torch", "onnxruntime"]
# Timed where these are: `gradient` is gradient × input by autograd, which is what LXT's efficient variant takes, too.
TRANSFORMERS = ("vit_b16", "minilm")
CASES = [
    ("VGG-16, epsilon-gamma-box", "vgg16", 1, "epsilon-gamma-box", ["zennit"]),
    ("VGG-16, epsilon-plus", "vgg16", 1, "epsilon-plus", ["zennit", *FORWARD]),
    ("VGG-16, epsilon-alpha2-beta1-flat", "vgg16", 1, "epsilon-alpha2-beta1-flat", ["zennit"]),
    ("VGG-16, γ on convolutions, ε on dense layers", "vgg16", 1, "gamma", ["captum"]),
    ("ResNet-50, z⁺ on convolutions, ε on dense layers", "resnet50", 1, "epsilon-plus", ["autolrp", *FORWARD]),
    ("ResNet-50, epsilon-plus-flat", "resnet50", 1, "epsilon-plus-flat", ["zennit"]),
    ("ResNet-50, epsilon-gamma-box", "resnet50", 1, "epsilon-gamma-box", ["zennit"]),
    ("MobileNet-v2, epsilon-plus", "mobilenet_v2", 1, "epsilon-plus", ["zennit", *FORWARD]),
    ("EfficientNet-B0, epsilon-plus", "efficientnet_b0", 1, "epsilon-plus", ["zennit", *FORWARD]),
    ("ViT-B/16, attn-lrp", "vit_b16", 1, "attn-lrp", ["gradient", *FORWARD]),
    ("ViT-B/16, attn-lrp-gamma", "vit_b16", 1, "attn-lrp-gamma", FORWARD),
    ("MiniLM-L6, 128 tokens, attn-lrp", "minilm", 1, "attn-lrp", ["gradient", *FORWARD]),
    ("MNIST CNN, batch 1, epsilon-gamma-box", "mnist", 1, "epsilon-gamma-box", ["zennit", *FORWARD]),
    ("MNIST CNN, batch 64, epsilon-gamma-box", "mnist", 64, "epsilon-gamma-box", ["zennit", *FORWARD]),
    ("MNIST CNN, batch 1000, epsilon-gamma-box", "mnist", 1000, "epsilon-gamma-box", ["zennit", *FORWARD]),
]


# --- one library in a process of its own -----------------------------------------------------------------------------


def bounds(network):
    return (0.0, 1.0) if network == "mnist" else (-3.0, 3.0)


def make_input(network, batch):
    import numpy as np

    if network == "mnist":
        digits = np.load(MNIST / "digits.npy").astype(np.float32)
    else:
        digits = np.load(ZOO / f"{network}.npz")["x"][:1]
    return np.ascontiguousarray(np.resize(digits, (batch, *digits.shape[1:])))


def network_of(network):
    """The torch module, nothing in place."""
    from torch import nn

    if network in TRANSFORMERS:
        import zoo_transformers

        return zoo_transformers.build(network, "sdpa")
    if network == "mnist":
        from make_references import rebuild

        model = rebuild(MNIST / "cnn.onnx").float()
    else:
        import zoo

        model = zoo.build(network, zoo.full_size()[network])
    for module in model.modules():
        if isinstance(module, (nn.ReLU, nn.ReLU6, nn.SiLU)):
            module.inplace = False
    return model.eval()


def fused(model):
    """With batch norms merged into the convolutions before them."""
    import torch
    from torch.fx import symbolic_trace
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    traced = symbolic_trace(model)
    modules = dict(traced.named_modules())
    for node in list(traced.graph.nodes):
        if node.op != "call_module" or not isinstance(modules[node.target], torch.nn.BatchNorm2d):
            continue
        (before,) = node.args
        conv = modules[before.target] if before.op == "call_module" else None
        if not isinstance(conv, torch.nn.Conv2d) or len(before.users) > 1:
            continue
        merged = fuse_conv_bn_eval(conv, modules[node.target])
        parent, _, name = before.target.rpartition(".")
        setattr(traced.get_submodule(parent), name, merged)
        modules[before.target] = merged
        node.replace_all_uses_with(before)
        traced.graph.erase_node(node)
    traced.recompile()
    return traced.eval()


def zennit(network, recipe, x):
    explain = zennit_relevance(network, recipe, x)
    return lambda: explain().sum().item()


def zennit_relevance(network, recipe, x):
    """A function that explains `x`, in the precision of `x`."""
    import torch
    from torch.nn import functional as F
    from zennit import composites
    from zennit.attribution import Gradient
    from zennit.canonizers import SequentialMergeBatchNorm
    from zennit.torchvision import ResNetCanonizer

    model = network_of(network).to(torch.from_numpy(x).dtype)
    low, high = bounds(network)
    composite = {
        "epsilon-plus": composites.EpsilonPlus,
        "epsilon-plus-flat": composites.EpsilonPlusFlat,
        "epsilon-alpha2-beta1-flat": composites.EpsilonAlpha2Beta1Flat,
        "epsilon-gamma-box": functools.partial(composites.EpsilonGammaBox, low=low, high=high),
    }[recipe]
    canonizers = {"resnet50": [ResNetCanonizer()], "mobilenet_v2": [SequentialMergeBatchNorm()]}
    canonizers["efficientnet_b0"] = canonizers["mobilenet_v2"]
    data = torch.from_numpy(x)
    attributor = Gradient(model=model, composite=composite(canonizers=canonizers.get(network, [])))
    attributor.__enter__()

    def explain():
        def start(output):
            return output.detach() * F.one_hot(output.argmax(1), output.shape[1]).to(output)

        return attributor(data.clone(), start)[1]

    return explain


def captum(network, recipe, x):
    import torch
    from captum.attr import LRP
    from captum.attr._utils.lrp_rules import EpsilonRule, GammaRule
    from torch import nn

    assert recipe == "gamma"
    model = network_of(network)
    data = torch.from_numpy(x)
    method = LRP(model)

    # The target is found in advance: that forward pass is not counted.
    with torch.no_grad():
        target = model(data).argmax(1)

    def explain():
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                module.rule = GammaRule(0.25)
            elif isinstance(module, nn.Linear):
                module.rule = EpsilonRule(1e-9)
        return method.attribute(data.clone(), target=target).sum().item()

    return explain


def autolrp(network, recipe, x):
    import autolrp as library
    import torch

    assert recipe == "epsilon-plus"
    model = fused(network_of(network))
    data = torch.from_numpy(x)
    config = library.LRPConfig(rule={**library.BASE, "ConvolutionBackward": "zplus"})

    def explain():
        wrapped = library.tensor(data.clone())
        output = model(wrapped)
        output[0, output[0].argmax().item()].lrp(config=config)
        return wrapped.relevance.sum().item()

    return explain


def torch_forward(network, recipe, x):
    import torch

    model = network_of(network)
    model = model if network in ("mnist", *TRANSFORMERS) else fused(model)
    data = torch.from_numpy(x)

    def forward():
        with torch.inference_mode():
            return model(data).sum().item()

    return forward


def gradient(network, recipe, x):
    import torch

    model = network_of(network)
    for parameter in model.parameters():
        parameter.requires_grad_(False)

    def explain():
        data = torch.from_numpy(x).requires_grad_()
        output = model(data)
        output[0, output[0].argmax().item()].backward()
        return (data * data.grad).sum().item()

    return explain


def onnxruntime(network, recipe, x):
    import onnxruntime as library

    path = MNIST / "cnn.onnx" if network == "mnist" else ZOO / f"{network}.ts.onnx"
    session = library.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: float(session.run(None, {name: x})[0].sum())


PEERS = {
    "zennit": zennit,
    "captum": captum,
    "autolrp": autolrp,
    "torch": torch_forward,
    "gradient": gradient,
    "onnxruntime": onnxruntime,
}


def work(peer, network, recipe, batch):
    """Does what `steady` does: one call for each line of standard input."""
    import resource
    import warnings

    warnings.simplefilter("ignore")
    x = make_input(network, int(batch))
    call = PEERS[peer](network, recipe, x)
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        total = call()
        seconds = time.perf_counter() - start
        memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"seconds": seconds, "memory": memory, "sum": total}), flush=True)


# --- the race --------------------------------------------------------------------------------------------------------


def busy():
    """Ticks that all processors have been busy, and ticks in all."""
    user, nice, system, idle, wait, *rest = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    return user + nice + system + sum(rest[:3]), user + nice + system + idle + wait + sum(rest[:3])


def quiet(patience=40):
    """Waits until the machine has been idle for a tenth of a second; says whether it was."""
    for _ in range(patience):
        before = busy()
        time.sleep(0.1)
        after = busy()
        if after[0] - before[0] <= 0.15 * (after[1] - before[1]):
            return True
    return False


class Racer:
    def __init__(self, command):
        # What libraries have to say is of interest only if they fail.
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True
        )
        self.seconds, self.memory = [], 0
        self.read()

    def read(self):
        while True:
            line = self.process.stdout.readline()
            if not line:
                self.errors.seek(0)
                raise RuntimeError(self.errors.read()[-2000:])
            if line.startswith("{"):
                return json.loads(line)

    def run(self, count):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        result = self.read()
        self.memory = result["memory"]
        if count:
            self.seconds.append(result["seconds"])
        return result

    def stop(self):
        self.process.stdin.close()
        self.process.wait()

    @property
    def median(self):
        return statistics.median(self.seconds)


def model_path(network):
    return MNIST / "cnn.onnx" if network == "mnist" else ZOO / f"{network}.ts.onnx"


def race(case, rounds, folder):
    """The medians and memories of one case, by program; and how many calls found the machine busy."""
    import numpy as np

    _, network, batch, recipe, peers = case
    input_path = folder / "x.npy"
    np.save(input_path, make_input(network, batch))
    recipe_path = recipe
    if recipe in ("epsilon-gamma-box", "gamma"):
        recipe_path = folder / "recipe.toml"
        recipe_path.write_text(GAMMA if recipe == "gamma" else BOX.format(*bounds(network)))
    ours = [STEADY, model_path(network), recipe_path, input_path]
    racers = {"ours": Racer(ours), "exact": Racer([*ours, "--exact"])}
    if any(peer in FORWARD for peer in peers):
        racers["our forward pass"] = Racer([*ours, "--forward"])
    if network == "vgg16" and recipe == "epsilon-plus":
        racers["one thread"] = Racer([*ours, "--threads", "1"])
        racers["exact, one thread"] = Racer([*ours, "--exact", "--threads", "1"])
    for peer in peers:
        racers[peer] = Racer([sys.executable, __file__, "--work", peer, network, recipe, batch])
    noisy = 0
    for i in range(-2, rounds):  # two rounds to warm up
        for racer in racers.values():
            noisy += not quiet()
            racer.run(False)
            racer.run(i >= 0)
    for racer in racers.values():
        racer.stop()
    return racers, noisy


def cold(rounds, folder):
    """Whole processes for one digit: ours, and python with zennit."""
    (digit,) = sorted((MNIST / "digits").glob("*.png"))[:1]
    recipe = folder / "cold.toml"
    recipe.write_text(BOX.format(0.0, 1.0))
    ours = [LRP, "explain", "-m", MNIST / "cnn.onnx", "-r", recipe, "-i", digit, "-o", folder / "out"]
    commands = {"ours": ours, "zennit": [sys.executable, __file__, "--cold", digit, folder / "zennit.npy"]}
    seconds = {name: [] for name in commands}
    memory = dict.fromkeys(commands, 0)
    for i in range(-1, rounds):
        for name, command in commands.items():
            quiet()
            start = time.perf_counter()
            process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                raise SystemExit(f"{name} fails: {command}")
            memory[name] = max(memory[name], 1024 * usage.ru_maxrss)
            if i >= 0:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(s) for name, s in seconds.items()}, memory


def cold_zennit(digit, out):
    """A script as somebody would write it who explains one digit."""
    import numpy as np
    import torch
    from PIL import Image

    x = np.asarray(Image.open(digit).convert("L"), np.float32)[None, None] / 255
    model = network_of("mnist")
    from torch.nn import functional as F
    from zennit.attribution import Gradient
    from zennit.composites import EpsilonGammaBox

    with Gradient(model=model, composite=EpsilonGammaBox(low=0.0, high=1.0)) as attributor:
        _, relevance = attributor(
            torch.from_numpy(x), lambda y: y.detach() * F.one_hot(y.argmax(1), y.shape[1]).to(y)
        )
    np.save(out, relevance.numpy())


def errors(network, recipe, count, folder):
    """Relative L2 errors of relevance in f32, ours and zennit's, to zennit's in f64: one for each of some images of noise."""
    import numpy as np

    shape = make_input(network, 1).shape[1:]
    x = np.random.default_rng(1).standard_normal((count, *shape)).clip(-3, 3).astype(np.float32)
    np.save(folder / "x.npy", x)
    results = {}
    for name, flags in (("ours, default", []), ("ours, `--exact`", ["--exact"])):
        out = folder / "r.npy"
        racer = Racer([STEADY, model_path(network), recipe, folder / "x.npy", *flags, "--out", out])
        racer.run(False)
        racer.stop()
        results[name] = np.load(out)
    for name, dtype in (("zennit", np.float32), ("f64", np.float64)):
        one = [zennit_relevance(network, recipe, x[i : i + 1].astype(dtype))() for i in range(count)]
        results[name] = np.concatenate([r.detach().numpy() for r in one])
    exact = results.pop("f64")
    norm = lambda r: np.sqrt((r.reshape(count, -1) ** 2).sum(1))
    return {name: norm(r - exact) / norm(exact) for name, r in results.items()}


def print_errors(networks, count):
    import numpy as np

    print(f"Relevance in f32, epsilon-plus, from zennit's in f64: relative L2 error over {count} images of noise.\n")
    print("| network | program | smallest | median | largest |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for network in networks:
            for name, error in errors(network, "epsilon-plus", count, Path(folder)).items():
                print(f"| {network} | {name} | {error.min():.1e} | {np.median(error):.1e} | {error.max():.1e} |", flush=True)


def milliseconds(seconds):
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], help="cases whose names contain one of these words")
    parser.add_argument("--rounds", type=int, default=11, help="calls that are timed, of each program (11)")
    parser.add_argument("--zoo", type=Path, help="the folder with the networks (target/zoo)")
    parser.add_argument("--out", type=Path, help="write the table to this file, too")
    parser.add_argument("--errors", type=int, metavar="N", help="rounding errors on N images instead of times")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--cold", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.zoo or os.environ.get("LRP_ZOO"):
        global ZOO
        ZOO = Path(args.zoo or os.environ["LRP_ZOO"]).resolve()
        os.environ["LRP_ZOO"] = str(ZOO)  # for the processes that are started
    if args.work:
        return work(*args.work)
    if args.cold:
        return cold_zennit(*args.cold)

    subprocess.run(["cargo", "build", "--release", "-q", "-p", "lrp-cli", "-p", "lrp-tests", "--bins"], cwd=ROOT, check=True)
    if args.errors:
        return print_errors([n for n in ("vgg16", "resnet50") if not args.only or n in args.only], args.errors)
    lines = []

    def say(line=""):
        print(line, flush=True)
        lines.append(line)

    chosen = [case for case in CASES if not args.only or any(word in case[0] or word == case[1] for word in args.only)]
    say(f"Medians of {args.rounds} rounds; one batch; × says how many times as long the other takes.")
    say()
    say("| what | program | time | ours, default | ours, `--exact` | samples per second | memory | ours, default | ours, `--exact` |")
    say("|---|---|---|---|---|---|---|---|---|")
    noisy = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for case in chosen:
            title, _, batch, _, _ = case
            racers, n = race(case, args.rounds, folder)
            noisy += n
            ours, exact = racers["ours"], racers["exact"]
            for name, racer in racers.items():
                cells = [title if name == "ours" else "", name, milliseconds(racer.median)]
                cells += [f"{racer.median / r.median:.2f}×" for r in (ours, exact)]
                cells += [f"{batch / racer.median:.3g}", f"{racer.memory / 1e6:.0f} MB"]
                cells += [f"{r.memory / racer.memory:.2f}×" for r in (ours, exact)]
                say(f"| {' | '.join(cells)} |")
        if not args.only or "cold" in args.only:
            times, memory = cold(args.rounds, folder)
            for name in times:
                ratio = times[name] / times["ours"]
                title = "cold start, one digit" if name == "ours" else ""
                share = memory["ours"] / memory[name]
                cells = [title, name, milliseconds(times[name]), f"{ratio:.1f}×", "", f"{1 / times[name]:.3g}"]
                cells += [f"{memory[name] / 1e6:.0f} MB", f"{share:.2f}×", ""]
                say(f"| {' | '.join(cells)} |")
    say()
    say(f"{noisy} calls began although the machine was busy with something else.")
    if args.out:
        args.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
