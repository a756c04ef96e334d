//! `lrp rules`, `lrp presets` and `lrp schema`: the available rules and presets, and the format of recipes.

use lrp::Error;
use serde::Serialize;

use crate::args::{Listing, PresetsArgs, SchemaArgs};
use crate::output::{print, print_json, say};
use crate::table;

#[derive(Serialize)]
struct RuleReport {
    name: &'static str,
    summary: &'static str,
    source: &'static str,
    parameters: Vec<ParameterReport>,
}

#[derive(Serialize)]
struct ParameterReport {
    name: &'static str,
    default: &'static str,
    doc: &'static str,
}

/// Prints the rules.
pub fn rules(listing: Listing) -> Result<(), Error> {
    let reports: Vec<RuleReport> = lrp_config::rules()
        .iter()
        .map(|rule| RuleReport {
            name: rule.name,
            summary: rule.summary,
            source: rule.source,
            parameters: rule
                .parameters
                .iter()
                .map(|p| ParameterReport { name: p.name, default: &p.default, doc: &p.doc })
                .collect(),
        })
        .collect();
    if listing.json {
        return print_json(&reports);
    }
    for rule in &reports {
        say!("{}\n  {} ({})", rule.name, rule.summary, rule.source)?;
        for p in &rule.parameters {
            say!("    {} = {}: {}", p.name, p.default, p.doc)?;
        }
        say!("")?;
    }
    Ok(())
}

#[derive(Serialize)]
struct PresetReport {
    name: &'static str,
    description: &'static str,
    recipe: &'static str,
}

/// Prints the presets, or one preset's recipe.
pub fn presets(args: &PresetsArgs) -> Result<(), Error> {
    if let Some(name) = &args.name {
        let recipe = lrp_config::Recipe::preset(name)?;
        if !args.listing.json {
            return print(format_args!("{}", recipe.source().text()));
        }
    }
    let wanted = args.name.as_ref().map(|name| name.replace('_', "-"));
    let reports: Vec<PresetReport> = lrp_config::presets()
        .iter()
        .filter(|p| wanted.as_ref().is_none_or(|w| w == p.name))
        .map(|p| PresetReport { name: p.name, description: p.description, recipe: p.source })
        .collect();
    if args.listing.json {
        return print_json(&reports);
    }
    let mut listing = table::table(&["preset", "what it does"], []);
    for preset in reports {
        listing.add_row([preset.name, preset.description]);
    }
    table::print(&listing)?;
    say!("\nlrp presets NAME prints the recipe")
}

/// Prints the JSON Schema of recipes, or the page that is made from it.
pub fn schema(args: &SchemaArgs) -> Result<(), Error> {
    if args.markdown {
        return print(format_args!("{}", lrp_config::schema_page()));
    }
    print_json(&lrp_config::schema())
}
