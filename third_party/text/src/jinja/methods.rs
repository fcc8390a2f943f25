//! Methods and attributes of Python's str, list, tuple, dict, int and float.

use super::arguments::{split, Arguments};
use super::values::*;
use super::{fail, format, operators, strings};
use minijinja::value::Value;
use minijinja::{Error, ErrorKind, State};

/// Methods of Python's that this library does not have.
pub const MISSING: [&str; 11] = [
    "as_integer_ratio",
    "bit_count",
    "bit_length",
    "conjugate",
    "encode",
    "from_bytes",
    "fromhex",
    "hex",
    "maketrans",
    "to_bytes",
    "translate",
];

const STR: [&str; 43] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
];
const STR_TOO: [&str; 1] = ["zfill"];
const LIST: [&str; 3] = ["copy", "count", "index"];
const TUPLE: [&str; 2] = ["count", "index"];
const DICT: [&str; 6] = ["copy", "fromkeys", "get", "items", "keys", "values"];
/// They change their list or dict, which Jinja2's sandbox does not allow.
const CHANGING: [&str; 13] = [
    "append",
    "clear",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "reverse",
    "setdefault",
    "sort",
    "update",
    "discard",
    "add",
];
const NUMBER: [&str; 4] = ["real", "imag", "numerator", "denominator"];

/// Whether `x.name` may be more than an item of x.
pub fn is_attribute(name: &str) -> bool {
    [&STR[..], &STR_TOO, &LIST, &DICT, &CHANGING, &NUMBER, &["is_integer", "arguments"]]
        .iter()
        .any(|names| names.contains(&name))
}

fn has_method(value: &Value, name: &str) -> bool {
    match type_of(value) {
        Type::Str => STR.contains(&name) || STR_TOO.contains(&name),
        Type::List => LIST.contains(&name) || CHANGING.contains(&name),
        Type::Tuple | Type::Range => TUPLE.contains(&name),
        Type::Dict => DICT.contains(&name) || CHANGING.contains(&name),
        Type::Float => name == "is_integer",
        _ => false,
    }
}

/// `value.name` where Python has such an attribute.
pub fn attribute(value: &Value, name: &str) -> Option<Value> {
    if has_method(value, name) {
        let method = BoundMethod { receiver: value.clone(), name: name.to_string() };
        return Some(Value::from_object(method));
    }
    let number = match type_of(value) {
        Type::Object if name == "arguments" && is_a(value, "Macro") => {
            return value.get_attr(name).and_then(|names| iterate(&names)).map(tuple).ok();
        }
        Type::Int => value.clone(),
        Type::Bool => Value::from(value.is_true() as i64),
        Type::Float if matches!(name, "real" | "imag") => value.clone(),
        _ => return None,
    };
    let is_float = type_of(value) == Type::Float;
    match name {
        "real" | "numerator" => Some(number),
        "imag" if is_float => Some(Value::from(0.0)),
        "imag" => Some(Value::from(0)),
        "denominator" => Some(Value::from(1)),
        _ => None,
    }
}

