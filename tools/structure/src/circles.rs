//! Circles of imports.

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

use crate::imports::Imports;
use crate::tree::Tree;

/// Groups of two or more that import each other.
pub fn circles(edges: impl IntoIterator<Item = (usize, usize)>) -> Vec<Vec<usize>> {
    let graph: DiGraphMap<usize, ()> = DiGraphMap::from_edges(edges.into_iter().filter(|(from, to)| from != to));
    let mut circles: Vec<_> = tarjan_scc(&graph).into_iter().filter(|circle| circle.len() > 1).collect();
    circles.iter_mut().for_each(|circle| circle.sort_unstable());
    circles.sort_unstable();
    circles
}

/// The files that import each other beyond a module and its own parts: for each module, circles that its parts make without it, unless
/// they are within one of the parts.
pub fn file_circles(tree: &Tree, imports: &Imports) -> Vec<Vec<usize>> {
    let mut found = Vec::new();
    for whole in 0..tree.files.len() {
        let edges = imports.files.keys().copied();
        let inside = edges.filter(|&(from, to)| tree.is_part(from, whole) && tree.is_part(to, whole));
        let part = |file: usize| {
            let above = tree.above(tree.files[file].module);
            above.take_while(|&module| module != tree.files[whole].module).last()
        };
        found.extend(
            circles(inside).into_iter().filter(|circle| circle.iter().any(|&file| part(file) != part(circle[0]))),
        );
    }
    found
}
