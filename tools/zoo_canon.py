"""Canonization of a tape: what the documentation says an importer makes of several nodes before rules see them; see zoo_reference.py.

docs/reference/models.md (Changes on import), rules.md (product, scaling at the entrance) and foundations of the rules are the source.
"""

import math

import torch

from zoo_tape import HIDING, Step

STRUCTURE = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Cast", "CastLike", "Dropout", "layout", "pick"}
# What leaves pixels pixels: steps between the input and the first layers through which preprocessing is looked for.
ENTRANCE = STRUCTURE | {"Slice", "Split", "Gather", "Concat", "Pad", "MaxPool", "AveragePool", "Resize", "Upsample", "Clip", "Expand", "Tile"}
LAYERS = {"Conv", "ConvTranspose", "MatMul", "Gemm", "FusedMatMul", "LinearClassifier", "LinearRegressor", "Einsum", "cell"}


def explained_output(value):
    """The logits: the argument of the innermost function at the end that hides it."""
    found, walk = value, value
    while walk.step is not None and len(walk.step.inputs) == 1:
        if walk.step.op in HIDING:
            found = walk = walk.step.inputs[0]
        elif walk.step.kind == "route" and walk.step.op in STRUCTURE:
            walk = walk.step.inputs[0]
        else:
            break
    return found


def needed(tape, output):
    """The steps that the output depends on."""
    wanted, steps = {output}, []
    for step in reversed(tape):
        if step.output in wanted:
            steps.append(step)
            wanted.update(step.inputs)
    return steps[::-1]


def composed(first, second, kind, extra, op=None):
    """Two steps as one; the second has one input, the output of the first."""
    function = lambda *xs: second.function(first.function(*xs))
    return Step(kind, op or first.op, first.inputs, second.output, function, extra)


def per_channel(value, shape, axis):
    """Whether a constant that meets this shape depends on the position along this axis only."""
    if value is None:
        return True
    value = value.expand(shape) if value.ndim <= len(shape) else value
    rest = tuple(i for i in range(len(shape)) if i != axis)
    spread = value.amax(rest) - value.amin(rest) if rest else torch.zeros(1)
    return bool((spread == 0).all())


def is_all(values, number):
    return bool(((values - number).abs() < 1e-12).all())


