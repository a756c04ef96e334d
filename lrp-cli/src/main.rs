//! `lrp`: layer-wise relevance propagation from the command line.
//!
//! A command's arguments and its recipe are merged into a job (`job`), which then runs in the wanted number type. Nothing
//! but this crate prints; diagnostics go to standard error, results to standard output or files.

mod args;
mod arrangement;
mod check;
mod command;
mod compare;
mod diagnosis;
mod drawing;
mod drawn;
mod examples;
mod explain;
mod failure;
mod figure;
mod fit;
mod guard;
mod hash;
mod heatmap;
mod init;
mod input;
mod interrupt;
mod job;
mod layers;
mod layout;
mod listing;
mod look;
mod manifest;
mod output;
mod palette;
mod picture;
mod plan;
mod report;
mod run;
mod series;
mod session;
mod shares;
mod table;
mod targets;
mod text;
mod threads;
mod tokens;

use std::process::ExitCode;

use crate::args::Command;
use crate::failure::Failure;

/// What `lrp_core::memory::keep` does for glibc's allocator cannot be done for musl's.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    lrp_core::memory::keep();
    interrupt::survive_file_size_limit();
    let command = command::parse();
    // A panic is a mistake of ours: it has been printed, and the exit code says so.
    let json = command.json();
    let outcome = std::panic::catch_unwind(|| dispatch(command));
    match outcome {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => failure.report(json),
        Err(_) => Failure::Internal("a panic, see above".to_owned()).report(json),
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(args) => run::run(args),
        Command::Explain(args) => run::explain(args),
        Command::Compare(args) => run::compare(args),
        Command::Report(args) => report::report(&args),
        Command::Check(args) => check::check(args),
        Command::Layers(args) => layers::layers(&args),
        Command::Plan(args) => plan::plan(&args),
        Command::Rules(listing) => listing::rules(listing),
        Command::Presets(args) => listing::presets(&args),
        Command::Schema(args) => listing::schema(&args),
        Command::Init(args) => init::init(&args),
        Command::Completions(args) => command::completions(args.shell),
        Command::Man(args) => command::man(args.dir.as_deref()),
        Command::Palette(args) => palette::palette(&args),
    }
}
