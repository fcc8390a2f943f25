//! Which of Python's types a value is, and those that minijinja lacks.

use super::{fail, methods};
use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr, Value, ValueKind};
use minijinja::{Error, State};
use std::cmp::Ordering;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Undefined,
    None,
    Bool,
    Int,
    Float,
    Str,
    List,
    Tuple,
    Range,
    Dict,
    Namespace,
    View,
    Generator,
    /// A function, a macro, a loop ...
    Object,
}

pub fn type_of(value: &Value) -> Type {
    match value.kind() {
        ValueKind::Undefined => Type::Undefined,
        ValueKind::None => Type::None,
        ValueKind::Bool => Type::Bool,
        ValueKind::Number if value.is_integer() => Type::Int,
        ValueKind::Number => Type::Float,
        ValueKind::String | ValueKind::Bytes => Type::Str,
        ValueKind::Seq if value.downcast_object_ref::<Tuple>().is_some() => Type::Tuple,
        ValueKind::Seq if value.downcast_object_ref::<Range>().is_some() => Type::Range,
        ValueKind::Seq => Type::List,
        ValueKind::Map if is_a(value, "Namespace") => Type::Namespace,
        ValueKind::Map if is_a(value, "Macro") || is_a(value, "Loop") => Type::Object,
        ValueKind::Map => Type::Dict,
        ValueKind::Iterable if value.downcast_object_ref::<View>().is_some() => Type::View,
        ValueKind::Iterable => Type::Generator,
        _ => Type::Object,
    }
}

/// Whether the value is an object of minijinja's own type `name`.
pub fn is_a(value: &Value, name: &str) -> bool {
    let found = value.as_object().map_or("", |object| object.type_name());
    found.rsplit("::").next() == Some(name)
}

/// Python's name of the value's type, for messages.
pub fn type_name(value: &Value) -> &'static str {
    match type_of(value) {
        Type::Undefined => "undefined",
        Type::None => "NoneType",
        Type::Bool => "bool",
        Type::Int => "int",
        Type::Float => "float",
        Type::Str => "str",
        Type::List => "list",
        Type::Tuple => "tuple",
        Type::Range => "range",
        Type::Dict => "dict",
        Type::Namespace => "Namespace",
        Type::View => "dict view",
        Type::Generator => "generator",
        Type::Object => "object",
    }
}

/// iter(value), run to its end.
pub fn iterate(value: &Value) -> Result<Vec<Value>, Error> {
    match type_of(value) {
        Type::Undefined => Ok(Vec::new()),
        Type::None | Type::Bool | Type::Int | Type::Float | Type::Namespace | Type::Object => {
            fail(format!("'{}' object is not iterable", type_name(value)))
        }
        _ => Ok(value.try_iter()?.collect()),
    }
}

/// len(value); None if it has none.
pub fn length(value: &Value) -> Option<usize> {
    match type_of(value) {
        Type::Undefined => Some(0),
        Type::Generator | Type::Namespace | Type::Object => None,
        _ => value.len(),
    }
}

pub fn list(items: Vec<Value>) -> Value {
    Value::from(items)
}

pub fn tuple(items: Vec<Value>) -> Value {
    Value::from_object(Tuple { items, names: &[] })
}

/// Items that can be walked through once, as of Python's generators.
pub fn generator(items: Vec<Value>) -> Value {
    Value::make_one_shot_iterator(items.into_iter())
}

/// Whether a Python dict takes the value as a key.
pub fn is_hashable(value: &Value) -> bool {
    match type_of(value) {
        Type::List | Type::Dict => false,
        Type::View => {
            value.downcast_object_ref::<View>().is_some_and(|view| view.part == Part::Values)
        }
        Type::Tuple => iterate(value).is_ok_and(|items| items.iter().all(is_hashable)),
        _ => true,
    }
}

#[derive(Debug)]
pub struct Tuple {
    pub items: Vec<Value>,
    /// Of a named tuple: attributes for the first items.
    pub names: &'static [&'static str],
}

impl Object for Tuple {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let at = match key.as_str() {
            Some(name) => self.names.iter().position(|n| *n == name)?,
            None => key.as_usize()?,
        };
        self.items.get(at).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.items.len())
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.items.cmp(&other.downcast_ref::<Self>()?.items))
    }
}

#[derive(Debug)]
pub struct Range {
    pub start: i64,
    pub stop: i64,
    pub step: i64,
}

impl Range {
    pub fn len(&self) -> usize {
        let (low, high, step) = match self.step > 0 {
            true => (self.start, self.stop, self.step as i128),
            false => (self.stop, self.start, -(self.step as i128)),
        };
        let span = high as i128 - low as i128;
        if span <= 0 {
            0
        } else {
            ((span + step - 1) / step) as usize
        }
    }
}

impl Object for Range {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let at = key.as_usize()?;
        (at < self.len()).then(|| Value::from(self.start + at as i64 * self.step))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.len())
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let key = |r: &Range| (0..r.len() as i64).map(|i| r.start + i * r.step).collect::<Vec<_>>();
        Some(key(self).cmp(&key(other.downcast_ref::<Self>()?)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Keys,
    Values,
    Items,
}

/// What dict.keys(), values() and items() give.
#[derive(Debug)]
pub struct View {
    pub part: Part,
    pub dict: Value,
}

impl View {
    pub fn items(&self) -> Vec<Value> {
        let keys = iterate(&self.dict).unwrap_or_default();
        let value = |key: &Value| self.dict.get_item(key).unwrap_or_default();
        match self.part {
            Part::Keys => keys,
            Part::Values => keys.iter().map(value).collect(),
            Part::Items => {
                let item = |key: Value| tuple(vec![key.clone(), value(&key)]);
                keys.into_iter().map(item).collect()
            }
        }
    }
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.items())
    }
}

/// `value.name` where that is a method.
#[derive(Debug)]
pub struct BoundMethod {
    pub receiver: Value,
    pub name: String,
}

impl Object for BoundMethod {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, state: &State, args: &[Value]) -> Result<Value, Error> {
        methods::call(state, &self.receiver, &self.name, args)
    }
}
