//! Panics on the thread of a run: those a gear was told to have are silent, any other is kept.

use std::cell::RefCell;
use std::panic;
use std::sync::Once;

use crate::gears::Ordered;
use crate::house;

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps panics of runs from the terminal. Others go where they went before.
pub(crate) fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if info.payload().is::<Ordered>() {
            } else if house::is_lived_in() {
                LAST.set(Some(info.to_string()));
            } else {
                before(info);
            }
        }));
    });
}

/// The last panic nobody ordered, forgotten with this.
pub(crate) fn take() -> Option<String> {
    LAST.take()
}
