"""Spectral embedding and clusters of attributions (SpRAy, Lapuschkin et al. 2019), by CoRelAy, for `lrp explain --save virelay`.

    pip install virelay==0.6.1 corelay==1.0.0
    python tools/virelay_analysis.py out/virelay [--clusters 4] [--least 12]
    virelay out/virelay/project.yaml

writes analysis.h5 into the project's folder and names it in project.yaml. There is an analysis of all attributions, and
one of each class that has at least `--least` of them.
"""

import argparse
from pathlib import Path

import h5py
import numpy as np
import yaml
from corelay.pipeline.spectral import SpectralClustering
from corelay.processor.affinity import SparseKNN
from corelay.processor.clustering import KMeans
from corelay.processor.embedding import EigenDecomposition

METHOD = 'spectral analysis'


def analyse(attribution, clusters):
    """Eigenvalues, embedding [n, k] and clusters [n] of attributions [n, ...]; each is scaled to a sum of 1 first."""
    flat = attribution.sum(axis=1).reshape(len(attribution), -1).astype(np.float64)
    flat /= np.abs(flat).sum(axis=1, keepdims=True) + 1e-12
    n = len(flat)
    pipeline = SpectralClustering(
        affinity=SparseKNN(n_neighbors=min(10, n - 1), symmetric=True),
        embedding=EigenDecomposition(n_eigval=min(32, n - 2), is_output=True),
        clustering=KMeans(n_clusters=min(clusters, n), kwargs={'random_state': 0}, is_output=True),
    )
    (eigenvalues, embedding), labels = pipeline(flat)
    return eigenvalues, embedding, labels


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('project', type=Path)
    parser.add_argument('--clusters', type=int, default=4)
    parser.add_argument('--least', type=int, default=12)
    args = parser.parse_args()
    with h5py.File(args.project / 'attribution.h5') as file:
        attribution, label, index = file['attribution'][:], file['label'][:], file['index'][:]
    groups = {'all': np.arange(len(label))}
    groups |= {f'{c}': np.flatnonzero(label == c) for c in np.unique(label) if (label == c).sum() >= args.least}
    if len(label) < 4:
        raise SystemExit(f'{len(label)} attributions are too few to be analysed: explain more inputs')
    with h5py.File(args.project / 'analysis.h5', 'w') as file:
        for name, members in groups.items():
            eigenvalues, embedding, clusters = analyse(attribution[members], args.clusters)
            group = file.create_group(name)
            group['index'] = index[members].astype(np.uint32)
            group['embedding/spectral'] = embedding.astype(np.float32)
            group['embedding/spectral'].attrs['eigenvalue'] = eigenvalues.astype(np.float32)
            group[f'cluster/kmeans-{args.clusters}'] = clusters.astype(np.uint32)
            group[f'cluster/kmeans-{args.clusters}'].attrs['embedding'] = 'spectral'
            print(f'{name}: {len(members)} attributions, clusters of {np.bincount(clusters).tolist()}')
    path = args.project / 'project.yaml'
    project = yaml.safe_load(path.read_text())
    project['project']['analyses'] = [{'analysis_method': METHOD, 'sources': ['analysis.h5']}]
    path.write_text(yaml.safe_dump(project, sort_keys=False))


if __name__ == '__main__':
    main()
