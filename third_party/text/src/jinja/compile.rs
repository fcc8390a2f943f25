//! A template to minijinja's instructions, by way of its syntax tree: operators become filters of
//! `operators`, tuples and bare methods get their own values, and what this library does not have is
//! refused by name.

use super::content::{self, ContentFormat};
use super::{filters, literals, methods, Cause};
use minijinja::machinery::ast::*;
use minijinja::machinery::{parse, CodeGenerator, Instructions, Span, WhitespaceConfig};
use minijinja::value::Value;
use minijinja::Error;
use std::collections::BTreeMap;

pub struct Compiled<'s> {
    pub instructions: Instructions<'s>,
    pub blocks: BTreeMap<&'s str, Instructions<'s>>,
    pub content_format: ContentFormat,
}

pub fn compile<'s>(source: &'s str, name: &'s str) -> Result<Compiled<'s>, Error> {
    let whitespace =
        WhitespaceConfig { keep_trailing_newline: false, lstrip_blocks: true, trim_blocks: true };
    let tree = parse(source, name, Default::default(), whitespace)?;
    let content_format = content::detect(&tree);
    let tree =
        Rewriter { source, macro_names: Vec::new(), minus_is_outside: false }.statement(&tree)?;
    let mut generator = CodeGenerator::new(name, source);
    generator.compile_stmt(&tree);
    let (instructions, blocks) = generator.finish();
    Ok(Compiled { instructions, blocks, content_format })
}

struct Rewriter<'s> {
    source: &'s str,
    /// Parameters of the macros around the node; empty outside of macros.
    macro_names: Vec<Vec<&'s str>>,
    /// The minus before the expression that is being written is written already.
    minus_is_outside: bool,
}

/// Refused where it stands: what Jinja2 has and this library does not.
fn missing<T>(what: String, span: Span) -> Result<T, Error> {
    Err(Cause::Missing(format!("line {}: {what} is not supported", span.start_line)).into())
}

fn filter<'s>(name: &'static str, mut operands: Vec<Expr<'s>>, span: Span) -> Expr<'s> {
    let first = operands.remove(0);
    let args = operands.into_iter().map(CallArg::Pos).collect();
    Expr::Filter(Spanned::new(Filter { name, expr: Some(first), args }, span))
}

fn constant<'s>(value: Value, span: Span) -> Expr<'s> {
    Expr::Const(Spanned::new(Const { value }, span))
}

