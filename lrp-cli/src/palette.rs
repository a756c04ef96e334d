//! `lrp palette`: the colour maps, in the terminal or as a picture.

use std::io::IsTerminal;

use lrp::Error;
use lrp_config::Colormap;
use lrp_run::files::{figure_format, save_figure};
use serde::Serialize;

use crate::args::PaletteArgs;
use crate::output::{print, print_json, say, shown};

/// Characters of a swatch in the terminal.
const SWATCH: usize = 33;

#[derive(Serialize)]
struct Report<'a> {
    name: &'a str,
    source: &'a str,
    description: Option<&'static str>,
    diverging: bool,
    /// The colour of zero.
    zero: String,
    /// The colours of −1, −0.5, 0, 0.5 and 1.
    colors: Vec<String>,
}

impl<'a> Report<'a> {
    fn new(map: &'a Colormap) -> Self {
        Self {
            name: map.name(),
            source: map.source(),
            description: map.description(),
            diverging: map.is_diverging(),
            zero: hex(map.color(0.0)),
            colors: [-1.0, -0.5, 0.0, 0.5, 1.0].map(|value| hex(map.color(value))).to_vec(),
        }
    }
}

fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("{red:02x}{green:02x}{blue:02x}")
}

/// Lists colour maps, or draws them.
pub fn palette(args: &PaletteArgs) -> Result<(), Error> {
    let maps: Vec<Colormap> = if args.maps.is_empty() { Colormap::all().collect() } else { args.maps.clone() };
    if let Some(path) = &args.out {
        figure_format(path)?;
        let picture = lrp_render::palette::draw(&maps)?;
        save_figure(&picture, path)?;
        if !args.listing.json {
            return say!("{} ({}×{} pixels)", shown(path), picture.width(), picture.height());
        }
    }
    let reports: Vec<Report<'_>> = maps.iter().map(Report::new).collect();
    if args.listing.json {
        return print_json(&reports);
    }
    let width = |of: &dyn Fn(&Report<'_>) -> usize| reports.iter().map(of).max().unwrap_or(0);
    let (names, sources) = (width(&|r| r.name.len()).max(3), width(&|r| r.source.len()).max(6));
    let color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let gap = if color { format!("{:SWATCH$}  ", "") } else { String::new() };
    say!("{:names$}  {gap}{:sources$}  zero    what it looks like", "map", "source")?;
    for (map, report) in maps.iter().zip(&reports) {
        let swatch = if color { swatch(map) } else { String::new() };
        let (name, source, zero) = (report.name, report.source, &report.zero);
        let kind = if report.diverging { "diverging" } else { "one direction" };
        let what = report.description.map_or_else(|| kind.to_owned(), |what| format!("{kind}: {what}"));
        print(format_args!("{name:names$}  {swatch}{source:sources$}  {zero}  {what}\n"))?;
    }
    say!(
        "\nzero is the centre of every map; with --scale positive it is the first colour, which suits maps of one direction"
    )
}

/// The map as a row of coloured blanks.
fn swatch(map: &Colormap) -> String {
    let cell = |i: usize| {
        let [red, green, blue] = map.color(i as f64 / (SWATCH - 1) as f64 * 2.0 - 1.0);
        format!("\u{1b}[48;2;{red};{green};{blue}m ")
    };
    (0..SWATCH).map(cell).collect::<String>() + "\u{1b}[0m  "
}
