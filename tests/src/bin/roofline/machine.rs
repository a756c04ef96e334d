//! What the machine can do at most: multiply-adds, and streams from memory and caches.

use std::hint::black_box;
use std::sync::Mutex;
use std::time::Instant;

use lrp_core::kernels::simd::{Isa, ceiling};
use rayon::ThreadPool;

/// Partial sums of a stream that is read: enough to be limited by loads.
const SUMS: usize = 64;
/// A stream is repeated until this many bytes have passed, so that short ones can be timed.
const LEAST: usize = 1 << 26;

/// The best that was seen.
#[derive(Debug)]
pub struct Machine {
    /// Multiply-adds, in floating-point operations per second: of one thread, of all.
    pub arithmetic: [f64; 2],
    streams: Vec<Stream>,
}

/// Memory of some size that is read from beginning to end, or half of it copied to the other half, whichever is faster.
#[derive(Debug)]
pub struct Stream {
    /// Its bytes, of all threads together.
    pub bytes: usize,
    /// The best rate of one thread (with its part) and of all, in bytes per second.
    pub rate: [f64; 2],
    /// One for each thread.
    parts: Vec<Mutex<Vec<f32>>>,
}

impl Machine {
    /// With nothing measured, and streams of these sizes, ascending.
    pub fn new(pool: &ThreadPool, sizes: &[usize]) -> Self {
        let threads = pool.current_num_threads();
        let stream = |&bytes: &usize| {
            let part = || Mutex::new(vec![1.0; bytes / size_of::<f32>() / threads]);
            Stream { bytes, rate: [0.0; 2], parts: (0..threads).map(|_| part()).collect() }
        };
        Self { arithmetic: [0.0; 2], streams: sizes.iter().map(stream).collect() }
    }

    /// The streams, smallest first.
    pub fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// Measures everything once more.
    pub fn measure(&mut self, pool: &ThreadPool) {
        let one = ceiling::flops::<f32>(Isa::best());
        let all: f64 = pool.broadcast(|_| ceiling::flops::<f32>(Isa::best())).into_iter().sum();
        self.arithmetic = [self.arithmetic[0].max(one), self.arithmetic[1].max(all)];
        for stream in &mut self.streams {
            stream.measure(pool);
        }
    }

    /// The most operations per second at this intensity (operations per byte), where that many bytes are in use: the stream counts that
    /// is just as large or larger.
    pub fn roof(&self, intensity: f64, bytes: f64) -> f64 {
        let stream = self.streams.iter().find(|stream| stream.bytes as f64 >= bytes).or(self.streams.last());
        self.arithmetic[1].min(stream.map_or(f64::INFINITY, |stream| stream.rate[1] * intensity))
    }
}

impl Stream {
    fn measure(&mut self, pool: &ThreadPool) {
        let repeats = LEAST.div_ceil(self.bytes);
        for task in [read, copy] {
            let work = |part: &Mutex<Vec<f32>>| {
                let mut part = part.lock().expect("no thread panicked");
                (0..repeats).for_each(|_| task(&mut part));
            };
            let one = || work(&self.parts[0]);
            let all = || drop(pool.broadcast(|thread| work(&self.parts[thread.index()])));
            let moved = (repeats * self.bytes) as f64;
            let rates = [moved / self.parts.len() as f64 / seconds(one), moved / seconds(all)];
            self.rate = [0, 1].map(|i| self.rate[i].max(rates[i]));
        }
    }
}

fn seconds(f: impl FnOnce()) -> f64 {
    let start = Instant::now();
    f();
    start.elapsed().as_secs_f64()
}

fn read(part: &mut [f32]) {
    let mut sums = [0.0; SUMS];
    for chunk in part.chunks_exact(SUMS) {
        sums.iter_mut().zip(chunk).for_each(|(sum, v)| *sum += v);
    }
    black_box(sums);
}

fn copy(part: &mut [f32]) {
    let (from, to) = part.split_at_mut(part.len() / 2);
    to[..from.len()].copy_from_slice(from);
    black_box(to);
}
