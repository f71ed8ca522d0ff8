//! The wiring: clients, tasks, signals, readiness. Nothing here knows about connectivity.

mod check_config;
mod daemon;
mod discover;
mod import;
mod live_probes;
mod log;
mod output;
mod server;
mod services;
mod status;
mod textfile;

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, Metadata};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use rustix::termios::tcgetwinsize;
use tokio::runtime;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::access::{Access, WebError};
use crate::attempt::Runner;
use crate::catalogue::listing::ListingError;
use crate::cli::{self, Args, Command, ReportFormat};
use crate::config::{Config, ConfigError, LogConfig, LogFormat, LogLevel};
use crate::estate::ImportError;
use crate::explain::{self, UnknownWord};
use crate::metrics::Metrics;
use crate::observation::{Environment, cut};
use crate::once::{Finished, Run};
use crate::probe::lookup;
use crate::report::{self, Report, text};
use crate::wire::trust::TrustError;
use live_probes::LiveProbes;
use status::StatusError;

const DEFAULT_CONFIG: &str = "/etc/linkproof/linkproof.toml";

/// More observations than the checks of an estate can make in one turn of the engine.
const OBSERVATIONS: usize = 256;

/// More than all sources of both families open at once.
const FILES: u64 = 16_384;

/// Variables by which programs are sent through a proxy. Nothing here obeys them.
const PROXY_VARIABLES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// What is not sent through it.
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    block_file_size_signal();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // Started by the daemon alone, so that no help text names it.
    if let [_, argument] = &arguments[..]
        && argument == lookup::ARGUMENT
    {
        return if lookup::helper::run().is_ok() { ExitCode::SUCCESS } else { cli::USAGE.into() };
    }
    let args = match Args::read(arguments) {
        Ok(args) => args,
        Err(usage) => {
            // Best effort: standard output may be closed.
            let _ = usage.print();
            return if usage.use_stderr() { cli::USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    match run_command(&args) {
        Ok(code) => code.into(),
        Err(error) => {
            print_error(&error);
            error.exit_code().into()
        }
    }
}

/// A file beyond `RLIMIT_FSIZE` would end the process and leave half of it behind. With the signal
/// blocked the write fails instead. Threads and child processes inherit that, which is fine.
fn block_file_size_signal() {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGXFSZ);
    // Best effort: without it all works as long as the limit is not met.
    let _ = signals.thread_block();
}

fn run_command(args: &Args) -> Result<u8, StartError> {
    match &args.command {
        Some(Command::Import(args)) => return import::run(args),
        Some(Command::Discover(args)) => return discover::run(args),
        Some(Command::Explain { word }) => return explain(word.as_deref()),
        Some(Command::Status(args)) => return status::run(args, status::Ask::Report),
        Some(Command::Check(args)) => return status::run(args, status::Ask::CheckNow),
        Some(Command::Services { word, region, format }) => {
            return services::run(word.as_deref(), region.as_deref(), *format);
        }
        None => {}
    }
    if args.check_config {
        return check_config::run(args);
    }
    let config = load_config(args)?;
    log::start(log_config(args, config.log));
    raise_file_limit();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Runtime)?;
    if args.once {
        return runtime.block_on(once(args, &config));
    }
    runtime.block_on(daemon::run(args, config)).map(|()| 0)
}

fn explain(word: Option<&str>) -> Result<u8, StartError> {
    let page = explain::explain(word, style()).map_err(StartError::UnknownWord)?;
    output::print(&page).map(|()| 0).map_err(StartError::Output)
}

/// A window of the egress check on a host with many addresses takes hundreds of sockets, and the
/// soft limit is 1024 almost everywhere, for the sake of programs that use select(2).
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        wanted_files(soft, hard).map_or(Ok(()), |wanted| setrlimit(Resource::RLIMIT_NOFILE, wanted, hard))
    });
    if let Err(error) = raised {
        // What cannot be opened is inconclusive, and the report says so.
        tracing::warn!("cannot raise the limit of open files: {error}");
    }
}

/// The soft limit to set, where it is to be raised.
fn wanted_files(soft: u64, hard: u64) -> Option<u64> {
    Some(hard.min(FILES)).filter(|wanted| soft < *wanted)
}

