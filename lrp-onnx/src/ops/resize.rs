//! Enlargement and reduction of images: Resize, and Upsample as it was called before operator set 10.
//!
//! Nearest-neighbour resizing only copies elements, so that it is structural; interpolation is an affine operator. The
//! positions and weights are those of [`crate::resizing`].

use lrp_core::Scalar;
use lrp_core::operator::Kind;
use lrp_core::ops::{Identity, Resize, Select, Taps, shared};

use super::{Context, Translated};
use crate::error::Problem;
use crate::graph::Origin;
use crate::resizing::{Length, Resizing};

/// Resize and Upsample: nearest neighbours are selected, and interpolation is an affine operator.
pub(super) fn resize<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let full = cx.full_shape(x);
    let resizing = Resizing::new(cx.node, cx.opset, &full, |index| Ok(cx.optional(index)?.cloned()))?;
    let axes = match resizing.axes.split_first() {
        Some((batch, rest)) if batch.input == batch.output => rest,
        _ => return Err(Problem::invalid("it resizes the batch axis; axis 0 must stay the batch")),
    };
    let input = cx.shape(x);
    if axes.iter().all(Length::is_kept) {
        return cx.push(Identity::new(&input)?, &[x]);
    }
    if resizing.is_nearest() {
        cx.tables.charge_axes(axes.iter().map(|a| a.output))?;
        let indices: Vec<Vec<usize>> = axes.iter().map(|a| resizing.nearest(a)).collect();
        let sizes: Vec<String> = axes.iter().skip(1).map(|a| a.output.to_string()).collect();
        let op = Select::new(Kind::ResizeNearest, format!("to {}, nearest", sizes.join("×")), &indices, &input)?;
        return cx.push(op, &[x]);
    }
    // Four taps at most, for every position along an axis.
    let outputs = axes.iter().try_fold(0usize, |n, a| n.checked_add(a.output)).unwrap_or(usize::MAX);
    cx.tables.charge_weights(outputs, outputs.saturating_mul(4))?;
    let narrow = |taps: Vec<(usize, f64)>| taps.into_iter().map(|(index, weight)| (index, T::of(weight))).collect();
    let taps: Vec<Vec<Taps<T>>> = axes.iter().map(|a| resizing.taps(a).into_iter().map(narrow).collect()).collect();
    // The weights sum up to one, those below zero (of cubic interpolation) to half of what the absolute values have beyond that.
    let size = |taps: &Taps<T>| taps.iter().map(|(_, weight)| weight.wide().abs()).sum::<f64>();
    let largest = |axis: &Vec<Taps<T>>| axis.iter().map(size).fold(0.0, f64::max);
    let overshoot = (taps.iter().map(largest).product::<f64>() - 1.0).max(0.0) / 2.0;
    let overshoot = if overshoot < 1e-6 { 0.0 } else { overshoot };
    let op = shared(Resize::new(&taps, &input)?);
    cx.push_made_from(op, Origin::Combination { total: 1.0, overshoot }, &[x])
}