class Canon:
    def __init__(self, tape, output):
        self.output = output
        self.steps = needed(tape, output)
        self.merge(self.identities)
        self.sigmoids()
        self.layer_norms()
        self.preprocessing()
        self.merge(self.bias_behind)
        self.merge(self.scales)
        self.merge(self.scale_behind)
        self.merge(self.scale_before)

    def producers(self):
        made = {step.output: step for step in self.steps}
        uses = {}
        for step in self.steps:
            for x in step.inputs:
                uses[x] = uses.get(x, 0) + 1
        return made, uses

    def merge(self, rule):
        """Applies a rule for two steps in a row until nothing changes."""
        while True:
            made, uses = self.producers()
            for step in self.steps:
                first = made.get(step.inputs[0]) if len(step.inputs) == 1 else None
                if first is None or uses[first.output] != 1 or first.output is self.output:
                    continue
                both = rule(first, step)
                if both is not None:
                    at = self.steps.index(first)
                    self.steps[self.steps.index(step)] = both
                    self.steps.pop(at)
                    break
            else:
                return

    @staticmethod
    def identities(first, second):
        """What does nothing is dropped."""
        nothing = {"Identity", "Cast", "CastLike", "Dropout"}
        if second.op in nothing and second.kind == "route" and first.kind != "ids":
            return composed(first, second, first.kind, first.extra)
        return None

    # -- products and sums with constants

    @staticmethod
    def scales(first, second):
        """One product and sum with constants for two."""
        if "scale" not in first.extra or "scale" not in second.extra or "preprocessing" in first.extra or "preprocessing" in second.extra:
            return None
        if first.output.data.shape != second.output.data.shape or first.kind == "route":
            return None
        (w1, b1), (w2, b2) = first.extra["scale"], second.extra["scale"]
        shift = None if b1 is None else w2 * b1
        shift = b2 if shift is None else shift if b2 is None else shift + b2
        kind = "pass" if shift is None else "affine"
        return composed(first, second, kind, {"scale": (w2 * w1, shift)}, "Scale")

    @staticmethod
    def scale_behind(first, second):
        """A constant per channel behind a layer belongs to the layer; behind a layer norm, one per normalised position."""
        if "scale" not in second.extra or "preprocessing" in second.extra or second.kind == "route":
            return None
        shape = list(second.output.data.shape)
        if "weighted" in first.extra:
            axis = first.extra["weighted"]
            if all(per_channel(v, shape, axis) for v in second.extra["scale"]):
                return composed(first, second, "affine", first.extra)
        if "norm" in first.extra and first.op == "LayerNormalization":
            axes = {axis % len(shape) for axis in first.extra["norm"]}
            for v in second.extra["scale"]:
                rest = tuple(i for i in range(len(shape)) if i not in axes)
                v = None if v is None else v.expand(shape)
                if v is not None and rest and bool((v.amax(rest) != v.amin(rest)).any()):
                    return None
            return composed(first, second, "affine", first.extra)
        return None

    @classmethod
    def bias_behind(cls, first, second):
        """The sum with a constant that follows a matrix is its bias, whatever comes next."""
        if first.op != "MatMul" or second.op != "Add":
            return None
        return cls.scale_behind(first, second)

    @staticmethod
    def scale_before(first, second):
        """So does one before a layer, unless it would have to pass a padding of zeros."""
        if "scale" not in first.extra or "preprocessing" in first.extra or first.kind == "route" or "before" not in second.extra:
            return None
        weight, shift = first.extra["scale"]
        shape = list(first.output.data.shape)
        if second.extra["padded"] and shift is not None and bool((shift != 0).any()):
            return None
        if all(per_channel(v, shape, second.extra["before"]) for v in (weight, shift)):
            return composed(first, second, "affine", {k: v for k, v in second.extra.items() if k != "before"}, second.op)
        return None

    # -- preprocessing

    def preprocessing(self):
        """Products and sums with constants at the entrance pass relevance, if a layer follows."""
        entrance, marked = set(), []
        made, _ = self.producers()
        below = set()  # values that a layer depends on
        for step in reversed(self.steps):
            if step.op in LAYERS or "weighted" in step.extra or step.output in below:
                below.update(step.inputs)
        inputs = {x for step in self.steps for x in step.inputs if x not in made}
        for step in self.steps:
            if not all(x in entrance or x in inputs for x in step.inputs):
                continue
            if step.kind == "ids":
                entrance.add(step.output)  # the position of a token is no part of it
            elif "scale" in step.extra and step.kind != "route":
                entrance.add(step.output)
                marked.append(step)
            elif step.op in ENTRANCE:
                entrance.add(step.output)
        for step in marked:
            if step.output in below:
                weight = step.extra["scale"][0]
                step.kind, step.extra["preprocessing"] = "pass", True
                if bool((weight == 0).any()):
                    step.extra["nonzero"] = (weight != 0).to(torch.float64)

    # -- what is written out

    def sigmoids(self):
        """1 / (1 + exp(a)) is the sigmoid of −a."""
        made, _ = self.producers()
        for step in list(self.steps):
            one = made.get(step.inputs[0]) if step.extra.get("power") == -1 else None
            exp = made.get(one.inputs[0]) if one is not None and len(one.inputs) == 1 else None
            if exp is None or exp.op != "Exp" or one.op != "Add" or not is_all(one.extra["scale"][1], 1.0) or not is_all(step.output.data * one.output.data, 1.0):
                continue
            function = lambda v: torch.sigmoid(-v)
            self.steps[self.steps.index(step)] = Step("pass", "Sigmoid", exp.inputs, step.output, function)
        self.steps = needed(self.steps, self.output)

    def layer_norms(self):
        """(x − mean(x)) / √(mean((x − mean(x))²) + ε), whose parts have no other use."""
        made, _ = self.producers()
        for step in list(self.steps):
            if step.kind == "division":
                top, bottom = step.inputs
            elif step.kind == "product":
                top, bottom = self.reciprocal(made, step)
            else:
                continue
            centred = made.get(top)
            if centred is None or centred.op != "Sub" or len(centred.inputs) != 2:
                continue
            x, mean = centred.inputs
            mean = made.get(mean)
            if mean is None or mean.op not in ("ReduceMean", "GlobalAveragePool") or mean.inputs[0] is not x:
                continue
            if not self.is_deviation(made, bottom, top):
                continue
            sigma = bottom.data
            axes = tuple(i for i, (a, b) in enumerate(zip(x.data.shape, mean.output.data.shape)) if a != b)

            def function(v, mean=mean, sigma=sigma):
                return (v - mean.function(v)) / sigma

            norm = Step("affine", "LayerNormalization", [x], step.output, function, {"norm": axes})
            self.steps[self.steps.index(step)] = norm
        self.steps = needed(self.steps, self.output)

    @staticmethod
    def reciprocal(made, step):
        for i in (0, 1):
            other = made.get(step.inputs[i]) if len(step.inputs) == 2 else None
            if other is not None and other.extra.get("power") == -1:
                return step.inputs[1 - i], other.inputs[0]
        return None, None

    @staticmethod
    def is_deviation(made, bottom, top):
        """Whether a value is √(mean(top²) + ε)."""
        chain = []
        value = bottom
        while value in made and len(chain) < 6:
            step = made[value]
            chain.append(step.op)
            if value is top:
                break
            if step.op == "Mul" and all(x is top for x in step.inputs):
                return chain == ["Sqrt", "Add", "ReduceMean", "Mul"]
            if len(step.inputs) != 1:
                return False
            value = step.inputs[0]
            if value is top:
                return chain in (["Sqrt", "Add", "ReduceMean", "Pow"], ["Sqrt", "Add", "GlobalAveragePool", "Pow"])
        return False


