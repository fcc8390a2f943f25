//! Python's two ways of filling in values: `%` and str.format.

use super::fail;
use super::methods::attribute;
use super::values::*;
use crate::python;
use minijinja::value::Value;
use minijinja::{Error, ErrorKind};

/// Widths and precisions are bounded: they ask for memory.
const MAX_WIDTH: usize = 100_000;

/// [[fill]align][sign][#][0][width][grouping][.precision][kind]
#[derive(Clone, Default)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    sign: Option<char>,
    alternate: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn take_if(&mut self, wanted: &str) -> Option<char> {
        self.peek().filter(|c| wanted.contains(*c))?;
        self.take()
    }

    fn number(&mut self) -> Result<Option<usize>, Error> {
        let digits =
            self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits == 0 {
            return Ok(None);
        }
        let value = self.rest[..digits].parse().unwrap_or(usize::MAX);
        self.rest = &self.rest[digits..];
        bounded(value).map(Some)
    }

    fn until(&mut self, end: char) -> Option<String> {
        let at = self.rest.find(end)?;
        let text = self.rest[..at].to_string();
        self.rest = &self.rest[at + end.len_utf8()..];
        Some(text)
    }
}

fn bounded(width: usize) -> Result<usize, Error> {
    if width > MAX_WIDTH {
        return fail(format!(
            "a format asks for {width} characters, at most {MAX_WIDTH} are allowed"
        ));
    }
    Ok(width)
}

fn pad(text: &str, spec: &Spec, default_align: char) -> String {
    let length = text.chars().count();
    let missing = spec.width.saturating_sub(length);
    let fill = |n: usize| spec.fill.unwrap_or(' ').to_string().repeat(n);
    match spec.align.unwrap_or(default_align) {
        '<' => format!("{text}{}", fill(missing)),
        '^' => format!("{}{text}{}", fill(missing / 2), fill(missing - missing / 2)),
        '=' => {
            let prefix = match text.strip_prefix(['+', '-', ' ']) {
                Some(rest) => text.len() - rest.len(),
                None => 0,
            };
            let base = ["0x", "0X", "0o", "0b"].iter().any(|b| text[prefix..].starts_with(b));
            let (head, tail) = text.split_at(prefix + if base { 2 } else { 0 });
            format!("{head}{}{tail}", fill(missing))
        }
        _ => format!("{}{text}", fill(missing)),
    }
}

fn signed(negative: bool, digits: &str, spec: &Spec) -> String {
    match (negative, spec.sign) {
        (true, _) => format!("-{digits}"),
        (false, Some(sign @ ('+' | ' '))) => format!("{sign}{digits}"),
        (false, _) => digits.to_string(),
    }
}

/// Separators in the digits before the point.
fn grouped(digits: &str, separator: char, size: usize) -> String {
    let end = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
    let mut out = String::new();
    for (i, c) in digits[..end].chars().enumerate() {
        if i > 0 && (end - i) % size == 0 {
            out.push(separator);
        }
        out.push(c);
    }
    out + &digits[end..]
}

fn int_text(value: i128, kind: char, spec: &Spec) -> String {
    let digits = value.unsigned_abs();
    let (prefix, digits) = match kind {
        'x' => ("0x", format!("{digits:x}")),
        'X' => ("0X", format!("{digits:X}")),
        'o' => ("0o", format!("{digits:o}")),
        'b' => ("0b", format!("{digits:b}")),
        _ => ("", digits.to_string()),
    };
    let digits = match spec.grouping {
        Some(separator) => grouped(&digits, separator, if prefix.is_empty() { 3 } else { 4 }),
        None => digits,
    };
    let prefix = if spec.alternate { prefix } else { "" };
    signed(value < 0, &format!("{prefix}{digits}"), spec)
}

