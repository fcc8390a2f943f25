//! Whether a template walks through a message's content as a list of parts.

use minijinja::machinery::ast::*;
use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentFormat {
    /// Content is written as a string.
    String = 0,
    /// Content is a list of parts; a string is written too.
    PartsOrString = 1,
    /// Content is a list of parts and nothing else: the template never asks what it is.
    Parts = 2,
}

/// As vLLM does: from `messages`, the names that hold messages, one message and a content are
/// followed through assignments, loops and macros; a loop over a content means parts.
pub fn detect(template: &Stmt) -> ContentFormat {
    let mut names = Names::default();
    names.lists.insert("messages");
    loop {
        let known = names.len();
        names.walk_statement(template);
        if names.len() == known {
            break;
        }
    }
    match (names.loops, names.asks) {
        (false, _) => ContentFormat::String,
        (true, true) => ContentFormat::PartsOrString,
        (true, false) => ContentFormat::Parts,
    }
}

#[derive(Default)]
struct Names<'a> {
    lists: BTreeSet<&'a str>,
    messages: BTreeSet<&'a str>,
    contents: BTreeSet<&'a str>,
    macros: Vec<(&'a str, Vec<&'a str>)>,
    loops: bool,
    asks: bool,
}

/// Which of the three an expression holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Messages,
    Message,
    Content,
}

impl<'a> Names<'a> {
    fn len(&self) -> usize {
        self.lists.len() + self.messages.len() + self.contents.len() + self.macros.len()
    }

    fn holds(&self, expr: &Expr<'a>) -> Option<Holds> {
        match expr {
            Expr::Var(s) if self.lists.contains(s.id) => Some(Holds::Messages),
            Expr::Var(s) if self.messages.contains(s.id) => Some(Holds::Message),
            Expr::Var(s) if self.contents.contains(s.id) => Some(Holds::Content),
            Expr::GetAttr(s) if s.name == "content" => self.content_of(&s.expr),
            // A namespace's member, by its name alone.
            Expr::GetAttr(s) if self.lists.contains(s.name) => Some(Holds::Messages),
            Expr::GetItem(s) => match &s.subscript_expr {
                Expr::Const(key) if key.value.as_str() == Some("content") => {
                    self.content_of(&s.expr)
                }
                Expr::Const(key) if key.value.as_str().is_some() => None,
                _ if self.holds(&s.expr) == Some(Holds::Messages) => Some(Holds::Message),
                _ => None,
            },
            Expr::Slice(s) => self.holds(&s.expr),
            Expr::Filter(s) => match (s.expr.as_ref().and_then(|expr| self.holds(expr)), s.name) {
                (Some(Holds::Messages), "first" | "last") => Some(Holds::Message),
                (held, _) => held,
            },
            Expr::IfExpr(s) => self
                .holds(&s.true_expr)
                .or_else(|| s.false_expr.as_ref().and_then(|expr| self.holds(expr))),
            _ => None,
        }
    }

    fn content_of(&self, expr: &Expr<'a>) -> Option<Holds> {
        (self.holds(expr) == Some(Holds::Message)).then_some(Holds::Content)
    }

    fn assign(&mut self, target: &Expr<'a>, held: Option<Holds>) {
        let name = match target {
            Expr::Var(s) => s.id,
            Expr::GetAttr(s) if held == Some(Holds::Messages) => s.name,
            _ => return,
        };
        match held {
            Some(Holds::Messages) => self.lists.insert(name),
            Some(Holds::Message) => self.messages.insert(name),
            Some(Holds::Content) => self.contents.insert(name),
            None => false,
        };
    }

