#!/usr/bin/env python3
"""A small network from PaddlePaddle, by paddle2onnx, to tests/models/paddle_cnn.paddle2onnx.onnx.

paddle2onnx 2.1.0 needs onnx 1.17, the other scripts a newer one, so this one wants a virtual environment of its own
(Python 3.11):

    pip install paddlepaddle==3.3.1 paddle2onnx==2.1.0 onnxruntime==1.32.0
    python tools/zoo_paddle.py

Adds the input and onnxruntime's output to models.npz; run it after `zoo.py --small`, which writes that anew.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import paddle
from paddle import nn
from paddle.nn import functional as F

OUT = Path(__file__).resolve().parents[1] / "tests" / "models"
NAME = "paddle_cnn"


class Block(nn.Layer):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv = nn.Conv2D(inputs, outputs, 3, stride, 1, bias_attr=False)
        self.norm = nn.BatchNorm2D(outputs)
        self.depthwise = nn.Conv2D(outputs, outputs, 3, 1, 1, groups=outputs, bias_attr=False)
        self.depthwise_norm = nn.BatchNorm2D(outputs)
        self.shortcut = nn.Conv2D(inputs, outputs, 1, stride)
        self.active = nn.Hardswish()

    def forward(self, x):
        h = F.relu6(self.norm(self.conv(x)))
        return self.active(self.depthwise_norm(self.depthwise(h)) + self.shortcut(x))


class Network(nn.Layer):
    def __init__(self):
        super().__init__()
        self.first = Block(3, 8, 2)
        self.pool = nn.MaxPool2D(3, 2, 1)
        self.second = Block(8, 16, 1)
        self.mean = nn.AdaptiveAvgPool2D(1)
        self.gate = nn.Sequential(nn.Conv2D(16, 4, 1), nn.ReLU(), nn.Conv2D(4, 16, 1), nn.Hardsigmoid())
        self.up = nn.Conv2DTranspose(16, 16, 2, 2)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        h = self.second(self.pool(self.first(x)))
        h = h * self.gate(self.mean(h))
        h = F.swish(F.gelu(self.up(h)))
        h = paddle.flatten(self.mean(h), 1)
        return F.softmax(self.head(self.dropout(h)))


def main():
    parser = argparse.ArgumentParser(description="Export a small PaddlePaddle network to ONNX.")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write to")
    args = parser.parse_args()

    random = np.random.default_rng(7)
    model = Network()
    model.eval()
    for key, value in model.state_dict().items():
        shape = tuple(value.shape)
        if key.endswith("_mean"):
            new = 0.2 * random.standard_normal(shape)
        elif key.endswith("_variance"):
            new = random.uniform(0.5, 2.0, shape)
        elif len(shape) > 1:
            fan_in = shape[0] if len(shape) == 2 else np.prod(shape[1:])
            new = random.standard_normal(shape) * (2 / fan_in) ** 0.5
        elif key.endswith("norm.weight"):
            new = random.uniform(0.5, 1.5, shape)
        else:
            new = 0.2 * random.standard_normal(shape)
        value.set_value(new.astype(np.float32))

    x = (np.round(32 * np.clip(random.standard_normal((2, 3, 32, 32)), -3, 3)) / 32).astype(np.float32)
    expected = model(paddle.to_tensor(x)).numpy()
    path = args.out / f"{NAME}.paddle2onnx.onnx"
    with tempfile.TemporaryDirectory() as folder:
        signature = [paddle.static.InputSpec([None, *x.shape[1:]], "float32", "x")]
        paddle.onnx.export(model, str(Path(folder) / NAME), input_spec=signature, opset_version=13)
        onnx.save(onnx.load(Path(folder) / f"{NAME}.onnx"), path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    y = session.run(None, {"x": x})[0]
    error = np.abs(y - expected).max()
    print(f"{path.name}: {path.stat().st_size} bytes, {error:.1e} from paddle, {y.min():.3g} to {y.max():.3g}")
    if error > 1e-5:
        raise SystemExit("onnxruntime does not agree with paddle")
    arrays_path = args.out / "models.npz"
    arrays = dict(np.load(arrays_path)) | {f"{NAME}.x": x, f"{NAME}.y": y}
    np.savez_compressed(arrays_path, **dict(sorted(arrays.items())))


if __name__ == "__main__":
    main()
