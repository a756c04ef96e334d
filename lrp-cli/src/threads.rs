//! The threads that compute.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use lrp::Error;
use lrp_run::explain::no_thread;
use rayon::{ThreadBuilder, ThreadPoolBuilder};

use crate::output::note;

/// More threads for each processor only get in each other's way.
const MOST_PER_PROCESSOR: usize = 4;
/// The number of threads that is always allowed.
const ALWAYS: usize = 16;
/// Threads that are left to others where the system gives no more: reading and writing need one each.
const SPARE: usize = 2;

/// Whether the threads have been started.
static STARTED: Mutex<bool> = Mutex::new(false);

/// A thread that waits for a task.
struct Waiting {
    to: SyncSender<ThreadBuilder>,
    handle: JoinHandle<()>,
}

/// Starts the worker threads, unless they have been started: the requested number, or one for each
/// processor. Fewer if the system does not allow that number: results do not depend on it.
///
/// # Errors
/// When not a single thread can be started.
pub fn start(requested: Option<u16>) -> Result<(), Error> {
    // Whoever comes second waits until there are threads.
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if std::mem::replace(&mut *started, true) {
        return Ok(());
    }
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let variable = || std::env::var("RAYON_NUM_THREADS").ok()?.parse::<usize>().ok().filter(|n| *n > 0);
    let requested = requested.map(usize::from).or_else(variable).unwrap_or(processors);
    let count = requested.min((MOST_PER_PROCESSOR * processors).max(ALWAYS));
    if count < requested {
        note(&format!("{count} threads instead of {requested}: there are {processors} processors"));
    }
    let mut waiting = waiting(count, &|work| thread::Builder::new().spawn(work))?;
    if waiting.len() < count {
        let n = waiting.len();
        note(&format!("the system gives no more threads: {n} instead of {count} compute"));
    }
    // The library starts all threads or none, and when it has failed once, it does not try again. These are there already.
    let pool = ThreadPoolBuilder::new().num_threads(waiting.len());
    let pool = pool.spawn_handler(|thread| {
        let gone = || io::Error::other("a thread is gone");
        waiting.pop().ok_or_else(gone)?.to.send(thread).map_err(|_| gone())
    });
    pool.build_global().map_err(|e| Error::Internal(format!("thread pool: {e}")))
}

/// Starts this number of threads, or as many as the system allows.
fn waiting(
    count: usize,
    spawn: &dyn Fn(Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>>,
) -> Result<Vec<Waiting>, Error> {
    let mut all = Vec::new();
    for _ in 0..count {
        let (to, from) = sync_channel::<ThreadBuilder>(1);
        let work = move || {
            if let Ok(thread) = from.recv() {
                thread.run();
            }
        };
        match spawn(Box::new(work)) {
            Ok(handle) => all.push(Waiting { to, handle }),
            Err(error) if all.is_empty() => return Err(no_thread(&error)),
            Err(_) => {
                let spare = all.split_off(all.len().saturating_sub(SPARE).max(1));
                for Waiting { to, handle } in spare {
                    drop(to);
                    // It has nothing to say.
                    let _ = handle.join();
                }
                break;
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn fewer_threads_are_better_than_none() {
        for (limit, expected) in
            [(0, None), (1, Some(1)), (2, Some(1)), (3, Some(1)), (4, Some(2)), (7, Some(5)), (8, Some(8))]
        {
            let made = Cell::new(0);
            let spawn = |work: Box<dyn FnOnce() + Send>| {
                if made.replace(made.get() + 1) >= limit {
                    return Err(io::Error::from(io::ErrorKind::WouldBlock));
                }
                thread::Builder::new().spawn(work)
            };
            let waiting = waiting(8, &spawn);
            assert_eq!(waiting.as_ref().ok().map(Vec::len), expected, "{limit}");
            if let Err(failure) = waiting {
                assert!(failure.to_string().contains("no thread can be started"));
            }
        }
    }
}
