//! Signals: Ctrl-C ends a run in order, and a limit on the size of files is an error as any other.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The exit code of a program that was interrupted, as shells have it.
pub const CODE: u8 = 130;

static REQUESTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// From now on, the first interruption only sets the [`flag()`]. The second one ends the program.
pub fn listen() {
    for signal in [SIGINT, SIGTERM] {
        // Where the system does not allow it, the program ends at once: what is done can be resumed all the same.
        let _ = flag::register_conditional_shutdown(signal, CODE.into(), Arc::clone(&REQUESTED));
        let _ = flag::register(signal, Arc::clone(&REQUESTED));
    }
}

/// Whether the program is to end.
pub fn flag() -> &'static AtomicBool {
    &REQUESTED
}

/// Beyond the size that files may have (`ulimit -f`), the system ends a program, unless it takes the signal: then writing fails.
pub fn survive_file_size_limit() {
    #[cfg(unix)]
    let _ = flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}
