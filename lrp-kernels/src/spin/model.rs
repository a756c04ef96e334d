//! All interleavings of two threads that publish and visit, by the model checker loom.

use loom::cell::UnsafeCell;
use loom::sync::Arc;

#[allow(clippy::duplicate_mod, reason = "the same code with the model checker's types")]
#[path = "slot.rs"]
mod slot;

mod sync {
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

    pub(super) fn wait(_: usize) {
        loom::thread::yield_now();
    }
}

/// Publishes a cell, and writes to it as soon as it is taken back: loom panics if a visitor can still be reading.
fn publish(slot: &slot::Slot<UnsafeCell<usize>>) -> bool {
    let work = UnsafeCell::new(1);
    let published = slot.publish(&work, || ());
    // SAFETY: nobody else has it any more, which is what is tested.
    work.with_mut(|value| unsafe { *value += 1 });
    published.is_some()
}

fn visit(slot: &slot::Slot<UnsafeCell<usize>>) {
    // SAFETY: nobody writes while it is published, which is what is tested.
    let seen = slot.visit(|work| work.with(|value| unsafe { *value }));
    assert!(seen.is_none_or(|value| value == 1));
}

#[test]
fn work_is_not_read_after_it_was_taken_back() {
    loom::model(|| {
        let slot = Arc::new(slot::Slot::new());
        let visitor = {
            let slot = Arc::clone(&slot);
            loom::thread::spawn(move || {
                visit(&slot);
                visit(&slot);
            })
        };
        assert!(publish(&slot));
        assert!(publish(&slot), "the slot is free again");
        visitor.join().unwrap();
    });
}

#[test]
fn one_of_two_publishers_waits_for_nobody() {
    loom::model(|| {
        let slot = Arc::new(slot::Slot::new());
        let other = {
            let slot = Arc::clone(&slot);
            loom::thread::spawn(move || publish(&slot))
        };
        visit(&slot);
        let mine = publish(&slot);
        assert!(other.join().unwrap() || mine);
    });
}