/// value.name(*args); kind UnknownMethod if the type has no such method.
pub fn call(_: &State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    match type_of(value) {
        Type::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        _ if !has_method(value, name) => Err(Error::from(ErrorKind::UnknownMethod)),
        Type::Str => str_method(value, name, args),
        Type::List | Type::Dict if CHANGING.contains(&name) => {
            fail(format!("{name}() would change the {}, which is not allowed", type_name(value)))
        }
        Type::List | Type::Tuple | Type::Range => sequence_method(value, name, args),
        Type::Dict => dict_method(value, name, args),
        Type::Float => {
            Arguments::bind(name, &[], 0, args)?;
            Ok(Value::from(f64::try_from(value.clone())?.fract() == 0.0))
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn sequence_method(value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let items = iterate(value)?;
    match name {
        "copy" => {
            Arguments::bind(name, &[], 0, args)?;
            Ok(list(items))
        }
        "count" => {
            let args = Arguments::bind(name, &["value"], 1, args)?;
            let found = args.value(0);
            Ok(items.iter().filter(|item| operators::equal(item, &found)).count().into())
        }
        _ => {
            let args = Arguments::bind(name, &["value", "start", "stop"], 1, args)?;
            let (start, stop) = (args.int(1, 0)?, args.int(2, i64::MAX)?);
            let wanted = args.value(0);
            let at = operators::indices(Some(start), Some(stop), 1, items.len())
                .find(|at| operators::equal(&items[*at], &wanted));
            at.map_or_else(|| fail("index(): the value is not there"), |at| Ok(at.into()))
        }
    }
}

fn dict_method(value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    if name == "get" {
        let args = Arguments::bind(name, &["key", "default"], 1, args)?;
        let key = args.value(0);
        return Ok(if operators::contains(value, &key)? {
            value.get_item(&key)?
        } else {
            args.get(1).cloned().unwrap_or_else(|| Value::from(()))
        });
    }
    if name == "fromkeys" {
        let args = Arguments::bind(name, &["keys", "value"], 1, args)?;
        let value = args.get(1).cloned().unwrap_or_else(|| Value::from(()));
        let keys = iterate(&args.value(0))?;
        return Ok(Value::from_iter(keys.into_iter().map(|key| (key, value.clone()))));
    }
    Arguments::bind(name, &[], 0, args)?;
    let view = |part| Ok(Value::from_object(View { part, dict: value.clone() }));
    match name {
        "keys" => view(Part::Keys),
        "values" => view(Part::Values),
        "items" => view(Part::Items),
        _ => Ok(value.clone()),
    }
}

/// The text between character positions, and how many characters are before it.
fn window<'a>(
    text: &'a str,
    args: &Arguments,
    at: usize,
) -> Result<Option<(usize, &'a str)>, Error> {
    let bound = |at: usize| match args.some(at) {
        Some(_) => args.int(at, 0).map(Some),
        None => Ok(None),
    };
    let (start, stop) = (bound(at)?, bound(at + 1)?);
    if start.is_none() && stop.is_none() {
        return Ok(Some((0, text)));
    }
    let offsets: Vec<usize> = text.char_indices().map(|(i, _)| i).chain([text.len()]).collect();
    let length = offsets.len() - 1;
    let clamp = |at: i64| {
        let at = if at < 0 { at.saturating_add(length as i64).max(0) } else { at };
        at as usize
    };
    let start = start.map_or(0, clamp);
    let stop = stop.map_or(length, clamp).min(length);
    Ok((start <= stop).then(|| (start, &text[offsets[start]..offsets[stop]])))
}

fn find(text: &str, name: &str, args: &[Value]) -> Result<Option<usize>, Error> {
    let args = Arguments::bind(name, &["sub", "start", "end"], 1, args)?;
    let Some(wanted) = args.text(0)? else {
        return fail(format!("{name}() needs a str"));
    };
    let Some((before, part)) = window(text, &args, 1)? else {
        return Ok(None);
    };
    let at = if name.starts_with('r') { part.rfind(wanted) } else { part.find(wanted) };
    Ok(at.map(|at| before + part[..at].chars().count()))
}

/// startswith and endswith: one text or a tuple of them.
fn has_edge(
    text: &str,
    name: &str,
    args: &[Value],
    holds: fn(&str, &str) -> bool,
) -> Result<Value, Error> {
    let args = Arguments::bind(name, &["prefix", "start", "end"], 1, args)?;
    let wanted = args.value(0);
    let edges = match type_of(&wanted) {
        Type::Str => vec![wanted],
        Type::Tuple => iterate(&wanted)?,
        _ => return fail(format!("{name}() needs a str or a tuple, not {}", type_name(&wanted))),
    };
    let Some((_, part)) = window(text, &args, 1)? else {
        return Ok(false.into());
    };
    for edge in &edges {
        if type_of(edge) != Type::Str {
            return fail(format!("{name}() needs strs, not {}", type_name(edge)));
        }
        if holds(part, edge.as_str().unwrap_or_default()) {
            return Ok(true.into());
        }
    }
    Ok(false.into())
}

pub fn center(text: &str, width: i64, fill: char) -> String {
    let length = text.chars().count();
    let missing = (width.clamp(0, 1 << 20) as usize).saturating_sub(length);
    let width = width.max(0) as usize;
    let left = missing / 2 + (missing & width & 1);
    let fill = |n: usize| fill.to_string().repeat(n);
    format!("{}{text}{}", fill(left), fill(missing - left))
}

fn padded(text: &str, name: &str, args: &[Value]) -> Result<String, Error> {
    let args = Arguments::bind(name, &["width", "fillchar"], 1, args)?;
    let fill = args.text(1)?.unwrap_or(" ").to_string();
    if fill.chars().count() != 1 {
        return fail(format!("{name}() needs one fill character"));
    }
    let width = args.int(0, 0)?.min(1 << 20);
    let missing = (width.max(0) as usize).saturating_sub(text.chars().count());
    Ok(match name {
        "ljust" => text.to_string() + &fill.repeat(missing),
        "rjust" => fill.repeat(missing) + text,
        _ => center(text, width, fill.chars().next().unwrap_or(' ')),
    })
}

fn stripped<'a>(text: &'a str, name: &str, args: &[Value]) -> Result<&'a str, Error> {
    let args = Arguments::bind(name, &["chars"], 0, args)?;
    let chars = args.text(0)?;
    let goes = |c: char| chars.map_or_else(|| strings::is_space(c), |chars| chars.contains(c));
    Ok(match name {
        "lstrip" => text.trim_start_matches(goes),
        "rstrip" => text.trim_end_matches(goes),
        _ => text.trim_matches(goes),
    })
}

