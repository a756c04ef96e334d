//! Dividing work among threads that do not go to sleep in between.
//!
//! A small layer takes less time than it takes to wake up a thread (some 50 µs on a virtual machine), and the thread that waits for the
//! others at the end would fall asleep, too. So threads of rayon's pool that have helped go on looking for more for a moment, and whoever
//! waits for them stays awake.

#![allow(unsafe_code)]

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rayon::Yield;

/// How long a thread looks for work in vain: longer than most of what one thread does alone between two layers.
const PATIENCE: Duration = Duration::from_micros(500);
/// Looks between two looks at the clock.
const LOOKS: usize = 32;
/// The most parts that work is divided into, with a thread for each to begin with.
const PARTS: usize = 16;

/// Work that is divided at this moment: tasks in parts, of which a thread takes one after the other.
struct Work<'a> {
    f: &'a (dyn Fn(usize) + Sync),
    tasks: usize,
    /// Tasks that are taken at a time.
    grain: usize,
    parts: usize,
    /// How many tasks of each part have been taken.
    taken: [AtomicUsize; PARTS],
    /// What went wrong in other threads.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// The work that threads help with; there is one at a time, or none.
static CURRENT: AtomicPtr<Work<'static>> = AtomicPtr::new(ptr::null_mut());
/// Whether somebody's work is, or is about to be, the current one.
static LED: AtomicBool = AtomicBool::new(false);
/// Threads that may be reading the current work.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
/// Whether threads have been asked to linger, and none has left since.
static ASKED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether this thread lingers.
    static LINGERS: Cell<bool> = const { Cell::new(false) };
}

impl Work<'_> {
    /// Does tasks until none is left, those of its own part first. Whether there were any.
    fn help(&self, own: usize) -> bool {
        let mut helped = false;
        for part in (0..self.parts).map(|i| (own + i) % self.parts) {
            let at = |part: usize| part * self.tasks / self.parts;
            let (first, len) = (at(part), at(part + 1) - at(part));
            // Looking first: who waits for others to finish must not write to what they read.
            while self.taken[part].load(Ordering::Relaxed) < len {
                let start = self.taken[part].fetch_add(self.grain, Ordering::Relaxed);
                (first + start..first + (start + self.grain).min(len)).for_each(self.f);
                helped |= start < len;
            }
        }
        helped
    }
}

/// Takes back the current work, and waits until nobody reads it.
struct Lead;

impl Drop for Lead {
    fn drop(&mut self) {
        CURRENT.store(ptr::null_mut(), Ordering::SeqCst);
        let mut looks = 0;
        while INSIDE.load(Ordering::SeqCst) > 0 {
            looks += 1;
            wait(looks);
        }
        LED.store(false, Ordering::Release);
    }
}

/// Runs `f` for every task, `grain` at a time, with the help of other threads. `false` if that is not possible now: this thread is none of
/// a pool, or other work is being divided.
pub(super) fn divide(tasks: usize, grain: usize, f: &(dyn Fn(usize) + Sync)) -> bool {
    let Some(own) = rayon::current_thread_index() else { return false };
    if LED.swap(true, Ordering::Acquire) {
        return false;
    }
    let parts = rayon::current_num_threads().min(PARTS);
    let grain = grain.max(tasks / (64 * parts));
    let work = Work { f, tasks, grain, parts, taken: Default::default(), panic: Mutex::new(None) };
    let lead = Lead;
    CURRENT.store(ptr::from_ref(&work).cast_mut().cast(), Ordering::SeqCst);
    ask(own);
    work.help(own);
    drop(lead);
    if let Some(panic) = work.panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
        resume_unwind(panic);
    }
    true
}

/// Asks the other threads of this pool to linger, if they have not been.
fn ask(asking: usize) {
    if LINGERS.replace(false) {
        // What divides work here is something that a lingering thread found to do: it is no help any more.
        ASKED.store(false, Ordering::Relaxed);
    }
    if !ASKED.load(Ordering::Relaxed) && !ASKED.swap(true, Ordering::Relaxed) {
        rayon::spawn_broadcast(move |thread| {
            if thread.index() != asking {
                linger(thread.index());
            }
        });
    }
}

