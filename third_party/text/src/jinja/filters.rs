//! Jinja2's filters.

use super::arguments::Arguments;
use super::operators::{self, compare, equal};
use super::values::*;
use super::{fail, format, methods, strings};
use crate::python;
use minijinja::value::{Rest, Value};
use minijinja::{Environment, Error, ErrorKind, State};
use std::cmp::Ordering;
use std::collections::HashSet;

/// Those that this library does not have.
pub const MISSING: [&str; 5] = ["pprint", "random", "striptags", "urlize", "wordwrap"];

type Filter = fn(&State, &[Value]) -> Result<Value, Error>;

const FILTERS: [(&str, Filter); 48] = [
    ("abs", absolute),
    ("attr", attr),
    ("batch", batch),
    ("capitalize", |_, args| Ok(strings::capitalize(&only_text("capitalize", args)?).into())),
    ("center", center),
    ("count", length_of),
    ("d", default),
    ("default", default),
    ("dictsort", dictsort),
    ("e", escape),
    ("escape", escape),
    ("filesizeformat", filesizeformat),
    ("first", first),
    ("float", float),
    ("forceescape", forceescape),
    ("format", format_values),
    ("groupby", groupby),
    ("indent", indent),
    ("int", int),
    ("items", items),
    ("join", join),
    ("last", last),
    ("length", length_of),
    ("list", |_, args| Ok(list(iterate(&only("list", args)?)?))),
    ("lower", |_, args| Ok(only_text("lower", args)?.to_lowercase().into())),
    ("map", map),
    ("max", |state, args| extreme(state, "max", args, Ordering::Greater)),
    ("min", |state, args| extreme(state, "min", args, Ordering::Less)),
    ("reject", |state, args| choose(state, args, false, false)),
    ("rejectattr", |state, args| choose(state, args, false, true)),
    ("replace", replace),
    ("reverse", reverse),
    ("round", round),
    ("safe", |_, args| Ok(Value::from_safe_string(python::str_of(&only("safe", args)?)?))),
    ("select", |state, args| choose(state, args, true, false)),
    ("selectattr", |state, args| choose(state, args, true, true)),
    ("slice", slice),
    ("sort", sort),
    ("string", string),
    ("sum", sum),
    ("title", title),
    ("tojson", |_, args| python::tojson(args)),
    ("trim", trim),
    ("truncate", truncate),
    ("unique", unique),
    ("upper", |_, args| Ok(only_text("upper", args)?.to_uppercase().into())),
    ("urlencode", urlencode),
    ("wordcount", wordcount),
];

pub fn install(env: &mut Environment<'static>) {
    for (name, filter) in FILTERS {
        env.add_filter(name, move |state: &State, args: Rest<Value>| filter(state, &args));
    }
    env.add_filter("xmlattr", |args: Rest<Value>| xmlattr(&args));
}

fn only(name: &str, args: &[Value]) -> Result<Value, Error> {
    Ok(Arguments::bind(name, &["value"], 1, args)?.value(0))
}

fn only_text(name: &str, args: &[Value]) -> Result<String, Error> {
    python::str_of(&only(name, args)?)
}

/// value["a.b.0"] as map, sort and their like look attributes up; "" for none.
fn path_of(
    state: &State,
    value: &Value,
    path: &Value,
    default: Option<&Value>,
) -> Result<Value, Error> {
    if path.is_none() {
        return Ok(value.clone());
    }
    let mut parts = Vec::new();
    match path.as_str() {
        Some(text) => {
            for part in text.split('.') {
                let is_number = !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
                parts.push(match part.parse::<i64>() {
                    Ok(number) if is_number => Value::from(number),
                    _ => Value::from(part),
                });
            }
        }
        None => parts.push(path.clone()),
    }
    let mut found = value.clone();
    for part in &parts {
        found = state.apply_filter("[]", &[found, part.clone()])?;
        if let Some(default) = default.filter(|_| found.is_undefined()) {
            found = default.clone();
        }
    }
    Ok(found)
}

/// Strings without their case.
fn ignore_case(value: Value) -> Value {
    match value.as_str() {
        Some(text) => Value::from(text.to_lowercase()),
        None => value,
    }
}

