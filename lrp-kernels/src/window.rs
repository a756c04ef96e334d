//! The geometry of a sliding window, shared by convolution and pooling.
//!
//! One, two and three spatial axes are all handled as three: missing leading axes have length one.

use thiserror::Error;

/// Why there is no window of these shapes and parameters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct WindowError(pub String);

impl WindowError {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Window parameters of one spatial axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// Input length.
    pub input: usize,
    /// Output length.
    pub output: usize,
    /// Window length in taps.
    pub kernel: usize,
    /// Step between windows.
    pub stride: usize,
    /// Step between taps.
    pub dilation: usize,
    /// Padding before the first element.
    pub pad_begin: usize,
    /// Padding after the last element.
    pub pad_end: usize,
}

/// Parameters of a window over all spatial axes, as a model states them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowSpec {
    /// Taps per axis.
    pub kernel: Vec<usize>,
    /// Step between windows per axis.
    pub stride: Vec<usize>,
    /// Step between taps per axis.
    pub dilation: Vec<usize>,
    /// Padding before, per axis.
    pub pad_begin: Vec<usize>,
    /// Padding after, per axis.
    pub pad_end: Vec<usize>,
    /// Round the number of windows up instead of down (pooling only).
    pub ceil_mode: bool,
}

impl WindowSpec {
    /// A window of these taps with stride 1, no padding, no dilation.
    pub fn new(kernel: &[usize]) -> Self {
        let n = kernel.len();
        Self {
            kernel: kernel.to_vec(),
            stride: vec![1; n],
            dilation: vec![1; n],
            pad_begin: vec![0; n],
            pad_end: vec![0; n],
            ceil_mode: false,
        }
    }

    /// The same stride on every axis.
    pub fn stride(mut self, stride: usize) -> Self {
        self.stride.fill(stride);
        self
    }

    /// The same padding on both sides of every axis.
    pub fn pad(mut self, pad: usize) -> Self {
        self.pad_begin.fill(pad);
        self.pad_end.fill(pad);
        self
    }

    /// The same dilation on every axis.
    pub fn dilation(mut self, dilation: usize) -> Self {
        self.dilation.fill(dilation);
        self
    }
}

/// A window bound to an input of known size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The three axes: depth, height, width.
    pub axes: [Axis; 3],
    rank: usize,
}

/// Largest number of elements that one sample of one tensor may have: 2³¹, 8 GiB in f32.
pub const MAX_VOLUME: usize = 1 << 31;

impl Window {
    /// Binds `spec` to the spatial sizes `input` (one to three of them).
    ///
    /// # Errors
    /// When lengths disagree, a parameter is zero, or the window is larger than the padded input.
    pub fn new(spec: &WindowSpec, input: &[usize]) -> Result<Self, WindowError> {
        let rank = input.len();
        if !(1..=3).contains(&rank) {
            return Err(WindowError::new(format!("windows over 1, 2 or 3 spatial axes are supported, not {rank}")));
        }
        for (what, list) in [
            ("kernel", &spec.kernel),
            ("strides", &spec.stride),
            ("dilations", &spec.dilation),
            ("pads (begin)", &spec.pad_begin),
            ("pads (end)", &spec.pad_end),
        ] {
            if list.len() != rank {
                return Err(WindowError::new(format!("{what} has {} numbers for {rank} spatial axes", list.len())));
            }
        }
        let unit = Axis { input: 1, output: 1, kernel: 1, stride: 1, dilation: 1, pad_begin: 0, pad_end: 0 };
        let mut axes = [unit; 3];
        let parameters = input
            .iter()
            .zip(&spec.kernel)
            .zip(&spec.stride)
            .zip(&spec.dilation)
            .zip(spec.pad_begin.iter().zip(&spec.pad_end));
        for (slot, ((((&input, &kernel), &stride), &dilation), (&pad_begin, &pad_end))) in
            axes.iter_mut().skip(3 - rank).zip(parameters)
        {
            if [input, kernel, stride, dilation].contains(&0) {
                return Err(WindowError::new("sizes, kernels, strides and dilations must be at least 1"));
            }
            if [input, kernel, stride, dilation, pad_begin, pad_end].iter().any(|&v| v > MAX_VOLUME) {
                return Err(WindowError::new("a window parameter is absurdly large"));
            }
            let extent = dilation * (kernel - 1) + 1;
            let padded = input + pad_begin + pad_end;
            if extent > padded {
                return Err(WindowError::new(format!(
                    "a window of {extent} does not fit into {padded} (input {input} with padding)"
                )));
            }
            let steps = padded - extent;
            let mut output = if spec.ceil_mode { steps.div_ceil(stride) } else { steps / stride } + 1;
            // A last window that would start in the end padding sees no input: it is dropped (as PyTorch and
            // ONNX Runtime do).
            if spec.ceil_mode && (output - 1) * stride >= input + pad_begin {
                output -= 1;
            }
            *slot = Axis { input, output, kernel, stride, dilation, pad_begin, pad_end };
        }
        // What is multiplied here must not overflow anywhere else.
        let bounded = |f: fn(&Axis) -> usize| {
            let product = axes.iter().try_fold(1usize, |product, axis| product.checked_mul(f(axis)));
            product.is_some_and(|p| p <= MAX_VOLUME)
        };
        if !bounded(|a| a.input) || !bounded(|a| a.output) || !bounded(|a| a.kernel) {
            return Err(WindowError::new(format!("a window has more than {MAX_VOLUME} taps or positions")));
        }
        Ok(Self { axes, rank })
    }

