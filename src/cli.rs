//! The command line, as a command to carry out.

use std::ffi::OsString;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

/// Exit codes, after sysexits(3) where it has one.
pub const USAGE: u8 = 64;
pub const DATA: u8 = 65;
pub const NO_INPUT: u8 = 66;
pub const IO_ERROR: u8 = 74;
pub const CONFIGURATION: u8 = 78;

const AFTER_HELP: &str = "\
The egress check sends, from every global address of this host: ping, TCP 80 and 443, UDP 53 (DNS)
and 123 (NTP), to public hosts of several operators and to two addresses where no host exists, for
3 s every minute. [egress] in the configuration changes all of it.

Exit codes of --once, status and check:
  0   every check passed
  1   at least one check failed
  2   no check failed, but some could not be verified
  64  the command line is wrong
  74  the report could not be written, or the daemon did not answer
  78  the configuration is wrong";

/// Checks from inside a private subnet that AWS service names resolve to interface endpoints, that AWS
/// answers ListMetrics over every network interface of the CloudWatch endpoint, and that the internet is
/// not reachable.
///
/// Without --once it runs as a daemon, which checks on its own schedule and exports the results to
/// Prometheus.
#[derive(Clone, Debug, Parser)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[command(name = "linkproof", version, after_help = AFTER_HELP)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Configuration file. Without it /etc/linkproof/linkproof.toml is read if there is one.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Run every check once, print the report, and exit with its outcome.
    #[arg(long)]
    pub once: bool,

    /// Repeat until every check passes or egress fails. No round starts after this time: 90s, 5m.
    #[arg(long, value_name = "DURATION", requires = "once", value_parser = duration)]
    pub wait: Option<Duration>,

    /// Report format.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text, requires = "once")]
    pub format: ReportFormat,

    /// Write the report to this file instead of standard output.
    #[arg(long, value_name = "FILE", requires = "once")]
    pub output: Option<PathBuf>,

    /// Check the configuration, print every mistake in it, and exit.
    #[arg(long, conflicts_with = "once")]
    pub check_config: bool,

    /// Address of /metrics and the status page, such as 127.0.0.1:10042 or :10042. May be repeated.
    #[arg(id = "listen", long = "web.listen-address", value_name = "ADDRESS", conflicts_with = "once", value_parser = listen_address)]
    pub listen: Vec<SocketAddr>,

    /// TLS, client certificates, users and headers, in the format of Prometheus's exporter-toolkit.
    /// Read again when it, or a file that it names, changes.
    #[arg(id = "web_config", long = "web.config.file", value_name = "FILE", conflicts_with = "once")]
    pub web_config: Option<PathBuf>,

    /// Serve /-/healthy and /-/ready without authentication.
    #[arg(id = "open_health", long = "web.open-health", conflicts_with = "once")]
    pub open_health: bool,

    /// Accept POST /-/reload (reload the configuration, like SIGHUP) and POST /-/check (run every check).
    #[arg(id = "lifecycle", long = "web.enable-lifecycle", conflicts_with = "once")]
    pub lifecycle: bool,

    /// Minimum log level. Default: log.level of the configuration, or info.
    #[arg(id = "level", long = "log.level", value_enum, value_name = "LEVEL")]
    pub log_level: Option<Level>,

    /// Format of the log on standard error. Default: log.format of the configuration, or text.
    #[arg(id = "log_format", long = "log.format", value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

const IMPORT_EXIT_CODES: &str = "\
Exit codes:
  0   the configuration was written
  64  the command line is wrong
  65  the files cannot be made into a configuration
  66  a file cannot be read
  74  the configuration cannot be written";

