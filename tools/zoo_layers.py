"""Recurrent layers, normalisations and quantized operators as steps of a tape; see zoo_tape.py."""

import torch

from zoo_operators import Unsupported, along, hard_sigmoid
from zoo_tape import Run, Step, Value

ACTIVATIONS = {"Sigmoid": torch.sigmoid, "Tanh": torch.tanh, "Relu": lambda x: x.clamp(min=0)}
LIMITS = {torch.uint8: (0, 255), torch.int8: (-128, 127)}


class Layers(Run):
    # -- LRP-all of Arras et al. 2017: gates are constant factors, sums are divided by LRP-ε, tanh passes

    def recurrent(self, node, xs, gates, cell):
        x, w, r = xs[:3]
        b, lengths, h0 = (xs + [None] * 8)[3:6]
        c0 = (xs + [None] * 8)[6]
        if lengths is not None and (lengths.data != x.data.shape[0]).any():
            raise Unsupported("sequences of different lengths")
        if node.get("clip") or any(v is not None and v.carries for v in (w, r, b)):
            raise Unsupported("a recurrent layer with a clip, or with weights that are no constants")
        first = bool(node.get("layout", 0))
        time = 1 if first else 0
        hidden, ways, batch = r.data.shape[-1], w.data.shape[0], x.data.shape[1 - time]
        directions = [node.get("direction", b"forward") == b"reverse"] if ways == 1 else [False, True]
        zero = torch.zeros(batch, hidden, dtype=torch.float64)
        columns, last, cells = [], [], []
        for d, backwards in enumerate(directions):
            bias = b.data[d] if b is not None else torch.zeros(2 * gates * hidden, dtype=torch.float64)
            weights = (w.data[d], r.data[d], bias[: gates * hidden], bias[gates * hidden :])
            state = lambda given: Value(zero) if given is None else self.pick(given, 1 if first else 0, d)
            h, c = state(h0), state(c0)
            steps = range(x.data.shape[time])
            column = []
            for t in reversed(steps) if backwards else steps:
                h, c = cell(node, self.pick(x, time, t), h, c, weights, hidden)
                column.append(h)
            columns.append(self.stack(column[::-1] if backwards else column, 0))
            last.append(h)
            cells.append(c)
        sequence = self.stack(columns, 1)  # [T, D, N, H]
        final, final_cell = self.stack(last, 0), self.stack(cells, 0)
        if first:
            sequence = self.simple("route", "layout", [sequence], lambda v: v.permute(2, 0, 1, 3))
            final = self.simple("route", "layout", [final], lambda v: v.transpose(0, 1))
        return [sequence, final, final_cell]

    def do_lstm(self, node, xs, env):
        if len(xs) > 7 and xs[7] is not None:
            raise Unsupported("an LSTM with peepholes")

        def cell(node, x, h, c, weights, n):
            w, r, wb, rb = weights
            z = x.data @ w.T + h.data @ r.T + wb + rb
            i, o, f = (torch.sigmoid(z[:, k * n : (k + 1) * n]) for k in range(3))
            part = slice(3 * n, 4 * n)
            g = self.simple("affine", "cell", [x, h], lambda x, h: x @ w[part].T + h @ r[part].T + (wb + rb)[part])
            g = self.simple("pass", "Tanh", [g], torch.tanh)
            c = self.simple("affine", "cell", [c, g], lambda c, g: f * c + i * g)
            return self.simple("pass", "cell", [c], lambda c: o * torch.tanh(c)), c

        return self.recurrent(node, xs, 4, cell)

    def do_gru(self, node, xs, env):
        before = node.get("linear_before_reset", 0)

        def cell(node, x, h, c, weights, n):
            w, r, wb, rb = weights
            a, e = x.data @ w.T + wb, h.data @ r.T + rb
            z, reset = (torch.sigmoid(a[:, k * n : (k + 1) * n] + e[:, k * n : (k + 1) * n]) for k in range(2))
            part = slice(2 * n, 3 * n)
            if before:
                signal = lambda x, h: x @ w[part].T + wb[part] + reset * (h @ r[part].T + rb[part])
            else:
                signal = lambda x, h: x @ w[part].T + wb[part] + (reset * h) @ r[part].T + rb[part]
            g = self.simple("affine", "cell", [x, h], signal)
            g = self.simple("pass", "Tanh", [g], torch.tanh)
            return self.simple("affine", "cell", [g, h], lambda g, h: (1 - z) * g + z * h), c

        return self.recurrent(node, xs, 3, cell)[:2]

    def do_rnn(self, node, xs, env):
        names = [name.decode() for name in node.get("activations") or [b"Tanh"]]
        if len(set(names)) != 1:
            raise Unsupported("an RNN with different activations")

        def cell(node, x, h, c, weights, n):
            w, r, wb, rb = weights
            z = self.simple("affine", "cell", [x, h], lambda x, h: x @ w.T + h @ r.T + wb + rb)
            return self.simple("pass", names[0], [z], ACTIVATIONS[names[0]]), c

        return self.recurrent(node, xs, 1, cell)[:2]

    # -- normalisations by mean and deviation: LRP-ε with the deviation a constant (AttnLRP's layer norm)

    def normalised(self, x, axes, epsilon, scale=None, bias=None, name="LayerNormalization"):
        def deviation(v):
            return torch.sqrt(((v - v.mean(axes, keepdim=True)) ** 2).mean(axes, keepdim=True) + epsilon)

        sigma = deviation(x.data)

        def function(v, sigma=sigma):
            y = (v - v.mean(axes, keepdim=True)) / sigma
            y = y if scale is None else y * scale
            return y if bias is None else y + bias

        value = self.simple("affine", name, [x], function, norm=axes)
        if value.step:
            value.step.extra["whole"] = lambda v: function(v, deviation(v))
        return [value]

    def do_layernormalization(self, node, xs, env):
        x = xs[0]
        axes = tuple(range(node.get("axis", -1) % x.data.ndim, x.data.ndim))
        bias = xs[2].data if len(xs) > 2 and xs[2] is not None else None
        return self.normalised(x, axes, node.get("epsilon", 1e-5), xs[1].data, bias)

    def do_instancenormalization(self, node, xs, env):
        x = xs[0]
        scale, bias = (along(v.data, x.data.ndim) for v in xs[1:])
        return self.normalised(x, tuple(range(2, x.data.ndim)), node.get("epsilon", 1e-5), scale, bias, "InstanceNormalization")

    def do_groupnormalization(self, node, xs, env):
        x, groups = xs[0], node["num_groups"]
        n, channels, *rest = x.data.shape
        split = (n, groups, channels // groups, *rest)
        per_group = node.opset < 21  # scale and bias were one number per group at first

        def spread(v):
            v = v.repeat_interleave(channels // groups) if per_group and channels != groups else v
            return v.reshape(1, groups, channels // groups, *[1] * len(rest))

        x = self.simple("route", "Reshape", [x], lambda v: v.reshape(split))
        axes = tuple(range(2, len(split)))
        y = self.normalised(x, axes, node.get("epsilon", 1e-5), spread(xs[1].data), spread(xs[2].data), "GroupNormalization")[0]
        return [self.simple("route", "Reshape", [y], lambda v: v.reshape(n, channels, *rest))]

    def do_meanvariancenormalization(self, node, xs, env):
        return self.normalised(xs[0], tuple(node.get("axes") or (0, 2, 3)), 1e-9)

    # -- a mean of several is their sum, scaled

    def do_mean(self, node, xs, env):
        y = self.simple("affine", "Sum", xs, lambda *vs: sum(vs[1:], vs[0])) if len(xs) > 1 else xs[0]
        weight = torch.tensor(1 / len(xs), dtype=torch.float64)
        return [self.simple("pass", "Mul", [y], lambda v: v * weight, scale=(weight, None))]

    # -- reductions that are made of others

    def do_reducel1(self, node, xs, env):
        return self.made_of(node, xs, torch.abs, None)

    def do_reducel2(self, node, xs, env):
        return self.made_of(node, xs, lambda v: v * v, torch.sqrt)

    def do_reducesumsquare(self, node, xs, env):
        return self.made_of(node, xs, lambda v: v * v, None)

    def made_of(self, node, xs, before, behind):
        if not xs[0].carries:
            return self.apply(node, xs)
        x = self.simple("pass", "Abs" if behind is None else "Pow", [xs[0]], before)
        node.op_type = "ReduceSum"
        (y,) = self.apply(node, [x, *xs[1:]])
        return [y if behind is None else self.simple("pass", "Sqrt", [y], behind)]

    # -- scikit-learn

    def do_linearclassifier(self, node, xs, env):
        labels, scores = self.apply(node, xs)
        post = node.get("post_transform", b"NONE").decode()
        if post in ("SOFTMAX", "LOGISTIC"):
            node.op_type, node.opset = {"SOFTMAX": "Softmax", "LOGISTIC": "Sigmoid"}[post], 13
            scores = self.apply(node, [scores])[0]
        elif post != "NONE":
            raise Unsupported(f"LinearClassifier with {post}")
        return [labels, scores]

    # -- quantized models, read as the float networks that they stand for

    def limited(self, x, scale, zero, axis=None):
        """A value that would be rounded to integers: limited to their range."""
        low, high = LIMITS[zero.dtype]
        s, z = scale.to(torch.float64), zero.to(torch.float64)
        if s.numel() != 1:
            return x
        low, high = (low - z) * s, (high - z) * s
        return self.simple("pass", "Clip", [x], lambda v: torch.minimum(torch.maximum(v, low), high))

    def dequantized(self, q, scale, zero, axis):
        zero = torch.zeros(1) if zero is None else zero
        per_axis = scale.ndim == 1 and scale.numel() > 1
        shape = lambda v: along(v.to(torch.float64), q.ndim, axis % q.ndim) if per_axis else v.to(torch.float64).reshape(())
        return (q.to(torch.float64) - shape(zero.reshape(-1) if not per_axis else zero)) * shape(scale)

    def do_quantizelinear(self, node, xs, env):
        x, scale = xs[:2]
        zero = xs[2].data if len(xs) > 2 and xs[2] is not None else torch.zeros((), dtype=torch.uint8)
        if x.carries:
            return [self.limited(x, scale.data, zero)]
        low, high = LIMITS[zero.dtype]
        per_axis = scale.data.numel() > 1
        shape = lambda v: along(v, x.data.ndim, node.get("axis", 1) % x.data.ndim) if per_axis else v.reshape(())
        q = torch.round(x.data / shape(scale.data)) + shape(zero.to(torch.float64))
        return [Value(q.clamp(low, high).to(zero.dtype))]

    def do_dequantizelinear(self, node, xs, env):
        x, scale = xs[:2]
        if x.carries:
            return [x]
        zero = xs[2].data if len(xs) > 2 and xs[2] is not None else None
        return [Value(self.dequantized(x.data, scale.data, zero, node.get("axis", 1)))]

    def do_dynamicquantizelinear(self, node, xs, env):
        return [xs[0], Value(torch.ones((), dtype=torch.float64)), Value(torch.zeros((), dtype=torch.uint8))]

    def integer_weights(self, xs):
        zero = xs[3].data if len(xs) > 3 and xs[3] is not None else torch.zeros(1)
        w = xs[1].data.to(torch.float64)
        return Value(w - zero.to(torch.float64).reshape([-1] + [1] * (w.ndim - 1) if w.ndim > 2 and zero.numel() > 1 else [-1]))

    def do_matmulinteger(self, node, xs, env):
        weights = self.integer_weights(xs)
        node.op_type = "MatMul"
        return self.apply(node, [xs[0], weights])

    def do_convinteger(self, node, xs, env):
        weights = self.integer_weights(xs)
        node.op_type = "Conv"
        return self.apply(node, [xs[0], weights])

    def do_qlinearconv(self, node, xs, env):
        x, xs_, _, w, ws, wz, ys, yz = (v for v in xs[:8])
        weights = self.dequantized(w.data, ws.data.reshape(-1), wz.data.reshape(-1), 0)
        inputs = [x, Value(weights)]
        if len(xs) > 8 and xs[8] is not None:
            inputs.append(Value(xs[8].data.to(torch.float64) * xs_.data * ws.data.reshape(-1)))
        node.op_type = "Conv"
        return [self.limited(self.apply(node, inputs)[0], ys.data, yz.data)]

    def do_qlinearmatmul(self, node, xs, env):
        a, _, _, b, bs, bz, ys, yz = xs[:8]
        weights = self.dequantized(b.data, bs.data, bz.data, -1)
        node.op_type = "MatMul"
        return [self.limited(self.apply(node, [a, Value(weights)])[0], ys.data, yz.data)]

    def do_qgemm(self, node, xs, env):
        a, a_scale, _, b, bs, bz, c = xs[:7]
        axis = 0 if node.get("transB", 0) else 1
        inputs = [a, Value(self.dequantized(b.data, bs.data, bz.data, axis))]
        if c is not None:
            inputs.append(Value(c.data.to(torch.float64) * a_scale.data * bs.data))
        node.op_type = "Gemm"
        y = self.apply(node, inputs)[0]
        return [self.limited(y, xs[7].data, xs[8].data) if len(xs) > 8 else y]

    def do_qlinearadd(self, node, xs, env):
        node.op_type = "Add"
        return [self.limited(self.apply(node, [self.real(xs, 0), self.real(xs, 3)])[0], xs[6].data, xs[7].data)]

    def real(self, xs, at):
        x = xs[at]
        return x if x.carries else Value(self.dequantized(x.data, xs[at + 1].data, xs[at + 2].data, 1))

    def do_qlinearglobalaveragepool(self, node, xs, env):
        node.op_type = "GlobalAveragePool"
        return [self.limited(self.apply(node, [xs[0]])[0], xs[3].data, xs[4].data)]

    def do_qlinearaveragepool(self, node, xs, env):
        node.op_type = "AveragePool"
        return [self.limited(self.apply(node, [xs[0]])[0], xs[3].data, xs[4].data)]

    def do_qlinearsigmoid(self, node, xs, env):
        node.op_type = "Sigmoid"
        return [self.limited(self.apply(node, [xs[0]])[0], xs[3].data, xs[4].data)]


__all__ = ["Layers", "Step", "hard_sigmoid"]
