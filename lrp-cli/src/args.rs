//! The command line. Its doc comments are what `--help` prints: `[model]` is a section of a recipe there, no link.

#![allow(rustdoc::broken_intra_doc_links)]

mod commands;
mod groups;
mod pixels;
mod values;

use clap::{Parser, Subcommand};

pub use self::commands::{
    CheckArgs, CompareArgs, CompletionsArgs, ExplainArgs, InitArgs, LayersArgs, ManArgs, PaletteArgs, PlanArgs,
    PresetsArgs, ReportArgs, RunArgs, SchemaArgs,
};
pub use self::groups::{HowArgs, Listing, LookArgs, ModelArgs, OutputArgs, PrepareArgs, WhatArgs};
pub use self::pixels::{Numbers, PixelArgs, Ranges};
pub use self::values::Fix;

/// Layer-wise relevance propagation: which parts of an input a neural network's prediction rests on.
#[derive(Debug, Parser)]
#[command(name = "lrp", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 a check did not hold, 2 the input was wrong, 3 an internal error, 130 interrupted."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// A subcommand.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an experiment file
    Run(RunArgs),
    /// Explain inputs: relevance, heatmaps and a manifest
    Explain(ExplainArgs),
    /// Show the model as imported: index, name, operator, shapes, parameters
    Layers(LayersArgs),
    /// Show the rule of every layer and the recipe entry that chose it, without running anything
    Plan(PlanArgs),
    /// Show the ledger layer by layer and test the invariants; exit 1 if one does not hold
    Check(CheckArgs),
    /// Draw one figure: inputs down, recipes across
    Compare(CompareArgs),
    /// Make a report of explained inputs: one HTML file to share
    Report(ReportArgs),
    /// List the rules and their parameters
    Rules(Listing),
    /// List the presets, or print one
    Presets(PresetsArgs),
    /// List the colour maps, or draw them
    Palette(PaletteArgs),
    /// Print the JSON Schema of recipes, for editors, or their reference page
    Schema(SchemaArgs),
    /// Write a commented recipe for a model
    Init(InitArgs),
    /// Print shell completions
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for every command
    Man(ManArgs),
}

impl Command {
    /// Whether the output is for machines.
    pub fn json(&self) -> bool {
        match self {
            Command::Run(args) => args.output.json,
            Command::Explain(args) => args.output.json,
            Command::Layers(args) => args.listing.json,
            Command::Plan(args) => args.listing.json,
            Command::Check(args) => args.listing.json,
            Command::Rules(listing) => listing.json,
            Command::Presets(args) => args.listing.json,
            Command::Palette(args) => args.listing.json,
            Command::Report(args) => args.listing.json,
            Command::Compare(_) | Command::Schema(_) | Command::Init(_) | Command::Completions(_) | Command::Man(_) => {
                false
            }
        }
    }
}