    fn walk(&mut self, list: &[Stmt<'a>]) {
        list.iter().for_each(|statement| self.walk_statement(statement));
    }

    fn walk_statement(&mut self, statement: &Stmt<'a>) {
        match statement {
            Stmt::Template(s) => self.walk(&s.children),
            Stmt::EmitExpr(s) => self.walk_expression(&s.expr),
            Stmt::ForLoop(s) => {
                match self.holds(&s.iter) {
                    Some(Holds::Messages) => self.assign(&s.target, Some(Holds::Message)),
                    Some(Holds::Content) => self.loops = true,
                    _ => {}
                }
                self.walk_expression(&s.iter);
                s.filter_expr.iter().for_each(|expr| self.walk_expression(expr));
                self.walk(&s.body);
                self.walk(&s.else_body);
            }
            Stmt::IfCond(s) => {
                self.walk_expression(&s.expr);
                self.walk(&s.true_body);
                self.walk(&s.false_body);
            }
            Stmt::WithBlock(s) => {
                for (target, value) in &s.assignments {
                    self.assign(target, self.holds(value));
                    self.walk_expression(value);
                }
                self.walk(&s.body);
            }
            Stmt::Set(s) => {
                self.assign(&s.target, self.holds(&s.expr));
                self.walk_expression(&s.expr);
            }
            Stmt::SetBlock(s) => self.walk(&s.body),
            Stmt::FilterBlock(s) => self.walk(&s.body),
            Stmt::AutoEscape(s) => self.walk(&s.body),
            Stmt::Block(s) => self.walk(&s.body),
            Stmt::Macro(s) => self.walk_macro(s),
            Stmt::CallBlock(s) => {
                self.walk_call(&s.call);
                self.walk_macro(&s.macro_decl);
            }
            Stmt::Do(s) => self.walk_call(&s.call),
            _ => {}
        }
    }

    fn walk_macro(&mut self, s: &Macro<'a>) {
        if !self.macros.iter().any(|(name, _)| *name == s.name) {
            let parameter = |arg: &Expr<'a>| match arg {
                Expr::Var(var) => var.id,
                _ => "",
            };
            self.macros.push((s.name, s.args.iter().map(parameter).collect()));
        }
        self.walk(&s.body);
    }

    fn walk_call(&mut self, s: &Call<'a>) {
        let parameters = match &s.expr {
            Expr::Var(var) => self.macros.iter().find(|(name, _)| *name == var.id),
            _ => None,
        };
        let parameters = parameters.map(|(_, names)| names.clone()).unwrap_or_default();
        for (at, arg) in s.args.iter().enumerate() {
            let (name, expr) = match arg {
                CallArg::Pos(expr) => (parameters.get(at).copied(), expr),
                CallArg::Kwarg(name, expr) => (parameters.contains(name).then_some(*name), expr),
                CallArg::PosSplat(expr) | CallArg::KwargSplat(expr) => (None, expr),
            };
            match (name, self.holds(expr)) {
                (Some(name), Some(Holds::Messages)) => self.lists.insert(name),
                (Some(name), Some(Holds::Message)) => self.messages.insert(name),
                (Some(name), Some(Holds::Content)) => self.contents.insert(name),
                _ => false,
            };
            self.walk_expression(expr);
        }
        self.walk_expression(&s.expr);
    }

    fn walk_expression(&mut self, expr: &Expr<'a>) {
        match expr {
            Expr::Test(s) => {
                let asks = matches!(s.name, "string" | "iterable" | "sequence" | "mapping");
                self.asks |= asks && self.holds(&s.expr) == Some(Holds::Content);
                self.walk_expression(&s.expr);
            }
            Expr::Call(s) => self.walk_call(s),
            Expr::UnaryOp(s) => self.walk_expression(&s.expr),
            Expr::BinOp(s) => {
                self.walk_expression(&s.left);
                self.walk_expression(&s.right);
            }
            Expr::IfExpr(s) => {
                self.walk_expression(&s.test_expr);
                self.walk_expression(&s.true_expr);
                s.false_expr.iter().for_each(|expr| self.walk_expression(expr));
            }
            Expr::Filter(s) => {
                s.expr.iter().for_each(|expr| self.walk_expression(expr));
                for arg in &s.args {
                    match arg {
                        CallArg::Pos(expr)
                        | CallArg::Kwarg(_, expr)
                        | CallArg::PosSplat(expr)
                        | CallArg::KwargSplat(expr) => self.walk_expression(expr),
                    }
                }
            }
            Expr::GetAttr(s) => self.walk_expression(&s.expr),
            Expr::GetItem(s) => {
                self.walk_expression(&s.expr);
                self.walk_expression(&s.subscript_expr);
            }
            Expr::Slice(s) => self.walk_expression(&s.expr),
            Expr::Compare(s) => {
                self.walk_expression(&s.expr);
                s.ops.iter().for_each(|op| self.walk_expression(&op.expr));
            }
            Expr::List(s) => s.items.iter().for_each(|expr| self.walk_expression(expr)),
            Expr::Map(s) => s.values.iter().for_each(|expr| self.walk_expression(expr)),
            Expr::Var(_) | Expr::Const(_) => {}
        }
    }
}
