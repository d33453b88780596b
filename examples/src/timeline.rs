//! A log that counts from the latest request, and can be read back.

use std::fmt;
use std::io::{self, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

static START: Mutex<Option<Instant>> = Mutex::new(None);

/// Shows `tracing` events on the screen, each with the time since the latest request.
pub fn init() {
    init_with(Screen { record: None });
}

/// Shows `tracing` events on the screen without a time: for a process whose lines another one shows
/// on its timeline.
pub fn init_untimed() {
    tracing_subscriber::fmt()
        .with_ansi(false)
        .event_format(Untimed)
        .with_writer(|| Screen { record: None })
        .init();
}

/// Like [`init`], and records what is shown. More can be added to the record.
pub(crate) fn init_recorded() -> (UnboundedSender<String>, UnboundedReceiver<String>) {
    let (record, recorded) = unbounded_channel();
    init_with(Screen {
        record: Some(record.clone()),
    });
    (record, recorded)
}

fn init_with(screen: Screen) {
    tracing_subscriber::fmt()
        .with_ansi(false)
        .event_format(Timeline)
        .with_writer(move || screen.clone())
        .init();
}

/// A request has arrived: the clock starts, and so does another paragraph.
pub(crate) fn restart() {
    println!();
    *START.lock().unwrap() = Some(Instant::now());
}

struct Timeline;

impl<S, N> FormatEvent<S, N> for Timeline
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let start = *START.lock().unwrap();
        let elapsed = start.map_or(Duration::ZERO, |start| start.elapsed());
        write!(out, "{:>7.1} ms  ", elapsed.as_secs_f64() * 1e3)?;
        context.format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}

struct Untimed;

impl<S, N> FormatEvent<S, N> for Untimed
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        context.format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}

/// Records a line only when it has been shown, because the reader of the record may show the next
/// one.
#[derive(Clone)]
struct Screen {
    record: Option<UnboundedSender<String>>,
}

impl Write for Screen {
    /// Gets a whole line each time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stdout().write_all(line)?;
        if let Some(record) = &self.record {
            let _ = record.send(String::from_utf8_lossy(line).trim().to_owned());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}