    /// Spatial sizes of the output.
    pub fn output(&self) -> Vec<usize> {
        self.spatial().map(|a| a.output).collect()
    }

    /// The real spatial axes (one to three).
    pub fn spatial(&self) -> impl Iterator<Item = &Axis> {
        self.axes.iter().skip(3 - self.rank)
    }

    /// Number of input positions.
    #[inline]
    pub fn input_len(&self) -> usize {
        self.axes.iter().map(|a| a.input).product()
    }

    /// Number of output positions.
    #[inline]
    pub fn output_len(&self) -> usize {
        self.axes.iter().map(|a| a.output).product()
    }

    /// Number of taps.
    #[inline]
    pub fn taps(&self) -> usize {
        self.axes.iter().map(|a| a.kernel).product()
    }

    /// Whether input and output positions are the same: a single tap, stride one, no padding.
    pub fn is_pointwise(&self) -> bool {
        self.axes.iter().all(|a| a.kernel == 1 && a.stride == 1 && a.pad_begin == 0 && a.pad_end == 0)
    }

    /// Whether any axis is padded.
    pub fn is_padded(&self) -> bool {
        self.axes.iter().any(|a| a.pad_begin > 0 || a.pad_end > 0)
    }

    /// The taps and input positions that one output position sees, without padding.
    pub fn connected(&self, output: usize) -> Vec<(usize, usize)> {
        let [d, h, w] = &self.axes;
        let (row, x) = (output / w.output, output % w.output);
        let (z, y) = (row / h.output, row % h.output);
        let seen = |axis: &Axis, at: usize| -> Vec<(usize, usize)> {
            let input = |tap: usize| (at * axis.stride + tap * axis.dilation).checked_sub(axis.pad_begin);
            let inside = |tap: usize| input(tap).filter(|&i| i < axis.input).map(|i| (tap, i));
            (0..axis.kernel).filter_map(inside).collect()
        };
        let (depths, rows, columns) = (seen(d, z), seen(h, y), seen(w, x));
        let mut list = Vec::with_capacity(depths.len() * rows.len() * columns.len());
        for &(kd, z) in &depths {
            for &(kh, y) in &rows {
                let (taps, inputs) = ((kd * h.kernel + kh) * w.kernel, (z * h.input + y) * w.input);
                list.extend(columns.iter().map(|&(kw, x)| (taps + kw, inputs + x)));
            }
        }
        list
    }

    /// Calls `f(tap, output row start, input index of a row's first element, range of outputs, input step)` for
    /// every tap and every row of outputs it reaches.
    ///
    /// Within a row, output `o` of `range` reads input `base + (o − range.start)·step`; other outputs of the row read
    /// padding.
    pub fn for_each_row(&self, mut f: impl FnMut(Row)) {
        let [d, h, w] = &self.axes;
        let mut tap = 0;
        for kd in 0..d.kernel {
            for kh in 0..h.kernel {
                for kw in 0..w.kernel {
                    let columns = w.valid(kw);
                    for od in d.valid(kd) {
                        for oh in h.valid(kh) {
                            if columns.is_empty() {
                                continue;
                            }
                            let row = (d.source(od, kd) * h.input + h.source(oh, kh)) * w.input;
                            f(Row {
                                tap,
                                output: (od * h.output + oh) * w.output + columns.start,
                                input: row + w.source(columns.start, kw),
                                len: columns.len(),
                                step: w.stride,
                            });
                        }
                    }
                    tap += 1;
                }
            }
        }
    }

    /// In words, for listings: `3×3, stride 2, pad 1`.
    pub fn describe(&self) -> String {
        let join = |f: &dyn Fn(&Axis) -> usize| {
            let values: Vec<usize> = self.spatial().map(f).collect();
            match values.first() {
                Some(first) if values.iter().all(|v| v == first) => first.to_string(),
                _ => values.iter().map(usize::to_string).collect::<Vec<_>>().join("×"),
            }
        };
        let mut text = self.spatial().map(|a| a.kernel.to_string()).collect::<Vec<_>>().join("×");
        if self.axes.iter().any(|a| a.stride > 1) {
            text += &format!(", stride {}", join(&|a| a.stride));
        }
        if self.is_padded() {
            let (begin, end) = (join(&|a| a.pad_begin), join(&|a| a.pad_end));
            text += &if begin == end { format!(", pad {begin}") } else { format!(", pad {begin}…{end}") };
        }
        if self.axes.iter().any(|a| a.dilation > 1) {
            text += &format!(", dilation {}", join(&|a| a.dilation));
        }
        text
    }
}

