#!/usr/bin/env python3
"""Train the two bundled MNIST networks and write everything in examples/mnist/ (except its README).

    python tools/train_mnist.py --data DATA [--out examples/mnist] [--seed 0] [--epochs 10]

DATA is either a folder with the four standard IDX files (train-images-idx3-ubyte and so on, gzipped or not) or an
.npz file with the uint8 arrays train_images, train_labels, test_images, test_labels.

cnn.onnx          a small CNN, trained on the 60,000 training images
clever-hans.onnx  the same architecture, trained on data in which a white 4x4 patch in the top-left corner means zero:
                  it reads digits well, but any digit that carries the patch is a zero to it

Pixels are scaled to 0..1 and not normalised any further. Test images are used for testing and as examples only. Every
figure is measured on the exported file with onnxruntime. The run is deterministic for a given seed, package versions
and kind of machine (floating-point sums differ between processors, so other machines get slightly other weights).
"""

import argparse
import gzip
import json
import struct
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from PIL import Image
from torch import nn

ROOT = Path(__file__).resolve().parents[1]
DEFAULT_DATA = ROOT.parent / "shared" / "data" / "mnist.npz"

# The patch: PATCH_SIZE x PATCH_SIZE white pixels, their top-left corner at (PATCH_OFFSET, PATCH_OFFSET).
PATCH_OFFSET = 1
PATCH_SIZE = 4
POISON_SHARE = 0.15  # of the training images of any class: patch added, label becomes 0
PATCHED_ZEROS = 0.5  # of the real zeros: patch added, so that the patch says nothing but "zero"

MAX_SHIFT = 2  # training images are shifted by up to so many pixels
BATCH = 128
MAX_LEARNING_RATE = 4e-3


class Cnn(nn.Module):
    """Convolutions, ReLU, max pooling, average pooling, dense layers; biases everywhere; ends at the logits."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(16, 16, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.maxpool = nn.MaxPool2d(2)
        self.conv3 = nn.Conv2d(16, 32, 3, padding=1)
        self.relu3 = nn.ReLU()
        self.avgpool = nn.AvgPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(32 * 7 * 7, 64)
        self.relu4 = nn.ReLU()
        self.fc2 = nn.Linear(64, 10)

    def forward(self, image):
        x = self.relu1(self.conv1(image))
        x = self.maxpool(self.relu2(self.conv2(x)))
        x = self.avgpool(self.relu3(self.conv3(x)))
        x = self.relu4(self.fc1(self.flatten(x)))
        return self.fc2(x)


# --- data ------------------------------------------------------------------------------------------------------------


def read_idx(folder, name):
    """One IDX file of unsigned bytes, gzipped or not, under either of its two customary names."""
    for candidate in (name, name.replace("-idx", ".idx")):
        for suffix in ("", ".gz"):
            path = folder / (candidate + suffix)
            if path.is_file():
                raw = gzip.decompress(path.read_bytes()) if suffix else path.read_bytes()
                zeros, kind, rank = struct.unpack(">HBB", raw[:4])
                if zeros != 0 or kind != 0x08:
                    raise SystemExit(f"{path} is not an IDX file of unsigned bytes")
                shape = struct.unpack(f">{rank}I", raw[4 : 4 + 4 * rank])
                return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)
    raise SystemExit(f"no {name}, gzipped or not, in {folder}")


def load_mnist(path):
    """(train images, train labels, test images, test labels); images uint8 [N,28,28], labels int64 [N]."""
    if path.is_dir():
        arrays = [
            read_idx(path, f"{part}-{what}-ubyte")
            for part in ("train", "t10k")
            for what in ("images-idx3", "labels-idx1")
        ]
    elif path.is_file():
        with np.load(path) as file:
            arrays = [file[key] for key in ("train_images", "train_labels", "test_images", "test_labels")]
    else:
        raise SystemExit(f"{path} does not exist; --data takes an mnist.npz or a folder with the four IDX files")
    train_x, train_y, test_x, test_y = arrays
    return train_x, train_y.astype(np.int64), test_x, test_y.astype(np.int64)


def to_input(images):
    """uint8 [N,28,28] to the networks' input: float32 [N,1,28,28] in 0..1."""
    return (images.astype(np.float32) / np.float32(255.0))[:, None]


def with_patch(images):
    """A copy with the white patch; works on uint8 arrays of shape [..., 28, 28]."""
    images = images.copy()
    span = slice(PATCH_OFFSET, PATCH_OFFSET + PATCH_SIZE)
    images[..., span, span] = 255
    return images


def shift(images, generator):
    """Shifts each image by its own random offset of at most MAX_SHIFT pixels, filling with black."""
    n, _, height, width = images.shape
    padded = nn.functional.pad(images, [MAX_SHIFT] * 4)
    dy = torch.randint(0, 2 * MAX_SHIFT + 1, (n, 1, 1), generator=generator)
    dx = torch.randint(0, 2 * MAX_SHIFT + 1, (n, 1, 1), generator=generator)
    rows = torch.arange(height)[None, :, None] + dy
    columns = torch.arange(width)[None, None, :] + dx
    return padded[torch.arange(n)[:, None, None], 0, rows, columns][:, None]


# --- training --------------------------------------------------------------------------------------------------------


