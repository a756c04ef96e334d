//! The number type that was asked for.

/// Calls a function in the number type that was asked for.
macro_rules! in_precision {
    ($precision:expr, $($function:ident)::+, $($argument:expr),*) => {
        match $precision {
            lrp_config::Precision::F32 => $($function)::+::<f32>($($argument),*),
            lrp_config::Precision::F64 => $($function)::+::<f64>($($argument),*),
        }
    };
}
pub(crate) use in_precision;
