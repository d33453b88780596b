//! The arguments of a durable task, on their way to the store and back.
//!
//! Each parameter has one [`StoredArgument`], which knows how to write its type and how to read it: the bound on the
//! type stands in one place, so that one argument that cannot be stored is one error.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_core::Serialize;
use serde_core::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::one_line::OneLine;
use crate::secret_key::{PlaceOfSecret, SecretKeys};
use crate::task::payload::{ObjectText, is_doubtful, members, sealed, unsealed};
use crate::task::{BoxError, DurableDef, Task};

/// An argument of a durable task: any that serde can write and read. A trait of its own, for the error message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored with a durable task",
    label = "a durable task is stored with its arguments, as JSON",
    note = "derive serde's `Serialize` and `Deserialize` for it, store what it can be found by, such as an id, or make it `#[state]`",
    note = "serde has what it has for types of others behind features: `Arc` and `Rc` need its `rc`"
)]
pub trait DurableArg: Serialize + DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> DurableArg for T {}

/// Text as [`IntoText`](crate::IntoText) makes it, stored as a string whatever serde makes of it.
pub trait DurableText: Sized {
    /// `None` if it is not Unicode.
    fn __bg_text(&self) -> Option<&str>;
    fn __bg_from_text(text: String) -> Self;
}

macro_rules! durable_text {
    ($($target:ty: $text:expr;)+) => { $(
        impl DurableText for $target {
            fn __bg_text(&self) -> Option<&str> {
                let text: fn(&Self) -> Option<&str> = $text;
                text(self)
            }

            fn __bg_from_text(text: String) -> Self {
                text.into()
            }
        }
    )+ };
}

durable_text! {
    String: |text| Some(text);
    Box<str>: |text| Some(text);
    Arc<str>: |text| Some(text);
    PathBuf: |path| path.to_str();
    OsString: |text| text.to_str();
}

// Of these a `String` makes none at once.
macro_rules! durable_path {
    ($($target:ty),+) => { $(
        impl DurableText for $target {
            fn __bg_text(&self) -> Option<&str> {
                self.to_str()
            }

            fn __bg_from_text(text: String) -> Self {
                PathBuf::from(text).into()
            }
        }
    )+ };
}

durable_path!(Box<Path>, Arc<Path>);

/// A durable task that [`#[background_task]`](macro@crate::background_task) made.
pub trait DurableTask: Task + Send {
    /// The names under which secret arguments are or were stored.
    const SECRETS: &'static [&'static str];
    /// The parameters whose arguments are sealed.
    const SEALED: &'static [&'static str];

    fn put(&self, put: &mut Put<'_>) -> Result<(), BoxError>;
    fn take(take: &Take<'_>) -> Result<Self, BoxError>;
}

/// The arguments of a task that is being written.
#[derive(Debug)]
pub struct Put<'a> {
    task: &'static str,
    purpose: Purpose<'a>,
    object: ObjectText,
}

#[derive(Debug)]
enum Purpose<'a> {
    Store(&'a SecretKeys),
    /// To be compared with those of other tasks: those of these names, or all that are no secrets.
    Compare(Option<&'a [&'a str]>),
}

/// The arguments of a task that is being read.
#[derive(Debug)]
pub struct Take<'a> {
    /// The name of the task, and its old names.
    names: (&'static str, &'static [&'static str]),
    keys: &'a SecretKeys,
    members: std::collections::BTreeMap<String, &'a RawValue>,
}

/// Writes all arguments of a task.
pub(in crate::task) fn put<T: DurableTask>(
    task: &T,
    keys: &SecretKeys,
) -> Result<String, BoxError> {
    write_all(task, Purpose::Store(keys))
}

/// Writes the arguments of these names, or all that are no secrets.
pub(in crate::task) fn put_chosen<T: DurableTask>(
    task: &T,
    names: Option<&[&str]>,
) -> Result<String, BoxError> {
    write_all(task, Purpose::Compare(names))
}

fn write_all<T: DurableTask>(task: &T, purpose: Purpose<'_>) -> Result<String, BoxError> {
    let mut put = Put {
        task: T::DEF.name(),
        purpose,
        object: ObjectText::default(),
    };
    task.put(&mut put)?;
    Ok(put.object.finish())
}

/// Reads all arguments of a task.
pub(in crate::task) fn take<T: DurableTask>(
    arguments: &RawValue,
    keys: &SecretKeys,
) -> Result<T, BoxError> {
    let members = members(arguments.get());
    let members = members.map_err(|error| format!("the arguments are no JSON object: {error}"))?;
    let was = T::DEF.durable_def().map_or(&[][..], DurableDef::was);
    T::take(&Take {
        names: (T::DEF.name(), was),
        keys,
        members,
    })
}

/// How the argument of one parameter is written and read.
#[derive(Debug)]
pub struct StoredArgument<T> {
    name: &'static str,
    was: &'static [&'static str],
    secrecy: Secrecy,
    write: fn(&T) -> Result<String, BoxError>,
    read: fn(&str) -> Result<T, BoxError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    Open,
    /// `#[secret(stored_in_clear)]`
    Hidden,
    Sealed,
}

