#!/usr/bin/env python3
"""Full-size transformers as ONNX files, with random weights: what bench_peers.py times.

    python tools/zoo_transformers.py                  # to target/zoo, in the environment of make_attention_references.py
    python tools/zoo_transformers.py --only vit_b16

`vit_b16` is ViT-B/16 for images of 224 pixels. `minilm` has the shape of MiniLM-L6 and reads the embeddings of 128 tokens, so that its input is
explained as it is. NAME.ts.onnx by the TorchScript exporter (opset 17), NAME.npz with the input `x` and the output `y`, as those of zoo.py.
"""

import argparse
import os
import zlib
from pathlib import Path

import numpy as np
import torch

OUT = Path(os.environ.get("LRP_ZOO", Path(__file__).resolve().parents[1] / "target" / "zoo"))
SHAPES = {"vit_b16": (1, 3, 224, 224), "minilm": (1, 128, 384)}


class Logits(torch.nn.Module):
    """A model of transformers as a function of one tensor."""

    def __init__(self, net, key):
        super().__init__()
        self.net, self.key = net, key

    def forward(self, x):
        return self.net(**{self.key: x}).logits


def build(name, attention="eager"):
    """The module in evaluation mode; biases and weights of norms are not those of initialization, which are zero and one."""
    import transformers

    torch.manual_seed(zlib.crc32(name.encode()))
    if name == "vit_b16":
        config = transformers.ViTConfig(num_labels=1000, attn_implementation=attention)
        model = Logits(transformers.ViTForImageClassification(config), "pixel_values")
    else:
        config = transformers.BertConfig(
            hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536, attn_implementation=attention
        )
        model = Logits(transformers.BertForSequenceClassification(config), "inputs_embeds")
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.02 * torch.randn(parameter.shape)
    return model.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write to (target/zoo)")
    parser.add_argument("--only", nargs="+", choices=SHAPES, default=list(SHAPES), help="only these networks")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.only:
        model = build(name)
        x = torch.randn(SHAPES[name], generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            y = model(x)
        path = args.out / f"{name}.ts.onnx"
        axes = {"x": {0: "n"}, "y": {0: "n"}}
        torch.onnx.export(model, (x,), path, input_names=["x"], output_names=["y"], opset_version=17, dynamo=False, dynamic_axes=axes)
        np.savez(args.out / f"{name}.npz", x=x.numpy(), y=y.numpy())
        print(f"{name}: {sum(p.numel() for p in model.parameters())} parameters, {path}")


if __name__ == "__main__":
    main()
