//! Python's operators. `compile` writes them as filters whose names are the operators.

use super::values::*;
use super::{fail, format, methods, Cause};
use crate::python;
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind};
use std::cmp::Ordering;

/// Bytes of a string and items of a list that one operator may make.
const MAX_ITEMS: usize = 1 << 24;

type Binary = fn(&Value, &Value) -> Result<Value, Error>;

pub fn install(env: &mut Environment<'static>) {
    const BINARY: [(&str, Binary); 17] = [
        ("+", add),
        ("-", |a, b| arithmetic("-", a, b, i128::checked_sub, |a, b| a - b)),
        ("*", multiply),
        ("/", divide),
        ("//", floor_divide),
        ("%", remainder),
        ("**", power),
        ("~", concat),
        ("==", |a, b| Ok(equal(a, b).into())),
        ("!=", |a, b| Ok((!equal(a, b)).into())),
        ("<", |a, b| ordered("<", a, b, Ordering::is_lt)),
        ("<=", |a, b| ordered("<=", a, b, Ordering::is_le)),
        (">", |a, b| ordered(">", a, b, Ordering::is_gt)),
        (">=", |a, b| ordered(">=", a, b, Ordering::is_ge)),
        ("in", |a, b| Ok(contains(b, a)?.into())),
        ("[]", item),
        (".", attribute),
    ];
    for (name, function) in BINARY {
        env.add_filter(name, move |a: &Value, b: &Value| function(a, b));
    }
    env.add_filter("neg", |a: &Value| negative(a));
    env.add_filter("[:]", |a: &Value, b: &Value, c: &Value, d: &Value| slice(a, b, c, d));
    env.add_filter("()", |items: &Value| Ok::<Value, Error>(tuple(items.try_iter()?.collect())));
    env.add_filter("iter", |value: &Value| iterate(value).map(list));
    env.add_filter("const", |value: Value| value);
}

pub enum Number {
    Int(i128),
    Float(f64),
}

pub fn number(value: &Value) -> Option<Number> {
    match type_of(value) {
        Type::Bool => Some(Number::Int(value.is_true() as i128)),
        Type::Int => i128::try_from(value.clone()).ok().map(Number::Int),
        Type::Float => f64::try_from(value.clone()).ok().map(Number::Float),
        _ => None,
    }
}

impl Number {
    pub fn float(&self) -> f64 {
        match self {
            Number::Int(value) => *value as f64,
            Number::Float(value) => *value,
        }
    }
}

pub fn int(value: i128) -> Value {
    i64::try_from(value).map_or_else(|_| Value::from(value), Value::from)
}

fn unsupported<T>(operator: &str, a: &Value, b: &Value) -> Result<T, Error> {
    for value in [a, b] {
        if value.is_undefined() {
            return Err(Error::from(ErrorKind::UndefinedError));
        }
    }
    let (a, b) = (type_name(a), type_name(b));
    fail(format!("unsupported operand types for {operator}: '{a}' and '{b}'"))
}

fn too_large<T>() -> Result<T, Error> {
    Err(Cause::TooLarge(format!(
        "the template makes a value of more than {MAX_ITEMS} bytes or items"
    ))
    .into())
}

fn arithmetic(
    operator: &str,
    a: &Value,
    b: &Value,
    ints: fn(i128, i128) -> Option<i128>,
    floats: fn(f64, f64) -> f64,
) -> Result<Value, Error> {
    match (number(a), number(b)) {
        (Some(Number::Int(a)), Some(Number::Int(b))) => ints(a, b)
            .map_or_else(|| fail("integers beyond 128 bits are not supported"), |v| Ok(int(v))),
        (Some(a), Some(b)) => Ok(floats(a.float(), b.float()).into()),
        _ => unsupported(operator, a, b),
    }
}

fn joined(a: &Value, b: &Value) -> Result<Vec<Value>, Error> {
    let (mut a, b) = (iterate(a)?, iterate(b)?);
    if a.len() + b.len() > MAX_ITEMS {
        return too_large();
    }
    a.extend(b);
    Ok(a)
}

