//! The border to C: statuses, borrowed spans, and panics that become errors.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{c_char, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Once;

#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    Ok = 0,
    Invalid = 1,
    Refused = 2,
    Limit = 3,
    Panic = 4,
}

#[repr(C)]
pub struct Error {
    message: [c_char; 2048],
}

pub type BytesFn = unsafe extern "C" fn(*mut c_void, *const c_char, usize);
pub type IdsFn = unsafe extern "C" fn(*mut c_void, *const u32, usize);

/// What a function of this crate fails with.
#[derive(Debug)]
pub struct Failure {
    pub status: Status,
    pub message: String,
}

impl Failure {
    pub fn new(status: Status, message: impl Into<String>) -> Failure {
        Failure { status, message: message.into() }
    }

    pub fn invalid(message: impl std::fmt::Display) -> Failure {
        Failure::new(Status::Invalid, message.to_string())
    }
}

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Panics are told to the caller, not to stderr. The hook belongs to this library's own copy of
/// Rust's runtime.
fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let text = payload_text(info.payload());
            let place = match info.location() {
                Some(l) => format!("{text} ({}:{})", short_file(l.file()), l.line()),
                None => text,
            };
            LAST_PANIC.with(|last| *last.borrow_mut() = Some(place));
        }));
    });
}

/// The file's path from its crate on: where the crates were built says nothing to a reader.
fn short_file(file: &str) -> String {
    let parts: Vec<&str> = file.split('/').collect();
    match parts.iter().rposition(|part| *part == "src") {
        Some(at) if at > 0 => parts[at - 1..].join("/"),
        _ => file.to_string(),
    }
}

fn payload_text(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        text.to_string()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "unknown panic".to_string()
    }
}

/// Runs `body`; its failure or panic goes to `error`.
///
/// # Safety
/// `error` is NULL or writable.
pub unsafe fn guard(error: *mut Error, body: impl FnOnce() -> Result<(), Failure>) -> Status {
    install_panic_hook();
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return Status::Ok,
        Ok(Err(failure)) => failure,
        Err(payload) => {
            let text = LAST_PANIC
                .with(|last| last.borrow_mut().take())
                .unwrap_or_else(|| payload_text(payload.as_ref()));
            Failure::new(Status::Panic, text)
        }
    };
    if let Some(error) = error.as_mut() {
        write_message(&mut error.message, &failure.message);
    }
    failure.status
}

fn write_message(buffer: &mut [c_char], message: &str) {
    let mut end = message.len().min(buffer.len() - 1);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    for (to, from) in buffer.iter_mut().zip(message.as_bytes()[..end].iter()) {
        *to = if *from == 0 { b' ' as c_char } else { *from as c_char };
    }
    buffer[end] = 0;
}

/// # Safety
/// `data` points to `n` readable values, or `n` is 0.
pub unsafe fn slice<'a, T>(data: *const T, n: usize) -> &'a [T] {
    if n == 0 {
        &[]
    } else {
        std::slice::from_raw_parts(data, n)
    }
}

/// # Safety
/// As `slice`.
pub unsafe fn text<'a>(data: *const c_char, n: usize, what: &str) -> Result<&'a str, Failure> {
    std::str::from_utf8(slice(data as *const u8, n))
        .map_err(|e| Failure::invalid(format!("{what} is not UTF-8 (byte {})", e.valid_up_to())))
}

/// # Safety
/// `sink` and `user` are as the header says.
pub unsafe fn send_text(sink: BytesFn, user: *mut c_void, text: &str) {
    sink(user, text.as_ptr() as *const c_char, text.len());
}