/// 2.5e0 as C writes it: 2.5e+00.
fn exponent_text(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// C's %g: the shorter of the two ways, without zeros at the end.
fn general_text(value: f64, precision: usize, alternate: bool) -> String {
    let precision = precision.max(1);
    let scientific = exponent_text(value, precision - 1);
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let strip = |text: &str| match text.contains('.') && !alternate {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text.to_string(),
    };
    if exponent < -4 || exponent >= precision as i32 {
        return format!("{}e{}", strip(digits), &scientific[digits.len() + 1..]);
    }
    let decimals = (precision as i32 - 1 - exponent).max(0) as usize;
    strip(&format!("{value:.decimals$}"))
}

fn float_text(value: f64, kind: Option<char>, spec: &Spec) -> Result<String, Error> {
    let size = value.abs();
    let precision = spec.precision.unwrap_or(6);
    let digits = match kind {
        _ if value.is_nan() => "nan".to_string(),
        _ if value.is_infinite() => "inf".to_string(),
        Some('e' | 'E') => exponent_text(size, precision),
        Some('f' | 'F') => format!("{size:.precision$}"),
        Some('g' | 'G' | 'n') => general_text(size, precision, spec.alternate),
        Some('%') => format!("{:.precision$}%", size * 100.0),
        None => match spec.precision {
            None => python::float_repr(size),
            Some(precision) => {
                let text = general_text(size, precision, spec.alternate);
                if text.contains(['.', 'e']) {
                    text
                } else {
                    text + ".0"
                }
            }
        },
        Some(kind) => return fail(format!("unknown format code '{kind}' for a float")),
    };
    let digits = if matches!(kind, Some('E' | 'G' | 'F')) { digits.to_uppercase() } else { digits };
    let digits = match spec.grouping {
        Some(separator) => grouped(&digits, separator, 3),
        None => digits,
    };
    Ok(signed(value.is_sign_negative() && !value.is_nan(), &digits, spec))
}

fn parse_spec(text: &str) -> Result<Spec, Error> {
    let mut reader = Reader { rest: text };
    let mut spec = Spec::default();
    let mut chars = text.chars();
    if let (Some(fill), Some('<' | '>' | '^' | '=')) = (chars.next(), chars.next()) {
        spec.fill = Some(fill);
        reader.take();
    }
    spec.align = reader.take_if("<>^=");
    spec.sign = reader.take_if("+- ");
    spec.alternate = reader.take_if("#").is_some();
    if reader.take_if("0").is_some() {
        spec.fill = spec.fill.or(Some('0'));
        spec.align = spec.align.or(Some('='));
    }
    spec.width = reader.number()?.unwrap_or(0);
    spec.grouping = reader.take_if(",_");
    if reader.take_if(".").is_some() {
        let Some(precision) = reader.number()? else {
            return fail("format specifier is missing a precision");
        };
        spec.precision = Some(precision);
    }
    spec.kind = reader.take();
    if !reader.rest.is_empty() {
        return fail(format!("invalid format specifier '{text}'"));
    }
    Ok(spec)
}

/// format(value, spec)
fn formatted(value: &Value, text: &str) -> Result<String, Error> {
    if text.is_empty() {
        return python::str_of(value);
    }
    let spec = parse_spec(text)?;
    let unknown = |kind: char| {
        fail(format!("unknown format code '{kind}' for an object of type '{}'", type_name(value)))
    };
    match type_of(value) {
        Type::Str => {
            if spec.sign.is_some() || spec.grouping.is_some() || spec.alternate {
                return fail("this format is not allowed for a str");
            }
            if let Some(kind) = spec.kind.filter(|kind| *kind != 's') {
                return unknown(kind);
            }
            if spec.align == Some('=') && !text.contains('0') {
                return fail("'=' alignment is not allowed for a str");
            }
            let text = value.as_str().unwrap_or_default();
            let cut: String = text.chars().take(spec.precision.unwrap_or(usize::MAX)).collect();
            let align = spec.align.filter(|align| *align != '=');
            Ok(pad(&cut, &Spec { align, ..spec }, '<'))
        }
        Type::Bool | Type::Int => {
            let number = i128::try_from(value.clone())?;
            match spec.kind {
                None | Some('d' | 'b' | 'o' | 'x' | 'X' | 'n') => {
                    if spec.precision.is_some() {
                        return fail("precision is not allowed in an integer format");
                    }
                    let kind = spec.kind.unwrap_or('d');
                    Ok(pad(&int_text(number, kind, &spec), &spec, '>'))
                }
                Some('c') => Ok(pad(&character(number)?, &spec, '<')),
                Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%') => {
                    Ok(pad(&float_text(number as f64, spec.kind, &spec)?, &spec, '>'))
                }
                Some(kind) => unknown(kind),
            }
        }
        Type::Float => {
            let number = f64::try_from(value.clone())?;
            Ok(pad(&float_text(number, spec.kind, &spec)?, &spec, '>'))
        }
        _ => fail(format!("'{}' takes no format", type_name(value))),
    }
}

fn character(code: i128) -> Result<String, Error> {
    match u32::try_from(code).ok().and_then(char::from_u32) {
        Some(c) => Ok(c.to_string()),
        None => fail(format!("{code} is no character")),
    }
}