fn load_config(args: &Args) -> Result<Config, StartError> {
    let mut config = read_config(args.config.as_deref()).map_err(StartError::Config)?;
    if !args.listen.is_empty() {
        config.web.listen.clone_from(&args.listen);
    }
    if args.web_config.is_some() {
        config.web.config_file.clone_from(&args.web_config);
    }
    config.web.open_health |= args.open_health;
    Ok(config)
}

fn read_config(file: Option<&Path>) -> Result<Config, ConfigError> {
    file.map_or_else(|| load_if_there(Path::new(DEFAULT_CONFIG)), Config::load)
}

/// A file that was named must be there; the one at the default path may be absent.
fn load_if_there(path: &Path) -> Result<Config, ConfigError> {
    match Config::load(path) {
        Err(error) if error.is_missing() => Ok(Config::default()),
        other => other,
    }
}

/// Options go first.
fn log_config(args: &Args, config: LogConfig) -> LogConfig {
    let level = args.log_level.map(|level| match level {
        cli::Level::Debug => LogLevel::Debug,
        cli::Level::Info => LogLevel::Info,
        cli::Level::Warn => LogLevel::Warn,
        cli::Level::Error => LogLevel::Error,
    });
    let format = args.log_format.map(|format| match format {
        cli::LogFormat::Text => LogFormat::Text,
        cli::LogFormat::Json => LogFormat::Json,
    });
    LogConfig { level: level.unwrap_or(config.level), format: format.unwrap_or(config.format) }
}

/// The web configuration beside what reads the certificates to trust: a mistake in one does not hide
/// those in the other.
fn with_access<T>(config: &Config, trusting: Result<T, StartError>) -> Result<(T, Access), StartError> {
    let access = Access::open(config.web.config_file.clone(), config.web.open_health);
    match (trusting, access) {
        (Ok(trusting), Ok(access)) => Ok((trusting, access)),
        (Ok(_), Err(web)) => Err(StartError::Web(web)),
        (Err(StartError::Trust(trust)), Err(web)) => Err(StartError::TrustAndWeb(trust, web)),
        (Err(error), _) => Err(error),
    }
}

/// What would be written in the place of a file that is read at the next start.
fn overwritten(output: Option<&Path>, config_file: Option<&Path>, config: &Config) -> Option<PathBuf> {
    let file = |path: &Path| fs::metadata(path).ok().map(|file| file_id(&file));
    let output = file(output?)?;
    let config_file = config_file.unwrap_or(Path::new(DEFAULT_CONFIG)).to_owned();
    let inputs = [Some(config_file), config.web.config_file.clone(), config.ca_file.clone()];
    inputs.into_iter().flatten().find(|input| file(input) == Some(output))
}