fn split_text(text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind(name, &["sep", "maxsplit"], 0, args)?;
    let limit = args.int(1, -1)?;
    let from_right = name == "rsplit";
    let parts: Vec<String> = match args.text(0)? {
        Some("") => return fail("empty separator"),
        None if from_right => strings::rsplit_words(text, limit),
        None => strings::split_words(text, limit),
        Some(separator) if limit < 0 => text.split(separator).map(str::to_string).collect(),
        Some(separator) => {
            let parts = (limit as usize).saturating_add(1);
            if from_right {
                let mut parts: Vec<_> =
                    text.rsplitn(parts, separator).map(str::to_string).collect();
                parts.reverse();
                parts
            } else {
                text.splitn(parts, separator).map(str::to_string).collect()
            }
        }
    };
    Ok(list(parts.into_iter().map(Value::from).collect()))
}

fn partition(text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind(name, &["sep"], 1, args)?;
    let separator = match args.text(0)? {
        Some("") => return fail("empty separator"),
        Some(separator) => separator,
        None => return fail(format!("{name}() needs a str")),
    };
    let from_right = name == "rpartition";
    let at = if from_right { text.rfind(separator) } else { text.find(separator) };
    let parts = match at {
        Some(at) => [&text[..at], separator, &text[at + separator.len()..]],
        None if from_right => ["", "", text],
        None => [text, "", ""],
    };
    Ok(tuple(parts.into_iter().map(Value::from).collect()))
}

/// str.replace; in an empty `old`, before every character and at the end.
pub fn replace(text: &str, old: &str, new: &str, count: i64) -> String {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if old.is_empty() && text.is_empty() {
        return if count == 0 { String::new() } else { new.to_string() };
    }
    text.replacen(old, new, count)
}

fn expand_tabs(text: &str, size: i64) -> String {
    let size = size.clamp(0, 1 << 10) as usize;
    let (mut out, mut column) = (String::new(), 0);
    for c in text.chars() {
        match c {
            '\t' if size > 0 => {
                let n = size - column % size;
                out.extend(std::iter::repeat_n(' ', n));
                column += n;
            }
            '\t' => {}
            '\n' | '\r' => {
                out.push(c);
                column = 0;
            }
            c => {
                out.push(c);
                column += 1;
            }
        }
    }
    out
}

fn zero_filled(text: &str, width: i64) -> String {
    let missing = (width.clamp(0, 1 << 20) as usize).saturating_sub(text.chars().count());
    let sign = if text.starts_with(['+', '-']) { 1 } else { 0 };
    format!("{}{}{}", &text[..sign], "0".repeat(missing), &text[sign..])
}

fn is_identifier(text: &str) -> bool {
    let starts = text.chars().next().is_some_and(|c| c == '_' || strings::is_letter(c));
    starts && text.chars().all(|c| c == '_' || strings::is_letter(c) || strings::is_decimal(c))
}