/// sorted(items, key): stable; fails where keys have no order.
fn sorted(items: Vec<(Value, Value)>, reverse: bool) -> Result<Vec<(Value, Value)>, Error> {
    let mut error = None;
    let mut items = items;
    items.sort_by(|(a, _), (b, _)| {
        let order = compare("<", a, b).unwrap_or_else(|e| {
            error.get_or_insert(e);
            None
        });
        let order = order.unwrap_or(Ordering::Equal);
        if reverse {
            order.reverse()
        } else {
            order
        }
    });
    error.map_or(Ok(items), Err)
}

fn absolute(_: &State, args: &[Value]) -> Result<Value, Error> {
    let value = only("abs", args)?;
    match type_of(&value) {
        Type::Bool | Type::Int => Ok(operators::int(i128::try_from(value)?.abs())),
        Type::Float => Ok(f64::try_from(value)?.abs().into()),
        Type::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        _ => fail(format!("abs() got '{}', expected a number", type_name(&value))),
    }
}

/// The attribute, never the item.
fn attr(_: &State, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("attr", &["value", "name"], 2, args)?;
    let (value, name) = (args.value(0), args.text_of(1, "")?);
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    if type_of(&value) == Type::Namespace {
        return Ok(Value::UNDEFINED);
    }
    Ok(methods::attribute(&value, &name).unwrap_or(Value::UNDEFINED))
}

fn batch(_: &State, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("batch", &["value", "linecount", "fill_with"], 2, args)?;
    let size = args.int(1, 0)?;
    let mut rows = Vec::new();
    let mut row: Vec<Value> = Vec::new();
    for item in iterate(&args.value(0))? {
        if row.len() as i64 == size {
            rows.push(list(std::mem::take(&mut row)));
        }
        row.push(item);
    }
    if !row.is_empty() {
        if let Some(fill) = args.some(2) {
            row.resize(row.len().max(size.clamp(0, 1 << 20) as usize), fill.clone());
        }
        rows.push(list(row));
    }
    Ok(generator(rows))
}

fn center(_: &State, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("center", &["value", "width"], 1, args)?;
    Ok(methods::center(&args.text_of(0, "")?, args.int(1, 80)?, ' ').into())
}

fn length_of(_: &State, args: &[Value]) -> Result<Value, Error> {
    let value = only("length", args)?;
    match length(&value) {
        Some(length) => Ok(length.into()),
        None => fail(format!("object of type '{}' has no len()", type_name(&value))),
    }
}

fn default(_: &State, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("default", &["value", "default_value", "boolean"], 1, args)?;
    let value = args.value(0);
    if value.is_undefined() || (args.truth(2) && !value.is_true()) {
        return Ok(args.get(1).cloned().unwrap_or_else(|| Value::from("")));
    }
    Ok(value)
}

fn dictsort(_: &State, args: &[Value]) -> Result<Value, Error> {
    let names = &["value", "case_sensitive", "by", "reverse"];
    let args = Arguments::bind("dictsort", names, 1, args)?;
    let by_value = match args.get(2).and_then(Value::as_str) {
        None if args.get(2).is_none() => false,
        Some("key") => false,
        Some("value") => true,
        _ => return fail("dictsort(): by must be \"key\" or \"value\""),
    };
    let dict = args.value(0);
    if type_of(&dict) != Type::Dict {
        return fail(format!("dictsort() got '{}', expected dict", type_name(&dict)));
    }
    let mut members = Vec::new();
    for key in iterate(&dict)? {
        let value = dict.get_item(&key)?;
        let by = if by_value { value.clone() } else { key.clone() };
        let by = if args.truth(1) { by } else { ignore_case(by) };
        members.push((by, tuple(vec![key, value])));
    }
    let members = sorted(members, args.truth(3))?;
    Ok(list(members.into_iter().map(|(_, member)| member).collect()))
}

fn escape(_: &State, args: &[Value]) -> Result<Value, Error> {
    let value = only("escape", args)?;
    if value.is_safe() {
        return Ok(value);
    }
    Ok(Value::from_safe_string(python::escape(&python::str_of(&value)?)))
}

fn forceescape(_: &State, args: &[Value]) -> Result<Value, Error> {
    Ok(Value::from_safe_string(python::escape(&only_text("forceescape", args)?)))
}

