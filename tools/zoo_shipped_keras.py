#!/usr/bin/env python3
"""Models of Keras and TensorFlow, by tf2onnx, to tests/shipped; see zoo_shipped.py.

    pip install tensorflow-cpu keras tf2onnx onnxruntime      # the versions are in tools/requirements.txt
    python tools/zoo_shipped_keras.py
"""

import argparse
import logging
import os
import tempfile
from pathlib import Path

import numpy as np

from zoo_shelf import OUT, Shelf, noise, random_of

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def models():
    """Name, model, inputs by name, whether the batch is fixed to 1."""
    from keras import Input, Model, layers, ops

    def two_inputs():
        image, table = Input((8, 8, 3), name="image"), Input((4,), name="table")
        h = layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3, strides=2, activation="relu")(image))
        t = layers.Dense(6, activation="relu")(table)
        return Model([image, table], layers.Dense(3)(layers.Concatenate()([h, t])))

    yield "image_and_table", two_inputs(), {"image": noise("keras image", 1, 8, 8, 3), "table": noise("keras table", 1, 4)}, False

    def siamese():
        a, b = Input((6,), name="left"), Input((6,), name="right")
        net = layers.Dense(5, activation="relu")
        return Model([a, b], layers.Dense(2)(ops.abs(net(a) - net(b))))

    yield "siamese", siamese(), {"left": noise("keras left", 1, 6), "right": noise("keras right", 1, 6)}, False

    for name, layer in (
        ("lstm", layers.LSTM(5)),
        ("gru", layers.GRU(5)),
        ("simple_rnn", layers.SimpleRNN(5, return_sequences=True)),
        ("bidirectional", layers.Bidirectional(layers.LSTM(4))),
    ):
        x = Input((5, 3), name="x", batch_size=1)
        h = layer(x)
        yield name, Model(x, layers.Dense(3)(h if len(h.shape) == 2 else ops.mean(h, 1))), {"x": noise(f"keras {name}", 1, 5, 3)}, True

    ids = Input((7,), dtype="int32", name="ids")
    h = layers.GlobalMaxPooling1D()(layers.Conv1D(6, 3, activation="relu")(layers.Embedding(20, 5)(ids)))
    yield "text_cnn", Model(ids, layers.Dense(3, activation="softmax")(h)), {"ids": random_of("keras ids").integers(0, 20, (1, 7)).astype(np.int32)}, False

    pixels = Input((8, 8, 3), dtype="uint8", name="pixels")
    h = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    h = layers.BatchNormalization()(layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False)(h))
    h = layers.Flatten()(layers.MaxPooling2D(2)(layers.ReLU(6.0)(h)))
    yield "u8_image", Model(pixels, layers.Dense(4)(h)), {"pixels": random_of("keras pixels").integers(0, 256, (1, 8, 8, 3)).astype(np.uint8)}, False

    x = Input((10, 2), name="x")
    h = layers.Conv1D(6, 3, padding="causal", dilation_rate=2, activation="relu")(x)
    h = layers.Add()([h, layers.Conv1D(6, 1)(x)])
    h = layers.TimeDistributed(layers.Dense(4, activation="relu"))(layers.AveragePooling1D(2)(h))
    yield "temporal", Model(x, layers.Dense(3)(layers.Flatten()(h))), {"x": noise("keras temporal", 1, 10, 2)}, False

    x = Input((6, 6, 2), name="x", batch_size=1)
    h = layers.Conv2DTranspose(4, 2, strides=2, activation="leaky_relu")(layers.Conv2D(4, 3, padding="same", activation="leaky_relu")(x))
    h = layers.Concatenate()([h, layers.UpSampling2D(2, interpolation="bilinear")(x)])
    yield "segmentation", Model(x, layers.Conv2D(3, 1)(h)), {"x": noise("keras segments", 1, 6, 6, 2)}, True

    x = Input((5, 8), name="x")
    h = layers.MultiHeadAttention(2, 4)(x, x)
    h = layers.Add()([x, h])
    yield "attention", Model(x, layers.Dense(3)(layers.GlobalAveragePooling1D()(h))), {"x": noise("keras attention", 1, 5, 8)}, False

    x = Input((8, 8, 1), name="x")
    h = layers.SeparableConv2D(6, 3, activation="relu")(layers.ZeroPadding2D(1)(x))
    gate = layers.Dense(6, activation="sigmoid")(layers.Dense(3, activation="relu")(layers.GlobalAveragePooling2D()(h)))
    h = layers.GlobalAveragePooling2D()(layers.Multiply()([h, layers.Reshape((1, 1, 6))(gate)]))
    yield "gated", Model(x, layers.Dense(3)(h)), {"x": noise("keras gated", 1, 8, 8, 1)}, False


def export(name, model, inputs, fixed, shelf):
    import tensorflow
    import tf2onnx

    random = random_of(f"keras {name}")
    for variable in model.weights:
        shape, kind = tuple(variable.shape), variable.path.split("/")[-1]
        if "seed" in kind:
            continue
        if "variance" in kind or kind == "gamma":
            variable.assign(random.uniform(0.6, 1.5, shape))
        else:
            variable.assign(random.standard_normal(shape) * (0.2 if len(shape) == 1 else (1.5 / np.prod(shape[:-1])) ** 0.5))
    given = [tensorflow.constant(inputs[i.name]) for i in model.inputs]
    function = tensorflow.function(lambda *xs: model(list(xs) if len(xs) > 1 else xs[0], training=False), autograph=False)
    batch = 1 if fixed else None
    signature = [tensorflow.TensorSpec((batch, *v.shape[1:]), v.dtype, name=i.name) for i, v in zip(model.inputs, given)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        tf2onnx.convert.from_function(function, input_signature=signature, opset=17, output_path=str(path))
        expected = model(given if len(given) > 1 else given[0], training=False).numpy()
        shelf.add(f"keras_{name}", "tf2onnx", path, inputs, expected=expected)


def main():
    parser = argparse.ArgumentParser(description="Export small models of Keras to ONNX.")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write to")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these")
    args = parser.parse_args()
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    shelf = Shelf(args.out, args.only)
    for name, model, inputs, fixed in models():
        shelf.attempt(f"keras_{name}", "tf2onnx", lambda: export(name, model, inputs, fixed, shelf))
    shelf.save()


if __name__ == "__main__":
    main()
