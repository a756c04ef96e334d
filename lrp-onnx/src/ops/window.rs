//! The window attributes that convolutions and pooling share: strides, dilations, pads, auto_pad.

use lrp_core::Scalar;
use lrp_core::kernels::window::{MAX_VOLUME, Window, WindowSpec};

use super::{Context, Tables};
use crate::error::Problem;

/// The padding mode of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AutoPad {
    /// As its pads say.
    Explicit,
    /// Not at all.
    Valid,
    /// So that strides divide the input; the odd one goes to the end.
    SameUpper,
    /// So that strides divide the input; the odd one goes to the beginning.
    SameLower,
}

impl AutoPad {
    /// The node's `auto_pad`.
    pub fn of<T: Scalar>(cx: &Context<'_, T>) -> Result<Self, Problem> {
        match cx.node.text("auto_pad").as_deref() {
            None | Some("NOTSET" | "") => Ok(AutoPad::Explicit),
            Some("VALID") => Ok(AutoPad::Valid),
            Some("SAME_UPPER") => Ok(AutoPad::SameUpper),
            Some("SAME_LOWER") => Ok(AutoPad::SameLower),
            Some(other) => Err(Problem::invalid(format!("it has an auto_pad of '{other}'"))),
        }
    }

    /// Splits the padding of one axis into beginning and end.
    pub fn split(self, total: usize) -> (usize, usize) {
        let half = total / 2;
        if self == AutoPad::SameUpper { (half, total - half) } else { (total - half, half) }
    }
}

/// A list attribute of `len` numbers, each `default` where the attribute is missing.
pub(super) fn lengths<T: Scalar>(
    cx: &Context<'_, T>,
    attribute: &str,
    len: usize,
    default: usize,
) -> Result<Vec<usize>, Problem> {
    let Some(list) = cx.node.ints(attribute) else { return Ok(vec![default; len]) };
    let values: Option<Vec<usize>> =
        list.iter().map(|&v| usize::try_from(v).ok().filter(|&v| v <= MAX_VOLUME)).collect();
    match values {
        Some(values) if values.len() == len => Ok(values),
        Some(_) => Err(Problem::invalid(format!("its {attribute} has {} numbers in place of {len}", list.len()))),
        None => {
            Err(Problem::invalid(format!("its {attribute} are {list:?}; negative or huge ones make no sense here")))
        }
    }
}

/// The window of a convolution or pooling with this kernel over these spatial sizes.
pub(super) fn spec<T: Scalar>(cx: &Context<'_, T>, kernel: Vec<usize>, space: &[usize]) -> Result<WindowSpec, Problem> {
    let rank = space.len();
    if kernel.len() != rank {
        return Err(Problem::invalid(format!("its kernel {kernel:?} does not fit {rank} spatial axes")));
    }
    let mut spec = WindowSpec::new(&kernel);
    spec.stride = lengths(cx, "strides", rank, 1)?;
    spec.dilation = lengths(cx, "dilations", rank, 1)?;
    spec.ceil_mode = cx.node.int("ceil_mode").unwrap_or(0) != 0;
    match AutoPad::of(cx)? {
        AutoPad::Valid => {}
        AutoPad::Explicit => {
            let pads = lengths(cx, "pads", 2 * rank, 0)?;
            let (begin, end) = pads.split_at(rank);
            spec.pad_begin = begin.to_vec();
            spec.pad_end = end.to_vec();
        }
        auto => {
            let axes = space.iter().zip(&kernel).zip(&spec.stride).zip(&spec.dilation);
            let pads = axes.map(|(((&input, &kernel), &stride), &dilation)| {
                let steps = input.div_ceil(stride.max(1)).saturating_sub(1) * stride;
                let extent = dilation.saturating_mul(kernel.saturating_sub(1)).saturating_add(1);
                auto.split(steps.saturating_add(extent).saturating_sub(input))
            });
            (spec.pad_begin, spec.pad_end) = pads.unzip();
        }
    }
    Ok(spec)
}

/// The maximum number of connections of a pooling window in one channel: they are walked once while importing.
const MAX_CONNECTIONS: usize = 1 << 27;

/// Refuses a pooling window that would take long to set up; only a damaged file has one.
pub(super) fn check_pooling(spec: &WindowSpec, space: &[usize], tables: &mut Tables) -> Result<(), Problem> {
    let window = Window::new(spec, space)?;
    let connections = window.spatial().try_fold(1usize, |n, a| n.checked_mul(a.kernel)?.checked_mul(a.output));
    match connections {
        Some(n) if n <= MAX_CONNECTIONS && tables.charge_window(window.output_len(), n).is_ok() => Ok(()),
        _ => Err(Problem::invalid(format!("its window {} over {space:?} is absurdly large", window.describe()))),
    }
}
