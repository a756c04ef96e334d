//! Damaged ONNX files: a short run of what `mutate-onnx` does at length.

use lrp_tests::mutation::{Meter, Report, Seeds};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The only test of this file: another one at the same time would be measured with it.
#[test]
fn damaged_files_do_no_harm() {
    let meter = Meter {
        reset: || {
            ALLOCATOR.reset_peak_usage();
            ALLOCATOR.peak_usage()
        },
        peak: || ALLOCATOR.peak_usage(),
    };
    let report = Report::of(&Seeds::load(), 2, 0..2000, meter, &|_| {});
    println!("{report}");
    assert!(report.failures.is_empty(), "{report}");
}