impl<'s> Rewriter<'s> {
    fn statements(&mut self, list: &[Stmt<'s>]) -> Result<Vec<Stmt<'s>>, Error> {
        list.iter().map(|statement| self.statement(statement)).collect()
    }

    fn statement(&mut self, statement: &Stmt<'s>) -> Result<Stmt<'s>, Error> {
        Ok(match statement {
            Stmt::Template(s) => {
                let children = self.statements(&s.children)?;
                Stmt::Template(Spanned::new(Template { children }, s.span()))
            }
            Stmt::EmitExpr(s) => {
                let expr = self.expression(&s.expr)?;
                Stmt::EmitExpr(Spanned::new(EmitExpr { expr }, s.span()))
            }
            // By the formatter, which counts what is written.
            Stmt::EmitRaw(s) => {
                let expr = constant(Value::from(s.raw), s.span());
                Stmt::EmitExpr(Spanned::new(EmitExpr { expr }, s.span()))
            }
            Stmt::ForLoop(s) => {
                let node = ForLoop {
                    target: self.target(&s.target)?,
                    iter: filter("iter", vec![self.expression(&s.iter)?], s.iter.span()),
                    filter_expr: self.optional(&s.filter_expr)?,
                    recursive: s.recursive,
                    body: self.statements(&s.body)?,
                    else_body: self.statements(&s.else_body)?,
                };
                Stmt::ForLoop(Spanned::new(node, s.span()))
            }
            Stmt::IfCond(s) => {
                let node = IfCond {
                    expr: self.expression(&s.expr)?,
                    true_body: self.statements(&s.true_body)?,
                    false_body: self.statements(&s.false_body)?,
                };
                Stmt::IfCond(Spanned::new(node, s.span()))
            }
            Stmt::WithBlock(s) => {
                let mut assignments = Vec::new();
                for (target, value) in &s.assignments {
                    assignments.push((self.target(target)?, self.expression(value)?));
                }
                let body = self.statements(&s.body)?;
                Stmt::WithBlock(Spanned::new(WithBlock { assignments, body }, s.span()))
            }
            Stmt::Set(s) => {
                let node = Set { target: self.target(&s.target)?, expr: self.expression(&s.expr)? };
                Stmt::Set(Spanned::new(node, s.span()))
            }
            Stmt::SetBlock(s) => {
                let node = SetBlock {
                    target: self.target(&s.target)?,
                    filter: self.optional(&s.filter)?,
                    body: self.statements(&s.body)?,
                };
                Stmt::SetBlock(Spanned::new(node, s.span()))
            }
            Stmt::FilterBlock(s) => {
                let node = FilterBlock {
                    filter: self.expression(&s.filter)?,
                    body: self.statements(&s.body)?,
                };
                Stmt::FilterBlock(Spanned::new(node, s.span()))
            }
            Stmt::Block(s) => {
                let body = self.statements(&s.body)?;
                let node = Block { name: s.name, required: s.required, body };
                Stmt::Block(Spanned::new(node, s.span()))
            }
            Stmt::Macro(s) => Stmt::Macro(self.macro_declaration(s)?),
            Stmt::CallBlock(s) => {
                let node = CallBlock {
                    call: self.call(&s.call)?,
                    macro_decl: self.macro_declaration(&s.macro_decl)?,
                };
                Stmt::CallBlock(Spanned::new(node, s.span()))
            }
            Stmt::Do(s) => Stmt::Do(Spanned::new(Do { call: self.call(&s.call)? }, s.span())),
            Stmt::Continue(s) => Stmt::Continue(Spanned::new(Continue, s.span())),
            Stmt::Break(s) => Stmt::Break(Spanned::new(Break, s.span())),
            // Escaping is off; turning it off says nothing.
            Stmt::AutoEscape(s) => match &s.enabled {
                Expr::Const(c) if !c.value.is_true() => {
                    let node =
                        WithBlock { assignments: Vec::new(), body: self.statements(&s.body)? };
                    Stmt::WithBlock(Spanned::new(node, s.span()))
                }
                _ => return missing("autoescape".to_string(), s.span()),
            },
            // There is no other template.
            Stmt::Extends(s) => return missing("extends".to_string(), s.span()),
            Stmt::Include(s) => return missing("include".to_string(), s.span()),
            Stmt::Import(s) => return missing("import".to_string(), s.span()),
            Stmt::FromImport(s) => return missing("from ... import".to_string(), s.span()),
        })
    }

    fn macro_declaration(&mut self, s: &Spanned<Macro<'s>>) -> Result<Spanned<Macro<'s>>, Error> {
        let mut args = Vec::new();
        let mut names = Vec::new();
        for arg in &s.args {
            if let Expr::Var(var) = arg {
                names.push(var.id);
            }
            args.push(self.target(arg)?);
        }
        self.macro_names.push(names);
        let defaults: Result<Vec<_>, Error> =
            s.defaults.iter().map(|value| self.expression(value)).collect();
        let body = self.statements(&s.body);
        self.macro_names.pop();
        let node = Macro { name: s.name, args, defaults: defaults?, body: body? };
        Ok(Spanned::new(node, s.span()))
    }

    /// What is assigned to stays as it is.
    fn target(&mut self, target: &Expr<'s>) -> Result<Expr<'s>, Error> {
        Ok(match target {
            Expr::Var(s) => Expr::Var(Spanned::new(Var { id: s.id }, s.span())),
            Expr::List(s) => {
                let items: Result<Vec<_>, Error> =
                    s.items.iter().map(|item| self.target(item)).collect();
                Expr::List(Spanned::new(List { items: items? }, s.span()))
            }
            Expr::GetAttr(s) => {
                let node = GetAttr { expr: self.target(&s.expr)?, name: s.name };
                Expr::GetAttr(Spanned::new(node, s.span()))
            }
            other => self.expression(other)?,
        })
    }

    fn optional(&mut self, expr: &Option<Expr<'s>>) -> Result<Option<Expr<'s>>, Error> {
        expr.as_ref().map(|expr| self.expression(expr)).transpose()
    }

    fn or_none(&mut self, expr: &Option<Expr<'s>>, span: Span) -> Result<Expr<'s>, Error> {
        Ok(self.optional(expr)?.unwrap_or_else(|| constant(Value::from(()), span)))
    }

    fn expression(&mut self, expr: &Expr<'s>) -> Result<Expr<'s>, Error> {
        let span = expr.span();
        if let Some(minus) = leading_minus(expr) {
            let inside = !std::mem::replace(&mut self.minus_is_outside, true);
            if inside {
                let whole = self.expression(expr)?;
                return Ok(filter("neg", vec![whole], minus));
            }
        }
        Ok(match expr {
            Expr::Var(s) => {
                let special = matches!(s.id, "varargs" | "kwargs");
                if special && !self.macro_names.is_empty() && !self.is_parameter(s.id) {
                    return missing(format!("{} of a macro", s.id), span);
                }
                Expr::Var(Spanned::new(Var { id: s.id }, span))
            }
            Expr::Const(s) => constant(self.literal(s)?, span),
            Expr::Slice(s) => {
                let operands = vec![
                    self.expression(&s.expr)?,
                    self.or_none(&s.start, span)?,
                    self.or_none(&s.stop, span)?,
                    self.or_none(&s.step, span)?,
                ];
                filter("[:]", operands, span)
            }
            Expr::UnaryOp(s) => self.unary(s)?,
            Expr::BinOp(s) => {
                let left = self.expression(&s.left)?;
                let right = self.expression(&s.right)?;
                binary(s.op, left, right, span)
            }
            Expr::Compare(s) => self.chain(s)?,
            Expr::IfExpr(s) => {
                let node = IfExpr {
                    test_expr: self.expression(&s.test_expr)?,
                    true_expr: self.expression(&s.true_expr)?,
                    false_expr: self.optional(&s.false_expr)?,
                };
                Expr::IfExpr(Spanned::new(node, span))
            }
            Expr::Filter(s) => {
                if filters::MISSING.contains(&s.name) {
                    return missing(format!("the filter {}", s.name), span);
                }
                let expr = self.optional(&s.expr)?;
                let node = Filter { name: s.name, expr, args: self.arguments(&s.args)? };
                Expr::Filter(Spanned::new(node, span))
            }
            Expr::Test(s) => {
                let expr = self.expression(&s.expr)?;
                let node = Test { name: s.name, expr, args: self.arguments(&s.args)? };
                Expr::Test(Spanned::new(node, span))
            }
            Expr::GetAttr(s) => {
                let value = self.expression(&s.expr)?;
                if methods::is_attribute(s.name) {
                    filter(".", vec![value, constant(Value::from(s.name), span)], span)
                } else {
                    Expr::GetAttr(Spanned::new(GetAttr { expr: value, name: s.name }, span))
                }
            }
            Expr::GetItem(s) => {
                let value = self.expression(&s.expr)?;
                let key = self.expression(&s.subscript_expr)?;
                filter("[]", vec![value, key], span)
            }
            Expr::Call(s) => Expr::Call(self.call(s)?),
            Expr::List(s) => {
                let items: Result<Vec<_>, Error> =
                    s.items.iter().map(|item| self.expression(item)).collect();
                let list = Expr::List(Spanned::new(List { items: items? }, span));
                if self.is_tuple(s) {
                    filter("()", vec![list], span)
                } else {
                    list
                }
            }
            Expr::Map(s) => {
                let mut expressions = |list: &[Expr<'s>]| -> Result<Vec<Expr<'s>>, Error> {
                    list.iter().map(|expr| self.expression(expr)).collect()
                };
                let node = Map { keys: expressions(&s.keys)?, values: expressions(&s.values)? };
                Expr::Map(Spanned::new(node, span))
            }
        })
    }

    fn is_parameter(&self, name: &str) -> bool {
        self.macro_names.iter().any(|names| names.contains(&name))
    }

    /// A list begins with its bracket: `(1, 2)` begins with another one, and in `a = [1], [2]` the
    /// first item comes before what the parser takes for the beginning.
    fn is_tuple(&self, list: &Spanned<List<'s>>) -> bool {
        let start = list.span().start_offset;
        let inside = list.items.first().is_none_or(|item| item.span().start_offset > start);
        !(inside && self.source.as_bytes().get(start as usize) == Some(&b'['))
    }

    /// The value of a literal, read from the source if it has escapes.
    fn literal(&self, s: &Spanned<Const>) -> Result<Value, Error> {
        let (start, end) = (s.span().start_offset as usize, s.span().end_offset as usize);
        let text = self.source.get(start..end).unwrap_or_default();
        if s.value.as_str().is_none() || !text.starts_with(['\'', '"']) || !text.contains('\\') {
            return Ok(s.value.clone());
        }
        match literals::value_of(text) {
            Some(value) => Ok(Value::from(value)),
            None => missing("an escape of this string".to_string(), s.span()),
        }
    }

    fn unary(&mut self, s: &Spanned<UnaryOp<'s>>) -> Result<Expr<'s>, Error> {
        if std::mem::take(&mut self.minus_is_outside) {
            return self.expression(&s.expr);
        }
        let expr = self.expression(&s.expr)?;
        Ok(match s.op {
            UnaryOpKind::Neg if matches!(s.expr, Expr::Const(_)) => {
                Expr::UnaryOp(Spanned::new(UnaryOp { op: UnaryOpKind::Neg, expr }, s.span()))
            }
            UnaryOpKind::Neg => filter("neg", vec![expr], s.span()),
            UnaryOpKind::Not => {
                Expr::UnaryOp(Spanned::new(UnaryOp { op: UnaryOpKind::Not, expr }, s.span()))
            }
        })
    }

    /// a < b < c as a < b and b < c.
    fn chain(&mut self, s: &Spanned<Compare<'s>>) -> Result<Expr<'s>, Error> {
        let mut left = &s.expr;
        let mut all: Option<Expr<'s>> = None;
        for op in &s.ops {
            let (kind, negated) = match op.op {
                CompareOpKind::Eq => (BinOpKind::Eq, false),
                CompareOpKind::Ne => (BinOpKind::Ne, false),
                CompareOpKind::Lt => (BinOpKind::Lt, false),
                CompareOpKind::Lte => (BinOpKind::Lte, false),
                CompareOpKind::Gt => (BinOpKind::Gt, false),
                CompareOpKind::Gte => (BinOpKind::Gte, false),
                CompareOpKind::In => (BinOpKind::In, false),
                CompareOpKind::NotIn => (BinOpKind::In, true),
            };
            let mut one =
                binary(kind, self.expression(left)?, self.expression(&op.expr)?, s.span());
            if negated {
                let node = UnaryOp { op: UnaryOpKind::Not, expr: one };
                one = Expr::UnaryOp(Spanned::new(node, s.span()));
            }
            all = Some(match all {
                Some(before) => binary(BinOpKind::ScAnd, before, one, s.span()),
                None => one,
            });
            left = &op.expr;
        }
        all.map_or_else(|| self.expression(&s.expr), Ok)
    }

    fn call(&mut self, s: &Spanned<Call<'s>>) -> Result<Spanned<Call<'s>>, Error> {
        let expr = match &s.expr {
            Expr::GetAttr(method) => {
                if methods::MISSING.contains(&method.name) {
                    return missing(format!("the method {}", method.name), s.span());
                }
                let node = GetAttr { expr: self.expression(&method.expr)?, name: method.name };
                Expr::GetAttr(Spanned::new(node, method.span()))
            }
            Expr::Var(var) if var.id == "lipsum" => {
                return missing("the function lipsum".to_string(), s.span());
            }
            other => self.expression(other)?,
        };
        Ok(Spanned::new(Call { expr, args: self.arguments(&s.args)? }, s.span()))
    }

    fn arguments(&mut self, args: &[CallArg<'s>]) -> Result<Vec<CallArg<'s>>, Error> {
        args.iter()
            .map(|arg| {
                Ok(match arg {
                    CallArg::Pos(expr) => CallArg::Pos(self.expression(expr)?),
                    CallArg::Kwarg(name, expr) => CallArg::Kwarg(name, self.expression(expr)?),
                    CallArg::PosSplat(expr) => CallArg::PosSplat(self.expression(expr)?),
                    CallArg::KwargSplat(expr) => CallArg::KwargSplat(self.expression(expr)?),
                })
            })
            .collect()
    }
}

/// minijinja reads `-a.b` as `(-a).b`: the minus at the beginning of such an expression.
fn leading_minus(expr: &Expr) -> Option<Span> {
    let inner = match expr {
        Expr::GetAttr(s) => &s.expr,
        Expr::GetItem(s) => &s.expr,
        Expr::Slice(s) => &s.expr,
        Expr::Call(s) => &s.expr,
        _ => return None,
    };
    match inner {
        Expr::UnaryOp(s) if matches!(s.op, UnaryOpKind::Neg) => Some(s.span()),
        inner => leading_minus(inner),
    }
}

fn binary<'s>(op: BinOpKind, left: Expr<'s>, right: Expr<'s>, span: Span) -> Expr<'s> {
    let name = match op {
        BinOpKind::Eq => "==",
        BinOpKind::Ne => "!=",
        BinOpKind::Lt => "<",
        BinOpKind::Lte => "<=",
        BinOpKind::Gt => ">",
        BinOpKind::Gte => ">=",
        BinOpKind::Add => "+",
        BinOpKind::Sub => "-",
        BinOpKind::Mul => "*",
        BinOpKind::Div => "/",
        BinOpKind::FloorDiv => "//",
        BinOpKind::Rem => "%",
        BinOpKind::Pow => "**",
        BinOpKind::Concat => "~",
        BinOpKind::In => "in",
        // Between constants, the generator folds `0 and 1` to false.
        BinOpKind::ScAnd | BinOpKind::ScOr => {
            let left =
                if left.as_const().is_some() { filter("const", vec![left], span) } else { left };
            return Expr::BinOp(Spanned::new(BinOp { op, left, right }, span));
        }
    };
    filter(name, vec![left, right], span)
}