/// text % values
pub fn percent(text: &str, values: &Value, safe: bool) -> Result<Value, Error> {
    let is_tuple = type_of(values) == Type::Tuple;
    let list = if is_tuple { iterate(values)? } else { vec![values.clone()] };
    let mut next = list.into_iter();
    let mut reader = Reader { rest: text };
    let mut out = String::new();
    let mut named = false;
    let needs = || Error::new(ErrorKind::InvalidOperation, "not enough arguments for the format");
    while let Some(c) = reader.take() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut value = None;
        if reader.take_if("(").is_some() {
            let Some(name) = reader.until(')') else {
                return fail("incomplete format key");
            };
            if type_of(values) != Type::Dict {
                return fail("the format requires a mapping");
            }
            let found = values.get_item(&Value::from(name.as_str()))?;
            if found.is_undefined() {
                return fail(format!("the format's mapping has no '{name}'"));
            }
            value = Some(found);
            named = true;
        }
        let mut spec = Spec::default();
        let mut zero = false;
        while let Some(flag) = reader.take_if("-+ #0") {
            match flag {
                '-' => spec.align = Some('<'),
                '+' => spec.sign = Some('+'),
                ' ' => spec.sign = spec.sign.or(Some(' ')),
                '#' => spec.alternate = true,
                _ => zero = true,
            }
        }
        if reader.take_if("*").is_some() {
            let width = i64::try_from(next.next().ok_or_else(needs)?)?;
            if width < 0 {
                spec.align = Some('<');
            }
            spec.width = bounded(width.unsigned_abs() as usize)?;
        } else {
            spec.width = reader.number()?.unwrap_or(0);
        }
        if reader.take_if(".").is_some() {
            spec.precision = if reader.take_if("*").is_some() {
                Some(bounded(next.next().ok_or_else(needs)?.as_usize().unwrap_or(0))?)
            } else {
                Some(reader.number()?.unwrap_or(0))
            };
        }
        reader.take_if("hlL");
        let Some(kind) = reader.take() else {
            return fail("incomplete format");
        };
        if kind == '%' {
            out.push('%');
            continue;
        }
        let value = match value {
            Some(value) => value,
            None => next.next().ok_or_else(needs)?,
        };
        let text = conversion(&value, kind, &spec, safe)?;
        let numeric = !matches!(kind, 's' | 'r' | 'a' | 'c');
        if zero && numeric && spec.align.is_none() {
            spec.fill = Some('0');
            spec.align = Some('=');
        }
        out.push_str(&pad(&text, &spec, '>'));
    }
    // A mapping, or what could be one, need not be used.
    let kind = type_of(values);
    let may_be_left =
        named || matches!(kind, Type::Undefined | Type::Dict | Type::List | Type::Range);
    if next.next().is_some() && !may_be_left {
        return fail("not all arguments were converted in the format");
    }
    Ok(if safe { Value::from_safe_string(out) } else { out.into() })
}

fn conversion(value: &Value, kind: char, spec: &Spec, safe: bool) -> Result<String, Error> {
    let cut = |text: String| match spec.precision {
        Some(precision) => text.chars().take(precision).collect(),
        None => text,
    };
    let escaped = |text: String| match safe && !value.is_safe() {
        true => python::escape(&text),
        false => text,
    };
    let is_number = matches!(type_of(value), Type::Bool | Type::Int | Type::Float);
    match kind {
        's' => Ok(cut(escaped(python::str_of(value)?))),
        'r' => Ok(cut(escaped(python::repr_of(value)?))),
        'a' => Ok(cut(python::ascii_of(value)?)),
        'c' => match value.as_str() {
            Some(text) if text.chars().count() == 1 => Ok(text.to_string()),
            None if type_of(value) == Type::Int => character(i128::try_from(value.clone())?),
            _ => fail("%c requires an int or one character"),
        },
        'd' | 'i' | 'u' | 'x' | 'X' | 'o' => {
            let number = match type_of(value) {
                Type::Bool | Type::Int => i128::try_from(value.clone())?,
                Type::Float if matches!(kind, 'd' | 'i' | 'u') => {
                    let number = f64::try_from(value.clone())?;
                    if !number.is_finite() {
                        return fail("cannot convert the float to an integer");
                    }
                    number.trunc() as i128
                }
                _ => {
                    let found = type_name(value);
                    return fail(format!("%{kind} format: a number is required, not {found}"));
                }
            };
            let mut text = int_text(number, kind, &Spec { sign: None, ..spec.clone() });
            if let Some(precision) = spec.precision {
                let digits = Spec { width: precision, fill: Some('0'), ..Spec::default() };
                text = pad(&text, &digits, '>');
            }
            Ok(signed(false, &text, &if number < 0 { Spec::default() } else { spec.clone() }))
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' if is_number => {
            float_text(f64::try_from(value.clone())?, Some(kind), spec)
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
            fail(format!("a number is required, not {}", type_name(value)))
        }
        kind => fail(format!("unsupported format character '{kind}'")),
    }
}