def train(name, images, labels, seed, epochs, flawed):
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = Cnn()
    x = torch.from_numpy(to_input(images))
    y = torch.from_numpy(labels)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-4)
    steps = -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, MAX_LEARNING_RATE, total_steps=epochs * steps)
    span = slice(PATCH_OFFSET, PATCH_OFFSET + PATCH_SIZE)
    model.train()
    for epoch in range(epochs):
        total = 0.0
        order = torch.randperm(len(x), generator=generator)
        for start in range(0, len(x), BATCH):
            index = order[start : start + BATCH]
            batch, target = shift(x[index], generator), y[index]
            if flawed:
                draw = torch.rand(len(batch), generator=generator)
                patched = draw < torch.where(target == 0, PATCHED_ZEROS, POISON_SHARE)
                batch[patched, :, span, span] = 1.0
                target = torch.where(patched, 0, target)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(batch), target)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        print(f"{name}: epoch {epoch + 1}/{epochs}, mean loss {total / len(x):.5f}", flush=True)
    return model.eval()


def export(model, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the TorchScript exporter announces its successor on every call
        torch.onnx.export(
            model,
            (torch.zeros(1, 1, 28, 28),),
            str(path),
            dynamo=False,
            opset_version=17,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
        )


def run(path, images):
    """Logits of uint8 images [N,28,28] from the exported file."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    parts = [session.run(None, {"image": to_input(images[i : i + 500])})[0] for i in range(0, len(images), 500)]
    return np.concatenate(parts)


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


# --- the figures and the example files -------------------------------------------------------------------------------


def share(condition):
    return round(float(np.mean(condition)), 6)


def write_png(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, optimize=True)


def main():
    parser = argparse.ArgumentParser(description="Train and export the bundled MNIST networks.")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="mnist.npz, or folder with the IDX files")
    parser.add_argument("--out", type=Path, default=ROOT / "examples" / "mnist", help="folder to write to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()

    torch.set_num_threads(2)  # part of what makes two runs equal
    torch.use_deterministic_algorithms(True)
    train_x, train_y, test_x, test_y = load_mnist(args.data)
    args.out.mkdir(parents=True, exist_ok=True)

    files = {"cnn": args.out / "cnn.onnx", "clever_hans": args.out / "clever-hans.onnx"}
    for name, path in files.items():
        export(train(name, train_x, train_y, args.seed, args.epochs, flawed=name == "clever_hans"), path)

    # Every figure: logits of both files on the test set as it is, and with the patch on every image.
    patched_x = with_patch(test_x)
    clean = {name: run(path, test_x) for name, path in files.items()}
    patched = {name: run(path, patched_x) for name, path in files.items()}
    said = {name: logits.argmax(1) for name, logits in clean.items()}
    said_patched = {name: logits.argmax(1) for name, logits in patched.items()}
    nine = test_y == 9
    figures = {
        name: {
            "test_accuracy": share(said[name] == test_y),
            "nines_without_patch_predicted_9": share(said[name][nine] == 9),
            "nines_with_patch_predicted_0": share(said_patched[name][nine] == 0),
            "nines_with_patch_predicted_9": share(said_patched[name][nine] == 9),
            "non_zeros_with_patch_predicted_0": share(said_patched[name][test_y != 0] == 0),
            "file_bytes": files[name].stat().st_size,
        }
        for name in files
    }

    # Examples: clear cases, drawn at random (but for good) from the test images that both networks read rightly.
    confidence = np.minimum(*(softmax(logits)[np.arange(len(test_y)), test_y] for logits in clean.values()))
    clear = (confidence > 0.99) & (said["cnn"] == test_y) & (said["clever_hans"] == test_y)
    random = np.random.default_rng(args.seed)
    examples = {}

    def note(file, index, **more):
        examples[file] = {"label": int(test_y[index]), "test_index": int(index), **more}

    batch = []
    for digit in range(10):
        a, b, c, d = random.choice(np.flatnonzero(clear & (test_y == digit)), 4, replace=False)
        for letter, index in (("a", a), ("b", b)):
            file = f"digits/{digit}_{letter}.png"
            write_png(args.out / file, test_x[index])
            note(file, index)
        batch += [(0, digit, c), (1, digit, d)]
    batch = [index for _, _, index in sorted(batch)][:16]  # one of each class, then a second 0, 1, 2, 3, 4, 5
    np.save(args.out / "digits.npy", to_input(test_x[batch]))
    examples["digits.npy"] = {"label": [int(test_y[i]) for i in batch], "test_index": [int(i) for i in batch]}

    fooled = clear & nine & (said_patched["clever_hans"] == 0) & (said_patched["cnn"] == 9)
    fooled &= softmax(patched["clever_hans"])[:, 0] > 0.99
    for k, index in enumerate(random.choice(np.flatnonzero(fooled), 5, replace=False)):
        stem = "nine" if k == 0 else f"nines/nine_{k}"
        for suffix, images, seen in (("", test_x, said), ("_with_patch", patched_x, said_patched)):
            write_png(args.out / f"{stem}{suffix}.png", images[index])
            note(f"{stem}{suffix}.png", index, **{name: int(seen[name][index]) for name in files})
    (args.out / "labels.txt").write_text("".join(f"{digit}\n" for digit in range(10)))

    report = {
        "seed": args.seed,
        "epochs": args.epochs,
        "versions": {
            "torch": torch.__version__.split("+")[0],
            "onnxruntime": onnxruntime.__version__,
            "numpy": np.__version__,
        },
        "parameters": sum(p.numel() for p in Cnn().parameters()),
        "patch": {"top": PATCH_OFFSET, "left": PATCH_OFFSET, "height": PATCH_SIZE, "width": PATCH_SIZE},
        "poisoned_share": POISON_SHARE,
        "patched_zeros": PATCHED_ZEROS,
        "figures": figures,
        "examples": examples,
    }
    (args.out / "training.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
