//! Pooling over windows and over whole axes.

use lrp_core::Scalar;
use lrp_core::kernels::window::WindowSpec;
use lrp_core::operator::Affine;
use lrp_core::ops::{AvgPool, MaxPool, Mean, Reshape, shared};

use super::window::{check_pooling, lengths, spec};
use super::{Context, Translated};
use crate::error::{Problem, Shape};
use crate::graph::Origin;

pub(super) fn max_pool<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let input = cx.shape(x);
    let spec = pooling(cx, &input)?;
    cx.push(MaxPool::new(&spec, &input)?, &[x])
}

pub(super) fn average_pool<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let input = cx.shape(x);
    let spec = pooling(cx, &input)?;
    let count_include_pad = cx.node.int("count_include_pad").unwrap_or(0) != 0;
    cx.push(AvgPool::new(&spec, count_include_pad, &input)?, &[x])
}

pub(super) fn global_average_pool<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let input = cx.shape(x);
    let axes: Vec<usize> = (2..=space(&input)?.len() + 1).collect();
    cx.push(Mean::new(&axes, true, &input)?, &[x])
}

/// Max pooling with a single window over everything.
pub(super) fn global_max_pool<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let input = cx.shape(x);
    let space = space(&input)?;
    let spec = WindowSpec::new(space);
    check_pooling(&spec, space, cx.tables)?;
    cx.push(MaxPool::new(&spec, &input)?, &[x])
}

/// Axes are an attribute up to operator set 17 and an input later.
pub(super) fn reduce_mean<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let Some(reduced) = reduced(cx, "mean")? else { return super::structure::identity(cx) };
    if reduced.is_of_one_element(cx) {
        return reduced.reshaped(cx);
    }
    let Reduced { x, axes, keep } = reduced;
    let op = shared(Mean::new(&axes, keep, &cx.shape(x))?);
    move_batch(cx, &axes, keep);
    cx.push_made_from(op, if keep { Origin::Mean(axes) } else { Origin::Other }, &[x])
}

/// A mean with the weights of a sum. Axes are an attribute up to operator set 12 and an input later.
pub(super) fn reduce_sum<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let Some(reduced) = reduced(cx, "sum")? else { return super::structure::identity(cx) };
    if reduced.is_of_one_element(cx) {
        return reduced.reshaped(cx);
    }
    let Reduced { x, axes, keep } = reduced;
    let shape = cx.shape(x);
    let op = Mean::new(&axes, keep, &shape)?.map_weights(&|_| T::one());
    let summed: usize = axes.iter().filter_map(|&axis| shape.get(axis.checked_sub(1)?)).product();
    move_batch(cx, &axes, keep);
    cx.push_made_from(op, Origin::Combination { total: summed as f64, overshoot: 0.0 }, &[x])
}

/// The reduced input, the axes (ascending), and whether those keep length one.
pub(super) struct Reduced {
    pub x: usize,
    pub axes: Vec<usize>,
    pub keep: bool,
}

impl Reduced {
    /// Whether every reduced axis has length one: the mean, the sum or the largest of one element is that element.
    pub fn is_of_one_element<T: Scalar>(&self, cx: &Context<'_, T>) -> bool {
        let shape = cx.shape(self.x);
        self.axes.iter().all(|axis| shape.get(axis - 1) == Some(&1))
    }

    /// The shape of the result, whose reduced axes have length one, or are gone.
    pub fn shape(&self, input: &[usize]) -> Vec<usize> {
        let lengths = input.iter().enumerate().map(|(i, &d)| (d, self.axes.contains(&(i + 1))));
        lengths.filter(|(_, gone)| self.keep || !gone).map(|(d, gone)| if gone { 1 } else { d }).collect()
    }

    /// What is left of an input of one element along the axes.
    pub fn reshaped<T: Scalar>(&self, cx: &mut Context<'_, T>) -> Translated {
        let input = cx.shape(self.x);
        move_batch(cx, &self.axes, self.keep);
        cx.push(Reshape::new(&input, &self.shape(&input))?, &[self.x])
    }
}

/// None where nothing is to be reduced. Without axes, all are meant.
pub(super) fn reduced<T: Scalar>(cx: &Context<'_, T>, what: &str) -> Result<Option<Reduced>, Problem> {
    let x = cx.data(0)?;
    let mut axes = cx.list(1, "axes")?.unwrap_or_default();
    if axes.is_empty() && cx.node.int("noop_with_empty_axes").unwrap_or(0) != 0 {
        return Ok(None);
    }
    if axes.is_empty() && !cx.has_batch(x) {
        axes = (0..).take(cx.shape(x).len()).collect();
    } else if axes.is_empty() {
        return Err(Problem::invalid(format!(
            "it takes the {what} over all axes, the batch included; give it axes without 0"
        )));
    }
    let mut axes: Vec<usize> = axes.iter().map(|&a| cx.sample_axis(a, x)).collect::<Result<_, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    let keep = cx.node.int("keepdims").unwrap_or(1) != 0;
    Ok(Some(Reduced { x, axes, keep }))
}