pub fn add(a: &Value, b: &Value) -> Result<Value, Error> {
    match (type_of(a), type_of(b)) {
        (Type::Str, Type::Str) => {
            let (x, y) = (a.as_str().unwrap_or_default(), b.as_str().unwrap_or_default());
            if x.len() + y.len() > MAX_ITEMS {
                return too_large();
            }
            Ok(match (a.is_safe(), b.is_safe()) {
                (false, false) => Value::from([x, y].concat()),
                (true, true) => Value::from_safe_string([x, y].concat()),
                (true, false) => Value::from_safe_string([x, &python::escape(y)].concat()),
                (false, true) => Value::from_safe_string([&python::escape(x), y].concat()),
            })
        }
        (Type::List, Type::List) => Ok(list(joined(a, b)?)),
        (Type::Tuple, Type::Tuple) => Ok(tuple(joined(a, b)?)),
        _ => arithmetic("+", a, b, i128::checked_add, |a, b| a + b),
    }
}

fn multiply(a: &Value, b: &Value) -> Result<Value, Error> {
    let is_sequence = |v: &Value| matches!(type_of(v), Type::Str | Type::List | Type::Tuple);
    let is_int = |v: &Value| matches!(type_of(v), Type::Int | Type::Bool);
    let (sequence, times) = match (is_sequence(a), is_sequence(b)) {
        (true, false) if is_int(b) => (a, b),
        (false, true) if is_int(a) => (b, a),
        (false, false) => return arithmetic("*", a, b, i128::checked_mul, |a, b| a * b),
        _ => return unsupported("*", a, b),
    };
    let times = i64::try_from(times.clone()).unwrap_or(i64::MAX).max(0) as usize;
    let size = sequence.as_str().map_or(sequence.len().unwrap_or(0), str::len);
    if size.saturating_mul(times) > MAX_ITEMS {
        return too_large();
    }
    if let Some(text) = sequence.as_str() {
        let text = text.repeat(times);
        return Ok(if sequence.is_safe() { Value::from_safe_string(text) } else { text.into() });
    }
    let items = iterate(sequence)?;
    let repeated = std::iter::repeat_n(items, times).flatten().collect();
    Ok(if type_of(sequence) == Type::Tuple { tuple(repeated) } else { list(repeated) })
}

fn divide(a: &Value, b: &Value) -> Result<Value, Error> {
    match (number(a), number(b)) {
        (Some(_), Some(b)) if b.float() == 0.0 => fail("division by zero"),
        (Some(a), Some(b)) => Ok((a.float() / b.float()).into()),
        _ => unsupported("/", a, b),
    }
}