fn filesizeformat(_: &State, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("filesizeformat", &["value", "binary"], 1, args)?;
    let value = args.value(0);
    let Some(bytes) = to_float(&value)? else {
        return fail(format!("filesizeformat() got '{}', expected a number", type_name(&value)));
    };
    let binary = args.truth(1);
    let base: f64 = if binary { 1024.0 } else { 1000.0 };
    if bytes == 1.0 {
        return Ok("1 Byte".into());
    }
    if bytes < base {
        return Ok(format!("{} Bytes", bytes.trunc()).into());
    }
    let mut unit = base;
    let letters = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
    for (i, letter) in letters.iter().enumerate() {
        unit *= base;
        if bytes < unit || i + 1 == letters.len() {
            let letter = if binary { letter.to_uppercase() + "i" } else { letter.to_string() };
            return Ok(format!("{:.1} {letter}B", base * bytes / unit).into());
        }
    }
    Ok(Value::UNDEFINED)
}

fn first(_: &State, args: &[Value]) -> Result<Value, Error> {
    let value = only("first", args)?;
    Ok(iterate(&value)?.into_iter().next().unwrap_or(Value::UNDEFINED))
}

fn last(_: &State, args: &[Value]) -> Result<Value, Error> {
    let value = only("last", args)?;
    if type_of(&value) == Type::Generator {
        return fail("'generator' object is not reversible");
    }
    Ok(iterate(&value)?.into_iter().next_back().unwrap_or(Value::UNDEFINED))
}

/// float(value); None where Python raises TypeError or ValueError.
fn to_float(value: &Value) -> Result<Option<f64>, Error> {
    Ok(match type_of(value) {
        Type::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        Type::Bool => Some(value.is_true() as i64 as f64),
        Type::Int | Type::Float => Some(f64::try_from(value.clone())?),
        Type::Str => parse_float(value.as_str().unwrap_or_default()),
        _ => None,
    })
}

/// Without the underscores that Python allows between digits; None if there are others.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let between = |at: usize| {
        at > 0
            && bytes[at - 1].is_ascii_alphanumeric()
            && bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric)
    };
    let misplaced = (0..bytes.len()).any(|at| bytes[at] == b'_' && !between(at));
    (!misplaced).then(|| text.replace('_', ""))
}

fn parse_float(text: &str) -> Option<f64> {
    let text = without_underscores(text.trim_matches(strings::is_space))?.to_lowercase();
    let digits = text.trim_start_matches(['+', '-']);
    let named = matches!(digits, "inf" | "infinity" | "nan");
    if !named && !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    text.parse().ok()
}

fn parse_int(text: &str, base: i64) -> Option<i128> {
    let text = without_underscores(text.trim_matches(strings::is_space))?.to_lowercase();
    let digits = text.trim_start_matches(['+', '-']);
    if text.len() - digits.len() > 1 {
        return None;
    }
    let prefixed = |prefix: &str, of: i64| {
        digits.strip_prefix(prefix).filter(|_| base == of || base == 0).map(|rest| (rest, of))
    };
    let (digits, base) = prefixed("0x", 16)
        .or_else(|| prefixed("0o", 8))
        .or_else(|| prefixed("0b", 2))
        .unwrap_or((digits, if base == 0 { 10 } else { base }));
    if !(2..=36).contains(&base) || digits.starts_with(['+', '-']) {
        return None;
    }
    let value = i128::from_str_radix(digits, base as u32).ok()?;
    Some(if text.starts_with('-') { -value } else { value })
}

fn int(_: &State, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("int", &["value", "default", "base"], 1, args)?;
    let value = args.value(0);
    let fallback = || args.get(1).cloned().unwrap_or_else(|| Value::from(0));
    if let Some(text) = value.as_str() {
        if let Some(number) = parse_int(text, args.int(2, 10)?) {
            return Ok(operators::int(number));
        }
    }
    match type_of(&value) {
        Type::Int => Ok(value),
        Type::Float if f64::try_from(value.clone())?.is_infinite() => {
            fail("cannot convert float infinity to integer")
        }
        _ => match to_float(&value)? {
            Some(number) if number.is_finite() => Ok(operators::int(number.trunc() as i128)),
            _ => Ok(fallback()),
        },
    }
}

fn float(_: &State, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("float", &["value", "default"], 1, args)?;
    match to_float(&args.value(0))? {
        Some(number) => Ok(number.into()),
        None => Ok(args.get(1).cloned().unwrap_or_else(|| Value::from(0.0))),
    }
}

