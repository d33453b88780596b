//! What would leave `background = ..`: `return`, `?`, `.await`, `break` and `continue`. The expression is
//! evaluated in a closure, so the compiler refuses all of these; here the messages say what to do.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::Parser as _;
use syn::punctuated::Punctuated;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Block, Expr, ExprAsync, ExprAwait, ExprBlock, ExprBreak, ExprClosure, ExprConst, ExprContinue,
    ExprForLoop, ExprLoop, ExprReturn, ExprTry, ExprWhile, Item, Label, Lifetime, Macro, Token,
};

use crate::errors::Errors;

/// Reports every token of `background` that would leave it.
pub(super) fn refuse(background: &Expr, errors: &mut Errors) {
    let mut leaving = Leaving {
        errors,
        loops: 0,
        labels: Vec::new(),
    };
    leaving.visit_expr_mut(&mut background.clone());
}

const RETURN: &str = "`return` would leave the route, and the handler would not be called\n\
                      choose the tasks with `if` or `match`, or add them in the handler, with the \
                      extractor `BackgroundTasks`";
const TRY: &str = "`?` would leave the route, and the handler would not be called\n\
                   pass what the task needs, and let the task itself fail; or add it in the handler, \
                   with the extractor `BackgroundTasks`";
const AWAIT: &str = "`background` is evaluated before the handler is called, and cannot wait\n\
                     await in the task itself; or add it in the handler, with the extractor \
                     `BackgroundTasks`";

/// Reports what leaves an expression. Closures, `async` blocks and items in it are not left by leaving
/// their bodies.
struct Leaving<'a> {
    errors: &'a mut Errors,
    /// The loops around, as far as they are part of the expression.
    loops: usize,
    labels: Vec<Label>,
}

impl Leaving<'_> {
    fn jump(&mut self, word: &str, token: impl ToTokens, to: Option<&Lifetime>) {
        let stays = match to {
            Some(label) => self.labels.iter().any(|known| known.name == *label),
            None => self.loops > 0,
        };
        if !stays {
            self.errors.on(
                token,
                format!(
                    "`{word}` leaves `background`, which is not in a loop or block of its own\n\
                     choose the tasks with `if` or `match`"
                ),
            );
        }
    }

    fn in_loop(&mut self, label: Option<&Label>, body: &mut Block) {
        self.loops += 1;
        self.in_label(label, body);
        self.loops -= 1;
    }

    fn in_label(&mut self, label: Option<&Label>, body: &mut Block) {
        let outside = self.labels.len();
        self.labels.extend(label.cloned());
        self.visit_block_mut(body);
        self.labels.truncate(outside);
    }
}

impl VisitMut for Leaving<'_> {
    fn visit_expr_return_mut(&mut self, expr: &mut ExprReturn) {
        self.errors.on(expr.return_token, RETURN);
        visit_mut::visit_expr_return_mut(self, expr);
    }

    fn visit_expr_try_mut(&mut self, expr: &mut ExprTry) {
        visit_mut::visit_expr_try_mut(self, expr);
        self.errors.on(expr.question_token, TRY);
    }

    fn visit_expr_await_mut(&mut self, expr: &mut ExprAwait) {
        visit_mut::visit_expr_await_mut(self, expr);
        self.errors.on(expr.await_token, AWAIT);
    }

    fn visit_expr_break_mut(&mut self, expr: &mut ExprBreak) {
        self.jump("break", expr.break_token, expr.label.as_ref());
        visit_mut::visit_expr_break_mut(self, expr);
    }

    fn visit_expr_continue_mut(&mut self, expr: &mut ExprContinue) {
        self.jump("continue", expr.continue_token, expr.label.as_ref());
    }

    fn visit_expr_loop_mut(&mut self, expr: &mut ExprLoop) {
        self.in_loop(expr.label.as_ref(), &mut expr.body);
    }

    fn visit_expr_while_mut(&mut self, expr: &mut ExprWhile) {
        self.visit_expr_mut(&mut expr.cond);
        self.in_loop(expr.label.as_ref(), &mut expr.body);
    }

    fn visit_expr_for_loop_mut(&mut self, expr: &mut ExprForLoop) {
        self.visit_expr_mut(&mut expr.expr);
        self.in_loop(expr.label.as_ref(), &mut expr.body);
    }

    fn visit_expr_block_mut(&mut self, expr: &mut ExprBlock) {
        self.in_label(expr.label.as_ref(), &mut expr.block);
    }

    fn visit_expr_closure_mut(&mut self, _: &mut ExprClosure) {}
    fn visit_expr_async_mut(&mut self, _: &mut ExprAsync) {}
    fn visit_expr_const_mut(&mut self, _: &mut ExprConst) {}
    fn visit_item_mut(&mut self, _: &mut Item) {}

    /// Most macros are given expressions, as `tasks![..]` and `vec![..]` are. Of others the tokens tell
    /// most of it.
    fn visit_macro_mut(&mut self, mac: &mut Macro) {
        let tokens = mac.tokens.clone();
        let list = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(tokens.clone());
        if let Ok(list) = list {
            for mut expr in list {
                self.visit_expr_mut(&mut expr);
            }
        } else if let Ok(statements) = Block::parse_within.parse2(tokens.clone()) {
            for mut statement in statements {
                self.visit_stmt_mut(&mut statement);
            }
        } else {
            self.scan(tokens);
        }
    }
}

