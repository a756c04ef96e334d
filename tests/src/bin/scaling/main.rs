//! How the time of an explanation grows with the batch, the image, the depth of the network and the number of threads.
//!
//! `cargo run --release -p lrp-tests --bin scaling [-- --quick]`
//!
//! Networks like VGG with random weights, explained with the preset `epsilon-plus` as the program does it. In each round every setting of
//! a table does one forward pass and one explanation (which begins with a forward pass of its own), and the tables show medians over the
//! rounds. With `--quick` everything is small, to see in a few seconds that it runs.

mod vgg;

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use lrp_config::Recipe;
use lrp_core::{Plan, Start, Target, Tensor};
use lrp_tests::{Random, Table};
use rayon::{ThreadPool, ThreadPoolBuilder};
use vgg::Vgg;

/// The measured quantity.
struct Extent {
    rounds: usize,
    narrow: usize,
    batches: &'static [usize],
    /// Height and width of images where it is the batch that grows.
    small_image: usize,
    images: &'static [usize],
    depths: &'static [usize],
    /// Height and width of images where it is depth or threads that grow.
    image: usize,
}

const FULL: Extent = Extent {
    rounds: 7,
    narrow: 1,
    batches: &[1, 2, 4, 8, 16, 32, 64],
    small_image: 64,
    images: &[64, 96, 128, 160, 224, 288],
    depths: &[11, 13, 16, 19],
    image: 224,
};

const QUICK: Extent = Extent {
    rounds: 1,
    narrow: 16,
    batches: &[1, 2],
    small_image: 32,
    images: &[32, 64],
    depths: &[11, 13],
    image: 32,
};

/// One row of a table.
struct Setting {
    name: String,
    plan: Arc<Plan<f32>>,
    x: Tensor<f32>,
    pool: Arc<ThreadPool>,
    /// The value in the table's units.
    units: f64,
}

impl Setting {
    fn new(name: impl ToString, plan: &Arc<Plan<f32>>, batch: usize, pool: &Arc<ThreadPool>, units: f64) -> Self {
        let model = plan.model();
        let shape = [&[batch], model.node(model.inputs()[0]).shape.as_slice()].concat();
        let x = Random(7).tensor(&shape, -1.0, 1.0);
        Self { name: name.to_string(), plan: Arc::clone(plan), x, pool: Arc::clone(pool), units }
    }

    fn operations(&self) -> f64 {
        self.x.shape()[0] as f64 * Vgg::operations(self.plan.model())
    }

    /// Milliseconds of a forward pass and of an explanation.
    fn run(&self) -> Result<[f64; 2], Box<dyn Error>> {
        self.pool
            .install(|| {
                let start = Instant::now();
                black_box(self.plan.record(&self.x)?);
                let forward = start.elapsed();
                let start = Instant::now();
                black_box(self.plan.explain(&self.x, &Target::Argmax, Start::Logit)?);
                Ok([forward, start.elapsed()].map(|time| 1e3 * time.as_secs_f64()))
            })
            .map_err(|error: lrp_core::Error| error.into())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Measures the settings side by side.
fn table(
    title: &'static str,
    what: &str,
    unit: &str,
    settings: &[Setting],
    rounds: usize,
) -> Result<Table, Box<dyn Error>> {
    let mut times = vec![Vec::new(); settings.len()];
    // In the first round, weights are packed and memory is new.
    for round in 0..=rounds {
        for (setting, times) in settings.iter().zip(&mut times) {
            let time = setting.run()?;
            if round > 0 {
                times.push(time);
            }
        }
    }
    let head = [what, "forward pass, ms", "explanation, ms", unit, "forward passes", "operations", "time"];
    let mut table = Table::new(title, &head);
    let mut first = None;
    for (setting, times) in settings.iter().zip(times) {
        let column = |i: usize| times.iter().map(|time| time[i]).collect();
        let [forward, explanation] = [median(column(0)), median(column(1))];
        let ratio = median(times.iter().map(|[forward, explanation]| explanation / forward).collect());
        let operations = setting.operations();
        let (least, shortest) = *first.get_or_insert((operations, explanation));
        let numbers = [forward, explanation, explanation / setting.units].map(|ms| format!("{ms:.1}"));
        let growth = [ratio, operations / least, explanation / shortest].map(|times| format!("{times:.2}×"));
        table.row(&setting.name, numbers.into_iter().chain(growth));
    }
    Ok(table)
}

fn main() -> Result<(), Box<dyn Error>> {
    lrp_core::memory::keep();
    let extent = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => FULL,
        [flag] if flag == "--quick" => QUICK,
        other => return Err(format!("{other:?}: there is only --quick").into()),
    };
    let plan = |depth, image| -> Result<_, Box<dyn Error>> {
        let model = Vgg { depth, image, narrow: extent.narrow }.build()?;
        let assignment = Recipe::preset("epsilon-plus")?.resolve(&model)?.assignment();
        Ok(Arc::new(Plan::new(model, &assignment)?))
    };
    let cores = std::thread::available_parallelism()?.get();
    let pool = |threads| ThreadPoolBuilder::new().num_threads(threads).build().map(Arc::new);
    let all = pool(cores)?;
    let print = |title, what, unit, settings: Vec<Setting>| -> Result<(), Box<dyn Error>> {
        println!("### {title}\n\n{}\n", table(title, what, unit, &settings, extent.rounds)?);
        Ok(())
    };

    let small = plan(16, extent.small_image)?;
    let batches = extent.batches.iter().map(|&n| Setting::new(n, &small, n, &all, n as f64)).collect();
    print("Batch", "samples", "per sample, ms", batches)?;

    let image = |&size: &usize| {
        Ok(Setting::new(format!("{size}×{size}"), &plan(16, size)?, 1, &all, (size * size) as f64 / 1e4))
    };
    let images: Result<_, Box<dyn Error>> = extent.images.iter().map(image).collect();
    print("Image", "pixels", "per 10,000 pixels, ms", images?)?;

    let depth = |&depth: &usize| {
        let plan = plan(depth, extent.image)?;
        let giga = 1e-9 * Vgg::operations(plan.model());
        Ok(Setting::new(format!("VGG-{depth}"), &plan, 1, &all, giga))
    };
    let depths: Result<_, Box<dyn Error>> = extent.depths.iter().map(depth).collect();
    print("Depth", "network", "per 10⁹ operations, ms", depths?)?;

    let large = plan(16, extent.image)?;
    let threads = |n: usize| Ok(Setting::new(n, &large, 1, &pool(n)?, 1.0 / n as f64));
    let powers = std::iter::successors(Some(1), |n| Some(2 * n)).take_while(|&n| n <= cores);
    let threads: Result<_, Box<dyn Error>> = powers.map(threads).collect();
    print("Threads", "threads", "times threads, ms", threads?)
}
