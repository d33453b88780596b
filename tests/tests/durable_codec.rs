//! What durable tasks are stored as, and what is made of it again.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bg_runtime::__private::{shown_text, task_of, text_of, unique_text};
use bg_runtime::durable::{EnqueueError, SecretKey, Store};
use bg_runtime::testing::{Memory, Recorder};
use bg_runtime::{
    Background, Backoff, DurableDef, Task, TaskContext, TaskDef, TaskExt, TaskResult,
    background_task,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[background_task(durable, name = "codec.welcome", was = ["codec.hello", "codec.greet"])]
async fn send_welcome(
    #[was("address", "email")] to: String,
    subject: &str,
    #[default = 1] priority: u8,
    #[default = "none"] note: &str,
    #[state] _mailer: u32,
    #[context] _cx: TaskContext,
) {
    drop((to, subject, priority, note));
}

#[background_task(durable, name = "codec.nothing")]
fn nothing() {}

#[background_task(durable, name = "codec.code")]
async fn send_code(
    user: u64,
    #[secret]
    #[was("pin")]
    code: String,
    #[secret(stored_in_clear)] hint: String,
) {
    drop((user, code, hint));
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u128,
    lines: Vec<(String, f64)>,
    tags: HashMap<String, Option<char>>,
}

#[background_task(durable, name = "codec.every_type")]
#[expect(clippy::too_many_arguments, reason = "one of each")]
async fn every_type(
    order: Order,
    shared: Arc<str>,
    boxed: Box<str>,
    path: PathBuf,
    shared_path: Arc<Path>,
    os: OsString,
    cow: Cow<'static, str>,
    list: &[u8],
    wait: Duration,
    r#type: Option<i128>,
) {
    drop((
        order,
        shared,
        boxed,
        path,
        shared_path,
        os,
        cow,
        wait,
        r#type,
    ));
    let _ = list;
}

#[background_task(durable, name = "codec.ratio")]
async fn set_ratio(ratio: f64, all: Vec<f32>) {
    drop((ratio, all));
}

#[background_task(durable, name = "codec.index", unique)]
async fn index(tags: HashMap<u8, u8>) {
    drop(tags);
}

#[background_task(durable, name = "codec.event", unique = [id])]
async fn handle_event(id: u128, #[secret] body: String) {
    drop((id, body));
}

#[background_task(durable, name = "codec.by_key", key = user, max_unfinished_per_key = 2)]
async fn by_key(user: String, n: u8) {
    drop((user, n));
}

struct Explosive;

impl Serialize for Explosive {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("in `Serialize`")
    }
}

impl<'de> Deserialize<'de> for Explosive {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("in `Deserialize`")
    }
}

#[background_task(durable, name = "codec.explosive")]
async fn explode(it: Explosive) {
    let _ = it;
}

#[derive(Serialize, Deserialize)]
struct Report {
    month: u8,
    #[serde(default)]
    copies: u8,
}

impl Task for Report {
    const DEF: &'static TaskDef =
        &TaskDef::new("codec.report").durable(DurableDef::serde::<Self>().unique_by(&["month"]));

    async fn run(self, _: TaskContext) -> TaskResult {
        Ok(())
    }
}

bg_runtime::register!(Report);

#[derive(Serialize, Deserialize)]
struct Unit;

impl Task for Unit {
    const DEF: &'static TaskDef = &TaskDef::new("codec.unit").durable(DurableDef::serde::<Self>());

    async fn run(self, _: TaskContext) -> TaskResult {
        Ok(())
    }
}

bg_runtime::register!(Unit);

fn key(byte: u8) -> SecretKey {
    SecretKey::new([byte; 32])
}

/// The text of a task without secrets.
fn text(task: impl bg_runtime::IntoTask) -> String {
    text_of(task, []).unwrap()
}

