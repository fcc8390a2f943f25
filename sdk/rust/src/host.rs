//! The host as this plugin sees it: the interfaces that init found.

use crate::abi;
use core::ffi::{c_void, CStr};
use core::sync::atomic::{AtomicPtr, Ordering};
use std::ffi::CString;

static HOST: AtomicPtr<abi::keel_host> = AtomicPtr::new(core::ptr::null_mut());
static CONFIG: AtomicPtr<abi::keel_config_api> = AtomicPtr::new(core::ptr::null_mut());
static SPEC: AtomicPtr<abi::keel_spec_api> = AtomicPtr::new(core::ptr::null_mut());

/// absl::StatusCode numbers.
pub(crate) const INTERNAL: abi::keel_status = 13;
pub(crate) const UNIMPLEMENTED: abi::keel_status = 12;

/// Calls function `$name` of the table at `$table`, which is of type `$type`. A table that is too
/// short for it, or has it empty, is a host that lacks it: a panic, which becomes an error.
macro_rules! call {
    ($table:expr, $type:ident, $name:ident, $($arg:expr),*) => {{
        let table: *const $crate::abi::$type = $table;
        let end = core::mem::offset_of!($crate::abi::$type, $name) + core::mem::size_of::<usize>();
        // SAFETY: tables begin with their size and live until shutdown returns; the arguments are
        // handles of the host's and spans that live for the call.
        #[allow(unused_unsafe)]
        let function = unsafe {
            if ((*table).struct_size as usize) < end { None } else { (*table).$name }
        };
        let function = function.unwrap_or_else(|| {
            panic!("the host has no {}.{}; update keel", stringify!($type), stringify!($name))
        });
        #[allow(unused_unsafe)]
        unsafe { function($($arg),*) }
    }};
}
pub(crate) use call;

pub(crate) fn config() -> *const abi::keel_config_api {
    CONFIG.load(Ordering::Acquire)
}

pub(crate) fn spec() -> *const abi::keel_spec_api {
    SPEC.load(Ordering::Acquire)
}

/// Keeps the host and finds its interfaces.
///
/// # Safety
/// `host` is what the host gives to init.
pub(crate) unsafe fn init(host: *const abi::keel_host) -> abi::keel_status {
    HOST.store(host.cast_mut(), Ordering::Release);
    let find = |id: &CStr| -> *mut c_void {
        // SAFETY: the host is 40 bytes for ever, its functions are never NULL.
        unsafe { ((*host).get_interface.unwrap())((*host).self_, id.as_ptr()) }.cast_mut()
    };
    CONFIG.store(find(c"keel.config/1").cast(), Ordering::Release);
    SPEC.store(find(c"keel.spec/1").cast(), Ordering::Release);
    if !config().is_null() && !spec().is_null() {
        return 0;
    }
    set_error(UNIMPLEMENTED, "the host has no keel.config/1 or keel.spec/1; update keel");
    UNIMPLEMENTED
}

pub(crate) fn shutdown() {
    CONFIG.store(core::ptr::null_mut(), Ordering::Release);
    SPEC.store(core::ptr::null_mut(), Ordering::Release);
    HOST.store(core::ptr::null_mut(), Ordering::Release);
}

/// The message of the call into the plugin that is under way on this thread.
pub(crate) fn set_error(status: abi::keel_status, message: &str) {
    let host = HOST.load(Ordering::Acquire);
    if host.is_null() {
        return;
    }
    // SAFETY: as in init; the text is copied.
    unsafe {
        ((*host).set_error.unwrap())(
            (*host).self_,
            status,
            message.as_ptr().cast(),
            message.len(),
        )
    }
}

/// Runs `body`; a panic becomes INTERNAL with its message.
pub(crate) fn guard(body: impl FnOnce() -> abi::keel_status) -> abi::keel_status {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("a panic without a message");
        set_error(INTERNAL, text);
        INTERNAL
    })
}

/// A NUL-terminated copy. A NUL inside is a mistake of the author's: a panic.
pub(crate) fn c_string(text: &str) -> CString {
    CString::new(text).unwrap_or_else(|_| panic!("{text:?} has a NUL"))
}
