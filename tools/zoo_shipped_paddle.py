#!/usr/bin/env python3
"""Models of PaddlePaddle, by paddle2onnx, to tests/shipped; see zoo_shipped.py. It needs the environment of zoo_paddle.py:

    python tools/zoo_shipped_paddle.py
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from zoo_shelf import OUT, Shelf, noise, random_of


class Recognizer(nn.Layer):
    """As text recognizers are shipped: convolutions, a bidirectional LSTM over the width, classes at every step."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2D(3, 6, 3, 2, 1)
        self.act = nn.Hardswish()
        self.rnn = nn.LSTM(6, 5, direction="bidirect")
        self.head = nn.Linear(10, 7)

    def forward(self, x):
        h = F.max_pool2d(self.act(self.conv(x)), (4, 1)).squeeze(2).transpose([0, 2, 1])
        return F.softmax(self.head(self.rnn(h)[0]), 2)


class Gru(nn.Layer):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(4, 5, time_major=True)
        self.head = nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.rnn(x)[0][-1])


class Detector(nn.Layer):
    """Probabilities of text, by transposed convolutions."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2D(3, 6, 3, 2, 1), nn.BatchNorm2D(6), nn.ReLU(), nn.Conv2D(6, 6, 3, 1, 1, groups=6), nn.ReLU())
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2D(1), nn.Conv2D(6, 3, 1), nn.ReLU(), nn.Conv2D(3, 6, 1), nn.Hardsigmoid())
        self.head = nn.Sequential(nn.Conv2DTranspose(6, 4, 2, 2), nn.ReLU(), nn.Conv2D(4, 1, 1))

    def forward(self, x):
        h = self.body(x)
        return F.sigmoid(self.head(h + h * self.gate(h)))


class Text(nn.Layer):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.norm = nn.LayerNorm(6)
        self.head = nn.Linear(6, 3)

    def forward(self, ids):
        return self.head(F.gelu(self.norm(self.embedding(ids))).mean(1))


class Scorer(nn.Layer):
    def __init__(self):
        super().__init__()
        self.user, self.item, self.head = nn.Linear(5, 6), nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, user, item):
        return self.head(F.relu(self.user(user)) + F.relu(self.item(item)))


def models():
    yield "recognizer", Recognizer(), {"x": noise("paddle recognizer", 1, 3, 8, 12)}
    yield "time_major_gru", Gru(), {"x": noise("paddle gru", 5, 1, 4)}
    yield "detector", Detector(), {"x": noise("paddle detector", 1, 3, 8, 8)}
    yield "text", Text(), {"ids": random_of("paddle ids").integers(0, 20, (1, 6))}
    yield "two_inputs", Scorer(), {"user": noise("paddle user", 1, 5), "item": noise("paddle item", 1, 4)}


def export(name, model, inputs, shelf):
    model.eval()
    random = random_of(f"paddle {name}")
    for key, value in model.state_dict().items():
        shape = tuple(value.shape)
        if key.endswith("_variance") or ("norm" in key or ".1." in key) and key.endswith("weight"):
            new = random.uniform(0.6, 1.5, shape)
        elif len(shape) > 1:
            new = random.standard_normal(shape) * (1.5 / (shape[0] if len(shape) == 2 else np.prod(shape[1:]))) ** 0.5
        else:
            new = 0.2 * random.standard_normal(shape)
        value.set_value(new.astype(np.float32))
    expected = model(*(paddle.to_tensor(v) for v in inputs.values())).numpy()
    signature = [paddle.static.InputSpec(list(v.shape), v.dtype.name, k) for k, v in inputs.items()]
    with tempfile.TemporaryDirectory() as folder:
        paddle.onnx.export(model, str(Path(folder) / "model"), input_spec=signature, opset_version=13)
        shelf.add(f"paddle_{name}", "paddle2onnx", Path(folder) / "model.onnx", inputs, expected=expected)


def main():
    parser = argparse.ArgumentParser(description="Export small models of PaddlePaddle to ONNX.")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write to")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these")
    args = parser.parse_args()
    shelf = Shelf(args.out, args.only)
    for name, model, inputs in models():
        shelf.attempt(f"paddle_{name}", "paddle2onnx", lambda: export(name, model, inputs, shelf))
    shelf.save()


if __name__ == "__main__":
    main()
