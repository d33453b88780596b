//! The path of a route, checked when it is compiled rather than when the server starts.
//!
//! The rules are those of matchit, which axum matches with: `{name}` ends a segment, though text may
//! come before it; `{*name}` ends the path; `{{` and `}}` stand for braces. What matchit refuses is
//! refused here. What is refused beyond that is in `is_refused_on_purpose`, below.

use std::iter::Peekable;
use std::str::Chars;

/// As many parameters as matchit takes, besides a `{*name}`: it numbers them with letters, and panics
/// at the last.
const MOST: usize = 25;

/// The names of the parameters of a path, in order, or what is wrong with it.
pub(super) fn parameters(path: &str) -> Result<Vec<String>, Vec<String>> {
    let mut parameters = Vec::new();
    let mut mistakes = Vec::new();
    let mut named = 0;

    if path.is_empty() {
        mistakes.push("a path starts with `/`: write `\"/\"` for the root".to_owned());
    } else if !path.starts_with('/') {
        mistakes.push(format!("a path starts with `/`: write `\"/{path}\"`"));
    }

    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match parameter(segment) {
            Ok(None) => {}
            Ok(Some(Parameter { name, wildcard })) => {
                if wildcard && !is_last {
                    mistakes.push(format!(
                        "`{{*{name}}}` takes all that is left of the path, so nothing can follow it"
                    ));
                } else if parameters.contains(&name) {
                    mistakes.push(format!("the path has two parameters called `{name}`"));
                }
                named += usize::from(!wildcard);
                parameters.push(name);
            }
            Err(mistake) => mistakes.push(mistake),
        }
    }

    if named > MOST {
        mistakes.push(format!("a path has at most {MOST} parameters"));
    }

    if mistakes.is_empty() {
        Ok(parameters)
    } else {
        Err(mistakes)
    }
}

struct Parameter {
    name: String,
    wildcard: bool,
}

/// The parameter that ends this segment, if one does.
fn parameter(segment: &str) -> Result<Option<Parameter>, String> {
    refuse_other_syntax(segment)?;
    let mut tokens = Tokens(segment.chars().peekable());
    while let Some(token) = tokens.next() {
        match token {
            Token::Text('?') => {
                return Err("a path has no query string: read it with `Query`".to_owned());
            }
            Token::Text(_) => {}
            Token::Close => {
                return Err(
                    "this `}` closes nothing: write `}}` for a brace in the path".to_owned(),
                );
            }
            Token::Open => return rest_of_parameter(&mut tokens).map(Some),
        }
    }
    Ok(None)
}

/// Reads a parameter from behind its opening brace.
fn rest_of_parameter(tokens: &mut Tokens<'_>) -> Result<Parameter, String> {
    let mut written = String::new();
    loop {
        match tokens.next() {
            Some(Token::Text('}')) if written.is_empty() => {
                return Err("the name of a path parameter cannot begin with `}`".to_owned());
            }
            Some(Token::Text(char)) => written.push(char),
            Some(Token::Close) => break,
            Some(Token::Open) | None => {
                return Err(format!(
                    "`{{{written}` is not closed: write `{{{written}}}` for a parameter, `{{{{` for \
                     a brace in the path"
                ));
            }
        }
    }
    let (wildcard, name) = match written.strip_prefix('*') {
        Some(name) => (true, name),
        None => (false, &*written),
    };
    if name.is_empty() {
        return Err(format!(
            "a path parameter needs a name: `{{{star}name}}`",
            star = if wildcard { "*" } else { "" }
        ));
    }
    if let Some((before, _)) = name.split_once('*') {
        return Err(format!(
            "write a parameter for the rest of the path as `{{*{before}}}`, with `*` first"
        ));
    }
    // matchit would make all of it the name, which is never meant.
    if let Some((before, _)) = name.split_once(':') {
        return Err(format!(
            "write `{{{before}}}`: the type of a path parameter is that of the argument which takes \
             it"
        ));
    }
    match tokens.next() {
        None => Ok(Parameter {
            name: name.to_owned(),
            wildcard,
        }),
        Some(Token::Open) => Err(format!(
            "a segment has one parameter: another cannot follow `{{{written}}}`"
        )),
        Some(_) => Err(format!(
            "a parameter ends its segment: nothing but `/` can follow `{{{written}}}`"
        )),
    }
}

/// Refuses parameters as other frameworks, and earlier versions of axum, write them.
fn refuse_other_syntax(segment: &str) -> Result<(), String> {
    if let Some(name) = segment.strip_prefix(':') {
        return Err(instead("a path parameter", "", name, segment));
    }
    if let Some(name) = segment.strip_prefix('*') {
        return Err(instead(
            "a parameter for the rest of the path",
            "*",
            name,
            segment,
        ));
    }
    // A request's path has no angle bracket in it, so this cannot be meant literally.
    if let Some(name) = segment
        .strip_prefix('<')
        .and_then(|it| it.strip_suffix('>'))
    {
        return Err(match name.strip_suffix("..") {
            Some(name) => instead("a parameter for the rest of the path", "*", name, segment),
            None => {
                let name = name.rsplit(':').next().unwrap_or(name);
                instead("a path parameter", "", name, segment)
            }
        });
    }
    Ok(())
}