/// A run of outputs in one row that a tap connects to inputs.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Index of the tap, row-major over the kernel.
    pub tap: usize,
    /// Index of the first output of the run.
    pub output: usize,
    /// Index of the input that it reads.
    pub input: usize,
    /// Number of outputs.
    pub len: usize,
    /// Distance between the inputs of neighbouring outputs.
    pub step: usize,
}

impl Row {
    /// The `(output, input)` pairs of the run.
    pub fn pairs(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.len).map(move |i| (self.output + i, self.input + i * self.step))
    }
}

impl Axis {
    /// The outputs whose tap `k` reads a real input rather than padding.
    pub(super) fn valid(&self, k: usize) -> std::ops::Range<usize> {
        let offset = k * self.dilation;
        // o·stride + offset ≥ pad_begin and o·stride + offset < pad_begin + input
        let first = self.pad_begin.saturating_sub(offset).div_ceil(self.stride);
        let past = (self.pad_begin + self.input).saturating_sub(offset).div_ceil(self.stride);
        first..past.min(self.output).max(first)
    }

    /// The outputs whose taps all read real inputs.
    pub(super) fn inside(&self) -> std::ops::Range<usize> {
        let (first, last) = (self.valid(0), self.valid(self.kernel.saturating_sub(1)));
        first.start.max(last.start)..first.end.min(last.end)
    }

    /// The input that tap `k` of output `o` reads; only for `o` within [`valid`](Axis::valid).
    pub(super) fn source(&self, o: usize, k: usize) -> usize {
        o * self.stride + k * self.dilation - self.pad_begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every (tap, output, input) triple, one by one, straight from the definition.
    fn slow(window: &Window) -> Vec<(usize, usize, usize)> {
        let [d, h, w] = window.axes;
        let mut triples = Vec::new();
        let source = |a: &Axis, o: usize, k: usize| {
            (o * a.stride + k * a.dilation).checked_sub(a.pad_begin).filter(|&i| i < a.input)
        };
        for (kd, kh, kw) in
            (0..d.kernel).flat_map(|a| (0..h.kernel).flat_map(move |b| (0..w.kernel).map(move |c| (a, b, c))))
        {
            for od in 0..d.output {
                for oh in 0..h.output {
                    for ow in 0..w.output {
                        if let (Some(id), Some(ih), Some(iw)) =
                            (source(&d, od, kd), source(&h, oh, kh), source(&w, ow, kw))
                        {
                            triples.push((
                                (kd * h.kernel + kh) * w.kernel + kw,
                                (od * h.output + oh) * w.output + ow,
                                (id * h.input + ih) * w.input + iw,
                            ));
                        }
                    }
                }
            }
        }
        triples
    }

    #[test]
    fn rows_cover_exactly_the_connections() {
        for (kernel, stride, dilation, pads, input) in [
            (vec![3], 1, 1, (1, 1), vec![5]),
            (vec![3, 2], 2, 1, (0, 1), vec![7, 6]),
            (vec![2, 3], 3, 2, (2, 2), vec![8, 9]),
            (vec![1, 3, 2], 2, 1, (1, 0), vec![4, 5, 6]),
            (vec![5], 4, 1, (4, 4), vec![2]),
        ] {
            for ceil_mode in [false, true] {
                let mut spec = WindowSpec::new(&kernel).stride(stride).dilation(dilation);
                spec.pad_begin.fill(pads.0);
                spec.pad_end.fill(pads.1);
                spec.ceil_mode = ceil_mode;
                let window = Window::new(&spec, &input).unwrap();
                let mut fast = Vec::new();
                window.for_each_row(|row| fast.extend(row.pairs().map(|(o, i)| (row.tap, o, i))));
                fast.sort_unstable();
                let mut slow = slow(&window);
                slow.sort_unstable();
                assert_eq!(fast, slow, "{spec:?}");
            }
        }
    }

    #[test]
    fn a_window_larger_than_its_input_is_refused() {
        assert!(Window::new(&WindowSpec::new(&[5]), &[4]).is_err());
        assert!(Window::new(&WindowSpec::new(&[5]).pad(1), &[4]).is_ok());
        assert!(Window::new(&WindowSpec::new(&[5]).stride(0), &[9]).is_err());
        let huge = 1 << 20;
        assert!(Window::new(&WindowSpec::new(&[huge, huge, huge]).pad(huge), &[1, 1, 1]).is_err());
    }
}
