//! `lrp plan`: the rule of every layer, and the recipe entry that chose it.

use lrp::numbers::rule;
use lrp::{Diagnosis, Error, Loaded, Prepared, title};
use lrp_config::Recipe;
use lrp_core::operator::{Fixed, Kind};
use lrp_core::text::shown;
use lrp_run::manifest::LayerRecord;
use lrp_run::targets::Targets;
use serde::Serialize;

use crate::args::PlanArgs;
use crate::failure::{self, Failure};
use crate::output::{named, note, print_json, say};
use crate::{job, table, threads};

/// Prints a plan. It includes nodes that need a rule and have none, which an error then names.
pub fn plan(args: &PlanArgs) -> Result<(), Failure> {
    let recipe = Recipe::find(&args.recipe)?;
    let job = job::computed(job::model(Some(&args.model), &args.model.fix, Some(&recipe))?, args.prepare);
    threads::start(None)?;
    let loaded = job.load::<f32>()?;
    Targets::check(&loaded, &recipe)?;
    let resolved = recipe.resolve_with(&loaded.model, args.prepare.on_unknown)?;
    let layers = LayerRecord::list(&loaded.model, &resolved);
    let warnings = recipe.lint(&loaded.model, &resolved);
    if args.listing.json {
        print_json(&Report { layers: &layers, warnings: warnings.iter().map(Diagnosis::from).collect() })?;
    } else {
        print(&layers, &recipe, &loaded, args.all)?;
        warnings.iter().for_each(|warning| failure::draw(warning));
    }
    // A rule that does not go with its operator is found when it is prepared.
    Prepared::prepare(recipe, resolved, &loaded)?;
    if args.deny_warnings && !warnings.is_empty() { Err(Failure::Check) } else { Ok(()) }
}

/// A plan for machines.
#[derive(Serialize)]
struct Report<'a> {
    layers: &'a [LayerRecord],
    warnings: Vec<Diagnosis>,
}

fn print(records: &[LayerRecord], recipe: &Recipe, loaded: &Loaded<f32>, all: bool) -> Result<(), Error> {
    let mut listing = table::table(&["index", "name", "operator", "rule", "chosen by"], [0]);
    let mut hidden = 0;
    for record in records {
        let by = match &record.origin {
            Some(origin) => origin,
            None if record.rule == Fixed::RuleNeeded.name() => "nobody",
            // Scaling of the input is shown, since it determines the first layers and their bounds.
            None if all || record.op == Kind::Preprocessing.name() || record.factors.is_some() => "fixed behaviour",
            None => {
                hidden += 1;
                continue;
            }
        };
        listing.add_row([
            record.index.map(|i| i.to_string()).unwrap_or_default(),
            record.name.clone(),
            record.operator(),
            rule(&record.rule),
            by.to_owned(),
        ]);
    }
    table::print(&listing)?;
    say!("")?;
    print_products(records)?;
    let hidden =
        if hidden > 0 { format!("; {hidden} more with fixed behaviour (--all shows them)") } else { String::new() };
    say!("{} on {}{hidden}", shown(&title(recipe)), named(&loaded.options.path))?;
    if recipe.times_input() {
        say!("the relevance at the input is multiplied with the input")?;
    }
    loaded.notes().for_each(|text| note(&text));
    Ok(())
}

/// The decision about each product, and the reason.
fn print_products(records: &[LayerRecord]) -> Result<(), Error> {
    let mut products = records.iter().filter_map(|record| Some((record, record.factors.as_ref()?))).peekable();
    if products.peek().is_none() {
        return Ok(());
    }
    say!("products of two activations:")?;
    for (record, factors) in products {
        match &record.origin {
            Some(origin) => say!("  '{}': {} ({origin}); without it, {factors}", record.name, record.rule)?,
            None => say!("  '{}': {factors}", record.name)?,
        }
    }
    say!("")
}