fn format_values(_: &State, args: &[Value]) -> Result<Value, Error> {
    let (mut values, named) = super::arguments::split(args)?;
    if values.is_empty() {
        return fail("format() needs the argument 'value'");
    }
    let first = values.remove(0);
    let text = python::str_of(&first)?;
    match (values.is_empty(), named.is_empty()) {
        (false, false) => fail("format() takes positional or named arguments, not both"),
        (true, false) => {
            let members = named.into_iter().map(|(name, value)| (Value::from(name), value));
            format::percent(&text, &Value::from_iter(members), first.is_safe())
        }
        _ => format::percent(&text, &tuple(values), first.is_safe()),
    }
}

fn groupby(state: &State, args: &[Value]) -> Result<Value, Error> {
    let names = &["value", "attribute", "default", "case_sensitive"];
    let args = Arguments::bind("groupby", names, 2, args)?;
    let (path, default) = (args.value(1), args.some(2));
    let key = |item: &Value| path_of(state, item, &path, default);
    let fold = |value| if args.truth(3) { value } else { ignore_case(value) };
    let mut keyed = Vec::new();
    for item in iterate(&args.value(0))? {
        keyed.push((fold(key(&item)?), item));
    }
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for (key, item) in sorted(keyed, false)? {
        match groups.last_mut() {
            Some((last, items)) if equal(last, &key) => items.push(item),
            _ => groups.push((key, vec![item])),
        }
    }
    let mut out = Vec::new();
    for (_, items) in groups {
        let grouper = key(&items[0])?;
        let items = vec![grouper, list(items)];
        out.push(Value::from_object(Tuple { items, names: &["grouper", "list"] }));
    }
    Ok(list(out))
}

fn indent(_: &State, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("indent", &["value", "width", "first", "blank"], 1, args)?;
    let value = args.value(0);
    if type_of(&value) != Type::Str {
        return fail(format!("indent() got '{}', expected str", type_name(&value)));
    }
    let by = match args.get(1) {
        Some(width) if type_of(width) == Type::Str => python::str_of(width)?,
        _ => " ".repeat(args.int(1, 4)?.clamp(0, 1 << 16) as usize),
    };
    let text = value.as_str().unwrap_or_default().to_string() + "\n";
    let lines = strings::split_lines(&text, false);
    let mut out = String::new();
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            out.push('\n');
            if args.truth(3) || !line.is_empty() {
                out.push_str(&by);
            }
        }
        out.push_str(line);
    }
    Ok(if args.truth(2) { by + &out } else { out }.into())
}

fn items(_: &State, args: &[Value]) -> Result<Value, Error> {
    let value = only("items", args)?;
    match type_of(&value) {
        Type::Undefined => Ok(generator(Vec::new())),
        Type::Dict => Ok(generator(View { part: Part::Items, dict: value }.items())),
        _ => fail("items() can only get item pairs from a mapping"),
    }
}

fn join(state: &State, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("join", &["value", "d", "attribute"], 1, args)?;
    let mut parts = Vec::new();
    for item in iterate(&args.value(0))? {
        let item = match args.some(2) {
            Some(path) => path_of(state, &item, path, None)?,
            None => item,
        };
        parts.push(python::str_of(&item)?);
    }
    Ok(parts.join(&args.text_of(1, "")?).into())
}

/// map(attribute=..., default=...) or map(filter, ...).
fn map(state: &State, args: &[Value]) -> Result<Value, Error> {
    let (values, named) = super::arguments::split(args)?;
    let find = |name: &str| named.iter().find(|(n, _)| n == name).map(|(_, value)| value);
    let Some((sequence, rest)) = values.split_first() else {
        return fail("map() needs the argument 'value'");
    };
    let mut out = Vec::new();
    if !sequence.is_true() {
        return Ok(generator(out));
    }
    if let (Some(path), true) = (find("attribute"), rest.is_empty()) {
        if let Some((name, _)) = named.iter().find(|(n, _)| n != "attribute" && n != "default") {
            return fail(format!("map() has no argument '{name}'"));
        }
        for item in iterate(sequence)? {
            out.push(path_of(state, &item, path, find("default").filter(|v| !v.is_none()))?);
        }
        return Ok(generator(out));
    }
    let Some(name) = rest.first().and_then(Value::as_str) else {
        return fail("map() needs a filter or an attribute");
    };
    // What follows the filter's name, named arguments among it.
    let positional = args.iter().position(|arg| arg.as_str() == Some(name)).unwrap_or(1);
    for item in iterate(sequence)? {
        let mut call = vec![item];
        call.extend(args[positional + 1..].iter().cloned());
        out.push(state.apply_filter(name, &call)?);
    }
    Ok(generator(out))
}

