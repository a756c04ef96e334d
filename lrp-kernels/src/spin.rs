//! Spinning workers: threads that divide work without going to sleep in between.
//!
//! A small layer takes less time than waking up a thread (some 50 µs on a virtual machine), and the thread that waits for the others at
//! the end would fall asleep, too. So threads of rayon's pool that have helped spin for a moment until there is more to do, and the
//! thread that waits for them stays awake.

#![allow(unsafe_code)]

#[cfg(test)]
mod model;
mod slot;

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rayon::Yield;

use self::slot::Slot;

/// The spin timeout: longer than most of the work that one thread does alone between two layers.
const SPIN_TIMEOUT: Duration = Duration::from_micros(500);
/// Attempts between two readings of the clock.
const ATTEMPTS: usize = 32;
/// The most parts that work is divided into; each thread begins with a part of its own.
const PARTS: usize = 16;

/// Work that is being divided: tasks in parts, of which a thread takes one after the other.
struct Work<'a> {
    f: &'a (dyn Fn(usize) + Sync),
    tasks: usize,
    /// Tasks that are taken at a time.
    grain: usize,
    parts: usize,
    /// The number of tasks of each part that have been taken.
    taken: [AtomicUsize; PARTS],
    /// The panic of another thread.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// The data that the threads of one process share.
struct Shared {
    slot: Slot<Work<'static>>,
    /// Whether threads have been asked to spin, and none has stopped since.
    asked: AtomicBool,
}

/// The data of this process, once there is some.
static SHARED: AtomicPtr<Shared> = AtomicPtr::new(ptr::null_mut());

thread_local! {
    /// Whether this thread spins.
    static SPINS: Cell<bool> = const { Cell::new(false) };
}

impl Shared {
    /// The data of this process. A process that was forked begins anew: threads that visited the slot of its parent do not exist in it.
    fn of_this_process() -> &'static Shared {
        // SAFETY: null, or a box that was leaked.
        if let Some(shared) = unsafe { SHARED.load(Ordering::Acquire).as_ref() } {
            return shared;
        }
        forget_in_children();
        let own = Box::into_raw(Box::new(Shared { slot: Slot::new(), asked: AtomicBool::new(false) }));
        match SHARED.compare_exchange(ptr::null_mut(), own, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: it is never freed from here on.
            Ok(_) => unsafe { &*own },
            Err(other) => {
                // SAFETY: nobody else has seen `own`; `other` is the box of another thread of this process.
                drop(unsafe { Box::from_raw(own) });
                unsafe { &*other }
            }
        }
    }
}

/// From here on, a forked process has no [`SHARED`]. Asking for the process id instead would be a system call for each division of work.
fn forget_in_children() {
    #[cfg(unix)]
    {
        extern "C" fn forget() {
            SHARED.store(ptr::null_mut(), Ordering::Release);
        }
        // SAFETY: the function only writes an atomic. Without memory for it, children would wait for threads that they do not have, as
        // they would for those of the pool.
        unsafe { libc::pthread_atfork(None, None, Some(forget)) };
    }
}

impl Work<'_> {
    /// Does tasks until none is left, those of its own part first. Whether there were any.
    fn help(&self, own: usize) -> bool {
        let mut helped = false;
        for part in (0..self.parts).map(|i| (own + i) % self.parts) {
            let at = |part: usize| part * self.tasks / self.parts;
            let (first, len) = (at(part), at(part + 1) - at(part));
            // Reading first: a thread that waits for others to finish must not write to what they read.
            while self.taken[part].load(Ordering::Relaxed) < len {
                let start = self.taken[part].fetch_add(self.grain, Ordering::Relaxed);
                (first + start..first + (start + self.grain).min(len)).for_each(self.f);
                helped |= start < len;
            }
        }
        helped
    }
}

/// Runs `f` for every task, `grain` at a time, with the help of other threads. `false` if that is not possible now: this thread is none of
/// a pool, or other work is being divided.
pub(super) fn divide(tasks: usize, grain: usize, f: &(dyn Fn(usize) + Sync)) -> bool {
    let Some(own) = rayon::current_thread_index() else { return false };
    let shared = Shared::of_this_process();
    let parts = rayon::current_num_threads().min(PARTS);
    let grain = grain.max(tasks / (64 * parts));
    let work = Work { f, tasks, grain, parts, taken: Default::default(), panic: Mutex::new(None) };
    // SAFETY: only the lifetime changes, and `publish` returns when nobody reads the work any more.
    let published: &Work<'static> = unsafe { &*ptr::from_ref(&work).cast() };
    let done = shared.slot.publish(published, || {
        ask(shared, own);
        work.help(own);
    });
    if done.is_none() {
        return false;
    }
    if let Some(panic) = work.panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
        resume_unwind(panic);
    }
    true
}

/// Asks the other threads of this pool to spin, if they have not been asked.
fn ask(shared: &'static Shared, asking: usize) {
    if SPINS.replace(false) {
        // A spinning thread has found a job that divides work itself: it is no help any more.
        shared.asked.store(false, Ordering::Relaxed);
    }
    if !shared.asked.load(Ordering::Relaxed) && !shared.asked.swap(true, Ordering::Relaxed) {
        rayon::spawn_broadcast(move |thread| {
            if thread.index() != asking {
                spin(shared, thread.index());
            }
        });
    }
}

/// Helps with whatever is divided, until there has been nothing for a while.
fn spin(shared: &Shared, own: usize) {
    SPINS.set(true);
    let mut since = Instant::now();
    while since.elapsed() < SPIN_TIMEOUT {
        for attempt in 1..=ATTEMPTS {
            if help_with_current(shared, own) || matches!(rayon::yield_now(), Some(Yield::Executed)) {
                if !SPINS.get() {
                    return;
                }
                since = Instant::now();
            }
            sync::wait(attempt);
        }
    }
    SPINS.set(false);
    shared.asked.store(false, Ordering::Relaxed);
}

/// Helps with the current work, if there is any to be done.
fn help_with_current(shared: &Shared, own: usize) -> bool {
    let help = |work: &Work<'static>| {
        catch_unwind(AssertUnwindSafe(|| work.help(own))).unwrap_or_else(|panic| {
            work.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
            true
        })
    };
    shared.slot.visit(help).unwrap_or(false)
}

/// The parts of `slot`.
mod sync {
    pub(super) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

    /// Waits a moment, now and then for as long as threads need that have no processor.
    pub(super) fn wait(attempt: usize) {
        match attempt % super::ATTEMPTS {
            0 => std::thread::yield_now(),
            _ => std::hint::spin_loop(),
        }
    }
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
        // Each of two tasks waits for the other, so one thread alone fails. Help is no promise (threads may have been asked by another
        // pool, and be about to stop), so there are several attempts, and none waits for ever.
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

    /// A child has one thread, and what the parent's threads were doing when it was forked ends in the parent only.
    #[cfg(unix)]
    #[test]
    fn a_forked_process_begins_anew() {
        let shared = Shared::of_this_process();
        assert!(ptr::eq(shared, Shared::of_this_process()));
        // SAFETY: the child calls nothing but this function, an allocation, and `_exit`.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let own = Shared::of_this_process();
            let anew = !ptr::eq(own, shared) && ptr::eq(own, Shared::of_this_process());
            // SAFETY: ends the child.
            unsafe { libc::_exit(if anew { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: waits for the child.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        assert_eq!(status, 0);
    }
}
