//! Sends damaged ONNX files through the importer: `cargo run --release -p lrp-tests --bin mutate-onnx -- --cases 100000 --seed 1`.
//!
//! `--first N` starts with another case than 0. A process that is killed or hangs says which case it was at; `--save FILE`
//! writes the first case's file, to look at it, and says what the importer says.

use std::process::{ExitCode, exit};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lrp_tests::mutation::{Meter, Report, Seeds};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The case that is under way.
static CASE: AtomicUsize = AtomicUsize::new(0);

/// After so long on one case, the process gives up.
const HANG: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| arguments.iter().position(|a| a == name).and_then(|i| arguments.get(i + 1));
    let number = |name: &str, default: usize| {
        option(name).map_or(default, |v| v.parse().unwrap_or_else(|_| panic!("{name} takes a number, not '{v}'")))
    };
    let (cases, seed, first) = (number("--cases", 100_000), number("--seed", 1) as u64, number("--first", 0));

    let seeds = Seeds::load();
    if let Some(path) = option("--save") {
        let mutant = seeds.mutant(seed, first);
        std::fs::write(path, &mutant.bytes).expect("the file can be written");
        println!("case {first}: {}", mutant.history);
        ALLOCATOR.reset_peak_usage();
        let import = lrp_onnx::from_bytes::<f32>(path, mutant.bytes, &lrp_onnx::Options::default());
        let mebi = ALLOCATOR.peak_usage_as_mb();
        let what = import.map_or_else(|e| e.to_string(), |i| format!("loads, {} layers", i.model.layers().len()));
        println!("{mebi:.1} MiB: {what}");
        return ExitCode::SUCCESS;
    }
    std::thread::spawn(|| {
        loop {
            let case = CASE.load(Ordering::Relaxed);
            std::thread::sleep(HANG);
            if case == CASE.load(Ordering::Relaxed) {
                eprintln!("case {case} hangs");
                exit(2);
            }
        }
    });
    let meter = Meter {
        reset: || {
            ALLOCATOR.reset_peak_usage();
            ALLOCATOR.peak_usage()
        },
        peak: || ALLOCATOR.peak_usage(),
    };
    println!("{} files to change, seed {seed}", seeds.count());
    let report = Report::of(&seeds, seed, first..first + cases, meter, &|case| {
        CASE.store(case, Ordering::Relaxed);
        if case % 5000 == 0 {
            eprintln!("case {case}");
        }
    });
    println!("{report}");
    if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