/// What becomes of the text: the task, written again.
fn again(name: &str, arguments: &str) -> Result<String, String> {
    let task = task_of(name, arguments, [key(1)]).map_err(|error| error.to_string())?;
    text_of(task, [key(1)]).map_err(|error| error.to_string())
}

/// P-DURABLE-26
#[test]
fn arguments_are_an_object_by_the_names_of_the_parameters() {
    let task = SendWelcome::new("ada", "hi");
    let stored = r#"{"to":"ada","subject":"hi","priority":1,"note":"none"}"#;
    assert_eq!(text(task), stored);
    assert_eq!(again("codec.welcome", stored).as_deref(), Ok(stored));
    assert_eq!(text(Nothing), "{}");
    assert_eq!(
        again("codec.nothing", r#"{"more": 1}"#).as_deref(),
        Ok("{}")
    );
}

/// P-DURABLE-26
#[test]
fn an_argument_is_found_by_its_name_its_old_names_or_its_default() {
    let stored = r#"{"to":"ada","subject":"hi","priority":1,"note":"none"}"#;
    for arguments in [
        r#"{"to":"ada","subject":"hi"}"#,
        r#"{"address":"ada","subject":"hi","unknown":[{}]}"#,
        r#"{"email":"ada","subject":"hi","priority":1}"#,
        r#"{"to":"ada","address":"bob","subject":"hi"}"#,
        r#"{"to":"bob","subject":"hi","to":"ada"}"#,
        " {\n \"to\" : \"ad\\u0061\", \"subject\" : \"hi\" } ",
    ] {
        for name in ["codec.welcome", "codec.hello", "codec.greet"] {
            assert_eq!(again(name, arguments).as_deref(), Ok(stored), "{arguments}");
        }
    }
}

/// P-DURABLE-28
#[test]
fn what_cannot_be_read_names_the_parameter_and_what_was_found() {
    for (arguments, expected) in [
        ("{}", &["argument `to` is missing, none are stored: "][..]),
        (
            r#"{"to":"ada","title":"hi"}"#,
            &[
                "argument `subject` is missing, stored are `title`, `to`: ",
                "`#[was(\"..\")]`",
                "`#[default = ..]`",
            ],
        ),
        (
            r#"{"to":7,"subject":"hi"}"#,
            &["argument `to`", "integer `7`", "expected a string"],
        ),
        (
            r#"{"to":"ada","subject":"hi","priority":300}"#,
            &["argument `priority`", "300"],
        ),
        (
            r#"{"to":null,"subject":"hi"}"#,
            &["argument `to`", "null", "expected a string"],
        ),
        ("[]", &["no JSON object", "sequence"]),
        ("7", &["no JSON object", "integer `7`"]),
    ] {
        let error = again("codec.welcome", arguments).unwrap_err();
        for part in expected {
            assert!(error.contains(part), "{arguments}: {error}");
        }
        // The value of another argument, which may be a secret of a parameter that is gone.
        assert!(!error.contains("ada"), "{arguments}: {error}");
    }
}

#[test]
fn every_type_that_serde_knows_and_every_text_comes_back() {
    let task = EveryType::new(
        Order {
            id: u128::MAX,
            lines: vec![("a\"\\\n\u{1F980}".into(), 0.1 + 0.2)],
            tags: HashMap::from([("x".into(), None)]),
        },
        "shared",
        "boxed",
        "/a/ü",
        "b/c",
        "os",
        Cow::Borrowed("cow"),
        vec![0, 255],
        Duration::new(3, 7),
        Some(i128::MIN),
    );
    let stored = text(task.clone());
    assert!(
        stored.contains(r#""shared_path":"b/c","os":"os""#),
        "{stored}"
    );
    assert!(stored.contains(r#""type":-170141183460469231731687303715884105728"#));
    assert_eq!(
        again("codec.every_type", &stored).as_deref(),
        Ok(stored.as_str())
    );
}

/// P-DURABLE-27
#[cfg(unix)]
#[test]
fn a_path_that_is_not_unicode_is_refused_when_it_is_stored() {
    use std::os::unix::ffi::OsStringExt as _;
    let mut task = EveryType::new(
        Order {
            id: 1,
            lines: Vec::new(),
            tags: HashMap::new(),
        },
        "",
        "",
        "",
        "",
        "",
        Cow::Borrowed(""),
        Vec::new(),
        Duration::ZERO,
        None,
    );
    task.os = OsString::from_vec(vec![0xFF]);
    let error = text_of(task, []).unwrap_err().to_string();
    assert_eq!(error, "argument `os` cannot be stored: it is not Unicode");
}

/// P-DURABLE-27
#[test]
fn a_number_that_json_has_no_word_for_is_refused_when_it_is_stored() {
    assert_eq!(
        text(SetRatio::new(0.5, vec![1.0])),
        r#"{"ratio":0.5,"all":[1.0]}"#
    );
    for (task, name) in [
        (SetRatio::new(f64::NAN, Vec::new()), "ratio"),
        (SetRatio::new(0.0, vec![f32::INFINITY]), "all"),
    ] {
        let error = text_of(task, []).unwrap_err().to_string();
        let expected =
            format!("argument `{name}` cannot be stored, because it could not be read back");
        assert!(
            error.starts_with(&expected) && error.contains("NaN"),
            "{error}"
        );
    }
}

/// P-DURABLE-28
#[test]
fn a_panic_of_serde_is_an_error_in_both_directions() {
    let error = text_of(Explode::new(Explosive), []).unwrap_err();
    assert!(error.to_string().contains("in `Serialize`"), "{error}");
    let error = again("codec.explosive", r#"{"it":1}"#).unwrap_err();
    assert!(error.contains("in `Deserialize`"), "{error}");
}

/// P-DURABLE-25
#[test]
fn a_secret_is_stored_sealed_and_shown_as_nothing() {
    let task = SendCode::new(7, "4711", "blue");
    let stored = text_of(task.clone(), [key(1)]).unwrap();
    assert!(stored.contains(r#""user":7"#) && stored.contains(r#""hint":"blue""#));
    assert!(
        !stored.contains("4711") && stored.contains(&key(1).id()),
        "{stored}"
    );
    let opened = task_of("codec.code", &stored, [key(2), key(1)]).unwrap();
    // Sealed with the first key, opened with any.
    let stored = text_of(opened, [key(2)]).unwrap();
    assert!(stored.contains(&key(2).id()));
    let shown = shown_text("codec.code", &stored).unwrap();
    assert_eq!(shown, r#"{"code":"***","hint":"***","user":7}"#);
    assert_eq!(shown_text("codec.code", "[4711]").unwrap(), "\"***\"");
    let old = shown_text("codec.code", r#"{"pin":"4711"}"#).unwrap();
    assert_eq!(old, r#"{"pin":"***"}"#);
    assert_eq!(shown_text("codec.nothing", "[4711]").unwrap(), "[4711]");
    let error = text_of(task, []).unwrap_err().to_string();
    assert!(
        error.contains("`code`") && error.contains("secret_keys"),
        "{error}"
    );
}

/// P-DURABLE-25
#[test]
fn a_secret_that_no_key_opens_says_which_key_it_wants() {
    let stored = text_of(SendCode::new(7, "4711", "blue"), [key(2)]).unwrap();
    let error = again("codec.code", &stored).unwrap_err();
    assert!(
        error.contains("argument `code`") && error.contains(&key(2).id()),
        "{error}"
    );
    assert!(!error.contains("4711") && !error.contains(&key(1).id()));
}

#[test]
fn a_secret_of_a_time_before_it_was_one_is_read_as_it_is() {
    let stored = r#"{"user":7,"pin":"4711","hint":"blue"}"#;
    let task = task_of("codec.code", stored, []).unwrap();
    let stored = text_of(task, [key(1)]).unwrap();
    assert!(!stored.contains("4711") && stored.contains(r#""code":{"$sealed":"#));
}

/// P-DURABLE-25
#[test]
fn no_error_quotes_a_secret() {
    for arguments in [
        r#"{"user":7,"code":4711,"hint":"blue"}"#,
        r#"{"user":7,"code":["4711"],"hint":"blue"}"#,
        r#"{"user":7,"code":"x","hint":{"4711":1}}"#,
        r#"{"user":7,"code":{"$sealed":"4711"},"hint":"blue"}"#,
    ] {
        let error = again("codec.code", arguments).unwrap_err();
        assert!(
            error.contains("argument `") && !error.contains("4711"),
            "{error}"
        );
    }
}

#[test]
fn a_task_that_is_not_durable_is_not_written() {
    let error = text_of(bg_runtime::named("codec.one_off", async {}), []).unwrap_err();
    assert!(error.to_string().contains("not durable"), "{error}");
}

#[test]
fn a_task_by_hand_is_stored_with_serde() {
    let stored = text(Report {
        month: 3,
        copies: 2,
    });
    assert_eq!(stored, r#"{"month":3,"copies":2}"#);
    let again_stored = again("codec.report", r#"{"month":3}"#).unwrap();
    assert_eq!(again_stored, r#"{"month":3,"copies":0}"#);
    assert_eq!(text(Unit), "{}");
    assert_eq!(again("codec.unit", "{}").as_deref(), Ok("{}"));
    assert!(again("codec.report", "{}").unwrap_err().contains("month"));
}

/// P-DURABLE-17
#[test]
fn tasks_with_the_same_arguments_have_the_same_value() {
    let many = || Index::new((0..100).map(|n| (n, n)).collect());
    let value = unique_text(many());
    assert_eq!(
        value,
        unique_text(many()),
        "maps differ in their order alone"
    );
    assert_ne!(value, unique_text(Index::new(HashMap::new())));
    assert_eq!(value.map(|value| value.len()), Some(64));
}

/// P-DURABLE-17
#[test]
fn only_what_is_named_makes_a_task_the_same_as_another() {
    let event = |id, body: &str| unique_text(HandleEvent::new(id, body));
    assert_eq!(event(1, "a"), event(1, "b"));
    assert_ne!(event(u128::MAX, "a"), event(u128::MAX - 1, "a"));
    let report = |month, copies| unique_text(Report { month, copies });
    assert_eq!(report(1, 1), report(1, 2));
    assert_ne!(report(1, 1), report(2, 1));
    // By call, all that is no secret counts.
    let code = |user, code: &str| unique_text(SendCode::new(user, code, "").unique());
    assert_eq!(code(1, "a"), code(1, "b"));
    assert_ne!(code(1, "a"), code(2, "a"));
    assert_eq!(unique_text(SendCode::new(1, "a", "")), None);
}

/// P-DURABLE-18
#[test]
fn tasks_whose_key_is_counted_have_the_value_of_their_key() {
    let value = |user: &str, n| unique_text(ByKey::new(user, n));
    assert!(value("ada", 1).is_some());
    assert_eq!(value("ada", 1), value("ada", 2));
    assert_ne!(value("ada", 1), value("bob", 1));
}

#[test]
fn a_durable_task_without_settings_has_twenty_retries_in_an_hour_at_most() {
    let store = Store::from(Memory::new()).secret_keys([key(1)]);
    let builder = Background::builder().state(1_u32).durable(store);
    let background = builder.build().unwrap();
    let tasks = background.tasks();
    let task = tasks.iter().find(|task| task.name() == "codec.nothing");
    let task = task.unwrap();
    let hour = Duration::from_secs(3600);
    let backoff = Backoff::exponential(Duration::from_secs(1), hour);
    assert_eq!((task.retries(), task.backoff()), (20, backoff));
    assert_eq!(task.timeout(), Some(hour));
}

/// Each file is what a release has stored: `name.json` is a task, and each line of it the arguments of one. None is
/// ever changed; a release that stores something else adds lines.
/// P-DURABLE-26
#[test]
fn what_earlier_releases_stored_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden_payloads");
    let mut lines = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        for arguments in fs::read_to_string(&path).unwrap().lines() {
            let read = task_of(name, arguments, [key(7)]);
            assert!(read.is_ok(), "{name}: {arguments}: {}", read.unwrap_err());
            lines += 1;
        }
    }
    assert!(lines >= 8, "{lines} are not all");
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| serde_json::json!(value).to_string()),
        any::<i128>().prop_map(|value| value.to_string()),
        any::<String>().prop_map(|value| serde_json::json!(value).to_string()),
        Just(r#"{"$sealed":"df8051e1:AAAA"}"#.to_owned()),
    ];
    let name = prop_oneof![
        4 => proptest::sample::select(vec!["to", "subject", "priority", "note", "user", "code", "hint", "pin", "it", "order", "$sealed"]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    leaf.prop_recursive(4, 64, 8, move |inner| {
        let members = proptest::collection::vec((name.clone(), inner.clone()), 0..8);
        prop_oneof![
            proptest::collection::vec(inner, 0..8).prop_map(|all| format!("[{}]", all.join(","))),
            members.prop_map(|members| {
                let members = members
                    .into_iter()
                    .map(|(name, value)| format!("{}:{value}", serde_json::json!(name)));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

const NAMES: [&str; 9] = [
    "codec.welcome",
    "codec.nothing",
    "codec.code",
    "codec.every_type",
    "codec.ratio",
    "codec.index",
    "codec.event",
    "codec.report",
    "codec.unit",
];

proptest! {
    /// P-DURABLE-28
    #[test]
    fn arguments_of_any_json_are_a_task_or_an_error(arguments in json()) {
        for name in NAMES {
            let _ = task_of(name, &arguments, [key(7)]);
            shown_text(name, &arguments).unwrap();
        }
    }

    /// P-DURABLE-28
    #[test]
    fn arguments_of_any_text_are_a_task_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let arguments = String::from_utf8_lossy(&bytes);
        for name in NAMES {
            let _ = task_of(name, &arguments, [key(7)]);
        }
    }

    #[test]
    fn text_of_any_characters_comes_back(to in any::<String>(), subject in any::<String>(), priority in any::<u8>()) {
        let stored = text(SendWelcome::new(&to, &subject).priority(priority));
        prop_assert_eq!(again("codec.welcome", &stored), Ok(stored));
        let sealed = text_of(SendCode::new(1, &to, &subject), [key(1)]).unwrap();
        prop_assert!(task_of("codec.code", &sealed, [key(1)]).is_ok());
    }
}

/// P-DURABLE-28
#[test]
fn arguments_that_are_nested_without_end_are_an_error_and_no_overflow() {
    for (open, close) in [("[", "]"), (r#"{"to":"#, "}")] {
        let deep = open.repeat(50_000) + "1" + &close.repeat(50_000);
        let arguments = format!(r#"{{"to":{deep},"subject":{deep},"order":{deep},"tags":{deep}}}"#);
        for name in NAMES {
            let _ = task_of(name, &arguments, [key(7)]);
            let _ = shown_text(name, &arguments);
        }
        assert!(again("codec.welcome", &arguments).is_err());
    }
}

/// Without a store, as with one.
#[tokio::test]
async fn a_recorder_refuses_what_is_enqueued_beyond_the_limit_of_its_key() {
    let recorder = Recorder::new();
    for _ in 0..2 {
        recorder.enqueue(ByKey::new("ada", 1)).await.unwrap();
    }
    let refused = recorder.enqueue(ByKey::new("ada", 1)).await.unwrap_err();
    assert!(
        matches!(&refused, EnqueueError::TooMany { key, limit: 2, .. } if key == "ada"),
        "{refused}"
    );
    recorder.enqueue(ByKey::new("eva", 1)).await.unwrap();
    assert_eq!(recorder.names().len(), 3);
}
