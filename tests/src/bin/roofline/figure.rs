//! The roofs and the layers under them, drawn.

use std::error::Error;
use std::f64::consts::TAU;
use std::path::Path;

use plotters::prelude::*;

use crate::Network;
use crate::machine::Machine;
use crate::measured::{WAYS, Way};

const SIZE: (u32, u32) = (960, 640);
const FONT: &str = "sans-serif";
/// Operations per byte.
const INTENSITY: std::ops::Range<f64> = 0.25..1024.0;
/// One for each network (from Okabe and Ito's palette, which colour-blind readers can tell apart).
const COLOURS: [RGBColor; 3] = [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115)];
const RADIUS: f64 = 5.0;

/// Writes the figure as SVG.
pub fn draw(path: &Path, machine: &Machine, networks: &[Network]) -> Result<(), Box<dyn Error>> {
    let flat = 1e-9 * machine.arithmetic[1];
    let rates = networks.iter().flat_map(|(_, layers)| layers).flat_map(|l| WAYS.map(|way| l.rate(way))).flatten();
    // Winograd is above the roof.
    let top = 1.3 * rates.map(|rate| 1e-9 * rate).fold(flat, f64::max);
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(16)
        .x_label_area_size(52)
        .y_label_area_size(64)
        .build_cartesian_2d(INTENSITY.log_scale(), (1.0..top).log_scale())?;
    let number = |v: &f64| if *v < 1.0 { format!("{v:.1}") } else { format!("{v:.0}") };
    chart
        .configure_mesh()
        .x_desc("operations per byte of input, weights and output")
        .y_desc("GFLOP/s")
        .axis_desc_style((FONT, 17))
        .label_style((FONT, 15))
        .x_label_formatter(&number)
        .y_label_formatter(&number)
        .bold_line_style(BLACK.mix(0.15))
        .light_line_style(BLACK.mix(0.05))
        .draw()?;

    let under = |giga: f64, x: f64| (x, flat.min(giga * x));
    let slopes = machine.streams().first().into_iter().chain(machine.streams().last());
    for (stream, shade) in slopes.zip([0.4, 1.0]) {
        let giga = 1e-9 * stream.rate[1];
        // To where it meets the flat roof, and along it.
        let line = [INTENSITY.start, flat / giga, INTENSITY.end].map(|x| under(giga, x));
        let style = BLACK.mix(shade).stroke_width(2);
        chart
            .draw_series(std::iter::once(PathElement::new(line, style)))?
            .label(format!("{} MiB at {giga:.0} GB/s, then {flat:.0} GFLOP/s", stream.bytes >> 20))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style));
    }
    for ((name, layers), colour) in networks.iter().zip(COLOURS) {
        for way in WAYS {
            let points = layers.iter().filter_map(|l| Some((l.intensity, 1e-9 * l.rate(way)?)));
            let mark = move || PathElement::new(outline(way), colour.stroke_width(2));
            let points: Vec<_> = points.map(|at| EmptyElement::at(at) + mark()).collect();
            if !points.is_empty() {
                chart
                    .draw_series(points)?
                    .label(format!("{name}, {}", way.name()))
                    .legend(move |(x, y)| EmptyElement::at((x + 12, y)) + mark());
            }
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .margin(12)
        .legend_area_size(32)
        .label_font((FONT, 15))
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    root.present()?;
    Ok(())
}

/// Marks are open, because many lie on one another: a circle forward, a triangle back, a cross by Winograd.
fn outline(way: Way) -> Vec<(i32, i32)> {
    match way {
        Way::Forward => {
            let point = |i: u8| (TAU * f64::from(i) / 12.0).sin_cos();
            (0..=12).map(point).map(|(y, x)| ((RADIUS * x).round() as i32, (RADIUS * y).round() as i32)).collect()
        }
        Way::Adjoint => vec![(0, -6), (-6, 4), (6, 4), (0, -6)],
        Way::Winograd => vec![(-5, -5), (5, 5), (0, 0), (5, -5), (-5, 5)],
    }
}
