"""Do the tools that results are exported for read them, and see the same numbers?

    pip install numpy h5py safetensors quantus==0.6.0 torch     # and for --virelay: virelay==0.6.1 corelay==1.0.0
    lrp explain -m examples/mnist/cnn.onnx -r epsilon-plus -i examples/mnist/digits.npy -o out \
        --save npy,npz,safetensors,json,quantus,virelay
    python tools/check_exports.py out examples/mnist/digits.npy [--virelay]

Compares `digits.relevance.npy` with what safetensors, Quantus and h5py load, computes Quantus' Sparseness with Quantus and
by hand, and opens the project with ViRelAy's own model, before and after tools/virelay_analysis.py.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np


def same(what, a, b, tolerance=0.0):
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    assert a.shape == b.shape, f'{what}: {a.shape} and {b.shape}'
    worst = np.abs(a - b).max()
    assert worst <= tolerance, f'{what}: they differ by {worst}'
    print(f'ok  {what}: {list(a.shape)}, largest difference {worst:g}')


def gini(v):
    """Hurley and Rickard 2009, as Chalasani et al. 2020 use it for attributions."""
    v = np.sort(np.abs(v.ravel()))
    n = v.size
    return float(np.sum((2 * np.arange(1, n + 1) - n - 1) * v) / (n * np.sum(v)))


def check_arrays(out, stem, inputs, relevance, manifest):
    from safetensors import safe_open
    from safetensors.numpy import load_file

    records = manifest['inputs'][0]['samples']
    classes = [sample['targets'][0]['class'] for sample in records]
    scores = [sample['targets'][0]['score'] for sample in records]
    npz = np.load(out / f'{stem}.relevance.npz')
    tensors = load_file(out / f'{stem}.relevance.safetensors')
    for name, arrays in [('npz', npz), ('safetensors', tensors)]:
        same(f'{name} relevance', arrays['relevance'], relevance)
        same(f'{name} classes', arrays['classes'], classes)
        same(f'{name} scores', arrays['scores'], scores)
    with safe_open(out / f'{stem}.relevance.safetensors', 'np') as file:
        facts = file.metadata()
    assert facts['model_sha256'] == manifest['model']['sha256']
    assert facts['recipe_sha256'] == ' '.join(source['sha256'] for source in manifest['recipe']['sources'])
    print('ok  safetensors metadata:', ', '.join(sorted(facts)))


def check_quantus(out, inputs, relevance):
    import quantus
    import torch

    arrays = np.load(out / 'quantus.npz')
    same('quantus x_batch', arrays['x_batch'], inputs)
    same('quantus a_batch', arrays['a_batch'], relevance)
    # The metric looks at attributions only; it wants some model all the same.
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(10)).eval()
    model(torch.from_numpy(arrays['x_batch'].astype(np.float32)))
    metric = quantus.Sparseness(abs=True, normalise=False, disable_warnings=True)
    got = metric(model=model, x_batch=arrays['x_batch'], y_batch=arrays['y_batch'], a_batch=arrays['a_batch'])
    same('quantus Sparseness', got, [gini(a) for a in relevance], 1e-5)


def check_virelay(out, inputs, relevance, manifest):
    import h5py

    project = out / 'virelay'
    with h5py.File(project / 'attribution.h5') as file:
        same('virelay attribution.h5 by h5py', file['attribution'][:], relevance)
        prediction, label = file['prediction'][:], file['label'][:]
    same('virelay labels are the largest predictions', label, prediction.argmax(1))
    scores = [sample['targets'][0]['score'] for sample in manifest['inputs'][0]['samples']]
    same('virelay predictions', prediction.max(1), scores, 1e-4)
    with h5py.File(project / 'dataset.h5') as file:
        data = file['data'][:]
    if inputs.min() >= 0 and inputs.max() <= 1:
        same('virelay pictures', data[..., 0], np.round(inputs[:, 0] * 255))
    subprocess.run([sys.executable, Path(__file__).parent / 'virelay_analysis.py', project], check=True)

    from virelay.model import Project

    opened = Project(str(project / 'project.yaml'))
    for i in range(len(relevance)):
        attribution, sample = opened.get_attribution(i), opened.get_sample(i)
        assert np.array_equal(np.moveaxis(attribution.data, -1, 0), relevance[i]), f'attribution {i}'
        assert np.array_equal(sample.data, data[i]), f'sample {i}'
        assert attribution.labels[0].index == label[i]
        assert attribution.render_heatmap('black-fire-red').shape[:2] == data[i].shape[:2]
    method = opened.get_analysis_methods()[0]
    category = opened.get_analysis_categories(method)[0].name
    clustering, embedding = opened.get_analysis_clustering_names(method)[0], opened.get_analysis_embedding_names(method)[0]
    analysis = opened.get_analysis(method, category, clustering, embedding)
    assert analysis.embedding.shape[0] == len(analysis.attribution_indices)
    print(f'ok  virelay opens {opened.name!r}: {len(relevance)} attributions; analysis {method!r}, '
          f'{len(analysis.attribution_indices)} of them in {category!r}, by {embedding} and {clustering}')
    opened.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('out', type=Path)
    parser.add_argument('inputs', type=Path)
    parser.add_argument('--virelay', action='store_true')
    args = parser.parse_args()
    inputs = np.load(args.inputs)
    relevance = np.load(args.out / f'{args.inputs.stem}.relevance.npy')
    manifest = json.loads((args.out / 'manifest.json').read_text())
    check_arrays(args.out, args.inputs.stem, inputs, relevance, manifest)
    check_quantus(args.out, inputs, relevance)
    if args.virelay:
        check_virelay(args.out, inputs, relevance, manifest)


if __name__ == '__main__':
    main()
