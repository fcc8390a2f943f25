//! Arguments bound to parameters as Python does.

use super::fail;
use super::values::{type_name, type_of, Type};
use crate::python;
use minijinja::value::{from_args, Kwargs, Rest, Value};
use minijinja::Error;

/// The positional ones, and the named ones in no order.
pub fn split(args: &[Value]) -> Result<(Vec<Value>, Vec<(String, Value)>), Error> {
    let (Rest(values), kwargs): (Rest<Value>, Kwargs) = from_args(args)?;
    let names: Vec<String> = kwargs.args().map(str::to_string).collect();
    let mut named = Vec::new();
    for name in names {
        let value = kwargs.get::<Value>(&name)?;
        named.push((name, value));
    }
    Ok((values, named))
}

pub struct Arguments {
    function: String,
    parameters: &'static [&'static str],
    given: Vec<Option<Value>>,
}

impl Arguments {
    /// The first `required` of `parameters` must be given.
    pub fn bind(
        function: &str,
        parameters: &'static [&'static str],
        required: usize,
        args: &[Value],
    ) -> Result<Arguments, Error> {
        let (values, named) = split(args)?;
        if values.len() > parameters.len() {
            return fail(format!(
                "{function}() takes {} arguments, {} were given",
                parameters.len(),
                values.len()
            ));
        }
        let mut given: Vec<Option<Value>> = values.into_iter().map(Some).collect();
        given.resize(parameters.len(), None);
        for (name, value) in named {
            match parameters.iter().position(|p| *p == name) {
                Some(at) if given[at].is_none() => given[at] = Some(value),
                Some(_) => return fail(format!("{function}() got two values for '{name}'")),
                None => return fail(format!("{function}() has no argument '{name}'")),
            }
        }
        if let Some(at) = given[..required].iter().position(Option::is_none) {
            return fail(format!("{function}() needs the argument '{}'", parameters[at]));
        }
        Ok(Arguments { function: function.to_string(), parameters, given })
    }

    pub fn get(&self, at: usize) -> Option<&Value> {
        self.given[at].as_ref()
    }

    /// A required argument.
    pub fn value(&self, at: usize) -> Value {
        self.given[at].clone().unwrap_or_default()
    }

    /// Unless it is left out or none.
    pub fn some(&self, at: usize) -> Option<&Value> {
        self.get(at).filter(|value| !value.is_none())
    }

    pub fn truth(&self, at: usize) -> bool {
        self.get(at).is_some_and(Value::is_true)
    }

    pub fn int(&self, at: usize, default: i64) -> Result<i64, Error> {
        match self.get(at) {
            None => Ok(default),
            Some(value) if matches!(type_of(value), Type::Int | Type::Bool) => {
                Ok(i64::try_from(value.clone()).unwrap_or(i64::MAX))
            }
            Some(value) => self.wrong(at, value, "int"),
        }
    }

    /// A str, or None if it is left out or none.
    pub fn text(&self, at: usize) -> Result<Option<&str>, Error> {
        match self.some(at) {
            None => Ok(None),
            Some(value) if type_of(value) == Type::Str => Ok(value.as_str()),
            Some(value) => self.wrong(at, value, "str"),
        }
    }

    /// str(value), or `default`.
    pub fn text_of(&self, at: usize, default: &str) -> Result<String, Error> {
        self.get(at).map_or(Ok(default.to_string()), python::str_of)
    }

    fn wrong<T>(&self, at: usize, found: &Value, expected: &str) -> Result<T, Error> {
        fail(format!(
            "{}(): '{}' is of type {}, expected {expected}",
            self.function,
            self.parameters[at],
            type_name(found)
        ))
    }
}