# --- gates -----------------------------------------------------------------------------------------------------------

BOUNDED = {"Sigmoid": (0.0, 1.0), "HardSigmoid": (0.0, 1.0), "Tanh": (-1.0, 1.0), "Erf": (-1.0, 1.0)}
KEEP = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Cast", "Dropout", "Slice", "Split", "Gather", "Expand", "Tile",
        "MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin", "AveragePool", "GlobalAveragePool", "ReduceMean", "Resize", "Upsample", "pick",
        "stack", "layout", "Mul"}  # fmt: skip


class Gates:
    """For every value the interval in which it lies, if it depends on activations through bounded activations only."""

    def __init__(self, steps):
        self.made = {step.output: step for step in steps}
        self.known = {}

    def of(self, value):
        if value not in self.known:
            step = self.made.get(value)
            self.known[value] = None if step is None else self.of_step(step)
        return self.known[value]

    def of_step(self, step):
        if step.op in BOUNDED:
            return BOUNDED[step.op]
        if step.op == "Clip":
            low, high = self.ends(step, -1e30, 1e30)
            if low >= -1 and high <= 1:
                return low, high
        intervals = [self.of(x) for x in step.inputs]
        before = self.made.get(step.inputs[0])
        if "scale" in step.extra and before is not None and before.op == "Clip":  # clip(x, 0, 6) / 6 is bounded, a ReLU6 is not
            low, high = self.ends(before, -1e30, 1e30)
            weight, shift = step.extra["scale"]
            ends = self.ends(step, low, high) if weight.numel() == 1 and (shift is None or shift.numel() == 1) else (-2, 2)
            if min(ends) >= -1 - 1e-6 and max(ends) <= 1 + 1e-6:
                return min(ends), max(ends)
        if any(interval is None for interval in intervals):
            return None
        low, high = intervals[0]
        if "scale" in step.extra:
            weight, shift = step.extra["scale"]
            ends = [weight * low, weight * high]
            ends = ends if shift is None else [end + shift for end in ends]
            return min(float(e.min()) for e in ends), max(float(e.max()) for e in ends)
        if step.op == "Pad":
            return min(low, 0.0), max(high, 0.0)
        if step.op in KEEP and len(intervals) == 1 or step.op in ("Concat", "stack", "Max", "Min"):
            return min(i[0] for i in intervals), max(i[1] for i in intervals)
        if step.op in ("Add", "Sum"):
            return sum(i[0] for i in intervals), sum(i[1] for i in intervals)
        if step.op == "Sub":
            return low - intervals[1][1], high - intervals[1][0]
        if step.op == "ReduceSum":
            n = step.inputs[0].data.numel() / max(step.output.data.numel(), 1)
            return n * low, n * high
        if step.op in ("Relu", "Clip", "Abs") or step.op in ("Pow", "Sqrt") and low >= 0:
            ends = self.ends(step, low, high, max(low, min(high, 0.0)))
            return min(ends), max(ends)
        if step.kind == "product" and all(self.keeps_sign(i) for i in intervals):
            ends = [a * b for a in intervals[0] for b in intervals[1]]
            return min(ends), max(ends)
        return None

    @staticmethod
    def ends(step, *values):
        """An elementwise function of single numbers."""
        return [float(step.function(torch.tensor(v, dtype=torch.float64)).reshape(-1)[0]) for v in values]

    @staticmethod
    def keeps_sign(interval):
        return interval[0] >= -1e-6 or interval[1] <= 1e-6

    def shares(self, step):
        """The shares of the two factors of a product."""
        a, b = step.inputs
        if a is b:
            return 0.5, 0.5
        divisors = [self.is_divisor(x) for x in (a, b)]
        if divisors[0] != divisors[1]:
            return (0.0, 1.0) if divisors[0] else (1.0, 0.0)
        gates = [self.of(x) for x in (a, b)]
        is_gate = [g is not None for g in gates]
        if all(is_gate):
            is_gate = [self.keeps_sign(g) for g in gates]
        if is_gate[0] == is_gate[1]:
            return 0.5, 0.5
        return (0.0, 1.0) if is_gate[0] else (1.0, 0.0)

    def is_divisor(self, value):
        """Whether a value is a negative power, scaled or repeated perhaps."""
        step = self.made.get(value)
        while step is not None and len(step.inputs) == 1:
            if step.extra.get("power", math.inf) < 0:
                return True
            if "scale" not in step.extra and step.op not in ("Expand", "Reshape", "Unsqueeze"):
                return False
            step = self.made.get(step.inputs[0])
        return False