fn instead(what: &str, star: &str, name: &str, written: &str) -> String {
    let name = if name.is_empty() { "name" } else { name };
    format!("write {what} as `{{{star}{name}}}`, not `{written}`")
}

enum Token {
    /// `{`
    Open,
    /// `}`
    Close,
    /// Any other character, or an escaped brace.
    Text(char),
}

struct Tokens<'a>(Peekable<Chars<'a>>);

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let char = self.0.next()?;
        Some(match char {
            '{' | '}' if self.0.next_if_eq(&char).is_some() => Token::Text(char),
            '{' => Token::Open,
            '}' => Token::Close,
            text => Token::Text(text),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::parameters;

    fn named(path: &str) -> Vec<String> {
        parameters(path).unwrap_or_else(|mistakes| panic!("{path}: {mistakes:?}"))
    }

    fn mistake(path: &str) -> String {
        let mistakes = parameters(path).expect_err(path);
        assert_eq!(mistakes.len(), 1, "{path}: {mistakes:?}");
        mistakes.into_iter().next().unwrap_or_default()
    }

    #[test]
    fn a_path_without_braces_has_no_parameters() {
        for path in [
            "/",
            "/users",
            "/users/",
            "/a//b",
            "/v1/users:batch",
            "/@me",
            "/a*b",
            "/é",
        ] {
            assert!(named(path).is_empty(), "{path}");
        }
    }

    #[test]
    fn parameters_of_a_path_are_given_in_their_order() {
        assert_eq!(named("/{id}"), ["id"]);
        assert_eq!(named("/{b}/x/{a}/"), ["b", "a"]);
        assert_eq!(named("/user_{name}"), ["name"]);
        assert_eq!(named("/{user-id}"), ["user-id"]);
        assert_eq!(named("/{tenant}/{*rest}"), ["tenant", "rest"]);
        assert_eq!(named("/files-{*rest}"), ["rest"]);
    }

    #[test]
    fn doubled_braces_stand_for_a_brace() {
        assert!(named("/{{id}}").is_empty());
        assert!(named("/{{/}}").is_empty());
        assert_eq!(named("/{{{id}"), ["id"]);
        assert_eq!(named("/{a{{b}"), ["a{b"]);
        assert_eq!(named("/{a}}b}"), ["a}b"]);
    }

    #[test]
    fn a_path_starts_with_a_slash() {
        assert_eq!(
            mistake(""),
            "a path starts with `/`: write `\"/\"` for the root"
        );
        assert_eq!(
            mistake("users"),
            "a path starts with `/`: write `\"/users\"`"
        );
        assert_eq!(mistake("{id}"), "a path starts with `/`: write `\"/{id}\"`");
    }

    #[test]
    fn parameters_as_other_frameworks_write_them_are_refused() {
        for (path, expected) in [
            ("/:id", "write a path parameter as `{id}`, not `:id`"),
            ("/a/:", "write a path parameter as `{name}`, not `:`"),
            ("/<id>", "write a path parameter as `{id}`, not `<id>`"),
            (
                "/<int:id>",
                "write a path parameter as `{id}`, not `<int:id>`",
            ),
            (
                "/*rest",
                "write a parameter for the rest of the path as `{*rest}`, not `*rest`",
            ),
            (
                "/<r..>",
                "write a parameter for the rest of the path as `{*r}`, not `<r..>`",
            ),
            (
                "/{rest*}",
                "write a parameter for the rest of the path as `{*rest}`, with `*` first",
            ),
        ] {
            assert_eq!(mistake(path), expected);
        }
        assert!(mistake("/{file:path}").starts_with("write `{file}`: the type"));
        assert!(mistake("/a?b={c}").starts_with("a path has no query string"));
    }

    #[test]
    fn braces_that_do_not_match_are_refused() {
        assert!(mistake("/{id").starts_with("`{id` is not closed: write `{id}`"));
        assert!(mistake("/{id/x").starts_with("`{id` is not closed"));
        assert!(mistake("/{id}}").starts_with("`{id}` is not closed"));
        assert!(mistake("/{a{b}").starts_with("`{a` is not closed"));
        assert!(mistake("/{}}a}").ends_with("cannot begin with `}`"));
        assert!(mistake("/id}").starts_with("this `}` closes nothing"));
    }

    #[test]
    fn a_parameter_needs_a_name_of_its_own() {
        assert_eq!(mistake("/{}"), "a path parameter needs a name: `{name}`");
        assert_eq!(mistake("/{*}"), "a path parameter needs a name: `{*name}`");
        assert_eq!(
            mistake("/{a}/{a}"),
            "the path has two parameters called `a`"
        );
    }

    #[test]
    fn nothing_but_a_slash_can_follow_a_parameter() {
        assert!(mistake("/{id}.png").starts_with("a parameter ends its segment"));
        assert!(mistake("/{a}{b}").starts_with("a segment has one parameter"));
        assert!(mistake("/{*rest}/x").starts_with("`{*rest}` takes all that is left"));
        assert!(mistake("/{*rest}/").starts_with("`{*rest}` takes all that is left"));
    }

    #[test]
    fn mistakes_in_several_segments_are_all_reported() {
        assert_eq!(parameters("a/:b/{}/{c}x").map_err(|all| all.len()), Err(4));
    }

    /// Returns whether axum takes the path: what `validate_path` of its `PathRouter` looks at, and then
    /// matchit.
    fn axum_takes(path: &str) -> bool {
        let mut segments = path.split('/');
        path.starts_with('/')
            && !segments.any(|segment| segment.starts_with([':', '*']))
            && matchit::Router::new().insert(path, ()).is_ok()
    }

    /// Returns whether this is a mistake although axum takes the path.
    fn is_refused_on_purpose(path: &str, mistake: &str) -> bool {
        let says = |text| mistake.contains(text);
        let path = path.replace("{{", "");
        // matchit looks for the end of a name alone, and for that not at the first character. A name
        // with a brace or a slash is one that was not closed.
        let begins_with_slash = path.contains("{/");
        let has_brace = path.split('/').any(|it| it.matches('{').count() > 1);
        // With a slash in it, what are segments here is all one name there.
        begins_with_slash
            || says("is not closed") && has_brace
            // axum would never find the route: no request's path has these characters.
            || says("a path has no query string")
            || says("`, not `<")
            // The name would be `id:u64`, for which there is no argument.
            || says("the type of a path parameter")
            // Two values, and one argument to take them.
            || says("the path has two parameters called")
    }

    /// Pieces of paths, right and wrong, in any order.
    fn paths() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            3 => select(vec!["/", "{", "}", "{{", "}}", "*", ":", "?", "<", ">", "a", "é"]),
            2 => select(vec!["/{a}", "/{b}", "/{*c}", "/x"]),
        ];
        ("/?", vec(piece, 0..10)).prop_map(|(start, pieces)| start + &pieces.concat())
    }

    /// A path, its parameters' names, and the path of a request for it.
    fn right_paths() -> impl Strategy<Value = (String, Vec<String>, String)> {
        let text = select(vec!["", "x", "{", "}", ":é"]);
        let name = option::of(select(vec!["a", "b{", "c}d", "é"]));
        vec((text, name), 1..6).prop_map(|segments| {
            let escaped = |text: &str| text.replace('{', "{{").replace('}', "}}");
            let (mut path, mut names, mut request) = (String::new(), Vec::new(), String::new());
            for (index, (text, name)) in segments.into_iter().enumerate() {
                // `:` begins no segment.
                path += &format!("/.{}", escaped(text));
                request += &format!("/.{text}");
                if let Some(name) = name {
                    let name = format!("{name}{index}");
                    path += &format!("{{{}}}", escaped(&name));
                    request += "value";
                    names.push(name);
                }
            }
            (path, names, request)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: ProptestConfig::default().cases.max(10_000),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn a_path_is_refused_where_axum_refuses_it_or_on_purpose(path in paths()) {
            match parameters(&path) {
                Ok(names) => prop_assert!(axum_takes(&path), "axum refuses {path}: {names:?}"),
                Err(mistakes) if axum_takes(&path) => {
                    for mistake in mistakes {
                        let on_purpose = is_refused_on_purpose(&path, &mistake);
                        prop_assert!(on_purpose, "axum takes {path}: {mistake}");
                    }
                }
                Err(_) => {}
            }
        }

        #[test]
        fn parameters_have_the_names_that_axum_gives_them((path, names, request) in right_paths()) {
            prop_assert_eq!(parameters(&path), Ok(names.clone()));
            let mut router = matchit::Router::new();
            router.insert(&path, ()).expect("a right path");
            let matched = router.at(&request).expect("a request for it");
            let given: Vec<_> = matched.params.iter().map(|(name, _)| name).collect();
            prop_assert_eq!(given, names);
        }
    }

    #[test]
    fn a_path_has_no_more_parameters_than_axum_can_number() {
        let path = |count| {
            (0..count)
                .map(|index| format!("/{{p{index}}}"))
                .collect::<String>()
                + "/{*rest}"
        };
        assert_eq!(named(&path(25)).len(), 26);
        assert!(axum_takes(&path(25)));
        assert_eq!(mistake(&path(26)), "a path has at most 25 parameters");
        assert!(catch_unwind(|| axum_takes(&path(26))).is_err());
    }
}
