use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Text that converts into `T`, the text type of a task's parameter.
///
/// `SendEmail::new("a@b.c", subject)` takes `&str`, `String`, `&String` and the like for a `String`
/// parameter, and paths for a `PathBuf` one. Parameters of every other type are exact, so that
/// literals and error messages stay what they are in a plain call.
#[diagnostic::on_unimplemented(
    message = "expected text (`{T}`), found `{Self}`",
    label = "expected text that converts to `{T}`"
)]
pub trait IntoText<T> {
    /// Converts the text, without a copy if it is owned already.
    fn into_text(self) -> T;
}

// One target for each type that bg-macros takes for text (`is_text` in `task/kept.rs`): `new` converts
// to it with `into_text`, and without an implementation here nothing could be passed.
macro_rules! into_text {
    ($($target:ty: $($source:ty),+ => $convert:expr;)+) => { $($(
        #[diagnostic::do_not_recommend]
        impl IntoText<$target> for $source {
            #[inline]
            fn into_text(self) -> $target {
                let convert: fn(Self) -> $target = $convert;
                convert(self)
            }
        }
    )+)+ };
}

into_text! {
    String: String, &str, &mut str, &String, Box<str>, Cow<'_, str>, char => Into::into;
    String: &&str, &&String, &Box<str>, &Arc<str>, &Cow<'_, str> => |text| copy(text);
    String: Arc<str> => |text| copy(&text);
    Box<str>: Box<str>, String, &str, Cow<'_, str> => Into::into;
    Box<str>: &String, &&str, &&String, &Box<str>, &Arc<str>, &Cow<'_, str> => |text| copy(text);
    Box<str>: Arc<str> => |text| copy(&text);
    Arc<str>: Arc<str>, String, &str, Box<str>, Cow<'_, str> => Into::into;
    Arc<str>: &String, &&str, &&String, &Box<str>, &Cow<'_, str> => |text| copy(text);
    Arc<str>: &Arc<str> => Arc::clone;
    PathBuf: PathBuf, String, OsString, Box<Path>, Cow<'_, Path> => Into::into;
    PathBuf: &str, &String, &Path, &PathBuf, &OsStr, &OsString, &&str, &&Path, &&PathBuf => |path| Path::new(path).to_path_buf();
    Box<Path>: Box<Path>, PathBuf, Cow<'_, Path> => Into::into;
    Box<Path>: &str, &String, &Path, &PathBuf, String => |path| Path::new(&path).into();
    Arc<Path>: Arc<Path>, PathBuf, Box<Path>, Cow<'_, Path> => Into::into;
    Arc<Path>: &str, &String, &Path, &PathBuf, String => |path| Path::new(&path).into();
    OsString: OsString, String, PathBuf => Into::into;
    OsString: &str, &String, &Path, &PathBuf, &OsStr, &OsString => |text| OsStr::new(text).to_owned();
}

fn copy<T: for<'a> From<&'a str>>(text: &str) -> T {
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<T>(text: impl IntoText<T>) -> T {
        text.into_text()
    }

    #[test]
    #[expect(
        clippy::needless_borrows_for_generic_args,
        reason = "the borrows are what is tested"
    )]
    fn every_kind_of_text_converts_to_the_text_type_of_a_parameter() {
        let (owned, boxed, shared): (String, Box<str>, Arc<str>) =
            ("x".into(), "x".into(), "x".into());
        let all: [String; 8] = [
            text("x"),
            text(&"x"),
            text(&owned),
            text(&&owned),
            text(boxed),
            text(&shared),
            text(Cow::Borrowed("x")),
            text('x'),
        ];
        assert!(all.iter().all(|text| text == "x"));
        assert_eq!(text::<Arc<str>>(&owned), shared);
        assert_eq!(&*text::<Box<str>>(&shared), "x");
        assert_eq!(text::<PathBuf>("a/b"), Path::new("a").join("b"));
        assert_eq!(text::<PathBuf>(Path::new("a")), PathBuf::from("a"));
        assert_eq!(text::<OsString>(&owned), OsString::from("x"));
    }
}
