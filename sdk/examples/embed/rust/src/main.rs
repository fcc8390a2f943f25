//! Keel in a Rust program: a question to a model, its answer as it is made.
//!
//!   embed MODEL QUESTION

use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::io::{self, Write};
use std::ptr::null_mut;

/// The functions of sdk/abi/engine.h that this program needs.
mod abi {
    use super::{c_char, c_int, c_void};

    extern "C" {
        pub fn keel_error_message() -> *const c_char;
        pub fn keel_options_new(out: *mut *mut c_void) -> c_int;
        pub fn keel_options_free(options: *mut c_void);
        pub fn keel_options_set(
            options: *mut c_void,
            name: *const c_char,
            value: *const c_char,
        ) -> c_int;
        pub fn keel_engine_new(options: *const c_void, out: *mut *mut c_void) -> c_int;
        pub fn keel_engine_free(engine: *mut c_void);
        pub fn keel_request_new(out: *mut *mut c_void) -> c_int;
        pub fn keel_request_free(request: *mut c_void);
        pub fn keel_request_set_messages(
            request: *mut c_void,
            json: *const c_char,
            n: usize,
        ) -> c_int;
        pub fn keel_request_set_int(
            request: *mut c_void,
            name: *const c_char,
            value: i64,
        ) -> c_int;
        pub fn keel_request_set_float(
            request: *mut c_void,
            name: *const c_char,
            value: f64,
        ) -> c_int;
        pub fn keel_engine_submit(
            engine: *mut c_void,
            request: *const c_void,
            callback: *const c_void,
            user: *mut c_void,
            id: *mut u64,
        ) -> c_int;
        pub fn keel_engine_poll(
            engine: *mut c_void,
            id: u64,
            timeout_ms: i64,
            out: *mut *const c_void,
        ) -> c_int;
        pub fn keel_output_text(output: *const c_void, n: *mut usize) -> *const c_char;
        pub fn keel_output_status(output: *const c_void, message: *mut *const c_char) -> c_int;
        pub fn keel_output_is_last(output: *const c_void) -> c_int;
    }
}

/// A status as a Result; the message is this thread's.
fn check(status: c_int) -> Result<(), String> {
    if status == 0 {
        return Ok(());
    }
    // SAFETY: the library's text, valid until this thread's next failure.
    let message = unsafe { CStr::from_ptr(abi::keel_error_message()) };
    Err(message.to_string_lossy().into_owned())
}

/// An object of the library, freed at its end.
struct Handle {
    raw: *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
}

impl Handle {
    fn new(
        make: impl FnOnce(*mut *mut c_void) -> c_int,
        free: unsafe extern "C" fn(*mut c_void),
    ) -> Result<Self, String> {
        let mut raw = null_mut();
        check(make(&mut raw))?;
        Ok(Handle { raw, free })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: of `make`, and the last use.
        unsafe { (self.free)(self.raw) }
    }
}

/// `text` as a JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out + "\""
}

fn ask(model: &str, question: &str) -> Result<(), String> {
    let c = |text: &str| CString::new(text).map_err(|_| "an argument has a NUL".to_owned());
    let model = c(model)?;
    let messages = format!("[{{\"role\": \"user\", \"content\": {}}}]", quoted(question));
    // SAFETY: handles live as long as they are used, texts as long as the call they are given to.
    unsafe {
        let options = Handle::new(|out| abi::keel_options_new(out), abi::keel_options_free)?;
        check(abi::keel_options_set(options.raw, c"model".as_ptr(), model.as_ptr()))?;
        let engine =
            Handle::new(|out| abi::keel_engine_new(options.raw, out), abi::keel_engine_free)?;

        let request = Handle::new(|out| abi::keel_request_new(out), abi::keel_request_free)?;
        let text = messages.as_ptr().cast();
        check(abi::keel_request_set_messages(request.raw, text, messages.len()))?;
        check(abi::keel_request_set_int(request.raw, c"max_tokens".as_ptr(), 64))?;
        check(abi::keel_request_set_float(request.raw, c"temperature".as_ptr(), 0.0))?;
        let mut id = 0;
        let (callback, user) = (std::ptr::null(), null_mut());
        check(abi::keel_engine_submit(engine.raw, request.raw, callback, user, &mut id))?;

        loop {
            let mut output = std::ptr::null();
            check(abi::keel_engine_poll(engine.raw, id, -1, &mut output))?;
            let mut size = 0;
            let text = abi::keel_output_text(output, &mut size);
            if size > 0 {
                let bytes = std::slice::from_raw_parts(text.cast::<u8>(), size);
                io::stdout().write_all(bytes).map_err(|error| error.to_string())?;
                io::stdout().flush().map_err(|error| error.to_string())?;
            }
            let mut message = std::ptr::null();
            if abi::keel_output_status(output, &mut message) != 0 {
                return Err(CStr::from_ptr(message).to_string_lossy().into_owned());
            }
            if abi::keel_output_is_last(output) != 0 {
                println!();
                return Ok(());
            }
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, model, question] = arguments.as_slice() else {
        eprintln!("usage: embed MODEL QUESTION");
        std::process::exit(2);
    };
    if let Err(message) = ask(model, question) {
        eprintln!("{message}");
        std::process::exit(1);
    }
}