/// The same for every path that leads to the file.
fn file_id(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

async fn once(args: &Args, config: &Config) -> Result<u8, StartError> {
    if let Some(input) = overwritten(args.output.as_deref(), args.config.as_deref(), config) {
        return Err(StartError::Overwrites(input));
    }
    let (sink, observations) = mpsc::channel(OBSERVATIONS);
    let runner = Arc::new(Runner::new(LiveProbes::new(config)?, sink).asking_again());
    let run = Run { config, runner, observations, environment: environment(env::vars_os()) };
    let Finished { report, is_region_missing } =
        run.rounds(args.wait.unwrap_or(Duration::ZERO), show_progress).await;
    if io::stderr().is_terminal() {
        // What is left of the progress line must not stand beside the report.
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    let page = match args.format {
        ReportFormat::Text => {
            text::render(&report, if args.output.is_some() { text::Style::PLAIN } else { style() })
        }
        ReportFormat::Json => report::json::render(&report).map_err(StartError::Json)?,
        ReportFormat::Junit => report::junit::render(&report),
        ReportFormat::Prometheus => Metrics::of(&report).textfile(&report),
    };
    let written = match &args.output {
        Some(path) => output::write(path, &page),
        None => output::print(&page),
    };
    if is_region_missing {
        // The report has an outcome, and the exit code follows it.
        let _ = writeln!(io::stderr(), "linkproof: {NO_REGION}");
    }
    let code = report::exit_code(report.state());
    match written.map_err(StartError::Output) {
        // A failed check matters more than a report that could not be written.
        Err(error) if code == report::FAILED => {
            print_error(&error);
            Ok(code)
        }
        written => written.map(|()| code),
    }
}

/// One line that overwrites itself, for a person who watches.
fn show_progress(report: &Report, deadline: Instant) {
    let left = deadline.saturating_duration_since(Instant::now()).as_secs();
    if io::stderr().is_terminal() {
        let line = crate::wording::shorten(&report.headline().to_string(), 76);
        let _ = write!(io::stderr(), "\r\x1b[K{line} ({left} s left)\r");
    } else {
        tracing::info!(seconds_left = left, "{}", report.headline());
    }
}

const NO_REGION: &str =
    "cannot determine the AWS region from instance metadata; set region in the configuration";

/// For standard output.
fn style() -> text::Style {
    let stdout = io::stdout();
    let size = stdout.is_terminal().then(|| tcgetwinsize(&stdout).ok()).flatten();
    text::Style { color: color(), terminal: size.map(|size| usize::from(size.ws_col)) }
}

/// By the convention of no-color.org: any value but the empty one turns color off.
fn color() -> bool {
    io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// What the variables of a process mean to AWS clients. An empty one is as good as none.
fn environment(variables: impl Iterator<Item = (OsString, OsString)>) -> Environment {
    let set = variables.filter(|(_, value)| !value.is_empty());
    let set: Variables = set.filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
    let is_set = |name: &&str| set.contains_key(*name);
    let text = |value: &OsString| value.to_string_lossy().into_owned();
    Environment {
        proxy_variables: PROXY_VARIABLES.into_iter().filter(is_set).map(str::to_owned).collect(),
        no_proxy: NO_PROXY.into_iter().filter_map(|name| set.get(name)).map(text).collect(),
        endpoint_variables: endpoint_variables(&set),
        region_variables: region_variables(&set),
    }
}

/// By name.
type Variables = BTreeMap<String, OsString>;

/// Most SDKs read the first, botocore and old ones the second.
fn region_variables(set: &Variables) -> BTreeMap<String, String> {
    const LONGEST: usize = 64;
    let region = |name: &str| Some((name.to_owned(), cut(&set.get(name)?.to_string_lossy(), LONGEST)));
    ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().filter_map(region).collect()
}

/// "Service-specific endpoints", "Dual-stack and FIPS endpoints" in the AWS SDKs reference guide.
fn endpoint_variables(set: &Variables) -> Vec<String> {
    const MOST: usize = 16;
    let is_true = |name: &str| set.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let leads_elsewhere = |name: &&String| {
        let url = *name == "AWS_ENDPOINT_URL" || name.starts_with("AWS_ENDPOINT_URL_");
        let switch =
            ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"].contains(&name.as_str()) && is_true(name);
        switch || (url && !is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"))
    };
    set.keys().filter(leads_elsewhere).take(MOST).cloned().collect()
}

fn print_error(error: &StartError) {
    // Best effort: standard error may be closed.
    let _ = writeln!(io::stderr(), "{error}");
}

/// Why there was nothing to report, or no way to.
#[derive(Debug)]
pub enum StartError {
    Config(ConfigError),
    Listing(ListingError),
    Region(String),
    /// Why instance metadata did not say it.
    NoRegion(String),
    Web(WebError),
    Trust(TrustError),
    /// Both cannot be used.
    TrustAndWeb(TrustError, WebError),
    UnknownWord(UnknownWord),
    Listen {
        address: std::net::SocketAddr,
        error: io::Error,
    },
    Thread(io::Error),
    Runtime(io::Error),
    Json(serde_json::Error),
    Output(io::Error),
    /// The same of `import`, which makes no report.
    ImportOutput(io::Error),
    Input(io::Error),
    /// What is written would take the place of this file.
    Overwrites(PathBuf),
    Status(StatusError),
    Import(ImportError),
    Ended(&'static str),
    Slow(Duration),
}

impl StartError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Web(_) | Self::Trust(_) | Self::TrustAndWeb(..) => cli::CONFIGURATION,
            Self::NoRegion(_) => cli::CONFIGURATION,
            Self::UnknownWord(_) | Self::Region(_) | Self::Overwrites(_) => cli::USAGE,
            // 1 says that a check failed. Without a report nothing is known.
            Self::Listen { .. } | Self::Thread(_) | Self::Runtime(_) | Self::Ended(_) | Self::Slow(_) => {
                report::UNKNOWN
            }
            Self::Listing(ListingError::Region(_)) => cli::USAGE,
            Self::Listing(ListingError::NoMatch { .. }) => 1,
            Self::Output(_) | Self::ImportOutput(_) | Self::Json(_) | Self::Status(_) => cli::IO_ERROR,
            Self::Input(_) => cli::NO_INPUT,
            Self::Import(error) => {
                if error.is_usage() {
                    cli::USAGE
                } else {
                    cli::DATA
                }
            }
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // It speaks for itself: file, line, column, message.
            Self::Config(error) => write!(f, "{error}"),
            Self::Listing(error) => write!(f, "linkproof: {error}"),
            Self::Region(region) => {
                write!(f, "linkproof: invalid region {region:?} (expected something like \"us-east-1\")")
            }
            Self::NoRegion(why) => write!(
                f,
                "linkproof: cannot determine the AWS region from instance metadata ({why}); add --region, or set region in the configuration"
            ),
            Self::Web(error) => write!(f, "{error}"),
            Self::Trust(error) => write!(f, "linkproof: {error}"),
            Self::TrustAndWeb(trust, web) => write!(f, "linkproof: {trust}\n{web}"),
            Self::UnknownWord(error) => write!(f, "linkproof: {error}"),
            Self::Listen { address, error } => write!(
                f,
                "linkproof: cannot listen on {address}: {error}; choose another address with [web] listen or --web.listen-address"
            ),
            Self::Thread(error) => write!(f, "linkproof: cannot start a thread: {error}"),
            Self::Runtime(error) => write!(f, "linkproof: cannot start: {error}"),
            Self::Json(error) => write!(f, "linkproof: cannot write the report as JSON: {error}"),
            Self::Output(error) => write!(f, "linkproof: cannot write the report: {error}"),
            Self::ImportOutput(error) => write!(f, "linkproof: cannot write the configuration: {error}"),
            Self::Input(error) => write!(f, "linkproof: {error}"),
            Self::Overwrites(input) => write!(
                f,
                "linkproof: --output would overwrite {}, which linkproof reads; name another file",
                input.display()
            ),
            Self::Status(error) => write!(f, "linkproof: {error}"),
            Self::Import(error) => write!(f, "linkproof: {error}"),
            Self::Slow(limit) => {
                write!(
                    f,
                    "linkproof: the files were not read within {} s; check for a file system that hangs",
                    limit.as_secs()
                )
            }
            Self::Ended(task) => write!(f, "linkproof: {task} ended; nothing can be checked without it"),
        }
    }
}

impl std::error::Error for StartError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_beyond_the_limit_of_a_file_is_no_signal() {
        block_file_size_signal();
        assert!(SigSet::thread_get_mask().unwrap().contains(Signal::SIGXFSZ));
    }

    #[test]
    fn the_limit_of_open_files_is_only_raised_and_never_beyond_the_hard_one() {
        for (soft, hard, wanted) in [
            (1024, 4096, Some(4096)),
            (1024, 1 << 20, Some(FILES)),
            (FILES, 1 << 20, None),
            (1 << 20, 1 << 20, None),
            (1024, 1024, None),
        ] {
            assert_eq!(wanted_files(soft, hard), wanted, "{soft} {hard}");
        }
    }

    #[test]
    fn the_limit_of_open_files_is_raised_for_this_process() {
        let limit = || getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let (before, hard) = limit();
        let wanted = hard.min(FILES);
        setrlimit(Resource::RLIMIT_NOFILE, wanted - 1, hard).unwrap();
        raise_file_limit();
        assert_eq!(limit(), (wanted, hard));
        setrlimit(Resource::RLIMIT_NOFILE, before, hard).unwrap();
    }

    #[test]
    fn only_the_file_at_the_default_path_may_be_absent() {
        let absent = Path::new("/nonexistent/linkproof.toml");
        assert_eq!(load_if_there(absent).unwrap(), Config::default());
        assert!(read_config(Some(absent)).is_err_and(|error| error.is_missing()));
        assert!(load_if_there(Path::new("/")).is_err(), "it is there and cannot be read");
    }

    #[test]
    fn options_of_the_log_go_before_the_configuration() {
        let file = LogConfig { level: LogLevel::Warn, format: LogFormat::Json };
        let read = |line: &str| {
            let args = Args::read(line.split(' ').map(OsString::from)).unwrap();
            log_config(&args, file)
        };
        assert_eq!(read("linkproof"), file);
        assert_eq!(read("linkproof --log.level error"), LogConfig { level: LogLevel::Error, ..file });
        assert_eq!(read("linkproof --log.format text"), LogConfig { format: LogFormat::Text, ..file });
    }

    #[test]
    fn a_report_does_not_take_the_place_of_what_is_read() {
        let folder = env::temp_dir().join(format!("linkproof-app-{:x}", fastrand::u64(..)));
        fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name);
        for name in ["linkproof.toml", "web.yml", "ca.pem", "report"] {
            fs::write(path(name), "").unwrap();
        }
        fs::hard_link(path("ca.pem"), path("link")).unwrap();
        let mut config = Config { ca_file: Some(path("ca.pem")), ..Config::default() };
        config.web.config_file = Some(path("web.yml"));
        for (output, input) in [
            (Some("linkproof.toml"), Some("linkproof.toml")),
            (Some("web.yml"), Some("web.yml")),
            (Some("link"), Some("ca.pem")),
            (Some("report"), None),
            (Some("absent"), None),
            (None, None),
        ] {
            let found = overwritten(output.map(path).as_deref(), Some(&path("linkproof.toml")), &config);
            assert_eq!(found, input.map(path), "{output:?}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    fn environment_of(set: &[(&str, &str)]) -> Environment {
        environment(set.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
    }

    #[test]
    fn an_empty_variable_is_none() {
        let names = ["HTTPS_PROXY", "NO_PROXY", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_USE_FIPS_ENDPOINT"];
        assert_eq!(environment_of(&names.map(|name| (name, ""))), Environment::default());
        let set = [("https_proxy", "x"), ("no_proxy", "a,b"), ("AWS_REGION", "eu-west-1"), ("HOME", "/")];
        let set = environment_of(&set);
        assert_eq!((set.proxy_variables, set.no_proxy), (vec!["https_proxy".into()], vec!["a,b".into()]));
        assert_eq!(set.region_variables, [("AWS_REGION".into(), "eu-west-1".into())].into());
        assert_eq!(set.endpoint_variables, [""; 0]);
    }

    #[test]
    fn variables_lead_elsewhere_by_an_address_or_a_switch() {
        let url = ("AWS_ENDPOINT_URL", "http://localhost");
        let of_service = ("AWS_ENDPOINT_URL_CLOUDWATCH", "http://localhost");
        let ignored = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "True");
        let fips = ("AWS_USE_FIPS_ENDPOINT", "true");
        for (set, found) in [
            (vec![url], vec![url.0]),
            (vec![of_service, url], vec![url.0, of_service.0]),
            (vec![("AWS_ENDPOINT_URLS", "x"), ("AWS_PROFILE", "true")], vec![]),
            (vec![url, of_service, ignored], vec![]),
            (vec![url, ignored, fips], vec![fips.0]),
            (vec![("AWS_USE_FIPS_ENDPOINT", "false"), ("AWS_USE_DUALSTACK_ENDPOINT", "1")], vec![]),
        ] {
            assert_eq!(environment_of(&set).endpoint_variables, found, "{set:?}");
        }
    }

    #[test]
    fn an_unknown_word_is_an_error() {
        assert!(matches!(explain(Some("no-such-word")), Err(StartError::UnknownWord(_))));
    }

    #[test]
    fn what_ended_without_a_report_has_no_code_of_a_pass() {
        assert_eq!(StartError::Ended("a task").exit_code(), 2);
        assert_eq!(StartError::Thread(io::Error::other("EAGAIN")).exit_code(), 2);
        assert_eq!(StartError::Runtime(io::Error::other("EMFILE")).exit_code(), 2);
    }
}
