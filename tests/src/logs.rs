//! What was logged in this process. Tests run side by side, so each looks for names of its own.

use std::{
    io,
    sync::{Mutex, OnceLock},
};

use tracing_subscriber::fmt::MakeWriter;

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static INSTALLED: OnceLock<()> = OnceLock::new();

/// Starts to keep what is logged, once per process.
pub fn keep() {
    INSTALLED.get_or_init(|| {
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::INFO)
            .with_writer(Keeper)
            .init();
    });
}

/// The lines so far that contain `text`.
pub fn lines_with(text: &str) -> Vec<String> {
    let logged = LINES.lock().unwrap();
    let logged = String::from_utf8_lossy(&logged);
    let lines = logged.lines().filter(|line| line.contains(text));
    lines.map(str::to_owned).collect()
}

#[derive(Debug, Clone, Copy)]
struct Keeper;

impl io::Write for Keeper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Keeper {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}
