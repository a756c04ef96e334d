//! The messages of a run, and the progress bar on a terminal.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use indicatif::style::ProgressTracker;
use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};
use lrp::{Diagnosis, Error};
use lrp_run::Events;

use crate::failure::draw_error;
use crate::interrupt;
use crate::output::{note, report, warn};

/// The rate is that of so much time: the first samples, for which much is made once, are soon forgotten.
const WINDOW: Duration = Duration::from_secs(8);

/// Shows a run on standard error: notes, warnings, failures and, on a terminal, a progress bar.
#[derive(Default)]
pub struct Progress {
    /// None before the run has started.
    bar: OnceLock<ProgressBar>,
}

impl Progress {
    /// Removes the bar.
    pub fn clear(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }

    /// Prints while the bar is away.
    fn aside(&self, print: impl FnOnce()) {
        match self.bar.get() {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Events for Progress {
    fn started(&self, samples: &dyn Fn() -> usize) {
        interrupt::listen();
        let bar = self.bar.get_or_init(bar);
        // To count them, every file has to be opened.
        if !bar.is_hidden() {
            bar.set_length(samples() as u64);
        }
    }

    fn done(&self, samples: u64) {
        if let Some(bar) = self.bar.get() {
            bar.inc(samples);
        }
    }

    fn taken_over(&self, samples: u64) {
        self.done(samples);
        if let Some(bar) = self.bar.get() {
            bar.reset_eta();
        }
    }

    fn finishing(&self) {
        if let (Some(bar), Ok(style)) = (self.bar.get(), ProgressStyle::with_template("{spinner} {msg}")) {
            bar.set_style(style);
            bar.set_message("writing manifest, exports and report");
            bar.enable_steady_tick(Duration::from_millis(100));
        }
    }

    fn note(&self, text: &str) {
        self.aside(|| note(text));
    }

    fn warning(&self, warning: &Diagnosis) {
        self.aside(|| warn(warning));
    }

    fn failed(&self, error: &Error) {
        self.aside(|| draw_error(error));
    }

    fn more_failed(&self, input: &str, samples: usize) {
        self.aside(|| report(format_args!("and {samples} more samples of '{input}'\n")));
    }
}

/// A progress bar on a terminal, nothing elsewhere.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} samples, {window}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).with_key("window", Window::default());
    ProgressBar::new(0).with_style(style)
}

/// Samples a second, and the time that is left.
#[derive(Debug, Clone, Default)]
struct Window {
    /// When how many samples were done.
    points: VecDeque<(Instant, u64)>,
    /// The number of samples left.
    left: u64,
}

impl Window {
    fn add(&mut self, now: Instant, done: u64, of: u64) {
        self.left = of.saturating_sub(done);
        if self.points.back().is_none_or(|(_, last)| *last != done) {
            self.points.push_back((now, done));
        }
        // One point before the window stays, to measure from.
        while self.points.get(1).is_some_and(|(then, _)| now.duration_since(*then) >= WINDOW) {
            self.points.pop_front();
        }
    }

    /// Samples a second.
    fn rate(&self) -> Option<f64> {
        let ((first, from), (last, to)) = (self.points.front()?, self.points.back()?);
        let seconds = last.duration_since(*first).as_secs_f64();
        (seconds > 0.0).then(|| to.saturating_sub(*from) as f64 / seconds).filter(|rate| *rate > 0.0)
    }
}

impl ProgressTracker for Window {
    fn clone_box(&self) -> Box<dyn ProgressTracker> {
        Box::new(self.clone())
    }

    fn tick(&mut self, state: &ProgressState, now: Instant) {
        self.add(now, state.pos(), state.len().unwrap_or(0));
    }

    fn reset(&mut self, _: &ProgressState, _: Instant) {
        self.points.clear();
    }

    fn write(&self, _: &ProgressState, w: &mut dyn Write) {
        let Some(rate) = self.rate() else { return };
        let left = Duration::try_from_secs_f64(self.left as f64 / rate).unwrap_or(Duration::MAX);
        let _ = write!(w, "{rate:.1}/s, {} left", HumanDuration(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let (start, mut window) = (Instant::now(), Window::default());
        window.add(start, 0, 1000);
        assert_eq!(window.rate(), None);
        // The first sample takes ten seconds, and then there are ten a second.
        window.add(start + Duration::from_secs(10), 1, 1000);
        for i in 1..=200 {
            window.add(start + Duration::from_secs(10) + Duration::from_millis(100 * i), 1 + i, 1000);
        }
        let rate = window.rate().unwrap();
        assert!((rate - 10.0).abs() < 0.5, "{rate}");
        assert_eq!(window.left, 799);
        assert!(window.points.len() < 100);
    }
}