fn str_method(value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let text = value.as_str().unwrap_or_default();
    let all =
        |holds: fn(char) -> bool| Ok(Value::from(!text.is_empty() && text.chars().all(holds)));
    // A result of the same kind: safe strings stay safe.
    let like = |result: String| match value.is_safe() {
        true => Ok(Value::from_safe_string(result)),
        false => Ok(Value::from(result)),
    };
    match name {
        "center" | "ljust" | "rjust" => return like(padded(text, name, args)?),
        "strip" | "lstrip" | "rstrip" => return like(stripped(text, name, args)?.to_string()),
        "split" | "rsplit" => return split_text(text, name, args),
        "partition" | "rpartition" => return partition(text, name, args),
        "find" | "rfind" => return Ok(find(text, name, args)?.map_or(Value::from(-1), Value::from)),
        "index" | "rindex" => {
            let found = find(text, name, args)?;
            return found.map_or_else(|| fail("substring not found"), |at| Ok(at.into()));
        }
        "startswith" => return has_edge(text, name, args, |text, edge| text.starts_with(edge)),
        "endswith" => return has_edge(text, name, args, |text, edge| text.ends_with(edge)),
        "count" => {
            let args = Arguments::bind(name, &["sub", "start", "end"], 1, args)?;
            let wanted = args.text(0)?.unwrap_or_default();
            let part = window(text, &args, 1)?.map(|(_, part)| part);
            return Ok(part.map_or(0, |part| part.matches(wanted).count()).into());
        }
        "format" => {
            let (values, named) = split(args)?;
            return like(format::str_format(text, &values, &named)?);
        }
        "format_map" => {
            let args = Arguments::bind(name, &["mapping"], 1, args)?;
            let mapping = args.value(0);
            let mut named = Vec::new();
            for key in iterate(&mapping)? {
                named.push((key.to_string(), mapping.get_item(&key)?));
            }
            return like(format::str_format(text, &[], &named)?);
        }
        "join" => {
            let args = Arguments::bind(name, &["iterable"], 1, args)?;
            let mut parts = Vec::new();
            for item in iterate(&args.value(0))? {
                if type_of(&item) != Type::Str {
                    return fail(format!("join() needs strs, not {}", type_name(&item)));
                }
                parts.push(item.as_str().unwrap_or_default().to_string());
            }
            return like(parts.join(text));
        }
        "removeprefix" | "removesuffix" => {
            let args = Arguments::bind(name, &["affix"], 1, args)?;
            let affix = args.text(0)?.unwrap_or_default();
            let rest = match name {
                "removeprefix" => text.strip_prefix(affix),
                _ => text.strip_suffix(affix),
            };
            return like(rest.unwrap_or(text).to_string());
        }
        "replace" => {
            let args = Arguments::bind(name, &["old", "new", "count"], 2, args)?;
            match (args.text(0)?, args.text(1)?) {
                (Some(old), Some(new)) => return like(replace(text, old, new, args.int(2, -1)?)),
                _ => return fail("replace() needs two strs"),
            }
        }
        "splitlines" => {
            let args = Arguments::bind(name, &["keepends"], 0, args)?;
            let lines = strings::split_lines(text, args.truth(0));
            return Ok(list(lines.into_iter().map(Value::from).collect()));
        }
        "expandtabs" => {
            let args = Arguments::bind(name, &["tabsize"], 0, args)?;
            return like(expand_tabs(text, args.int(0, 8)?));
        }
        "zfill" => {
            let args = Arguments::bind(name, &["width"], 1, args)?;
            return like(zero_filled(text, args.int(0, 0)?));
        }
        _ => Arguments::bind(name, &[], 0, args)?,
    };
    match name {
        "capitalize" => like(strings::capitalize(text)),
        "casefold" => like(strings::casefold(text)),
        "lower" => like(text.to_lowercase()),
        "swapcase" => like(strings::swapcase(text)),
        "title" => like(strings::title(text)),
        "upper" => like(text.to_uppercase()),
        "isalnum" => {
            all(|c| strings::is_letter(c) || strings::is_digit(c) || strings::is_numeric(c))
        }
        "isalpha" => all(strings::is_letter),
        "isascii" => Ok(text.is_ascii().into()),
        "isdecimal" => all(strings::is_decimal),
        "isdigit" => all(strings::is_digit),
        "isidentifier" => Ok(is_identifier(text).into()),
        "islower" => Ok(strings::is_lower(text).into()),
        "isnumeric" => all(strings::is_numeric),
        "isprintable" => Ok(text.chars().all(strings::is_printable).into()),
        "isspace" => all(strings::is_space),
        "istitle" => Ok(strings::is_title(text).into()),
        "isupper" => Ok(strings::is_upper(text).into()),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}