/// Commands that run no check on their own.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    Discover(DiscoverArgs),

    Import(ImportArgs),

    /// Print the report of the running daemon, and exit with its outcome.
    Status(StatusArgs),

    /// Make the running daemon run every check now, and print its report.
    ///
    /// The daemon must run with --web.enable-lifecycle.
    Check(StatusArgs),

    /// Explain a cause or a reason that a report names; without a word, list them all.
    Explain {
        /// Such as private_dns_off or connect_timeout.
        #[arg(value_name = "CAUSE|REASON")]
        word: Option<String>,
    },

    /// List AWS's endpoint services and their DNS names.
    ///
    /// With a word, show every name of the services that match it: by service, by SDK name, or by
    /// part of a DNS name.
    Services {
        /// What to search for, such as ecr, cloudwatch or kms-fips.
        word: Option<String>,

        /// Region of the names. Without it they contain REGION.
        #[arg(long, value_name = "REGION")]
        region: Option<String>,

        /// Output format.
        #[arg(long, value_enum, default_value_t = ListFormat::Text)]
        format: ListFormat,
    },
}

#[derive(Clone, Debug, Parser)]
pub struct StatusArgs {
    /// The daemon's address. Default: the first of web.listen in the configuration.
    #[arg(long, value_name = "IP:PORT", value_parser = listen_address)]
    pub address: Option<SocketAddr>,

    /// Configuration file of the daemon. Without it /etc/linkproof/linkproof.toml is read if there is one.
    #[arg(long, value_name = "FILE", conflicts_with = "address")]
    pub config: Option<PathBuf>,

    /// Report format.
    #[arg(long, value_enum, default_value_t = StatusFormat::Text)]
    pub format: StatusFormat,
}

/// What the daemon can render.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum StatusFormat {
    Text,
    Json,
    Junit,
}

const DISCOVER_EXIT_CODES: &str = "\
Exit codes:
  0   every name was looked up, whatever it resolves to
  2   interrupted, out of time, or some names could not be looked up
  64  the command line is wrong
  74  the result cannot be written
  78  the configuration is wrong, or the region is not known";

/// Find the endpoints of this subnet by its own DNS.
///
/// Looks up every name of AWS's endpoint services in the region, as applications do and at the VPC
/// resolver, at most 400 packets a second, and connects to those with private addresses. It needs no
/// permissions and no configuration. Ctrl-C prints what is known so far.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = DISCOVER_EXIT_CODES)]
pub struct DiscoverArgs {
    /// Region of the services. Default: region of the configuration, or the instance's.
    #[arg(id = "discover_region", long = "region", value_name = "REGION")]
    pub region: Option<String>,

    /// Configuration file, for region, expected_cidrs, ca_file and instance.metadata. Without it
    /// /etc/linkproof/linkproof.toml is read if there is one.
    #[arg(id = "discover_config", long = "config", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Output format; toml is a configuration that checks what was found.
    #[arg(id = "discover_format", long = "format", value_name = "FORMAT", value_enum, default_value_t = SurveyFormat::Text)]
    pub format: SurveyFormat,

    /// Write the result to this file instead of standard output.
    #[arg(id = "discover_output", long = "output", value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum SurveyFormat {
    Text,
    Json,
    Toml,
}

/// Write a configuration from the output of AWS's or Terraform's tools.
///
/// FILE is the output of `aws ec2 describe-vpc-endpoints` or `terraform show -json`. Output of
/// `aws ec2 describe-subnets`, `describe-network-interfaces` and `describe-vpc-endpoint-services` may
/// be added: the first two give the zone of each address.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = IMPORT_EXIT_CODES)]
pub struct ImportArgs {
    /// Files to read, as JSON. `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// VPC of the endpoints. Default: the only one in the files, or this instance's own.
    #[arg(long, value_name = "VPC")]
    pub vpc: Option<String>,

    /// Region of the VPC. Required if the files do not contain it.
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,

    /// Label for a service's wildcard name, such as execute-api=a1b2c3. May be repeated.
    /// For S3 `s3` is a bucket, `s3-control` an account, `s3-accesspoint` an access point and its account.
    #[arg(id = "label", long, value_name = "SERVICE=NAME", value_parser = label)]
    pub labels: Vec<(String, String)>,