/// The taps of an axis that stays as it is.
pub(super) fn whole<T: Scalar>(length: usize) -> Vec<Taps<T>> {
    (0..length).map(|i| vec![(i, T::one())]).collect()
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net, kinds};
    use ndarray::array;

    /// The result for 0, 10, 20, 30 at this length of the axis.
    fn resized(to: i64, mode: &'static str, coordinates: &'static str, nearest: &'static str) -> Vec<f64> {
        let mut net = Net::new(&[1, 4]);
        let sizes = net.ints(&[13, 1, to]);
        let attributes = [
            ("mode", Attr::Text(mode)),
            ("coordinate_transformation_mode", Attr::Text(coordinates)),
            ("nearest_mode", Attr::Text(nearest)),
        ];
        net.op("Resize", &["x", "", "", &sizes], &attributes);
        let y = net.run(&array![[[0.0, 10.0, 20.0, 30.0]]].into_dyn());
        y.iter().map(|v| (v * 1e6).round() / 1e6).collect()
    }

    /// The values that ONNX Runtime 1.32 computes.
    #[test]
    fn modes_by_hand() {
        let doubled = [0.0, 0.0, 10.0, 10.0, 20.0, 20.0, 30.0, 30.0];
        assert_eq!(resized(8, "nearest", "asymmetric", "floor"), doubled);
        assert_eq!(resized(8, "nearest", "half_pixel", "round_prefer_floor"), doubled);
        assert_eq!(resized(8, "nearest", "pytorch_half_pixel", "round_prefer_ceil"), doubled);
        assert_eq!(resized(8, "nearest", "asymmetric", "ceil"), [0.0, 10.0, 10.0, 20.0, 20.0, 30.0, 30.0, 30.0]);
        assert_eq!(resized(2, "nearest", "align_corners", "floor"), [0.0, 30.0]);
        assert_eq!(resized(2, "nearest", "tf_half_pixel_for_nn", "floor"), [10.0, 30.0]);
        let half = [0.0, 2.5, 7.5, 12.5, 17.5, 22.5, 27.5, 30.0];
        assert_eq!(resized(8, "linear", "half_pixel", "floor"), half);
        assert_eq!(resized(8, "linear", "pytorch_half_pixel", "floor"), half);
        assert_eq!(resized(8, "linear", "half_pixel_symmetric", "floor"), half);
        assert_eq!(resized(7, "linear", "align_corners", "floor"), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
        assert_eq!(resized(8, "linear", "asymmetric", "floor"), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 30.0]);
        assert_eq!(resized(1, "linear", "pytorch_half_pixel", "floor"), [0.0]);
        assert_eq!(resized(2, "linear", "half_pixel", "floor"), [5.0, 25.0]);
        let cubic = resized(8, "cubic", "half_pixel", "floor");
        assert_eq!(cubic, [-1.054688, 1.914063, 6.679688, 12.96875, 17.03125, 23.320313, 28.085938, 31.054688]);
    }

    #[test]
    fn scales_in_every_place() {
        let x = array![[[0.0, 10.0]]].into_dyn();
        let expected = array![[[0.0, 0.0, 10.0, 10.0]]].into_dyn();
        for (opset, op) in [(9, "Upsample"), (10, "Resize"), (13, "Resize")] {
            let mut net = Net::new(&[1, 2]).opset(opset);
            let scales = net.floats(&[3], &[1.0, 1.0, 2.0]);
            net.op(op, &if opset < 11 { vec!["x", &scales] } else { vec!["x", "", &scales] }, &[]);
            assert_eq!(net.run(&x), expected, "{op}");
            assert_eq!(kinds(&net.raw()), ["resize-nearest"]);
        }
        let mut net = Net::new(&[1, 2]).opset(18);
        let scales = net.floats(&[1], &[2.0]);
        net.op("Resize", &["x", "", &scales], &[("axes", Attr::Ints(&[-1]))]);
        assert_eq!(net.run(&x), expected);
    }

    /// Each of them is small enough, together they are not.
    #[test]
    fn many_large_interpolations_are_refused() {
        let mut net = Net::new(&[1, 2]);
        let (large, small) = (net.ints(&[13, 1, 1 << 22]), net.ints(&[13, 1, 2]));
        let mut y = "x".to_owned();
        for _ in 0..6 {
            for size in [&large, &small] {
                y = net.op("Resize", &[&y, "", "", size], &[("mode", Attr::Text("linear"))]);
            }
        }
        assert!(net.batch_first_error().contains("absurdly many"), "{}", net.batch_first_error());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (scales, reason) in [
            (&[2.0, 1.0, 1.0][..], "resizes the batch axis"),
            (&[1.0, 1.0, f32::NAN], "to nothing, or absurdly much"),
            (&[1.0, 1.0, 0.1], "to nothing, or absurdly much"),
            (&[1.0, 1.0, 1e30], "to nothing, or absurdly much"),
            (&[1.0, 1.0, 1e9], "absurdly large"),
            (&[1.0, 1.0], "2 sizes or scales for 3 axes"),
        ] {
            let mut net = Net::new(&[1, 2]);
            let scales = net.floats(&[scales.len() as i64], scales);
            net.op("Resize", &["x", "", &scales], &[]);
            assert!(net.error().contains(reason), "{}", net.error());
        }
        let mut net = Net::new(&[1, 2]);
        let scales = net.floats(&[3], &[1.0, 1.0, 2.0]);
        net.op("Resize", &["x", "", &scales], &[("coordinate_transformation_mode", Attr::Text("tf_crop_and_resize"))]);
        assert!(net.error().contains("tf_crop_and_resize"), "{}", net.error());
    }
}
