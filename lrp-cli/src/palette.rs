//! `lrp palette`: the colour maps, in the terminal or as a picture.

use std::io::IsTerminal;

use image::{Rgb, RgbImage};
use lrp_config::Colormap;
use serde::Serialize;

use crate::args::PaletteArgs;
use crate::failure::Failure;
use crate::input;
use crate::layers::print_json;
use crate::output::{print, say};
use crate::picture::{check_png, save};
use crate::text::{FAINT, INK, PAPER, Text, font, frame};

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
pub fn palette(args: &PaletteArgs) -> Result<(), Failure> {
    let maps: Vec<Colormap> = if args.maps.is_empty() { Colormap::all().collect() } else { args.maps.clone() };
    if let Some(path) = &args.out {
        check_png(path)?;
        let image = draw(&maps)?;
        save(&image, path)?;
        if !args.listing.json {
            return say!("{} ({}×{} pixels)", input::shown(path), image.width(), image.height());
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

/// One map below the other, zero marked.
fn draw(maps: &[Colormap]) -> Result<RgbImage, Failure> {
    const MARGIN: u32 = 20;
    const BAR: (u32, u32) = (513, 26);
    const STEP: u32 = 42;
    let font = font()?;
    let name = Text { font: &font, size: 17.0, color: INK };
    let label = Text { font: &font, size: 15.0, color: FAINT };
    let names = maps.iter().map(|map| name.width(map.name())).max().unwrap_or(0);
    let sources = maps.iter().map(|map| label.width(map.source())).max().unwrap_or(0);
    let left = MARGIN + names + 16;
    let rows = u32::try_from(maps.len()).unwrap_or(0);
    let bottom = MARGIN + rows * STEP;
    let (width, height) = (left + BAR.0 + 16 + sources + MARGIN, bottom + 24 + MARGIN);
    let mut image = RgbImage::from_pixel(width, height, PAPER);
    for (map, top) in maps.iter().zip((MARGIN..).step_by(STEP as usize)) {
        name.right(&mut image, map.name(), left - 16, top + 4);
        for x in 0..BAR.0 {
            let color = map.color(f64::from(x) / f64::from(BAR.0 - 1) * 2.0 - 1.0);
            for y in 0..BAR.1 {
                image.put_pixel(left + x, top + y, Rgb(color));
            }
        }
        frame(&mut image, (left, top), BAR);
        // Where zero is.
        for y in top - 6..top - 1 {
            image.put_pixel(left + BAR.0 / 2, y, INK);
        }
        label.left(&mut image, map.source(), left + BAR.0 + 16, top + 5);
    }
    for (x, text) in [(0, "−max|R|"), (BAR.0 / 2, "0"), (BAR.0, "+max|R|")] {
        label.centred(&mut image, text, left + x, bottom);
    }
    Ok(image)
}
