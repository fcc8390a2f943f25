//! Values written as Python writes them: json.dumps, str and repr.

use crate::jinja::{is_a, is_printable, type_name, type_of, Arguments, Part, Range, Type, View};
use minijinja::value::Value;
use minijinja::{Error, ErrorKind};
use std::fmt::Write;

/// Deeper values are refused: writing them is recursive.
const MAX_DEPTH: usize = 200;

struct JsonStyle {
    item_separator: String,
    key_separator: String,
    indent: Option<String>,
    ensure_ascii: bool,
    sort_keys: bool,
}

/// The tojson filter: json.dumps(value, ensure_ascii=False, indent=None, separators=None,
/// sort_keys=False).
pub fn tojson(args: &[Value]) -> Result<Value, Error> {
    let names = &["value", "ensure_ascii", "indent", "separators", "sort_keys"];
    let args = Arguments::bind("tojson", names, 1, args)?;
    let indent = args.some(2).map(indent_text).transpose()?;
    let mut style = JsonStyle {
        item_separator: if indent.is_some() { ",".into() } else { ", ".into() },
        key_separator: ": ".into(),
        indent,
        ensure_ascii: args.truth(1),
        sort_keys: args.truth(4),
    };
    if let Some(separators) = args.some(3) {
        let mut parts = separators.try_iter()?.map(|part| part.to_string());
        style.item_separator = parts.next().unwrap_or_default();
        style.key_separator = parts.next().unwrap_or_default();
    }
    let mut out = String::new();
    write_json(&mut out, &args.value(0), &style, 0)?;
    Ok(Value::from(out))
}

fn indent_text(value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_string());
    }
    let width = i64::try_from(value.clone())?;
    Ok(" ".repeat(width.clamp(0, 64) as usize))
}

fn newline(out: &mut String, style: &JsonStyle, depth: usize) {
    if let Some(indent) = &style.indent {
        out.push('\n');
        for _ in 0..depth {
            out.push_str(indent);
        }
    }
}

fn write_json(
    out: &mut String,
    value: &Value,
    style: &JsonStyle,
    depth: usize,
) -> Result<(), Error> {
    check_depth(depth)?;
    match type_of(value) {
        Type::None => out.push_str("null"),
        Type::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        Type::Int | Type::Float => write_number(out, value, "NaN", "Infinity"),
        Type::Str => write_json_string(out, value.as_str().unwrap_or_default(), style),
        Type::Dict => write_json_map(out, value, style, depth)?,
        Type::List | Type::Tuple => {
            out.push('[');
            let mut first = true;
            for item in value.try_iter()? {
                if !first {
                    out.push_str(&style.item_separator);
                }
                first = false;
                newline(out, style, depth + 1);
                write_json(out, &item, style, depth + 1)?;
            }
            if !first {
                newline(out, style, depth);
            }
            out.push(']');
        }
        kind => {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                format!("tojson: a value of type {kind:?} is not JSON serializable"),
            ))
        }
    }
    Ok(())
}

fn write_json_map(
    out: &mut String,
    map: &Value,
    style: &JsonStyle,
    depth: usize,
) -> Result<(), Error> {
    let mut keys: Vec<Value> = map.try_iter()?.collect();
    if style.sort_keys {
        keys.sort();
    }
    out.push('{');
    for (i, key) in keys.iter().enumerate() {
        if i > 0 {
            out.push_str(&style.item_separator);
        }
        newline(out, style, depth + 1);
        match type_of(key) {
            Type::Str => write_json_string(out, key.as_str().unwrap_or_default(), style),
            Type::None | Type::Bool | Type::Int | Type::Float => {
                out.push('"');
                write_json(out, key, style, depth + 1)?;
                out.push('"');
            }
            kind => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("tojson: keys of type {kind:?} are not JSON serializable"),
                ))
            }
        }
        out.push_str(&style.key_separator);
        write_json(out, &map.get_item(key)?, style, depth + 1)?;
    }
    if !keys.is_empty() {
        newline(out, style, depth);
    }
    out.push('}');
    Ok(())
}

fn write_json_string(out: &mut String, text: &str, style: &JsonStyle) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || (style.ensure_ascii && !(' '..='~').contains(&c)) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn write_number(out: &mut String, value: &Value, nan: &str, infinity: &str) {
    if value.is_integer() {
        let _ = write!(out, "{value}");
        return;
    }
    let number = f64::try_from(value.clone()).unwrap_or(f64::NAN);
    if number.is_nan() {
        out.push_str(nan);
    } else if number.is_infinite() {
        out.push_str(if number < 0.0 { "-" } else { "" });
        out.push_str(infinity);
    } else {
        out.push_str(&float_repr(number));
    }
}