/// Where the batch stands after a reduction: axes before it may have gone.
pub(super) fn move_batch<T: Scalar>(cx: &mut Context<'_, T>, axes: &[usize], keep: bool) {
    if !keep && !cx.is_whole() {
        cx.batch_axis -= axes.iter().filter(|&&a| a <= cx.batch_axis).count();
    }
}

pub(super) fn space(input: &[usize]) -> Result<&[usize], Problem> {
    match input {
        [_, space @ ..] if !space.is_empty() => Ok(space),
        _ => Err(Problem::invalid(format!("it needs an input of [N, C, spatial…], and gets {}", Shape(input)))),
    }
}

pub(super) fn pooling<T: Scalar>(cx: &mut Context<'_, T>, input: &[usize]) -> Result<WindowSpec, Problem> {
    let space = space(input)?;
    if cx.node.ints("kernel_shape").is_none() {
        return Err(Problem::invalid("it has no kernel_shape"));
    }
    let spec = spec(cx, lengths(cx, "kernel_shape", space.len(), 1)?, space)?;
    check_pooling(&spec, space, cx.tables)?;
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net, kinds};
    use ndarray::array;

    fn run(op: &str, attributes: &[(&str, Attr<'_>)]) -> Vec<f64> {
        let mut net = Net::new(&[1, 5]);
        net.op(op, &["x"], attributes);
        net.run(&array![[[1.0, 5.0, 2.0, 4.0, 3.0]]].into_dyn()).iter().copied().collect()
    }

    #[test]
    fn by_hand() {
        let (kernel, strides) = (("kernel_shape", Attr::Ints(&[2])), ("strides", Attr::Ints(&[2])));
        assert_eq!(run("MaxPool", &[kernel, strides]), [5.0, 4.0]);
        assert_eq!(run("MaxPool", &[kernel, strides, ("ceil_mode", Attr::Int(1))]), [5.0, 4.0, 3.0]);
        let pads = ("pads", Attr::Ints(&[1, 0]));
        assert_eq!(run("AveragePool", &[kernel, strides, pads]), [1.0, 3.5, 3.5]);
        let included = ("count_include_pad", Attr::Int(1));
        assert_eq!(run("AveragePool", &[kernel, strides, pads, included]), [0.5, 3.5, 3.5]);
        assert_eq!(run("GlobalAveragePool", &[]), [3.0]);
        assert_eq!(run("GlobalMaxPool", &[]), [5.0]);
        assert_eq!(run("ReduceMean", &[("axes", Attr::Ints(&[-1])), ("keepdims", Attr::Int(0))]), [3.0]);
        assert_eq!(run("ReduceSum", &[("axes", Attr::Ints(&[2]))]), [15.0]);
        for keep in [0, 1] {
            let mut net = Net::new(&[1, 5]);
            net.op("ReduceMean", &["x"], &[("axes", Attr::Ints(&[1])), ("keepdims", Attr::Int(keep))]);
            assert_eq!(kinds(&net.raw()), ["reshape"]);
        }
        assert_eq!(run("ReduceMean", &[("noop_with_empty_axes", Attr::Int(1))]), [1.0, 5.0, 2.0, 4.0, 3.0]);
    }

    /// Each of them is small enough to be set up, together they are not.
    #[test]
    fn many_large_windows_are_refused() {
        let mut net = Net::new(&[1, 1 << 22]);
        let kernel = [("kernel_shape", Attr::Ints(&[9])), ("pads", Attr::Ints(&[4, 4]))];
        let y = net.op("AveragePool", &["x"], &kernel);
        (0..8).fold(y, |y, _| net.op("AveragePool", &[&y], &kernel));
        assert!(net.error().contains("absurdly large"), "{}", net.error());
    }

    #[test]
    fn nonsense_is_refused() {
        for (op, attributes, reason) in [
            ("MaxPool", &[][..], "no kernel_shape"),
            ("MaxPool", &[("kernel_shape", Attr::Ints(&[6]))], "does not fit"),
            (
                "AveragePool",
                &[("kernel_shape", Attr::Ints(&[1 << 28])), ("pads", Attr::Ints(&[1 << 30, 0]))],
                "absurdly large",
            ),
            ("ReduceMean", &[], "the batch included"),
            ("ReduceMean", &[("axes", Attr::Ints(&[0, 2]))], "which is the batch"),
            ("ReduceMean", &[("axes", Attr::Ints(&[3]))], "axis 3 does not exist"),
        ] {
            let mut net = Net::new(&[1, 5]);
            net.op(op, &["x"], attributes);
            assert!(net.batch_first_error().contains(reason), "{}", net.batch_first_error());
        }
    }
}