    /// Write the configuration to this file instead of standard output.
    #[arg(id = "import_output", long = "output", value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum ReportFormat {
    Text,
    Json,
    Junit,
    /// Metrics, for node_exporter's textfile collector.
    Prometheus,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum ListFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

impl Args {
    /// `Err` includes --help and --version; clap prints each to the right stream.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let args = Self::try_parse_from(arguments)?;
        if args.command.is_some() && (args.once || args.check_config) {
            let message = "--once and --check-config cannot be used with a command";
            return Err(Self::command().error(ErrorKind::ArgumentConflict, message));
        }
        Ok(args)
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    let (service, name) = text.split_once('=').ok_or("write it as SERVICE=NAME")?;
    Ok((service.to_owned(), name.to_owned()))
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write it as 90s or 5m"))
}

/// As Prometheus and its exporters take it, `:10042` is the port on every address.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let everywhere = text.strip_prefix(':').and_then(|port| port.parse().ok());
    let address = match everywhere {
        Some(port) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port),
        None => text.parse().map_err(|_| "write it as 127.0.0.1:10042, [::1]:10042 or :10042".to_owned())?,
    };
    // The kernel would choose another port at each start.
    if address.port() == 0 {
        return Err("invalid port 0 (expected 1 to 65535)".to_owned());
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Args, clap::Error> {
        Args::read(std::iter::once("linkproof").chain(line.split_whitespace()).map(Into::into))
    }

    #[test]
    fn what_makes_sense_only_with_once_asks_for_it() {
        for line in
            ["--wait 5m", "--output report.json", "--once --check-config", "--once --web.enable-lifecycle"]
        {
            assert!(read(line).is_err(), "{line}");
        }
        let args = read("--web.listen-address=:1 --web.listen-address=127.0.0.1:2").unwrap();
        assert_eq!(args.listen, ["[::]:1", "127.0.0.1:2"].map(|address| address.parse().unwrap()));
        let args = read("--once --wait 5m --format json --output report.json").unwrap();
        assert_eq!((args.wait, args.format), (Some(Duration::from_mins(5)), ReportFormat::Json));
    }

    #[test]
    fn port_zero_is_refused_in_the_words_of_the_file() {
        for address in [":0", "127.0.0.1:0", "[::1]:0"] {
            let refused = read(&format!("--web.listen-address={address}")).unwrap_err().to_string();
            assert!(refused.contains("invalid port 0 (expected 1 to 65535)"), "{refused}");
        }
    }

    #[test]
    fn commands_take_their_own_options() {
        let args = read("services ecr --region eu-west-1 --format json").unwrap();
        let Some(Command::Services { word, region, format }) = args.command else { panic!("{args:?}") };
        assert_eq!((word.as_deref(), region.as_deref()), (Some("ecr"), Some("eu-west-1")));
        assert_eq!(format, ListFormat::Json);
        assert!(read("").unwrap().command.is_none());
        for line in ["--once services", "services --once", "services --format junit", "services a b"] {
            assert!(read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn discover_needs_nothing_and_takes_its_own_options() {
        let discover = |line| match read(line).map(|args| args.command) {
            Ok(Some(Command::Discover(args))) => args,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!((discover("discover").format, discover("discover").region), (SurveyFormat::Text, None));
        let args = discover("discover --region eu-west-1 --format toml --config a.toml --output b.toml");
        assert_eq!((args.region.as_deref(), args.format), (Some("eu-west-1"), SurveyFormat::Toml));
        assert_eq!([args.config, args.output], ["a.toml", "b.toml"].map(|path| Some(PathBuf::from(path))));
        for line in ["discover a", "discover --once", "--once discover", "discover --format junit"] {
            assert!(read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn an_import_has_files_and_labels() {
        let args = read("import a.json - --label execute-api=abc --label x=y=z --output l.toml").unwrap();
        let Some(Command::Import(import)) = args.command else { panic!("{args:?}") };
        assert_eq!(import.files, [PathBuf::from("a.json"), PathBuf::from("-")]);
        assert_eq!(import.labels, [("execute-api", "abc"), ("x", "y=z")].map(|(a, b)| (a.into(), b.into())));
        assert_eq!((import.output, args.output), (Some(PathBuf::from("l.toml")), None));
        for line in
            ["import", "import a.json --label execute-api", "--once import a.json", "import --once a.json"]
        {
            assert!(read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_wait_is_a_duration_with_its_unit() {
        let refusal = read("--once --wait 5").unwrap_err().to_string();
        assert!(refusal.contains("write it as 90s or 5m"), "{refusal}");
    }
}
