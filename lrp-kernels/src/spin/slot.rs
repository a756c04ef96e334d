//! A slot in which one thread publishes work and others poll it, without locks.
//!
//! The work is on the stack of the thread that publishes it. So that thread takes it back and waits until no visitor is left. The
//! tests check all interleavings of this file with a model checker, for which `super::sync` has other types.

use std::marker::PhantomData;
use std::ptr;

use super::sync::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, wait};

/// Room for the work of one thread at a time.
#[derive(Debug)]
pub(super) struct Slot<W> {
    /// The work, while visitors may come.
    current: AtomicPtr<()>,
    /// Whether a thread's work is, or is about to be, the current one.
    occupied: AtomicBool,
    /// The visitors that may be reading the current work.
    visitors: AtomicUsize,
    work: PhantomData<fn(&W)>,
}

impl<W> Slot<W> {
    /// An empty slot.
    pub fn new() -> Self {
        Self {
            current: AtomicPtr::new(ptr::null_mut()),
            occupied: AtomicBool::new(false),
            visitors: AtomicUsize::new(0),
            work: PhantomData,
        }
    }

    /// Publishes work while `lead` runs, also if that panics. `None` if the slot is occupied; then `lead` does not run.
    pub fn publish<R>(&self, work: &W, lead: impl FnOnce() -> R) -> Option<R> {
        if self.occupied.swap(true, Ordering::Acquire) {
            return None;
        }
        let published = Published(self);
        self.current.store(ptr::from_ref(work).cast_mut().cast(), Ordering::Release);
        let result = lead();
        drop(published);
        Some(result)
    }

    /// Calls `f` with the current work, if there is any.
    pub fn visit<R>(&self, f: impl FnOnce(&W) -> R) -> Option<R> {
        if self.current.load(Ordering::Relaxed).is_null() {
            return None;
        }
        let visit = Visit::new(self);
        let current = self.current.load(Ordering::Acquire).cast::<W>();
        // SAFETY: the publisher clears `current` before it reads `visitors`, in one order with all changes of `visitors`. Either it reads
        // this visit and waits for its end, or this visit came later and has seen that `current` was cleared.
        let result = unsafe { current.as_ref() }.map(f);
        drop(visit);
        result
    }
}

/// The work is in the slot; when dropped, it is no more, and nobody reads it.
struct Published<'s, W>(&'s Slot<W>);

impl<W> Drop for Published<'_, W> {
    fn drop(&mut self) {
        self.0.current.store(ptr::null_mut(), Ordering::Release);
        // Not a load: that could read a number from before visits that have not seen the change of `current`.
        let mut visitors = self.0.visitors.fetch_add(0, Ordering::AcqRel);
        for attempt in 1.. {
            if visitors == 0 {
                break;
            }
            wait(attempt);
            visitors = self.0.visitors.load(Ordering::Acquire);
        }
        self.0.occupied.store(false, Ordering::Release);
    }
}

struct Visit<'s, W>(&'s Slot<W>);

impl<'s, W> Visit<'s, W> {
    fn new(slot: &'s Slot<W>) -> Self {
        slot.visitors.fetch_add(1, Ordering::AcqRel);
        Self(slot)
    }
}

impl<W> Drop for Visit<'_, W> {
    fn drop(&mut self) {
        self.0.visitors.fetch_sub(1, Ordering::Release);
    }
}
