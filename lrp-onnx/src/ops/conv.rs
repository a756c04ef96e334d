//! Convolution and transposed convolution.

use lrp_core::Scalar;
use lrp_core::kernels::window::{MAX_VOLUME, WindowSpec};
use lrp_core::ops::{ConvTranspose, shared};

use super::window::{AutoPad, lengths, spec};
use super::{Context, Translated};
use crate::error::{Problem, Shape};
use crate::graph::{Convolution, Origin, parameters};

pub(super) fn conv<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let input = cx.shape(x);
    let weights = cx.constant(1)?.clone();
    let bias = cx.optional(2)?.cloned();
    let spec = spec(cx, kernel(cx, weights.shape())?, space(&input)?)?;
    let convolution = Convolution { weights, bias, spec, groups: groups(cx)? };
    let op = convolution.build::<T>(&input)?;
    cx.push_made_from(shared(op), Origin::Conv(convolution), &[x])
}

/// Its spatial sizes are `stride·(input − 1) + output_padding + extent − pads`, unless `output_shape` or `auto_pad` fix
/// them and the pads follow.
pub(super) fn conv_transpose<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let input = cx.shape(x);
    let space = space(&input)?;
    let rank = space.len();
    let (weights, bias) = parameters::<T>(cx.constant(1)?, cx.optional(2)?)?;
    let mut spec = WindowSpec::new(&kernel(cx, weights.shape())?);
    if spec.kernel.len() != rank {
        return Err(Problem::invalid(format!("its kernel {:?} does not fit {}", spec.kernel, Shape(&input))));
    }
    spec.stride = lengths(cx, "strides", rank, 1)?;
    spec.dilation = lengths(cx, "dilations", rank, 1)?;
    let extra = lengths(cx, "output_padding", rank, 0)?;
    let auto = AutoPad::of(cx)?;
    let wanted = wanted_space(cx, auto, space, &spec.stride)?;

    // What comes out where nothing is cut off.
    let natural = space.iter().zip(&spec.kernel).zip(&spec.stride).zip(&spec.dilation).zip(&extra).map(
        |((((&input, &kernel), &stride), &dilation), &extra)| {
            let extent = dilation.checked_mul(kernel.checked_sub(1)?)?.checked_add(1)?;
            stride.checked_mul(input.checked_sub(1)?)?.checked_add(extra)?.checked_add(extent)
        },
    );
    let natural: Option<Vec<usize>> = natural.collect();
    let natural = natural.ok_or_else(|| Problem::invalid("its output is absurdly large"))?;
    let output: Vec<usize> = match wanted {
        Some(output) => {
            let pads = natural.iter().zip(&output).map(|(n, o)| auto.split(n.saturating_sub(*o)));
            (spec.pad_begin, spec.pad_end) = pads.unzip();
            output
        }
        None => {
            if auto == AutoPad::Explicit {
                let pads = lengths(cx, "pads", 2 * rank, 0)?;
                let (begin, end) = pads.split_at(rank);
                (spec.pad_begin, spec.pad_end) = (begin.to_vec(), end.to_vec());
            }
            let cut = natural.iter().zip(spec.pad_begin.iter().zip(&spec.pad_end));
            let output: Option<Vec<usize>> = cut.map(|(n, (b, e))| n.checked_sub(b + e)).collect();
            output.ok_or_else(|| Problem::invalid("its pads cut off more than there is"))?
        }
    };
    if output.iter().any(|&o| o > MAX_VOLUME) {
        return Err(Problem::invalid(format!("its output of {output:?} is absurdly large")));
    }
    let op = ConvTranspose::new(weights, bias, &spec, groups(cx)?, &input, &output)?;
    cx.push(op, &[x])
}

/// The spatial sizes that `output_shape` or `auto_pad` ask for.
fn wanted_space<T: Scalar>(
    cx: &Context<'_, T>,
    auto: AutoPad,
    space: &[usize],
    stride: &[usize],
) -> Result<Option<Vec<usize>>, Problem> {
    if let Some(shape) = cx.node.ints("output_shape").filter(|s| !s.is_empty()) {
        // Some exporters include batch and channels.
        let skip = if shape.len() == space.len() + 2 { 2 } else { 0 };
        let shape: Option<Vec<usize>> = shape.iter().skip(skip).map(|&d| usize::try_from(d).ok()).collect();
        return match shape {
            Some(shape) if shape.len() == space.len() => Ok(Some(shape)),
            _ => Err(Problem::invalid(format!("its output_shape does not fit {} spatial axes", space.len()))),
        };
    }
    match auto {
        AutoPad::SameUpper | AutoPad::SameLower => {
            Ok(Some(space.iter().zip(stride).map(|(d, s)| d.saturating_mul(*s)).collect()))
        }
        AutoPad::Explicit | AutoPad::Valid => Ok(None),
    }
}

fn space(input: &[usize]) -> Result<&[usize], Problem> {
    match input {
        [_, space @ ..] if !space.is_empty() => Ok(space),
        _ => Err(Problem::invalid(format!("it needs an input of [N, C, spatial…], and gets {}", Shape(input)))),
    }
}

