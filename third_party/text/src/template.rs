//! keel_text_template: minijinja set up as transformers sets up Jinja2.

use crate::ffi::{guard, send_text, text, BytesFn, Error as CError, Failure, Status};
use crate::jinja::{self, Cause, Compiled};
use crate::python;
use minijinja::machinery::{make_string_output, Vm};
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind};
use regex::Regex;
use std::cell::Cell;
use std::error::Error as _;
use std::ffi::{c_char, c_void, CString};
use std::sync::OnceLock;

pub struct ChatTemplate {
    environment: Environment<'static>,
    /// Borrows from `source`, so it stands before it.
    compiled: Compiled<'static>,
    #[allow(dead_code)]
    source: Box<str>,
}

thread_local! {
    static NOW: Cell<Option<i64>> = const { Cell::new(None) };
    /// Bytes written by the render that this thread does.
    static WRITTEN: Cell<usize> = const { Cell::new(0) };
}

impl ChatTemplate {
    pub fn new(source: &str, fuel: u64, max_output: usize) -> Result<ChatTemplate, Failure> {
        let mut environment = Environment::empty();
        environment.set_fuel(Some(fuel));
        jinja::install(&mut environment);
        environment.set_formatter(move |out, _, value| {
            let text = python::str_of(value)?;
            let written = WRITTEN.with(|written| {
                written.set(written.get() + text.len());
                written.get()
            });
            if written > max_output {
                let message = format!("the template writes more than {max_output} bytes");
                return Err(Cause::TooLarge(message).into());
            }
            out.write_str(&text).map_err(Error::from)
        });
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        let source = to_minijinja(source).into_boxed_str();
        // The text stays where it is, and alive, as long as `compiled`.
        let borrowed: &'static str = unsafe { &*(&*source as *const str) };
        let compiled = jinja::compile(borrowed, "template").map_err(|e| failure(&e))?;
        Ok(ChatTemplate { environment, compiled, source })
    }

    pub fn render(&self, context: &str) -> Result<String, Failure> {
        let context: serde_json::Value = serde_json::from_str(context)
            .map_err(|e| Failure::invalid(format!("the context: {e}")))?;
        let mut rendered = String::new();
        WRITTEN.with(|written| written.set(0));
        let Compiled { instructions, blocks, .. } = &self.compiled;
        Vm::new(&self.environment)
            .eval(
                instructions,
                Value::from_serialize(&context),
                blocks,
                &mut make_string_output(&mut rendered),
                AutoEscape::None,
            )
            .map_err(|e| failure(&e))?;
        Ok(rendered)
    }
}

/// Jinja2's sources as minijinja takes them: line ends become \n, and {% generation %} blocks, which
/// only mark what the assistant said, become blocks that open a scope.
fn to_minijinja(source: &str) -> String {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    static TAG: OnceLock<Regex> = OnceLock::new();
    let pattern = r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}";
    let tag = TAG.get_or_init(|| Regex::new(pattern).expect("a valid pattern"));
    tag.replace_all(&source, "{%$1 ${2}with $3%}").into_owned()
}

fn raise_exception(message: &Value) -> Result<Value, Error> {
    Err(Cause::Refused(python::str_of(message)?).into())
}

/// datetime.now().strftime(format), which is C's strftime too.
fn strftime_now(format: String) -> Result<Value, Error> {
    let now = NOW.with(|now| now.get()).unwrap_or_else(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |d| d.as_secs() as i64)
    });
    let bad = || Error::new(ErrorKind::InvalidOperation, "strftime_now: bad format");
    if format.is_empty() {
        return Ok(Value::from(""));
    }
    if format.len() > 1000 {
        return Err(bad());
    }
    let c_format = CString::new(format).map_err(|_| bad())?;
    let mut buffer = [0u8; 4096];
    let length = unsafe {
        let seconds = now as libc::time_t;
        let mut fields: libc::tm = std::mem::zeroed();
        if libc::localtime_r(&seconds, &mut fields).is_null() {
            return Err(bad());
        }
        libc::strftime(buffer.as_mut_ptr() as *mut c_char, buffer.len(), c_format.as_ptr(), &fields)
    };
    Ok(Value::from(String::from_utf8_lossy(&buffer[..length]).into_owned()))
}

fn failure(error: &Error) -> Failure {
    let mut cause: Option<&dyn std::error::Error> = error.source();
    let mut out_of_fuel = error.kind() == ErrorKind::OutOfFuel;
    while let Some(error) = cause {
        match error.downcast_ref::<Cause>() {
            Some(Cause::Refused(text)) => return Failure::new(Status::Refused, text),
            Some(Cause::TooLarge(text)) => return Failure::new(Status::Limit, text),
            Some(Cause::Missing(text)) => return Failure::new(Status::Invalid, text),
            None => {}
        }
        if let Some(inner) = error.downcast_ref::<Error>() {
            out_of_fuel |= inner.kind() == ErrorKind::OutOfFuel;
        }
        cause = error.source();
    }
    if out_of_fuel {
        return Failure::new(Status::Limit, "the template executes too many instructions");
    }
    let line = error.line().map_or(String::new(), |line| format!("line {line}: "));
    let detail = error.detail().map_or(String::new(), |detail| format!(": {detail}"));
    Failure::invalid(format!("{line}{}{detail}", error.kind()))
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_template_new(
    source: *const c_char,
    n: usize,
    fuel: u64,
    max_output: usize,
    out: *mut *mut ChatTemplate,
    error: *mut CError,
) -> Status {
    guard(error, || {
        let source = text(source, n, "the template")?;
        *out = Box::into_raw(Box::new(ChatTemplate::new(source, fuel, max_output)?));
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_template_free(template: *mut ChatTemplate) {
    if !template.is_null() {
        drop(Box::from_raw(template));
    }
}

/// keel_text_content_format.
#[no_mangle]
pub unsafe extern "C" fn keel_text_template_content_format(template: *const ChatTemplate) -> i32 {
    (*template).compiled.content_format as i32
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_template_render(
    template: *const ChatTemplate,
    context: *const c_char,
    n: usize,
    now: *const i64,
    sink: BytesFn,
    user: *mut c_void,
    error: *mut CError,
) -> Status {
    guard(error, || {
        let context = text(context, n, "the context")?;
        NOW.with(|cell| cell.set(now.as_ref().copied()));
        let rendered = (*template).render(context)?;
        send_text(sink, user, &rendered);
        Ok(())
    })
}
