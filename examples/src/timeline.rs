//! A log that counts from the latest request, and can be read back.

use std::fmt;
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
    init_with(Timeline { record: None });
}

/// The same, and records what is shown, without the times. More can be added to the record.
pub(crate) fn init_recorded() -> (UnboundedSender<String>, UnboundedReceiver<String>) {
    let (record, recorded) = unbounded_channel();
    init_with(Timeline {
        record: Some(record.clone()),
    });
    (record, recorded)
}

fn init_with(timeline: Timeline) {
    tracing_subscriber::fmt()
        .with_ansi(false)
        .event_format(timeline)
        .init();
}

/// A request has arrived: the clock starts, and so does another paragraph.
pub(crate) fn restart() {
    println!();
    *START.lock().unwrap() = Some(Instant::now());
}

struct Timeline {
    record: Option<UnboundedSender<String>>,
}

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
        let mut line = String::new();
        context.format_fields(Writer::new(&mut line), event)?;
        writeln!(out, "{:>7.1} ms  {line}", elapsed.as_secs_f64() * 1e3)?;
        if let Some(record) = &self.record {
            let _ = record.send(line);
        }
        Ok(())
    }
}