/// The taps that the weights have, and that `kernel_shape` confirms.
fn kernel<T: Scalar>(cx: &Context<'_, T>, weights: &[usize]) -> Result<Vec<usize>, Problem> {
    let taps = weights.get(2..).unwrap_or_default();
    let stated = lengths(cx, "kernel_shape", taps.len(), 0)?;
    if cx.node.ints("kernel_shape").is_some() && stated != taps {
        return Err(Problem::invalid(format!("its kernel_shape is {stated:?}, its weights have {taps:?}")));
    }
    Ok(taps.to_vec())
}

fn groups<T: Scalar>(cx: &Context<'_, T>) -> Result<usize, Problem> {
    let group = cx.node.int("group").unwrap_or(1);
    usize::try_from(group).map_err(|_| Problem::invalid(format!("its group is {group}")))
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net};
    use ndarray::array;

    #[test]
    fn padding_by_hand() {
        let x = array![[[1.0, 2.0, 3.0, 4.0]]].into_dyn();
        let run = |attributes: &[(&str, Attr<'_>)]| {
            let mut net = Net::new(&[1, 4]);
            let w = net.floats(&[1, 1, 2], &[1.0, 10.0]);
            net.op("Conv", &["x", &w], attributes);
            net.run(&x)
        };
        let auto = |text| run(&[("auto_pad", Attr::Text(text))]);
        assert_eq!(auto("SAME_UPPER"), array![[[21.0, 32.0, 43.0, 4.0]]].into_dyn());
        assert_eq!(auto("SAME_LOWER"), array![[[10.0, 21.0, 32.0, 43.0]]].into_dyn());
        assert_eq!(auto("VALID"), array![[[21.0, 32.0, 43.0]]].into_dyn());
        assert_eq!(
            run(&[("pads", Attr::Ints(&[1, 0])), ("strides", Attr::Ints(&[2]))]),
            array![[[10.0, 32.0]]].into_dyn()
        );
        assert_eq!(run(&[("dilations", Attr::Ints(&[3]))]), array![[[41.0]]].into_dyn());
    }

    #[test]
    fn transposed_shapes_by_hand() {
        let x = array![[[1.0, 2.0]]].into_dyn();
        let run = |attributes: &[(&str, Attr<'_>)]| {
            let mut net = Net::new(&[1, 2]);
            let w = net.floats(&[1, 1, 3], &[1.0, 10.0, 100.0]);
            net.op("ConvTranspose", &["x", &w], &[&[("strides", Attr::Ints(&[2]))], attributes].concat());
            net.run(&x)
        };
        assert_eq!(run(&[]), array![[[1.0, 10.0, 102.0, 20.0, 200.0]]].into_dyn());
        assert_eq!(run(&[("pads", Attr::Ints(&[1, 0]))]), array![[[10.0, 102.0, 20.0, 200.0]]].into_dyn());
        let padded = run(&[("output_padding", Attr::Ints(&[1]))]);
        assert_eq!(padded, array![[[1.0, 10.0, 102.0, 20.0, 200.0, 0.0]]].into_dyn());
        // One too many: it is cut off at the beginning, unless SAME_UPPER is said.
        let shape = ("output_shape", Attr::Ints(&[4]));
        assert_eq!(run(&[shape]), array![[[10.0, 102.0, 20.0, 200.0]]].into_dyn());
        let upper = ("auto_pad", Attr::Text("SAME_UPPER"));
        assert_eq!(run(&[shape, upper]), array![[[1.0, 10.0, 102.0, 20.0]]].into_dyn());
        assert_eq!(run(&[upper]), array![[[1.0, 10.0, 102.0, 20.0]]].into_dyn());
    }

    #[test]
    fn nonsense_is_refused() {
        for (op, attributes, reason) in [
            ("Conv", ("pads", Attr::Ints(&[-1, 0])), "its pads are [-1, 0]"),
            ("Conv", ("pads", Attr::Ints(&[1])), "its pads has 1 numbers in place of 2"),
            ("Conv", ("strides", Attr::Ints(&[0])), "at least 1"),
            ("Conv", ("dilations", Attr::Ints(&[i64::MAX])), "its dilations"),
            ("Conv", ("kernel_shape", Attr::Ints(&[2])), "its weights have [3]"),
            ("Conv", ("group", Attr::Int(-3)), "its group is -3"),
            ("Conv", ("auto_pad", Attr::Text("SOME")), "auto_pad of 'SOME'"),
            ("ConvTranspose", ("pads", Attr::Ints(&[9, 9])), "cut off more than there is"),
            ("ConvTranspose", ("output_shape", Attr::Ints(&[1 << 40])), "absurdly large"),
            ("ConvTranspose", ("output_shape", Attr::Ints(&[2, 2])), "output_shape"),
        ] {
            let mut net = Net::new(&[1, 5]);
            let w = net.weight(&[1, 1, 3]);
            net.op(op, &["x", &w], &[attributes]);
            assert!(net.error().contains(reason), "{}", net.error());
        }
        let mut net = Net::new(&[5]);
        let w = net.weight(&[1, 1, 3]);
        net.op("Conv", &["x", &w], &[]);
        assert!(net.error().contains("gets [N, 5]"), "{}", net.error());
    }
}
