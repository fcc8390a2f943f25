//! What Jinja2 and Python have and minijinja lacks or does otherwise. `compile` turns a template into
//! instructions whose operators, filters, tests and methods are this folder's; `install` adds them to
//! an environment.

mod arguments;
mod compile;
mod content;
mod filters;
mod format;
mod globals;
mod literals;
mod methods;
mod operators;
mod strings;
mod tests;
mod values;

pub use arguments::Arguments;
pub use compile::{compile, Compiled};
pub use strings::is_printable;
pub use values::{is_a, type_name, type_of, Part, Range, Type, View};

use minijinja::{Environment, Error, ErrorKind};
use std::fmt;

/// Adds all names of this folder to an empty environment.
pub fn install(env: &mut Environment<'static>) {
    operators::install(env);
    filters::install(env);
    tests::install(env);
    globals::install(env);
    env.set_unknown_method_callback(methods::call);
}

fn fail<T>(message: impl Into<String>) -> Result<T, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.into()))
}

/// The source of an error that is more than a wrong value, with its message.
#[derive(Debug)]
pub enum Cause {
    /// The template called raise_exception.
    Refused(String),
    /// It uses what this library does not have.
    Missing(String),
    /// It makes too much.
    TooLarge(String),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Cause::Refused(text) | Cause::Missing(text) | Cause::TooLarge(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for Cause {}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Error {
        Error::new(ErrorKind::InvalidOperation, cause.to_string()).with_source(cause)
    }
}
