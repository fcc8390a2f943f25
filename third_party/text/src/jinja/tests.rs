//! Jinja2's tests.

use super::fail;
use super::values::{is_a, is_hashable, type_name, type_of, Type};
use super::{operators, strings};
use crate::python;
use minijinja::value::{Rest, Value};
use minijinja::{Environment, Error, ErrorKind, State};

type Test = fn(&Value) -> Result<bool, Error>;
type Comparison = fn(&Value, &Value) -> Result<bool, Error>;

const TESTS: [(&str, Test); 19] = [
    ("boolean", |v| Ok(type_of(v) == Type::Bool)),
    ("callable", |v| Ok(is_callable(v))),
    ("defined", |v| Ok(!v.is_undefined())),
    ("escaped", |v| Ok(v.is_safe())),
    ("even", |v| divides(v, 2, 0)),
    ("false", |v| Ok(type_of(v) == Type::Bool && !v.is_true())),
    ("float", |v| Ok(type_of(v) == Type::Float)),
    ("integer", |v| Ok(type_of(v) == Type::Int)),
    ("iterable", |v| {
        Ok(!matches!(
            type_of(v),
            Type::None | Type::Bool | Type::Int | Type::Float | Type::Namespace | Type::Object
        ))
    }),
    ("lower", |v| Ok(strings::is_lower(&python::str_of(v)?))),
    ("mapping", |v| Ok(type_of(v) == Type::Dict)),
    ("none", |v| Ok(v.is_none())),
    ("number", |v| Ok(matches!(type_of(v), Type::Bool | Type::Int | Type::Float))),
    ("odd", |v| divides(v, 2, 1)),
    ("sequence", |v| {
        Ok(matches!(
            type_of(v),
            Type::Undefined | Type::Str | Type::List | Type::Tuple | Type::Range | Type::Dict
        ))
    }),
    ("string", |v| Ok(type_of(v) == Type::Str)),
    ("true", |v| Ok(type_of(v) == Type::Bool && v.is_true())),
    ("undefined", |v| Ok(v.is_undefined())),
    ("upper", |v| Ok(strings::is_upper(&python::str_of(v)?))),
];

const COMPARISONS: [(&[&str], Comparison); 9] = [
    (&["==", "eq", "equalto"], |a, b| Ok(operators::equal(a, b))),
    (&["!=", "ne"], |a, b| Ok(!operators::equal(a, b))),
    (&[">", "gt", "greaterthan"], |a, b| is_ordered(">", a, b)),
    (&[">=", "ge"], |a, b| is_ordered(">=", a, b)),
    (&["<", "lt", "lessthan"], |a, b| is_ordered("<", a, b)),
    (&["<=", "le"], |a, b| is_ordered("<=", a, b)),
    (&["in"], |a, b| operators::contains(b, a)),
    (&["sameas"], |a, b| Ok(is_same(a, b))),
    (&["divisibleby"], |a, b| match i64::try_from(b.clone()) {
        Ok(0) => fail("division by zero"),
        Ok(divisor) if type_of(b) != Type::Float => divides(a, divisor as i128, 0),
        _ => fail(format!("divisibleby() got '{}', expected int", type_name(b))),
    }),
];

pub fn install(env: &mut Environment<'static>) {
    for (name, test) in TESTS {
        env.add_test(name, move |value: &Value| test(value));
    }
    for (names, comparison) in COMPARISONS {
        for name in names {
            env.add_test(*name, move |a: &Value, b: &Value| comparison(a, b));
        }
    }
    env.add_test("filter", |state: &State, name: &Value| {
        exists(name, |name| state.apply_filter(name, &[]), ErrorKind::UnknownFilter)
    });
    env.add_test("test", |state: &State, name: &Value, _: Rest<Value>| {
        exists(name, |name| state.perform_test(name, &[]), ErrorKind::UnknownTest)
    });
}

/// Whether there is a filter or test of that name: it is called in vain.
fn exists<T>(
    name: &Value,
    call: impl Fn(&str) -> Result<T, Error>,
    unknown: ErrorKind,
) -> Result<bool, Error> {
    match name.as_str() {
        _ if !is_hashable(name) => fail(format!("unhashable type: '{}'", type_name(name))),
        Some(name) => Ok(call(name).err().is_none_or(|error| error.kind() != unknown)),
        None => Ok(false),
    }
}

fn is_callable(value: &Value) -> bool {
    match type_of(value) {
        // Jinja2's Undefined has a __call__, which fails.
        Type::Undefined => true,
        Type::Object => !is_a(value, "Cycler"),
        _ => false,
    }
}

fn divides(value: &Value, divisor: i128, rest: i128) -> Result<bool, Error> {
    match type_of(value) {
        Type::Int | Type::Bool => {
            Ok(i128::try_from(value.clone()).is_ok_and(|v| v.rem_euclid(divisor.abs()) == rest))
        }
        Type::Float => Ok(f64::try_from(value.clone())?.rem_euclid(divisor as f64) == rest as f64),
        Type::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        _ => fail(format!("'{}' is not a number", type_name(value))),
    }
}

fn is_ordered(operator: &str, a: &Value, b: &Value) -> Result<bool, Error> {
    let order = operators::compare(operator, a, b)?;
    Ok(order.is_some_and(|order| match operator {
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        "<" => order.is_lt(),
        _ => order.is_le(),
    }))
}

/// a is b, as far as it can be told from a == b: Python shares small values, and floats never.
fn is_same(a: &Value, b: &Value) -> bool {
    type_of(a) == type_of(b) && type_of(a) != Type::Float && operators::equal(a, b)
}
