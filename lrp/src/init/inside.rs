//! Scaling of pixels inside the model, and the pixels that the model therefore expects.

use lrp_core::{Model, Scalar};

/// Scaling of the input before the first layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Inside {
    /// The nodes that do it.
    pub nodes: Vec<String>,
    /// The range of the pixels that it is made for: 0 to 1, or 0 to 255.
    pub range: [f64; 2],
}

/// Ranges that pixels may have.
const RANGES: [[f64; 2]; 2] = [[0.0, 1.0], [0.0, 255.0]];

impl Inside {
    /// The scaling in the preprocessing of a model, if it has any.
    pub fn new<T: Scalar>(model: &Model<T>) -> Option<Self> {
        let nodes: Vec<String> = model.preprocessing().map(|id| model.node(id).name.clone()).collect();
        if nodes.is_empty() {
            return None;
        }
        let oddity = |range: &[f64; 2]| oddity(model, *range);
        let range = RANGES.into_iter().min_by(|a, b| oddity(a).total_cmp(&oddity(b)))?;
        Some(Self { nodes, range })
    }
}

/// The oddity of the values at the first layers, on average, for pixels of this range: networks are trained on values around
/// zero, of a size about one.
fn oddity<T: Scalar>(model: &Model<T>, [low, high]: [f64; 2]) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for layer in model.first_layers() {
        // What becomes of an input that is `value` everywhere.
        let made = |value: f64| model.input_box_at(layer, &[value], &[value]).unwrap_or_default();
        for ([dark, _], [bright, _]) in made(low).iter().zip(&made(high)) {
            for (dark, bright) in dark.iter().zip(bright).map(|(dark, bright)| (dark.wide(), bright.wide())) {
                let (middle, half) = ((dark + bright) / 2.0, (dark - bright).abs() / 2.0);
                // Where nothing changes, there is padding, or a channel that is switched off.
                if half > 0.0 {
                    let size = dark.abs().max(bright.abs());
                    let aside = if middle.abs() > 4.0 * half { 10.0 } else { 0.0 };
                    sum += size.log10().abs() + aside;
                    count += 1.0;
                }
            }
        }
    }
    if count > 0.0 { sum / count } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use lrp_core::ops::{Dense, Preprocessing};
    use lrp_core::{Builder, Tensor};

    use super::*;

    fn judged(weight: f64, bias: f64) -> [f64; 2] {
        let mut net = Builder::<f32>::new();
        let x = net.input("x", &[2]);
        let constant = |value| Some(Tensor::from_elem(vec![1], value));
        let x = net.add("scale", Preprocessing::new(constant(weight), constant(bias), &[2]).unwrap(), &[x]).unwrap();
        let z = net.add("dense", Dense::new(Tensor::ones(vec![1, 2]), None, &[2]).unwrap(), &[x]).unwrap();
        let inside = Inside::new(&net.finish(z).unwrap()).unwrap();
        assert_eq!(inside.nodes, ["scale"]);
        inside.range
    }

    #[test]
    fn the_usual_conventions() {
        for (mean, std) in [(0.485, 0.229), (0.5, 0.5), (0.5, 1.0), (0.1307, 0.3081), (0.48, 1.0 / 255.0), (0.4, 0.05)]
        {
            assert_eq!(judged(1.0 / std, -mean / std), [0.0, 1.0], "({mean}, {std})");
        }
        for (mean, std) in
            [(0.0, 255.0), (127.5, 127.5), (127.5, 128.0), (123.68, 1.0), (123.675, 58.395), (104.0, 60.0)]
        {
            assert_eq!(judged(1.0 / std, -mean / std), [0.0, 255.0], "({mean}, {std})");
        }
        // With the sign changed.
        assert_eq!(judged(-2.0, 1.0), [0.0, 1.0]);
        assert_eq!(judged(-1.0 / 255.0, 1.0), [0.0, 255.0]);
    }

    #[test]
    fn a_model_that_scales_nothing() {
        let mut net = Builder::<f32>::new();
        let x = net.input("x", &[2]);
        let z = net.add("dense", Dense::new(Tensor::ones(vec![1, 2]), None, &[2]).unwrap(), &[x]).unwrap();
        assert_eq!(Inside::new(&net.finish(z).unwrap()), None);
    }
}
