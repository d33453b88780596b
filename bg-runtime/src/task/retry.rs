//! What an error says about the next run of its task: that there is none, or when it begins.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::BoxError;
use crate::contain::contain;

/// An error after which its task is not retried, although it has retries left.
///
/// Wraps the error that says what went wrong, and shows that one: its `Display` is that of the inner error,
/// and its [`source`](Error::source) the inner error's. The failure has the kind
/// [`FailureKind::Error`](crate::FailureKind::Error), and [`TaskFailure::will_retry`] returns `false`.
///
/// It may be the error that the task returns, or one of those that `source()` leads to from there, so `?`,
/// `Box<dyn Error>` and `anyhow` may wrap it. An error that does not hand on its `source()` hides it.
///
/// ```standalone_crate
/// use bg_runtime::{Background, BoxError, NoRetry, background_task};
///
/// #[background_task(retries = 3)]
/// async fn deliver(url: String) -> Result<(), BoxError> {
///     let port: u16 = url.rsplit(':').next().unwrap_or("").parse().map_err(NoRetry::new)?;
///     // ..
/// #   let _ = port;
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let background = Background::builder().build()?;
/// let failure = background.spawn(Deliver::new("http://a.b:http")).await.unwrap_err();
/// assert_eq!(failure.error().to_string(), "invalid digit found in string");
/// assert_eq!((failure.attempt(), failure.will_retry()), (1, false));
/// # Ok(())
/// # }
/// ```
///
/// [`TaskFailure::will_retry`]: crate::TaskFailure::will_retry
#[derive(Debug)]
pub struct NoRetry(BoxError);

/// An error that sets how long its task waits before the next run, in place of the backoff.
///
/// Wraps the error that says what went wrong, shows that one, and is found as [`NoRetry`] is, which has the
/// last word if an error has both. If it has several `RetryAfter`, the outermost counts.
///
/// There are no more runs than `retries` allows. The wait is not limited by the upper bound of `backoff`, has
/// no jitter, and may be zero; the next wait is the backoff's again. A wait beyond the end of a shutdown is
/// not waited for: the task is aborted.
///
/// ```standalone_crate
/// use std::time::Duration;
///
/// use bg_runtime::{Background, BoxError, RetryAfter, TaskContext, background_task};
///
/// #[background_task(retries = 1)]
/// async fn fetch(#[context] cx: TaskContext) -> Result<(), BoxError> {
///     match cx.attempt() {
///         1 => Err(RetryAfter::new(Duration::from_secs(120), "the supplier is closed for maintenance").into()),
///         _ => Ok(()),
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let background = Background::builder().build()?;
/// let begun = tokio::time::Instant::now();
/// background.spawn(Fetch).await?;
/// assert_eq!(begun.elapsed().as_secs(), 120);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RetryAfter {
    wait: Duration,
    error: BoxError,
}

impl NoRetry {
    /// Wraps an error, or its message.
    pub fn new(error: impl Into<BoxError>) -> Self {
        Self(error.into())
    }

    /// The error that it wraps, for `downcast_ref`.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl RetryAfter {
    /// Wraps an error, or its message, with the wait before the next run.
    pub fn new(wait: Duration, error: impl Into<BoxError>) -> Self {
        Self {
            wait,
            error: error.into(),
        }
    }

    /// The error that it wraps, for `downcast_ref`.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.error
    }
}

impl fmt::Display for NoRetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for NoRetry {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        RetryAdvice::note(|advice| advice.stops = true);
        self.0.source()
    }
}

impl Error for RetryAfter {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        RetryAdvice::note(|advice| advice.wait = advice.wait.or(Some(self.wait)));
        self.error.source()
    }
}

/// What an error, with all that is behind it, says about the next run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct RetryAdvice {
    /// There is none.
    pub(crate) stops: bool,
    /// How long to wait for it. `None` if the backoff decides.
    pub(crate) wait: Option<Duration>,
}

thread_local! {
    /// The advice that is being collected on this thread, from the errors whose `source()` is called.
    ///
    /// Types alone would not do: a `Box<dyn Error>` made of an `anyhow::Error` is of a private type, for which
    /// `downcast_ref` finds nothing and `source()` answers for the error inside.
    static COLLECTED: Cell<Option<RetryAdvice>> = const { Cell::new(None) };
}

impl RetryAdvice {
    /// Asks an error, and those behind it. No advice if the user's `source()` panics.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Self {
        COLLECTED.set(Some(Self::default()));
        let asked = contain(|| {
            let mut next = Some(error);
            while let Some(error) = next {
                next = error.source();
            }
        });
        let advice = COLLECTED.take().unwrap_or_default();
        asked.map_or_else(|_| Self::default(), |()| advice)
    }

    /// Adds to the advice that is being collected on this thread, if any is.
    fn note(add: impl FnOnce(&mut Self)) {
        COLLECTED.set(COLLECTED.get().map(|mut advice| {
            add(&mut advice);
            advice
        }));
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::task::Chain;

    #[derive(Debug)]
    struct Outer(BoxError);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("webhook not delivered")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&*self.0)
        }
    }

    const MINUTE: Duration = Duration::from_secs(60);

    fn advice(error: impl Error + 'static) -> (bool, Option<Duration>) {
        let advice = RetryAdvice::of(&error);
        (advice.stops, advice.wait)
    }

    #[test]
    fn advice_is_found_wherever_it_is_in_the_chain() {
        assert_eq!(advice(Outer("no".into())), (false, None));
        assert_eq!(advice(NoRetry::new("no")), (true, None));
        assert_eq!(advice(RetryAfter::new(MINUTE, "no")), (false, Some(MINUTE)));
        let deep = Outer(Outer(NoRetry::new("no").into()).into());
        assert_eq!(advice(deep), (true, None));
        let under_advice = RetryAfter::new(MINUTE, Outer(NoRetry::new("no").into()));
        assert_eq!(advice(under_advice), (true, Some(MINUTE)));
        let directly_under_advice = RetryAfter::new(MINUTE, NoRetry::new("no"));
        assert_eq!(advice(directly_under_advice), (true, Some(MINUTE)));
    }

    #[test]
    fn the_outermost_wait_counts_and_zero_is_one() {
        let inner = RetryAfter::new(MINUTE, "no");
        let outer = RetryAfter::new(Duration::ZERO, Outer(inner.into()));
        assert_eq!(advice(outer), (false, Some(Duration::ZERO)));
    }

    #[test]
    fn an_error_that_is_only_shown_leaves_no_advice_for_another() {
        let _ = NoRetry::new("no").source();
        assert_eq!(advice(Outer("no".into())), (false, None));
    }

    #[test]
    fn a_source_that_panics_is_no_advice() {
        #[derive(Debug)]
        struct Panics;
        impl fmt::Display for Panics {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                Ok(())
            }
        }
        impl Error for Panics {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                panic!("in `source`")
            }
        }
        assert_eq!(advice(NoRetry::new(Panics)), (false, None));
        assert_eq!(advice(NoRetry::new("no")), (true, None));
    }

    #[test]
    fn each_text_of_a_chain_is_shown_once() {
        let error = NoRetry::new(Outer("404 Not Found".into()));
        let shown = "webhook not delivered: 404 Not Found";
        assert_eq!(Chain(&error).to_string(), shown);
        let error = RetryAfter::new(MINUTE, error);
        assert_eq!(Chain(&error).to_string(), shown);
        let inner = error.get_ref().downcast_ref::<NoRetry>().unwrap();
        assert!(inner.get_ref().is::<Outer>());
    }
}
