use std::fmt;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::TraceId;
use opentelemetry_sdk::trace::SpanData;

/// Spans, each below its parent.
pub(crate) struct Tree(Vec<Row>);

struct Row {
    trace: TraceId,
    depth: usize,
    name: String,
    /// From the beginning of its trace.
    begin: Duration,
    end: Duration,
}

impl Tree {
    pub(crate) fn of(mut spans: Vec<SpanData>) -> Self {
        spans.sort_by_key(|span| span.start_time);
        let mut rows = Vec::new();
        for root in spans.iter().filter(|span| parent(span, &spans).is_none()) {
            push(root, &spans, 0, root.start_time, &mut rows);
        }
        Self(rows)
    }

    /// The names alone, indented.
    pub(crate) fn outline(&self) -> String {
        let rows = self.0.iter();
        rows.map(|row| format!("{:1$}{2}\n", "", 2 * row.depth, row.name))
            .collect()
    }
}

fn parent<'a>(span: &SpanData, spans: &'a [SpanData]) -> Option<&'a SpanData> {
    let id = span.parent_span_id;
    spans
        .iter()
        .find(|other| other.span_context.span_id() == id)
}

fn push(span: &SpanData, spans: &[SpanData], depth: usize, start: SystemTime, rows: &mut Vec<Row>) {
    let since_start = |time: SystemTime| time.duration_since(start).unwrap_or_default();
    rows.push(Row {
        trace: span.span_context.trace_id(),
        depth,
        name: span.name.to_string(),
        begin: since_start(span.start_time),
        end: since_start(span.end_time),
    });
    let id = span.span_context.span_id();
    for child in spans.iter().filter(|other| other.parent_span_id == id) {
        push(child, spans, depth + 1, start, rows);
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.0 {
            if row.depth == 0 {
                writeln!(f, "trace {}", row.trace)?;
            }
            let [begin, end] = [row.begin, row.end].map(|time| time.as_secs_f64() * 1e3);
            let indent = 2 * row.depth;
            writeln!(
                f,
                "{begin:>7.1} ..{end:>7.1} ms  {:indent$}{}",
                "", row.name
            )?;
        }
        Ok(())
    }
}