/// repr(float): the shortest digits that read back, with an exponent from 1e16 on and below 1e-4.
pub fn float_repr(number: f64) -> String {
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{number}");
    if plain.contains('.') {
        plain
    } else {
        plain + ".0"
    }
}

/// str(value), as `{{ value }}` writes it.
pub fn str_of(value: &Value) -> Result<String, Error> {
    match type_of(value) {
        Type::Undefined => Ok(String::new()),
        Type::Str => Ok(value.as_str().unwrap_or_default().to_string()),
        _ => repr_of(value),
    }
}

/// repr(value)
pub fn repr_of(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    write_repr(&mut out, value, 0)?;
    Ok(out)
}

/// ascii(value)
pub fn ascii_of(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    for c in repr_of(value)?.chars() {
        write_character(&mut out, c, c.is_ascii());
    }
    Ok(out)
}

/// html.escape as Jinja2's escape has it.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn write_repr(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    check_depth(depth)?;
    match type_of(value) {
        Type::Undefined => out.push_str("Undefined"),
        Type::None => out.push_str("None"),
        Type::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        Type::Int | Type::Float => write_number(out, value, "nan", "inf"),
        Type::Str if value.is_safe() => {
            out.push_str("Markup(");
            write_repr_string(out, value.as_str().unwrap_or_default());
            out.push(')');
        }
        Type::Str => write_repr_string(out, value.as_str().unwrap_or_default()),
        Type::Dict => write_repr_dict(out, value, depth)?,
        Type::Namespace => {
            out.push_str("<Namespace ");
            write_repr_dict(out, value, depth)?;
            out.push('>');
        }
        Type::List => write_repr_items(out, "[", value, "]", depth)?,
        Type::Tuple if value.len() == Some(1) => write_repr_items(out, "(", value, ",)", depth)?,
        Type::Tuple => write_repr_items(out, "(", value, ")", depth)?,
        Type::View => {
            let part = value.downcast_object_ref::<View>().map(|view| view.part);
            let open = match part {
                Some(Part::Values) => "dict_values([",
                Some(Part::Items) => "dict_items([",
                _ => "dict_keys([",
            };
            write_repr_items(out, open, value, "])", depth)?;
        }
        Type::Range => {
            if let Some(Range { start, stop, step }) = value.downcast_object_ref::<Range>() {
                let _ = match step {
                    1 => write!(out, "range({start}, {stop})"),
                    _ => write!(out, "range({start}, {stop}, {step})"),
                };
            }
        }
        Type::Object if is_a(value, "Macro") => {
            let name = value.get_attr("name")?;
            let _ = write!(out, "<Macro '{name}'>");
        }
        // Python writes their addresses.
        Type::Generator | Type::Object => {
            let message = format!("a {} cannot be written", type_name(value));
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
    }
    Ok(())
}

fn write_repr_items(
    out: &mut String,
    open: &str,
    items: &Value,
    close: &str,
    depth: usize,
) -> Result<(), Error> {
    out.push_str(open);
    for (i, item) in items.try_iter()?.enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write_repr(out, &item, depth + 1)?;
    }
    out.push_str(close);
    Ok(())
}

fn write_repr_dict(out: &mut String, dict: &Value, depth: usize) -> Result<(), Error> {
    out.push('{');
    for (i, key) in dict.try_iter()?.enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write_repr(out, &key, depth + 1)?;
        out.push_str(": ");
        write_repr(out, &dict.get_item(&key)?, depth + 1)?;
    }
    out.push('}');
    Ok(())
}

fn write_repr_string(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c => write_character(out, c, is_printable(c)),
        }
    }
    out.push(quote);
}

/// The character, or its number where it does not stand for itself.
fn write_character(out: &mut String, c: char, stands: bool) {
    let _ = match c as u32 {
        _ if stands => write!(out, "{c}"),
        code @ ..=0xff => write!(out, "\\x{code:02x}"),
        code @ ..=0xffff => write!(out, "\\u{code:04x}"),
        code => write!(out, "\\U{code:08x}"),
    };
}

fn check_depth(depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("a value is nested deeper than {MAX_DEPTH}"),
        ));
    }
    Ok(())
}
