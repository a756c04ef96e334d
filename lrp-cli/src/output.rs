//! Standard output. A reader that has seen enough (`lrp rules | head`) is no reason to fail, nor to panic as `println!` does.

use std::fmt;
use std::io::{ErrorKind, Write};

use crate::failure::Failure;

/// Prints a line to standard output; gives an error where that fails.
macro_rules! say {
    ($($argument:tt)*) => {
        $crate::output::print(format_args!("{}\n", format_args!($($argument)*)))
    };
}
pub(crate) use say;

/// Prints a text as it is.
///
/// # Errors
/// When it cannot be written, a reader that went away excepted.
pub fn print(text: fmt::Arguments<'_>) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::plain(format!("cannot write to standard output: {e}")))
        }
        _ => Ok(()),
    }
}

/// Prints to standard error. Where that fails, there is nobody left to tell.
pub fn report(text: fmt::Arguments<'_>) {
    let _ = std::io::stderr().lock().write_fmt(text);
}
