#!/usr/bin/env python3
"""Reference relevances of the two bundled MNIST networks, by Captum 0.9.0's LRP in float64.

    pip install -r tools/requirements.txt
    python tools/make_captum_references.py

Writes tests/references/captum.npz. Networks, digits and targets are those of make_references.py, which this script
imports. tests/references/README.md lists the keys.

What Captum does, read in its source (captum/attr/_core/lrp.py, captum/attr/_utils/lrp_rules.py)
=================================================================================================

The network runs once as it is, and every layer's inputs are kept. It then runs again with modified weights, each layer
on the inputs that were kept, and a rule is one division and one product around the gradient of the modified layer:
R_j = x_j sum_k w'_jk R_k / (z'_k + e s(z'_k)), where s(0) = 1, z' = sum_j x_j w'_jk + b', and e = 1e-9 unless the rule
is EpsilonRule, which has e as its parameter. The start is the target's logit.

  EpsilonRule         w' = w, b' = b.
  GammaRule           w' = w + g max(w, 0), whatever the signs of x and z. b' = b: the bias is not favoured. With
                      set_bias_to_zero, b' = 0.
  Alpha1_Beta0_Rule   w' = max(w, 0), whatever the sign of x. b' = b: negative biases too take part in the denominator
                      of the positive contributions. With set_bias_to_zero, b' = 0.
  IdentityRule        relevance unchanged, as in its use for a batch norm behind a convolution. But relevance crosses a
                      ReLU by a hook that this rule does not know: below a ReLU, the relevance propagated is
                      sum_k w_jk R_k / (z_k + e s(z_k)), no relevance. The case "identity" has it.

Layers without a rule of their own get EpsilonRule(1e-9): convolutions (2-d), dense layers, 2-d batch norm, average
pooling, and max pooling too, whose winner gets R z / (z + e s(z)) of the R. ReLU, tanh and dropout pass relevance on.
Any other module is an error unless it is given a rule (sigmoid, leaky ReLU, 1-d convolution); Flatten is one, so that the
networks are wrapped here to flatten by a function. A module with a rule that is used twice is an error. In-place ReLUs are
no problem in this version: these networks give the same bits with them.

Rules belong to the modules and are gone after one call of `attribute`: a second call runs with EpsilonRule everywhere,
without a word. So every case gets a network of its own.
"""

import warnings
from pathlib import Path

import numpy as np
import torch
from captum.attr import LRP
from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, EpsilonRule, GammaRule, IdentityRule
from make_references import EXAMPLES, OUT, rebuild, shorten
from torch import nn

# Max pooling as everybody else has it: so small a stabilizer leaves the winner all, and 0/0 does not occur.
WINNER_TAKES_ALL = 1e-30


class Flattened(nn.Module):
    """A chain whose Flatten is a function, because Captum knows no rule for the module."""

    def __init__(self, chain):
        super().__init__()
        middle = [type(m) for m in chain].index(nn.Flatten)
        self.body, self.head = chain[:middle], chain[middle + 1 :]

    def forward(self, x):
        return self.head(self.body(x).flatten(1))


def cases():
    """Key, and a function from a weighted layer to its rule. `None`: nothing is said, not for pooling either."""
    yield "default", None
    yield "epsilon", lambda m: EpsilonRule(1e-6)
    yield "epsilon-0.1", lambda m: EpsilonRule(0.1)
    yield "gamma-0.25", lambda m: GammaRule(0.25)
    yield "gamma-0.25-ignore-bias", lambda m: GammaRule(0.25, set_bias_to_zero=True)
    yield "alpha1-beta0", lambda m: Alpha1_Beta0_Rule()
    yield "alpha1-beta0-ignore-bias", lambda m: Alpha1_Beta0_Rule(set_bias_to_zero=True)
    yield "identity", lambda m: IdentityRule() if keeps_shape(m) else EpsilonRule(1e-6)
    yield (
        "composite",
        lambda m: Alpha1_Beta0_Rule(set_bias_to_zero=True) if isinstance(m, nn.Conv2d) else EpsilonRule(0.1),
    )


def keeps_shape(module):
    """The second convolution, from 16 channels to 16."""
    return isinstance(module, nn.Conv2d) and module.in_channels == module.out_channels


def attribute(path, rule, x, target):
    model = Flattened(rebuild(path))
    if rule is not None:
        for module in model.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                module.rule = rule(module)
            elif isinstance(module, nn.MaxPool2d):
                module.rule = EpsilonRule(WINNER_TAKES_ALL)
    return LRP(model).attribute(x.clone(), target=target).detach().numpy()


def main():
    torch.use_deterministic_algorithms(True)
    digits = np.load(EXAMPLES / "digits.npy")
    x = torch.from_numpy(digits.astype(np.float64))
    result = {}
    for name, file in (("cnn", "cnn.onnx"), ("clever_hans", "clever-hans.onnx")):
        with torch.no_grad():
            target = rebuild(EXAMPLES / file)(x).argmax(1)
        for key, rule in cases():
            relevance = attribute(EXAMPLES / file, rule, x, target)
            if not np.isfinite(relevance).all() or relevance.shape != digits.shape:
                raise SystemExit(f"{name}: {key} is not finite")
            result[f"{name}.{key}"] = relevance
            print(f"{name:12} {key:26} sums of three samples {relevance.sum((1, 2, 3))[:3]}")
    path = Path(OUT) / "captum.npz"
    np.savez_compressed(path, **{key: np.ascontiguousarray(shorten(value)) for key, value in result.items()})
    print(f"{path.name}: {path.stat().st_size} bytes, {len(result)} arrays")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
