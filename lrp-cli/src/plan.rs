//! `lrp plan`: the rule of every layer, and the recipe entry that chose it.

use lrp_config::Recipe;

use crate::args::PlanArgs;
use crate::failure::Failure;
use crate::job::ModelJob;
use crate::layers::print_json;
use crate::manifest::{LayerRecord, title};
use crate::output::say;
use crate::session::{Loaded, Prepared};
use crate::table;

/// Prints a plan.
pub fn plan(args: &PlanArgs) -> Result<(), Failure> {
    let recipe = Recipe::find(&args.recipe)?;
    let loaded = Loaded::<f32>::new(&ModelJob::new(Some(&args.model), Some(&recipe))?)?;
    let prepared = Prepared::new(recipe, &loaded)?;
    let records = LayerRecord::list(&loaded.model, &prepared);
    if args.listing.json {
        return print_json(&records);
    }
    let mut listing = table::table(&["index", "name", "operator", "rule", "chosen by"], &["index"]);
    let mut hidden = 0;
    for record in &records {
        if record.origin.is_none() && !args.all {
            hidden += 1;
            continue;
        }
        listing.add_row([
            record.index.map(|i| i.to_string()).unwrap_or_default(),
            record.name.clone(),
            record.op.to_owned(),
            record.rule.clone(),
            record.origin.clone().unwrap_or_else(|| "fixed behaviour".to_owned()),
        ]);
    }
    table::print(&listing)?;
    say!("")?;
    let hidden =
        if hidden > 0 { format!("; {hidden} more with fixed behaviour (--all shows them)") } else { String::new() };
    say!("{} on {}{hidden}", title(&prepared.recipe), loaded.path.display())?;
    if prepared.resolved.times_input {
        say!("the relevance at the input is multiplied with the input")?;
    }
    loaded.print_notes();
    Ok(())
}
