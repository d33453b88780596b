/// Sends one email.
///
/// To one recipient.
pub async fn send_email(
    to: String,
    subject: &str,
    priority: u8,
    note: &str,
    code: Code,
    mailer: Mailer,
    cx: &TaskContext,
) -> Result<(), MailError> {
    mailer.send(to, subject, priority, note, code, cx).await
}
/// Sends one email.
///
/// To one recipient.
#[must_use = "a task does nothing until it is queued or attached to a response"]
#[allow(
    deprecated,
    missing_copy_implementations,
    missing_debug_implementations,
    unused_qualifications,
    clippy::all,
    clippy::nursery,
    clippy::pedantic,
)]
pub struct SendEmail {
    /// Who gets it.
    pub to: String,
    ///The `subject` argument of [`send_email`](fn@send_email).
    pub subject: ::std::string::String,
    ///The `priority` argument of [`send_email`](fn@send_email).
    pub priority: u8,
    ///The `note` argument of [`send_email`](fn@send_email).
    pub note: ::std::string::String,
    ///The `code` argument of [`send_email`](fn@send_email).
    pub code: Code,
}
#[allow(
    deprecated,
    missing_copy_implementations,
    missing_debug_implementations,
    unused_qualifications,
    clippy::all,
    clippy::nursery,
    clippy::pedantic,
)]
impl SendEmail {
    ///A task that calls [`send_email`](fn@send_email) with these arguments. It does nothing until it is queued.
    pub fn new(
        to: impl ::bg_runtime::IntoText<String>,
        subject: impl ::bg_runtime::IntoText<::std::string::String>,
        code: Code,
    ) -> Self {
        Self {
            to: ::bg_runtime::IntoText::into_text(to),
            subject: ::bg_runtime::IntoText::into_text(subject),
            priority: Self::__default_priority(),
            note: Self::__default_note(),
            code: code,
        }
    }
    ///Replaces the default of `priority`.
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }
    fn __default_priority() -> u8 {
        1
    }
    ///Replaces the default of `note`.
    pub fn note(
        mut self,
        note: impl ::bg_runtime::IntoText<::std::string::String>,
    ) -> Self {
        self.note = ::bg_runtime::IntoText::into_text(note);
        self
    }
    fn __default_note() -> ::std::string::String {
        ::bg_runtime::IntoText::into_text("none")
    }
}
#[allow(
    deprecated,
    missing_copy_implementations,
    missing_debug_implementations,
    unused_qualifications,
    clippy::all,
    clippy::nursery,
    clippy::pedantic,
)]
const _: () = {
    const __RECORD: &::bg_runtime::TaskDef = &(::bg_runtime::TaskDef::new)("emails.send")
        .docs("Sends one email.\n\nTo one recipient.")
        .timeout(::core::time::Duration::from_millis(90000u64))
        .on_error(report)
        .parameters({
            const PARAMETERS: &[::bg_runtime::Parameter] = &[
                ::bg_runtime::Parameter::new("to", "String"),
                ::bg_runtime::Parameter::new("subject", "&str"),
                ::bg_runtime::Parameter::new("priority", "u8"),
                ::bg_runtime::Parameter::new("note", "&str"),
                ::bg_runtime::Parameter::new("code", "Code").secret(),
            ];
            PARAMETERS
        })
        .states({
            const STATES: &[::bg_runtime::StateDef] = &[
                ::bg_runtime::StateDef::of::<Mailer>("mailer"),
            ];
            STATES
        });
    impl ::bg_runtime::Task for SendEmail {
        const DEF: &'static ::bg_runtime::TaskDef = __RECORD;
        fn run(
            self,
            __cx: ::bg_runtime::TaskContext,
        ) -> impl ::core::marker::Send + ::core::future::Future<
            Output = ::bg_runtime::TaskResult,
        > {
            let Self {
                to: __arg0,
                subject: __arg1,
                priority: __arg2,
                note: __arg3,
                code: __arg4,
            } = self;
            let _ = send_email;
            async move {
                let __arg5 = ::bg_runtime::__private::state::<Mailer>(&__cx, "mailer")?;
                let __output = (
                    send_email(__arg0, &__arg1, __arg2, &__arg3, __arg4, __arg5, &__cx)
                        .await,
                );
                ::bg_runtime::__private::IntoTaskResult::into_task_result(__output.0)
            }
        }
        fn try_clone(&self) -> ::core::option::Option<Self> {
            use ::bg_runtime::__private::{CloneTask as _, OnceTask as _};
            (&::bg_runtime::__private::Probe(self)).__bg_try_clone()
        }
        fn arguments(&self) -> ::core::option::Option<impl ::core::fmt::Debug> {
            use ::bg_runtime::__private::{DebugArgument as _, OpaqueArgument as _};
            ::bg_runtime::__private::arguments([
                ("to", (&::bg_runtime::__private::Probe(&self.to)).__bg_argument()),
                (
                    "subject",
                    (&::bg_runtime::__private::Probe(&self.subject)).__bg_argument(),
                ),
                (
                    "priority",
                    (&::bg_runtime::__private::Probe(&self.priority)).__bg_argument(),
                ),
                ("note", (&::bg_runtime::__private::Probe(&self.note)).__bg_argument()),
                ("code", ::bg_runtime::__private::SECRET),
            ])
        }
    }
    ::bg_runtime::__private::value! {
        SendEmail { to : String, subject : ::std::string::String, priority : u8, note :
        ::std::string::String, code : Code }
    }
    ::bg_runtime::__private::debug! {
        SendEmail { "to" to : String, "subject" subject : ::std::string::String,
        "priority" priority : u8, "note" note : ::std::string::String, "code" code }
    }
    ::bg_runtime::__private::response_part! {
        SendEmail
    }
    ::bg_runtime::__private::inventory::submit! {
        __RECORD
    }
};
#[allow(unexpected_cfgs, unused_imports)]
const _: () = {
    #[cfg(rust_analyzer)]
    const _: () = {
        #[allow(non_upper_case_globals)]
        mod settings {
            /**The task's name in logs and reports. Without it: the function's path.

```ignore
name = "emails.welcome"
```*/
            pub const name: () = ();
            /**How long one run may take: text such as `"500ms"`, `"30s"` or `"1h30m"`, or a constant `Duration`.

```ignore
timeout = "30s"
```*/
            pub const timeout: () = ();
            /**How long after it was queued the task may still begin; after that it is skipped. Text such as `"30s"`, or a constant `Duration`. Without it: the task does not expire.

```ignore
expires = "30s"
```*/
            pub const expires: () = ();
            /**How many times the task runs again after a run that failed, panicked or timed out. Its arguments are `Clone`.

```ignore
retries = 3
```*/
            pub const retries: () = ();
            /**How long the task waits before it runs again: always the same, as in `"1s"`, or growing between two bounds, as in `"1s..1m"`, or a constant `Backoff`. Without it: `"100ms..10s"`.

```ignore
retries = 3, backoff = "1s..1m"
```*/
            pub const backoff: () = ();
            /**How many of these tasks run at once; others wait, in order. Without it: no limit.

```ignore
max_concurrent = 4
```*/
            pub const max_concurrent: () = ();
            /**How many runs may begin in any such time, for each key if there is a `key`; others wait, in order. Text such as `"10/s"`, `"100/h"` or `"10/30s"`, or a constant `Rate`. Without it: no limit.

```ignore
rate = "10/s"
```*/
            pub const rate: () = ();
            /**The parameter that `max_per_key`, `max_pending_per_key`, `max_unfinished_per_key` and `rate` count by. It is `Display`, and logs and reports show it.

```ignore
key = user_id, max_per_key = 1
```*/
            pub const key: () = ();
            /**How many of these tasks with the same key run at once; others of that key wait, in order. Without it: no limit.

```ignore
key = user_id, max_per_key = 1
```*/
            pub const max_per_key: () = ();
            /**How many of these tasks with the same key may wait to run; more are refused, or what `on_full` says. Without it: no limit.

```ignore
key = user_id, max_pending_per_key = 100
```*/
            pub const max_pending_per_key: () = ();
            /**How many of these tasks with the same key may wait and run together; more are refused, or what `on_full` says. Without it: no limit.

```ignore
key = user_id, max_unfinished_per_key = 1
```*/
            pub const max_unfinished_per_key: () = ();
            /**What happens to a task beyond `max_pending_per_key` or `max_unfinished_per_key`: `reject` it, have it `replace` the oldest that waits, or `ignore` it. Without it: `reject`.

```ignore
key = user_id, max_pending_per_key = 1, on_full = replace
```*/
            pub const on_full: () = ();
            /**A function that is called with each failure of this task.

```ignore
on_error = report_failure // fn report_failure(failure: &TaskFailure)
```*/
            pub const on_error: () = ();
            /**The task is stored before anybody is told that it will run, and survives the process. It has a `name`, and arguments that serde can write and read. Without other settings it has `retries = 20, backoff = "1s..1h", timeout = "1h"`.

```ignore
durable, name = "emails.welcome"
```*/
            pub const durable: () = ();
            /**The queue of a durable task: a lane with workers of its own. Without it: `default`.

```ignore
durable, name = "videos.cut", queue = "slow"
```*/
            pub const queue: () = ();
            /**A durable task is stored only if no other of its name with the same arguments, or the same values of those that are named, is unfinished.

```ignore
durable, name = "events.index", unique = [event_id]
```*/
            pub const unique: () = ();
            /**The name that a durable task had before, or a list of them: what is stored under it runs as this task.

```ignore
durable, name = "emails.welcome", was = "emails.hello"
```*/
            pub const was: () = ();
            /**The limits of a durable task that hold in each process alone: `rate`, `max_concurrent` and `max_per_key`.

```ignore
per_process(rate = "10/s", max_concurrent = 4)
```*/
            pub const per_process: () = ();
        }
        use settings::name as _;
        use settings::timeout as _;
        use settings::on_error as _;
    };
};