/// Helps with whatever is divided, until there has been nothing for a while.
fn linger(own: usize) {
    LINGERS.set(true);
    let mut since = Instant::now();
    while since.elapsed() < PATIENCE {
        for look in 1..=LOOKS {
            if help_with_current(own) || matches!(rayon::yield_now(), Some(Yield::Executed)) {
                if !LINGERS.get() {
                    return;
                }
                since = Instant::now();
            }
            wait(look);
        }
    }
    LINGERS.set(false);
    ASKED.store(false, Ordering::Relaxed);
}

/// Waits a moment, now and then for as long as others need who have no processor.
fn wait(look: usize) {
    match look % LOOKS {
        0 => std::thread::yield_now(),
        _ => std::hint::spin_loop(),
    }
}

/// Helps with the current work, if there is any to be done.
fn help_with_current(own: usize) -> bool {
    if CURRENT.load(Ordering::Relaxed).is_null() {
        return false;
    }
    INSIDE.fetch_add(1, Ordering::SeqCst);
    let current = CURRENT.load(Ordering::SeqCst);
    // SAFETY: whoever made it current waits, after taking it back, until nobody is inside: either it is seen here that it was taken
    // back, or it is seen there that somebody is inside.
    let helped = unsafe { current.as_ref() }.is_some_and(|work| {
        catch_unwind(AssertUnwindSafe(|| work.help(own))).unwrap_or_else(|panic| {
            work.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
            true
        })
    });
    INSIDE.fetch_sub(1, Ordering::SeqCst);
    helped
}

#[cfg(test)]
mod tests {
    use super::super::each;
    use super::*;

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    /// Whether each task is done once, with others inside of some of them.
    fn each_once(tasks: usize, grain: usize) -> bool {
        let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
        each(tasks, grain, &|task| {
            if task % 50 == 7 {
                each(3, 1, &|_| std::hint::spin_loop());
            }
            counts[task].fetch_add(1, Ordering::Relaxed);
        });
        counts.iter().all(|count| count.load(Ordering::Relaxed) == 1)
    }

    #[test]
    fn each_task_is_done_once() {
        for threads in [2, 3, 20] {
            let all = || (0..300).all(|i| each_once(i, 1 + i % 5));
            assert!(pool(threads).install(all), "{threads}");
        }
    }

    #[test]
    fn several_may_divide_work_at_the_same_time() {
        let one = pool(2);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| assert!(one.install(|| (0..200).all(|_| each_once(100, 1)))));
                scope.spawn(|| assert!(pool(3).install(|| (0..200).all(|_| each_once(70, 2)))));
            }
        });
    }

    #[test]
    fn a_panic_reaches_who_divided_the_work() {
        let pool = pool(2);
        for unlucky in [0, 50, 99] {
            let failing = || each(100, 1, &|task| assert_ne!(task, unlucky, "no luck"));
            let panic = pool.install(|| catch_unwind(failing)).unwrap_err();
            assert!(panic.downcast_ref::<String>().unwrap().contains("no luck"));
            assert!(pool.install(|| each_once(100, 1)));
        }
    }

    #[test]
    fn threads_help() {
        // Each of two tasks waits for the other: one thread alone never meets anybody. Help is no promise (threads may have been asked by
        // another pool, and be about to leave), so there are several attempts, and none waits for ever.
        let pool = pool(2);
        let attempt = || {
            let met = AtomicUsize::new(0);
            let meet = |_| {
                let since = Instant::now();
                met.fetch_add(1, Ordering::SeqCst);
                while met.load(Ordering::SeqCst) < 2 && since.elapsed() < Duration::from_millis(50) {
                    std::thread::yield_now();
                }
                assert!(met.load(Ordering::SeqCst) == 2, "alone");
            };
            catch_unwind(AssertUnwindSafe(|| each(2, 1, &meet))).is_ok()
        };
        assert!(pool.install(|| (0..100).any(|_| attempt())));
    }
}
