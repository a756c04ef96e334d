//! How much of what the machine can do the layers of three networks get, forward and back.
//!
//! `cargo run --release -p lrp-tests --bin roofline [-- [--figure FILE.svg] [--threads N] [--quick]]`
//!
//! A layer cannot be faster than multiply-adds in registers, nor than the bytes of its input, weights and output are streamed from where
//! they are: the roofs (Williams et al. 2009). Both are measured in the same rounds as the layers. All numbers are the best of all
//! rounds, which foreign load disturbs least. Batch 1, f32. With `--quick` one round of MobileNet-v2, to see that it runs.

mod figure;
mod layers;
mod machine;
mod measured;

use std::error::Error;
use std::path::PathBuf;

use lrp_tests::Table;
use rayon::ThreadPoolBuilder;

use layers::{NETWORKS, layers};
use machine::Machine;
use measured::{Measured, WAYS, Way};

const ROUNDS: usize = 15;
/// Bytes of the streams: from what is in a core's own cache to what is in no cache.
const STREAMS: [usize; 5] = [1 << 20, 1 << 22, 1 << 24, 1 << 26, 1 << 28];

/// A network and its layers.
type Network = (&'static str, Vec<Measured>);

/// The figure's file, the number of threads (0 for all cores), and whether this is only to see that it runs.
fn options() -> Result<(Option<PathBuf>, usize, bool), Box<dyn Error>> {
    let (mut figure, mut threads, mut quick) = (None, 0, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => quick = true,
            "--figure" => figure = Some(arguments.next().ok_or("--figure takes a file")?.into()),
            "--threads" => threads = arguments.next().ok_or("--threads takes a number")?.parse()?,
            other => return Err(format!("{other}: there are --figure, --threads and --quick").into()),
        }
    }
    Ok((figure, threads, quick))
}

fn main() -> Result<(), Box<dyn Error>> {
    lrp_core::memory::keep();
    let (figure, threads, quick) = options()?;
    let pool = ThreadPoolBuilder::new().num_threads(threads).build()?;
    let (rounds, names, streams) =
        if quick { (1, &NETWORKS[2..], &STREAMS[..1]) } else { (ROUNDS, &NETWORKS[..], &STREAMS[..]) };
    let mut machine = Machine::new(&pool, streams);
    let mut networks = Vec::new();
    for &name in names {
        let measured: Result<Vec<_>, _> = layers(name).into_iter().map(|(layer, n)| Measured::new(layer, n)).collect();
        networks.push((name, measured?));
    }
    for _ in 0..rounds {
        for (_, layers) in &mut networks {
            machine.measure(&pool);
            pool.install(|| layers.iter_mut().for_each(Measured::measure));
        }
    }
    let tables =
        [roofs(&machine, pool.current_num_threads()), summary(&machine, &networks), details(&machine, &networks)];
    for table in &tables {
        println!("### {}\n\n{table}\n", table.title);
    }
    if let Some(path) = figure {
        figure::draw(&path, &machine, &networks)?;
    }
    Ok(())
}

fn giga(rate: f64) -> String {
    format!("{:.0}", 1e-9 * rate)
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

fn roofs(machine: &Machine, threads: usize) -> Table {
    let mut table = Table::new("The roofs", &["what", "threads: 1", &format!("threads: {threads}")]);
    table.row("multiply-adds, GFLOP/s", machine.arithmetic.map(giga));
    for stream in machine.streams() {
        table.row(format!("stream of {} MiB, GB/s", stream.bytes >> 20), stream.rate.map(giga));
    }
    table
}

/// Whole networks: the least time that the roofs allow for all layers, and what they take.
fn summary(machine: &Machine, networks: &[Network]) -> Table {
    let head = [
        "network",
        "under the roofs, ms",
        "forward, ms",
        "share",
        "adjoint, ms",
        "share",
        "by Winograd where used, ms",
        "share",
    ];
    let mut table = Table::new("Networks", &head);
    for (name, layers) in networks {
        let sum = |time: &dyn Fn(&Measured) -> f64| -> f64 { layers.iter().map(|l| l.count as f64 * time(l)).sum() };
        let least = sum(&|layer| layer.operations / layer.roof(machine));
        let taken =
            WAYS.map(|way| sum(&|layer| layer.seconds(way).or(layer.seconds(Way::Adjoint)).unwrap_or_default()));
        let numbers = taken.into_iter().flat_map(|taken| [format!("{:.2}", 1e3 * taken), percent(least / taken)]);
        table.row(*name, std::iter::once(format!("{:.2}", 1e3 * least)).chain(numbers));
    }
    table
}

fn details(machine: &Machine, networks: &[Network]) -> Table {
    let mut head = vec!["layer", "times", "MFLOP", "FLOP/byte", "roof, GFLOP/s"];
    head.extend(WAYS.iter().flat_map(|way| [way.name(), "share"]));
    let mut table = Table::new("Layers", &head);
    for (network, layers) in networks {
        for layer in layers {
            let roof = layer.roof(machine);
            let mut numbers = vec![layer.count.to_string(), format!("{:.1}", 1e-6 * layer.operations)];
            numbers.extend([format!("{:.1}", layer.intensity), giga(roof)]);
            numbers.extend(WAYS.into_iter().flat_map(|way| match layer.rate(way) {
                Some(rate) => [giga(rate), percent(rate / roof)],
                None => ["–", "–"].map(str::to_owned),
            }));
            table.row(format!("{network} {}", layer.layer), numbers);
        }
    }
    table
}
