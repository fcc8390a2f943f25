//! keel_text_template: minijinja set up as transformers sets up Jinja2.

use crate::ffi::{guard, send_text, text, BytesFn, Error as CError, Failure, Status};
use crate::python;
use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State};
use regex::Regex;
use std::cell::Cell;
use std::error::Error as _;
use std::ffi::{c_char, c_void, CString};
use std::fmt;
use std::io;

pub struct ChatTemplate {
    environment: Environment<'static>,
    max_output: usize,
}

thread_local! {
    static NOW: Cell<Option<i64>> = const { Cell::new(None) };
}

impl ChatTemplate {
    pub fn new(source: &str, fuel: u64, max_output: usize) -> Result<ChatTemplate, Failure> {
        let mut env = Environment::new();
        env.set_trim_blocks(true);
        env.set_lstrip_blocks(true);
        env.set_auto_escape_callback(|_| AutoEscape::None);
        env.set_fuel(Some(fuel));
        env.set_unknown_method_callback(unknown_method);
        env.set_formatter(|out, _, value| {
            let mut text = String::new();
            python::write_str(&mut text, value)?;
            out.write_str(&text).map_err(Error::from)
        });
        env.add_filter("tojson", |value: &Value, kwargs: Kwargs| python::tojson(value, kwargs));
        env.add_filter("string", string);
        env.add_filter("trim", trim);
        env.add_function("raise_exception", raise_exception);
        env.add_function("strftime_now", strftime_now);
        env.add_function("cycler", |items: Rest<Value>| {
            minijinja_contrib::globals::cycler(items.0)
        });
        env.add_function("joiner", minijinja_contrib::globals::joiner);
        env.add_template_owned("template", to_minijinja(source)).map_err(|e| failure(&e))?;
        Ok(ChatTemplate { environment: env, max_output })
    }

    pub fn render(&self, context: &str) -> Result<String, Failure> {
        let context: serde_json::Value = serde_json::from_str(context)
            .map_err(|e| Failure::invalid(format!("the context: {e}")))?;
        let template = self.environment.get_template("template").map_err(|e| failure(&e))?;
        let mut out = LimitedWriter { bytes: Vec::new(), max: self.max_output, over: false };
        let rendered = template.render_captured_to(&context, &mut out);
        if out.over {
            let message = format!("the template writes more than {} bytes", self.max_output);
            return Err(Failure::new(Status::Limit, message));
        }
        rendered.map_err(|e| failure(&e))?;
        String::from_utf8(out.bytes).map_err(Failure::invalid)
    }
}

/// Jinja2's sources as minijinja takes them: line ends become \n, and {% generation %} blocks, which
/// only mark what the assistant said, become blocks that open a scope.
fn to_minijinja(source: &str) -> String {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let tag = Regex::new(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}").expect("a valid pattern");
    tag.replace_all(&source, "{%$1 ${2}with $3%}").into_owned()
}

/// Python's methods that templates call and minijinja lacks.
fn unknown_method(
    state: &State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    if value.kind() == ValueKind::String {
        let text = value.as_str().unwrap_or_default();
        match (method, args) {
            ("removeprefix", [prefix]) => {
                let prefix = prefix.as_str().unwrap_or_default();
                return Ok(Value::from(text.strip_prefix(prefix).unwrap_or(text)));
            }
            ("removesuffix", [suffix]) => {
                let suffix = suffix.as_str().unwrap_or_default();
                return Ok(Value::from(text.strip_suffix(suffix).unwrap_or(text)));
            }
            ("rsplit", [separator]) => {
                return Ok(text.split(&separator.to_string()).map(Value::from).collect())
            }
            ("rsplit", [separator, limit]) => {
                let limit = usize::try_from(limit.clone())?;
                let mut parts: Vec<&str> =
                    text.rsplitn(limit + 1, &separator.to_string()).collect();
                parts.reverse();
                return Ok(parts.into_iter().map(Value::from).collect());
            }
            _ => {}
        }
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)
}

fn string(value: &Value) -> Result<Value, Error> {
    if value.kind() == ValueKind::String {
        return Ok(value.clone());
    }
    let mut out = String::new();
    python::write_str(&mut out, value)?;
    Ok(Value::from(out))
}

/// Jinja2's trim takes any value as str(value).
fn trim(value: &Value, chars: Option<String>) -> Result<Value, Error> {
    let text = string(value)?;
    let text = text.as_str().unwrap_or_default();
    Ok(Value::from(match chars {
        Some(chars) => text.trim_matches(|c| chars.contains(c)),
        None => text.trim(),
    }))
}

/// A template's own words on why it takes no such messages.
#[derive(Debug)]
struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Refusal(message)))
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

struct LimitedWriter {
    bytes: Vec<u8>,
    max: usize,
    over: bool,
}

impl io::Write for LimitedWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if data.len() > self.max - self.bytes.len() {
            self.over = true;
            return Err(io::Error::other("too much output"));
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failure(error: &Error) -> Failure {
    let mut cause: Option<&dyn std::error::Error> = error.source();
    let mut out_of_fuel = error.kind() == ErrorKind::OutOfFuel;
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return Failure::new(Status::Refused, refusal.0.clone());
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
