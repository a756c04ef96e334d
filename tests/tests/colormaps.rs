//! Colour maps give the colours that zennit's give (`tools/make_colormap_references.py`).

use std::fs::File;

use lrp_config::{COLORMAPS, Colormap};
use lrp_tests::program::repository;
use ndarray::Array2;
use ndarray_npy::NpzReader;

#[test]
fn maps_and_sources_give_zennits_colours() {
    let file = File::open(repository().join("tests/references/colormaps.npz")).unwrap();
    let mut archive = NpzReader::new(file).unwrap();
    let names = archive.names().unwrap();
    assert!(COLORMAPS.iter().all(|name| names.iter().any(|n| n == name)), "{names:?}");
    assert_eq!(names.len(), COLORMAPS.len() + 5);
    for name in names {
        let map: Colormap = name.parse().unwrap();
        let expected: Array2<f32> = archive.by_name(&name).unwrap();
        assert_eq!(expected.dim(), (256, 3));
        // Three colours at equal steps: zennit has the second at 127, here it is where zero is, at 128. One position is this much.
        let tolerance = if name == "cold" { 255.0 / 127.0 } else { 1e-4 };
        for (position, expected) in expected.outer_iter().enumerate() {
            let got = map.mix(position as f64);
            for (got, expected) in got.iter().zip(expected) {
                assert!((got - f64::from(*expected)).abs() < tolerance, "{name} at {position}: {got:?}, {expected:?}");
            }
            // What is drawn for the value at this position: its colour, in whole numbers.
            let value = (position as f64 - 128.0) / if position < 128 { 128.0 } else { 127.0 };
            let drawn = map.color(value).map(f64::from);
            assert!(
                drawn.iter().zip(got).all(|(drawn, got)| (drawn - got).abs() <= 0.5 + 1e-9),
                "{name} at {position}"
            );
        }
    }
}