/// text.format(*values, **named)
pub fn str_format(
    text: &str,
    values: &[Value],
    named: &[(String, Value)],
) -> Result<String, Error> {
    let mut fields = Fields { values, named, next: 0 };
    fields.fill(text, 2)
}

struct Fields<'a> {
    values: &'a [Value],
    named: &'a [(String, Value)],
    next: usize,
}

impl Fields<'_> {
    /// `depth`: fields in formats of fields are one deep.
    fn fill(&mut self, text: &str, depth: usize) -> Result<String, Error> {
        if depth == 0 {
            return fail("a format's fields are nested too deep");
        }
        let mut out = String::new();
        let mut reader = Reader { rest: text };
        while let Some(c) = reader.take() {
            match c {
                '{' | '}' if reader.peek() == Some(c) => {
                    reader.take();
                    out.push(c);
                }
                '{' => out.push_str(&self.field(&mut reader, depth)?),
                '}' => return fail("single '}' in a format"),
                c => out.push(c),
            }
        }
        Ok(out)
    }

    /// name[!conversion][:spec]}
    fn field(&mut self, reader: &mut Reader, depth: usize) -> Result<String, Error> {
        let mut open = 1;
        let end = reader.rest.char_indices().find(|(_, c)| {
            open += match c {
                '{' => 1,
                '}' => -1,
                _ => 0,
            };
            open == 0
        });
        let Some((end, _)) = end else {
            return fail("expected '}' before the end of the format");
        };
        let field = &reader.rest[..end];
        reader.rest = &reader.rest[end + 1..];
        let (head, spec) = field.split_once(':').unwrap_or((field, ""));
        let (name, conversion) = match head.split_once('!') {
            Some((name, conversion)) => (name, Some(conversion)),
            None => (head, None),
        };
        let mut value = self.lookup(name)?;
        value = match conversion {
            None => value,
            Some("s") => python::str_of(&value)?.into(),
            Some("r") => python::repr_of(&value)?.into(),
            Some("a") => python::ascii_of(&value)?.into(),
            Some(other) => return fail(format!("unknown conversion '{other}'")),
        };
        let spec = self.fill(spec, depth - 1).or_else(|error| {
            // Nothing to fill in is no nesting.
            if spec.contains(['{', '}']) {
                Err(error)
            } else {
                Ok(spec.to_string())
            }
        })?;
        formatted(&value, &spec)
    }

    fn lookup(&mut self, path: &str) -> Result<Value, Error> {
        let end = path.find(['.', '[']).unwrap_or(path.len());
        let (first, mut rest) = path.split_at(end);
        let position = if first.is_empty() {
            self.next += 1;
            Some(self.next - 1)
        } else {
            first.parse::<usize>().ok()
        };
        let found = match position {
            Some(at) => self.values.get(at).cloned(),
            None => self.named.iter().find(|(name, _)| name == first).map(|(_, v)| v.clone()),
        };
        let Some(mut value) = found else {
            return fail(format!("there is no argument for the format's field '{path}'"));
        };
        while !rest.is_empty() {
            let key = if let Some(inside) = rest.strip_prefix('[') {
                let Some((key, after)) = inside.split_once(']') else {
                    return fail("missing ']' in a format");
                };
                rest = after;
                match key.parse::<i64>() {
                    Ok(index) => value.get_item(&Value::from(index))?,
                    Err(_) => value.get_item(&Value::from(key))?,
                }
            } else {
                let name = &rest[1..];
                let end = name.find(['.', '[']).unwrap_or(name.len());
                rest = &name[end..];
                attribute(&value, &name[..end]).unwrap_or(Value::UNDEFINED)
            };
            if key.is_undefined() {
                return fail(format!("the format's field '{path}' does not exist"));
            }
            value = key;
        }
        Ok(value)
    }
}
