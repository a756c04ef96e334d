//! `lrp`: layer-wise relevance propagation from the command line.
//!
//! A command's arguments and its recipe are merged into a job (`job`), which `lrp-run` then runs in the wanted number type. Nothing
//! but this crate prints; diagnostics go to standard error, results to standard output or files.

mod args;
mod check;
mod command;
mod compare;
mod drawn;
mod examples;
mod explain;
mod failure;
mod init;
mod interrupt;
mod job;
mod layers;
mod listing;
mod output;
mod palette;
mod plan;
mod precision;
mod progress;
mod relative;
mod report;
mod run;
mod stats;
mod summary;
mod table;
mod targets;
mod threads;

use std::process::ExitCode;

use lrp::Error;

use crate::args::Command;
use crate::failure::Failure;

/// `lrp_core::memory::keep` configures glibc's allocator; musl's cannot be configured.
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
        Err(_) => Failure::from(Error::Internal("a panic, see above".to_owned())).report(json),
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(args) => run::run(args),
        Command::Explain(args) => run::explain(args),
        Command::Compare(args) => Ok(run::compare(args)?),
        Command::Report(args) => Ok(report::report(&args)?),
        Command::Check(args) => check::check(args),
        Command::Layers(args) => Ok(layers::layers(&args)?),
        Command::Plan(args) => plan::plan(&args),
        Command::Rules(listing) => Ok(listing::rules(listing)?),
        Command::Presets(args) => Ok(listing::presets(&args)?),
        Command::Schema(args) => Ok(listing::schema(&args)?),
        Command::Init(args) => Ok(init::init(&args)?),
        Command::Completions(args) => Ok(command::completions(args.shell)?),
        Command::Man(args) => Ok(command::man(args.dir.as_deref())?),
        Command::Palette(args) => Ok(palette::palette(&args)?),
    }
}
