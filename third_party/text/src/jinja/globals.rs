//! Jinja2's global functions.

use super::arguments::{split, Arguments};
use super::fail;
use super::values::{iterate, type_of, Range, Type};
use minijinja::value::{from_args, Object, ObjectRepr, Rest, Value};
use minijinja::{Environment, Error, State};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;

/// As Jinja2's sandbox.
const MAX_RANGE: usize = 100_000;

pub fn install(env: &mut Environment<'static>) {
    env.add_function("range", range);
    env.add_function("dict", dict);
    env.add_function("namespace", |args: Rest<Value>| {
        minijinja::functions::namespace(Some(dict(args)?))
    });
    env.add_function("joiner", |args: Rest<Value>| {
        let args = Arguments::bind("joiner", &["sep"], 0, &args)?;
        let separator = args.get(0).cloned().unwrap_or_else(|| Value::from(", "));
        Ok::<Value, Error>(Value::from_object(Joiner { separator, used: AtomicBool::new(false) }))
    });
    env.add_function("cycler", |items: Rest<Value>| {
        if items.is_empty() {
            return fail("at least one item has to be provided");
        }
        Ok(Value::from_object(Cycler { items: items.0, at: AtomicUsize::new(0) }))
    });
}

fn range(args: Rest<Value>) -> Result<Value, Error> {
    let args = match args.len() {
        1 => {
            let stop = Arguments::bind("range", &["stop"], 1, &args)?;
            (0, stop.int(0, 0)?, 1)
        }
        _ => {
            let args = Arguments::bind("range", &["start", "stop", "step"], 2, &args)?;
            (args.int(0, 0)?, args.int(1, 0)?, args.int(2, 1)?)
        }
    };
    let (start, stop, step) = args;
    if step == 0 {
        return fail("range() arg 3 must not be zero");
    }
    let range = Range { start, stop, step };
    if range.len() > MAX_RANGE {
        return fail(format!("range() has {} items, at most {MAX_RANGE} are allowed", range.len()));
    }
    Ok(Value::from_object(range))
}

/// dict(mapping or pairs, **named)
fn dict(args: Rest<Value>) -> Result<Value, Error> {
    let (values, named) = split(&args)?;
    let mut members: Vec<(Value, Value)> = Vec::new();
    match values.as_slice() {
        [] => {}
        [value] if type_of(value) == Type::Dict => {
            for key in iterate(value)? {
                members.push((key.clone(), value.get_item(&key)?));
            }
        }
        [value] => {
            for pair in iterate(value)? {
                match iterate(&pair)?.as_slice() {
                    [key, value] => members.push((key.clone(), value.clone())),
                    _ => return fail("dict() needs a mapping or pairs"),
                }
            }
        }
        _ => return fail("dict() takes one positional argument"),
    }
    members.extend(named.into_iter().map(|(name, value)| (Value::from(name), value)));
    Ok(Value::from_iter(members))
}

/// joiner(sep): nothing at the first call, then the separator.
#[derive(Debug)]
struct Joiner {
    separator: Value,
    used: AtomicBool,
}

impl Object for Joiner {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &State, args: &[Value]) -> Result<Value, Error> {
        let () = from_args(args)?;
        Ok(match self.used.swap(true, Ordering::Relaxed) {
            true => self.separator.clone(),
            false => Value::from(""),
        })
    }
}

/// cycler(...): next(), current, reset().
#[derive(Debug)]
struct Cycler {
    items: Vec<Value>,
    at: AtomicUsize,
}

impl Object for Cycler {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let at = self.at.load(Ordering::Relaxed);
        (key.as_str() == Some("current")).then(|| self.items[at].clone())
    }

    fn call_method(
        self: &Arc<Self>,
        _: &State,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let () = from_args(args)?;
        match method {
            "next" => {
                let at = self.at.load(Ordering::Relaxed);
                self.at.store((at + 1) % self.items.len(), Ordering::Relaxed);
                Ok(self.items[at].clone())
            }
            "reset" => {
                self.at.store(0, Ordering::Relaxed);
                Ok(Value::from(()))
            }
            _ => Err(Error::from(minijinja::ErrorKind::UnknownMethod)),
        }
    }
}