/// The parameter of this name.
pub fn stored<T: DurableArg>(name: &'static str) -> StoredArgument<T> {
    StoredArgument::new(
        name,
        |value| Ok(serde_json::to_string(value)?),
        |text| Ok(serde_json::from_str(text)?),
    )
}

/// The parameter of this name, which is text.
pub fn stored_text<T: DurableText>(name: &'static str) -> StoredArgument<T> {
    StoredArgument::new(
        name,
        |value| {
            let text = value.__bg_text().ok_or("it is not Unicode")?;
            Ok(serde_json::to_string(text)?)
        },
        |text| Ok(T::__bg_from_text(serde_json::from_str(text)?)),
    )
}

impl<T> StoredArgument<T> {
    fn new(
        name: &'static str,
        write: fn(&T) -> Result<String, BoxError>,
        read: fn(&str) -> Result<T, BoxError>,
    ) -> Self {
        Self {
            name,
            was: &[],
            secrecy: Secrecy::Open,
            write,
            read,
        }
    }

    /// `#[was("..")]`
    pub fn was(self, was: &'static [&'static str]) -> Self {
        Self { was, ..self }
    }

    /// `#[secret(stored_in_clear)]`
    pub fn hidden(self) -> Self {
        let secrecy = Secrecy::Hidden;
        Self { secrecy, ..self }
    }

    /// `#[secret]`
    pub fn sealed(self) -> Self {
        let secrecy = Secrecy::Sealed;
        Self { secrecy, ..self }
    }

    pub fn put(&self, value: &T, put: &mut Put<'_>) -> Result<(), BoxError> {
        let is_wanted = match put.purpose {
            Purpose::Store(_) => true,
            Purpose::Compare(Some(names)) => names.contains(&self.name),
            Purpose::Compare(None) => self.secrecy == Secrecy::Open,
        };
        if !is_wanted {
            return Ok(());
        }
        let mut text = (self.write)(value)
            .map_err(|error| self.error("cannot be stored", &error.to_string()))?;
        if is_doubtful(&text) {
            (self.read)(&text).map_err(|error| {
                let lost = "cannot be stored, because it could not be read back (JSON has no NaN and no infinity, and \
                            is read 127 levels deep)";
                self.error(lost, &error.to_string())
            })?;
        }
        if let (Secrecy::Sealed, Purpose::Store(keys)) = (self.secrecy, &put.purpose) {
            let place = PlaceOfSecret {
                task: put.task,
                parameter: self.name,
            };
            let secret = keys.seal(&text, place);
            let secret = secret
                .map_err(|error| format!("argument `{}` cannot be stored: {error}", self.name))?;
            text = sealed(&secret);
        }
        put.object.add(self.name, &text);
        Ok(())
    }

    /// The argument, which has to be there.
    pub fn take(&self, take: &Take<'_>) -> Result<T, BoxError> {
        self.find(take)?.ok_or_else(|| self.missing(take).into())
    }

    /// The argument, or the default that the parameter has.
    pub fn take_or(&self, take: &Take<'_>, default: fn() -> T) -> Result<T, BoxError> {
        Ok(self.find(take)?.unwrap_or_else(default))
    }

    /// Says which arguments there are, by their names alone: one of them may be this one's old name.
    fn missing(&self, take: &Take<'_>) -> String {
        let stored = take.members.keys().map(|name| format!("`{name}`"));
        let stored = match stored.collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => "none are stored".to_owned(),
            names => format!("stored are {}", OneLine(names)),
        };
        format!(
            "argument `{}` is missing, {stored}: if it had another name, give the parameter `#[was(\"..\")]`, and if it is \
             new, `#[default = ..]`",
            self.name
        )
    }

    fn find(&self, take: &Take<'_>) -> Result<Option<T>, BoxError> {
        let mut names = [self.name].into_iter().chain(self.was.iter().copied());
        let found = names.find_map(|name| Some((name, take.members.get(name)?.get())));
        let Some((name, text)) = found else {
            return Ok(None);
        };
        // One that is in clear was stored before its parameter was made secret, or by a client of another language;
        // and one that is sealed before it was made no secret. Who can write to the store can write any argument.
        let Some(secret) = unsealed(text) else {
            let value = (self.read)(text);
            let value = value.map_err(|error| self.error("cannot be read", &error.to_string()))?;
            return Ok(Some(value));
        };
        let (now, was) = take.names;
        let tasks = [now].into_iter().chain(was.iter().copied());
        let places = tasks.map(|task| PlaceOfSecret {
            task,
            parameter: name,
        });
        let places: Vec<_> = places.collect();
        let text = take
            .keys
            .open(&secret, &places)
            .map_err(|error| format!("argument `{}` cannot be read: {error}", self.name))?;
        let value = (self.read)(&text);
        let hidden = "it was opened, and is not of the parameter's type";
        let value =
            value.map_err(|_| format!("argument `{}` cannot be read: {hidden}", self.name))?;
        Ok(Some(value))
    }

    /// What serde says about a value may quote it.
    fn error(&self, what: &str, reason: &str) -> String {
        let reason = match self.secrecy {
            Secrecy::Open => reason,
            Secrecy::Hidden | Secrecy::Sealed => "why would tell of it, and it is secret",
        };
        format!("argument `{}` {what}: {reason}", self.name)
    }
}