/// select, reject, selectattr and rejectattr.
fn choose(state: &State, args: &[Value], keep: bool, by_attribute: bool) -> Result<Value, Error> {
    let Some((sequence, rest)) = args.split_first() else {
        return fail("a sequence is missing");
    };
    if !sequence.is_true() {
        return Ok(generator(Vec::new()));
    }
    let (path, rest) = match (by_attribute, rest.split_first()) {
        (false, _) => (Value::from(()), rest),
        (true, Some((path, rest))) => (path.clone(), rest),
        (true, None) => return fail("the attribute is missing"),
    };
    let mut out = Vec::new();
    for item in iterate(sequence)? {
        let value = path_of(state, &item, &path, None)?;
        let holds = match rest.split_first() {
            None => value.is_true(),
            Some((test, rest)) => {
                let mut call = vec![value];
                call.extend(rest.iter().cloned());
                state.perform_test(test.as_str().unwrap_or_default(), &call)?
            }
        };
        if holds == keep {
            out.push(item);
        }
    }
    Ok(generator(out))
}

fn extreme(state: &State, name: &str, args: &[Value], wanted: Ordering) -> Result<Value, Error> {
    let args = Arguments::bind(name, &["value", "case_sensitive", "attribute"], 1, args)?;
    let none = Value::from(());
    let path = args.get(2).unwrap_or(&none);
    let mut best: Option<(Value, Value)> = None;
    for item in iterate(&args.value(0))? {
        let key = path_of(state, &item, path, None)?;
        let key = if args.truth(1) { key } else { ignore_case(key) };
        let better = match &best {
            None => true,
            Some((best, _)) => compare(name, &key, best)? == Some(wanted),
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(best.map_or(Value::UNDEFINED, |(_, item)| item))
}

fn replace(_: &State, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("replace", &["value", "old", "new", "count"], 3, args)?;
    let count = if args.some(3).is_some() { args.int(3, -1)? } else { -1 };
    let (text, old, new) = (args.text_of(0, "")?, args.text_of(1, "")?, args.text_of(2, "")?);
    Ok(methods::replace(&text, &old, &new, count).into())
}

fn reverse(_: &State, args: &[Value]) -> Result<Value, Error> {
    let value = only("reverse", args)?;
    if let Some(text) = value.as_str() {
        return Ok(text.chars().rev().collect::<String>().into());
    }
    let mut items = iterate(&value)?;
    items.reverse();
    // reversed(value), or a list where that fails.
    Ok(if type_of(&value) == Type::Generator { list(items) } else { generator(items) })
}

/// round(number, precision), half to even as the decimal digits are.
fn round_to(number: f64, precision: i64) -> f64 {
    if !number.is_finite() {
        return number;
    }
    if precision >= 0 {
        let decimals = precision.min(400) as usize;
        return format!("{number:.decimals$}").parse().unwrap_or(number);
    }
    let unit = 10f64.powi(precision.unsigned_abs().min(400) as i32);
    if unit.is_infinite() {
        return 0.0;
    }
    let quotient = number / unit;
    let floor = quotient.floor();
    let even = if floor % 2.0 == 0.0 { floor } else { floor + 1.0 };
    let nearest = match (quotient - floor).partial_cmp(&0.5) {
        Some(Ordering::Less) => floor,
        Some(Ordering::Greater) => floor + 1.0,
        _ => even,
    };
    nearest * unit
}

fn round(_: &State, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("round", &["value", "precision", "method"], 1, args)?;
    let value = args.value(0);
    let (precision, method) = (args.int(1, 0)?, args.text_of(2, "common")?);
    if !matches!(method.as_str(), "common" | "ceil" | "floor") {
        return fail("round(): method must be common, ceil or floor");
    }
    let is_int = matches!(type_of(&value), Type::Int | Type::Bool);
    if !is_int && type_of(&value) != Type::Float {
        return fail(format!("round() got '{}', expected a number", type_name(&value)));
    }
    let number = operators::number(&value).map_or(0.0, |number| number.float());
    if method == "common" {
        return match is_int {
            true if precision >= 0 => Ok(operators::int(i128::try_from(value)?)),
            true => Ok(operators::int(round_to(number, precision) as i128)),
            false => Ok(round_to(number, precision).into()),
        };
    }
    let unit = 10f64.powi(precision.clamp(-400, 400) as i32);
    let scaled = number * unit;
    Ok((if method == "ceil" { scaled.ceil() } else { scaled.floor() } / unit).into())
}

fn slice(_: &State, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("slice", &["value", "slices", "fill_with"], 2, args)?;
    let items = iterate(&args.value(0))?;
    let slices = args.int(1, 0)?;
    if slices == 0 {
        return fail("slice(): division by zero");
    }
    let slices = slices.clamp(0, 1 << 20) as usize;
    let mut out = Vec::new();
    let mut start = 0;
    for number in 0..slices {
        let extra = usize::from(number < items.len() % slices);
        let end = start + items.len() / slices + extra;
        let mut part = items[start..end].to_vec();
        if let Some(fill) = args.some(2).filter(|_| extra == 0) {
            part.push(fill.clone());
        }
        out.push(list(part));
        start = end;
    }
    Ok(generator(out))
}

fn sort(state: &State, args: &[Value]) -> Result<Value, Error> {
    let names = &["value", "reverse", "case_sensitive", "attribute"];
    let args = Arguments::bind("sort", names, 1, args)?;
    let fold = |value| if args.truth(2) { value } else { ignore_case(value) };
    let mut keyed = Vec::new();
    for item in iterate(&args.value(0))? {
        let mut key = Vec::new();
        match args.some(3).and_then(Value::as_str) {
            Some(paths) => {
                for path in paths.split(',') {
                    key.push(fold(path_of(state, &item, &Value::from(path), None)?));
                }
            }
            None => {
                let path = args.some(3).cloned().unwrap_or_else(|| Value::from(()));
                key.push(fold(path_of(state, &item, &path, None)?));
            }
        }
        keyed.push((list(key), item));
    }
    let items = sorted(keyed, args.truth(1))?;
    Ok(list(items.into_iter().map(|(_, item)| item).collect()))
}

fn string(_: &State, args: &[Value]) -> Result<Value, Error> {
    let value = only("string", args)?;
    if type_of(&value) == Type::Str {
        return Ok(value);
    }
    Ok(python::str_of(&value)?.into())
}

fn sum(state: &State, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("sum", &["value", "attribute", "start"], 1, args)?;
    let mut total = args.get(2).cloned().unwrap_or_else(|| Value::from(0));
    if type_of(&total) == Type::Str {
        return fail("sum() cannot add strs; use join");
    }
    for item in iterate(&args.value(0))? {
        let item = match args.some(1) {
            Some(path) => path_of(state, &item, path, None)?,
            None => item,
        };
        total = operators::add(&total, &item)?;
    }
    Ok(total)
}

/// Words begin after spaces, hyphens and opening brackets.
fn title(_: &State, args: &[Value]) -> Result<Value, Error> {
    let text = only_text("title", args)?;
    let mut out = String::new();
    let mut begins = true;
    for c in text.chars() {
        let separates = strings::is_space(c) || "-({[<".contains(c);
        if begins && !separates {
            out.extend(c.to_uppercase());
        } else {
            out.extend(c.to_lowercase());
        }
        begins = separates;
    }
    Ok(out.into())
}

fn trim(_: &State, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("trim", &["value", "chars"], 1, args)?;
    let text = args.text_of(0, "")?;
    let chars = args.text(1)?;
    let goes = |c: char| chars.map_or_else(|| strings::is_space(c), |chars| chars.contains(c));
    Ok(text.trim_matches(goes).into())
}

fn truncate(_: &State, args: &[Value]) -> Result<Value, Error> {
    let names = &["value", "length", "killwords", "end", "leeway"];
    let args = Arguments::bind("truncate", names, 1, args)?;
    let value = args.value(0);
    let (width, end) = (args.int(1, 255)?, args.text_of(3, "...")?);
    let leeway = if args.some(4).is_some() { args.int(4, 5)? } else { 5 };
    let kept = width - end.chars().count() as i64;
    if kept < 0 || leeway < 0 {
        return fail(format!("truncate(): length {width} is less than that of '{end}'"));
    }
    let Some(length) = length(&value) else {
        return fail(format!("truncate() got '{}', expected str", type_name(&value)));
    };
    if matches!(type_of(&value), Type::None | Type::Bool | Type::Int | Type::Float) {
        return fail(format!("truncate() got '{}', expected str", type_name(&value)));
    }
    if length as i64 <= width.saturating_add(leeway) {
        return Ok(value);
    }
    if type_of(&value) != Type::Str {
        return fail(format!("truncate() got '{}', expected str", type_name(&value)));
    }
    let text = value.as_str().unwrap_or_default();
    let cut: String = text.chars().take(kept as usize).collect();
    let cut = match cut.rfind(' ') {
        Some(at) if !args.truth(2) => &cut[..at],
        _ => &cut,
    };
    Ok(format!("{cut}{end}").into())
}

fn unique(state: &State, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("unique", &["value", "case_sensitive", "attribute"], 1, args)?;
    let path = args.some(2).cloned().unwrap_or_else(|| Value::from(()));
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for item in iterate(&args.value(0))? {
        let key = path_of(state, &item, &path, None)?;
        let key = if args.truth(1) { key } else { ignore_case(key) };
        if !is_hashable(&key) {
            return fail(format!("unhashable type: '{}'", type_name(&key)));
        }
        // To Python, true is 1.
        let key = if type_of(&key) == Type::Bool { Value::from(key.is_true() as i64) } else { key };
        if seen.insert(key) {
            out.push(item);
        }
    }
    Ok(generator(out))
}

/// urllib's quote; in a query, spaces are + and / is quoted.
fn quote(value: &Value, in_query: bool) -> Result<String, Error> {
    let mut out = String::new();
    for byte in python::str_of(value)?.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => {
                out.push(byte as char)
            }
            b'/' if !in_query => out.push('/'),
            b' ' if in_query => out.push('+'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(out)
}

fn urlencode(_: &State, args: &[Value]) -> Result<Value, Error> {
    let value = only("urlencode", args)?;
    let pairs = match type_of(&value) {
        Type::Dict => View { part: Part::Items, dict: value }.items(),
        Type::Undefined | Type::List | Type::Tuple | Type::Range | Type::View | Type::Generator => {
            iterate(&value)?
        }
        _ => return Ok(quote(&value, false)?.into()),
    };
    let mut parts = Vec::new();
    for pair in pairs {
        match iterate(&pair)?.as_slice() {
            [key, value] => parts.push(format!("{}={}", quote(key, true)?, quote(value, true)?)),
            _ => return fail("urlencode() needs a str, a mapping or pairs"),
        }
    }
    Ok(parts.join("&").into())
}

fn wordcount(_: &State, args: &[Value]) -> Result<Value, Error> {
    let text = only_text("wordcount", args)?;
    let words = text.split(|c| !strings::is_word(c)).filter(|word| !word.is_empty());
    Ok(words.count().into())
}

fn xmlattr(args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("xmlattr", &["value", "autospace"], 1, args)?;
    let value = args.value(0);
    if type_of(&value) != Type::Dict {
        return fail(format!("xmlattr() got '{}', expected dict", type_name(&value)));
    }
    let mut parts = Vec::new();
    for key in iterate(&value)? {
        let member = value.get_item(&key)?;
        if member.is_none() || member.is_undefined() {
            continue;
        }
        let name = python::str_of(&key)?;
        let breaks = |c: char| c.is_ascii_whitespace() || c == '\x0b' || "/>=".contains(c);
        if type_of(&key) != Type::Str || name.contains(breaks) {
            return fail(format!("xmlattr(): '{name}' is no name of an attribute"));
        }
        let text = python::str_of(&member)?;
        let text = if member.is_safe() { text } else { python::escape(&text) };
        parts.push(format!("{}=\"{text}\"", python::escape(&name)));
    }
    let spaced = args.get(1).is_none_or(Value::is_true) && !parts.is_empty();
    Ok(format!("{}{}", if spaced { " " } else { "" }, parts.join(" ")).into())
}