impl Leaving<'_> {
    /// Reports `return` and `.await` among the tokens of a macro with a syntax of its own. `?` may mean
    /// anything there. What follows a `|`, up to the comma or semicolon, may be a closure's body, and
    /// the braces after `async` are a block's.
    fn scan(&mut self, tokens: TokenStream) {
        let (mut in_async, mut in_closure, mut after_dot) = (false, false, false);
        for token in tokens {
            match &token {
                TokenTree::Group(group) => {
                    let is_block = group.delimiter() == Delimiter::Brace;
                    if !(in_closure || in_async && is_block) {
                        self.scan(group.stream());
                    }
                    in_async = in_async && !is_block;
                }
                TokenTree::Punct(punct) => match punct.as_char() {
                    '|' => in_closure = true,
                    ',' | ';' => (in_async, in_closure) = (false, false),
                    _ => {}
                },
                TokenTree::Ident(word) => {
                    in_async = in_async || word == "async";
                    if !in_async && !in_closure {
                        self.word(word, after_dot);
                    }
                }
                TokenTree::Literal(_) => {}
            }
            after_dot = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '.');
        }
    }

    fn word(&mut self, word: &Ident, after_dot: bool) {
        if word == "return" {
            self.errors.on(word, RETURN);
        } else if word == "await" && after_dot {
            self.errors.on(word, AWAIT);
        }
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    /// How many tokens of the expression are refused.
    fn refused(background: TokenStream) -> usize {
        let background = syn::parse2(background).expect("an expression");
        let ((), errors) = Errors::collect(|errors| refuse(&background, errors));
        let errors = errors.into_token_stream().to_string();
        errors.matches("compile_error").count()
    }

    #[test]
    fn what_leaves_the_expression_is_refused_each_time() {
        for (leaves, times) in [
            (quote!(return a), 1),
            (quote!(if late { return a } else { b }), 1),
            (quote!([a?, b?, c.await]), 3),
            (quote!(break), 1),
            (
                quote!({
                    loop {
                        break;
                    }
                    continue;
                }),
                1,
            ),
            (quote!('a: { break 'b a }), 1),
            (
                quote!(loop {
                    return a;
                }),
                1,
            ),
            (
                quote!(match a? {
                    _ => b.await?,
                }),
                3,
            ),
            (quote!(tasks![a?]), 1),
        ] {
            assert_eq!(refused(leaves.clone()), times, "{leaves}");
        }
    }

    #[test]
    fn what_stays_in_the_expression_is_not() {
        for stays in [
            quote!([a, b]),
            quote!(loop {
                break a;
            }),
            quote!('a: { break 'a a }),
            quote!(for a in b {
                if c {
                    continue;
                }
            }),
            quote!('a: while b {
                loop {
                    break 'a;
                }
            }),
            quote!(named("a", async move {
                a.await?;
                return Ok(());
            })),
            quote!(a.then(|| { return b })),
            quote!({
                fn f() -> Option<u8> {
                    None?;
                    return None;
                }
                f()
            }),
        ] {
            assert_eq!(refused(stays.clone()), 0, "{stays}");
        }
    }
}