fn floor_divide(a: &Value, b: &Value) -> Result<Value, Error> {
    if number(b).is_some_and(|b| b.float() == 0.0) && number(a).is_some() {
        return fail("division by zero");
    }
    let floor = |a: i128, b: i128| {
        let quotient = a.checked_div(b)?;
        Some(if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
    };
    arithmetic("//", a, b, floor, |a, b| (a / b).floor())
}

fn remainder(a: &Value, b: &Value) -> Result<Value, Error> {
    if let Some(text) = a.as_str().filter(|_| type_of(a) == Type::Str) {
        return format::percent(text, b, a.is_safe());
    }
    if number(b).is_some_and(|b| b.float() == 0.0) && number(a).is_some() {
        return fail("division by zero");
    }
    let ints = |a: i128, b: i128| {
        let rest = a.checked_rem(b)?;
        Some(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
    };
    arithmetic("%", a, b, ints, |a, b| {
        let rest = a % b;
        match rest {
            0.0 => 0f64.copysign(b),
            rest if (rest < 0.0) != (b < 0.0) => rest + b,
            rest => rest,
        }
    })
}

fn power(a: &Value, b: &Value) -> Result<Value, Error> {
    match (number(a), number(b)) {
        (Some(Number::Int(base)), Some(Number::Int(exponent))) if exponent >= 0 => {
            let exponent = u32::try_from(exponent).ok();
            match exponent.and_then(|exponent| base.checked_pow(exponent)) {
                Some(value) => Ok(int(value)),
                None => fail("integers beyond 128 bits are not supported"),
            }
        }
        (Some(a), Some(b)) if a.float() == 0.0 && b.float() < 0.0 => {
            fail("0.0 cannot be raised to a negative power")
        }
        (Some(a), Some(b)) => {
            let value = a.float().powf(b.float());
            if value.is_nan() {
                return fail("complex numbers are not supported");
            }
            Ok(value.into())
        }
        _ => unsupported("**", a, b),
    }
}

pub fn negative(a: &Value) -> Result<Value, Error> {
    match number(a) {
        Some(Number::Int(value)) => Ok(int(-value)),
        Some(Number::Float(value)) => Ok((-value).into()),
        None if a.is_undefined() => Err(Error::from(ErrorKind::UndefinedError)),
        None => fail(format!("bad operand type for unary -: '{}'", type_name(a))),
    }
}

fn concat(a: &Value, b: &Value) -> Result<Value, Error> {
    let text = [python::str_of(a)?, python::str_of(b)?].concat();
    if text.len() > MAX_ITEMS {
        return too_large();
    }
    Ok(text.into())
}

/// a == b
pub fn equal(a: &Value, b: &Value) -> bool {
    if let (Some(a), Some(b)) = (number(a), number(b)) {
        return match (a, b) {
            (Number::Int(a), Number::Int(b)) => a == b,
            (a, b) => a.float() == b.float(),
        };
    }
    let (kind, other) = (type_of(a), type_of(b));
    if kind != other {
        return false;
    }
    match kind {
        Type::List | Type::Tuple | Type::Range => {
            a.len() == b.len()
                && iterate(a)
                    .and_then(|a| Ok(a.iter().zip(iterate(b)?.iter()).all(|(a, b)| equal(a, b))))
                    .unwrap_or(false)
        }
        Type::Dict => {
            let same = |key: &Value| {
                contains(b, key).unwrap_or(false)
                    && equal(
                        &a.get_item(key).unwrap_or_default(),
                        &b.get_item(key).unwrap_or_default(),
                    )
            };
            a.len() == b.len() && iterate(a).is_ok_and(|keys| keys.iter().all(same))
        }
        Type::View => match (a.downcast_object_ref::<View>(), b.downcast_object_ref::<View>()) {
            (Some(a), Some(b)) if a.part == Part::Values || b.part == Part::Values => {
                std::ptr::eq(a, b)
            }
            (Some(a), Some(b)) => {
                let (a, b) = (a.items(), b.items());
                a.len() == b.len() && a.iter().all(|a| b.iter().any(|b| equal(a, b)))
            }
            _ => false,
        },
        Type::Generator => false,
        _ => a == b,
    }
}

/// How a and b compare; no order between numbers if one is NaN.
pub fn compare(operator: &str, a: &Value, b: &Value) -> Result<Option<Ordering>, Error> {
    if let (Some(a), Some(b)) = (number(a), number(b)) {
        return Ok(match (a, b) {
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
            (a, b) => a.float().partial_cmp(&b.float()),
        });
    }
    match (type_of(a), type_of(b)) {
        (Type::Str, Type::Str) => Ok(a.as_str().partial_cmp(&b.as_str())),
        (Type::List, Type::List) | (Type::Tuple, Type::Tuple) => {
            let (x, y) = (iterate(a)?, iterate(b)?);
            for (x, y) in x.iter().zip(y.iter()) {
                if !equal(x, y) {
                    return compare(operator, x, y);
                }
            }
            Ok(Some(x.len().cmp(&y.len())))
        }
        _ => unsupported(operator, a, b),
    }
}

fn ordered(
    operator: &str,
    a: &Value,
    b: &Value,
    holds: fn(Ordering) -> bool,
) -> Result<Value, Error> {
    Ok(Value::from(compare(operator, a, b)?.is_some_and(holds)))
}

/// item in container
pub fn contains(container: &Value, item: &Value) -> Result<bool, Error> {
    match type_of(container) {
        Type::Str => match item.as_str() {
            Some(text) => Ok(container.as_str().unwrap_or_default().contains(text)),
            None => fail(format!("'in <string>' requires str, not {}", type_name(item))),
        },
        Type::Dict => {
            if !is_hashable(item) {
                return fail(format!("unhashable type: '{}'", type_name(item)));
            }
            Ok(container.as_object().is_some_and(|dict| dict.get_value(item).is_some()))
        }
        _ => Ok(iterate(container)?.iter().any(|found| equal(found, item))),
    }
}

/// value[key]: the item, else the attribute.
fn item(value: &Value, key: &Value) -> Result<Value, Error> {
    let found = match type_of(value) {
        Type::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        Type::Dict if !is_hashable(key) => Value::UNDEFINED,
        Type::Dict | Type::Namespace | Type::Object => value.get_item(key)?,
        Type::Str | Type::List | Type::Tuple | Type::Range
            if matches!(type_of(key), Type::Int | Type::Bool) =>
        {
            let at = i128::try_from(key.clone()).unwrap_or(i128::MAX);
            let at = if at < 0 { at + value.len().unwrap_or(0) as i128 } else { at };
            match usize::try_from(at) {
                Ok(at) => value.get_item_by_index(at)?,
                Err(_) => Value::UNDEFINED,
            }
        }
        _ => Value::UNDEFINED,
    };
    match key.as_str() {
        Some(name) if found.is_undefined() => attribute(value, &Value::from(name)),
        _ => Ok(found),
    }
}

/// value.name: a method, else the item of that name.
pub fn attribute(value: &Value, name: &Value) -> Result<Value, Error> {
    let text = name.as_str().unwrap_or_default();
    if let Some(found) = methods::attribute(value, text) {
        return Ok(found);
    }
    value.get_attr(text)
}

/// value[start:stop:step]
fn slice(value: &Value, start: &Value, stop: &Value, step: &Value) -> Result<Value, Error> {
    let kind = type_of(value);
    if kind == Type::Undefined {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    if !matches!(kind, Type::Str | Type::List | Type::Tuple | Type::Range) {
        return fail(format!("'{}' object cannot be sliced", type_name(value)));
    }
    let bound = |value: &Value| match type_of(value) {
        Type::None => Ok(None),
        Type::Int | Type::Bool => Ok(Some(i64::try_from(value.clone()).unwrap_or(i64::MAX))),
        _ => fail("slice indices must be integers or none"),
    };
    let (start, stop, step) = (bound(start)?, bound(stop)?, bound(step)?.unwrap_or(1));
    if step == 0 {
        return fail("slice step cannot be zero");
    }
    let items: Vec<Value> = value.try_iter()?.collect();
    let picked = indices(start, stop, step, items.len()).map(|at| items[at].clone());
    Ok(match kind {
        Type::Str => {
            let text: String = picked.map(|c| c.as_str().unwrap_or_default().to_string()).collect();
            if value.is_safe() {
                Value::from_safe_string(text)
            } else {
                text.into()
            }
        }
        Type::Tuple => tuple(picked.collect()),
        Type::Range => {
            let range = value.downcast_object_ref::<Range>().expect("a range");
            let at = |i: i64| range.start + i * range.step;
            let (first, end) = limits(start, stop, step, items.len());
            Value::from_object(Range { start: at(first), stop: at(end), step: range.step * step })
        }
        _ => list(picked.collect()),
    })
}

/// slice.indices(length)
fn limits(start: Option<i64>, stop: Option<i64>, step: i64, length: usize) -> (i64, i64) {
    let length = length as i64;
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let clamp = |at: i64| (if at < 0 { at.saturating_add(length) } else { at }).clamp(low, high);
    let (first, end) = if step > 0 { (low, high) } else { (high, low) };
    (start.map_or(first, clamp), stop.map_or(end, clamp))
}

pub fn indices(
    start: Option<i64>,
    stop: Option<i64>,
    step: i64,
    length: usize,
) -> impl Iterator<Item = usize> {
    let (start, stop) = limits(start, stop, step, length);
    let range = Range { start, stop, step };
    (0..range.len() as i64).map(move |i| (start + i * step) as usize)
}
