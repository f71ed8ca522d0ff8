//! The log, on standard error: as text or JSON, and in the journal's own manner where it goes
//! there.

use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use tracing::{Event, Level as Severity, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt as log;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

use crate::config::{LogConfig, LogFormat, LogLevel};

/// Only our own lines: what libraries say of an expected failure is in the evidence.
pub fn start(config: LogConfig) {
    let level = match config.level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    let ours = Targets::new().with_target(env!("CARGO_PKG_NAME"), level);
    let registry = tracing_subscriber::registry().with(ours);
    let layer = log::layer().with_writer(io::stderr).with_target(false);
    match (config.format, goes_to_journal()) {
        (LogFormat::Json, _) => registry.with(layer.json().flatten_event(true)).init(),
        (LogFormat::Text, true) => registry.with(layer.event_format(Journal::new())).init(),
        (LogFormat::Text, false) => registry.with(layer.with_ansi(false)).init(),
    }
}

/// The variable alone is inherited by whatever a service starts: it names the journal's pipe,
/// which standard error has to be (systemd.exec(5)).
fn goes_to_journal() -> bool {
    let Some(journal) = env::var_os("JOURNAL_STREAM") else { return false };
    fs::metadata("/proc/self/fd/2").is_ok_and(|ours| journal == *format!("{}:{}", ours.dev(), ours.ino()))
}

/// The severity as sd-daemon(3) has it, for `journalctl -p`. The journal stamps each line itself.
struct Journal(Format<Full, ()>);

impl Journal {
    fn new() -> Self {
        Self(log::format().without_time().with_level(false).with_target(false).with_ansi(false))
    }
}

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Severity::ERROR => 3,
            Severity::WARN => 4,
            Severity::INFO => 6,
            Severity::DEBUG | Severity::TRACE => 7,
        };
        let mut text = String::new();
        self.0.format_event(context, Writer::new(&mut text), event)?;
        // Each line of a message is one of the journal.
        let mut writer = writer;
        text.lines().try_for_each(|line| writeln!(writer, "<{priority}>{line}"))
    }
}
