//! The port's own protection: the file that Prometheus's exporters share, asked by curl and
//! scraped by a real Prometheus.

use std::fs;
use std::net::SocketAddr;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

use crate::harness::{BINARY, Scratch, eventually, own_lab, packaged};
use crate::lab::{Child, Lab, Output, Run};
use crate::prometheus::{DAEMON, HASTY, Prometheus};

/// By htpasswd, of `proof-of-links` and of `colon:and ünicode`.
const USERS: &str = "basic_auth_users:
  prometheus: $2y$10$HoP5dF57r0Qs8y82fFF5yuOqRSUR34SsT9AWajXhXQmL7pV2jaBjS
  operator: $2y$05$BKEhMqERsH37.djpEyNDGe6XXc62M4FIsksftLlP3KNEum8JXgmu2
";
const TLS: &str = "tls_server_config:
  cert_file: server.pem
  key_file: server.key
";
const CLIENTS: &str = "  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
";
const HTTPS: &str = "https://127.0.0.1:10042";

/// An authority, and what it signed, as files.
struct Authority<'a> {
    scratch: &'a Scratch,
    issuer: Issuer<'static, KeyPair>,
}

impl<'a> Authority<'a> {
    fn new(scratch: &'a Scratch, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        scratch.write(&format!("{name}.pem"), &params.self_signed(&key).unwrap().pem());
        Self { scratch, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, file: &str, name: &str) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::IpAddress("127.0.0.1".parse().unwrap()));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.scratch.write(&format!("{file}.key"), &key.serialize_pem());
        self.scratch.write(&format!("{file}.pem"), &certificate.pem());
    }
}

/// The daemon with such a file, and options beside it.
struct Guarded<'a> {
    lab: &'a Lab,
    scratch: &'a Scratch,
    child: Child,
}

impl<'a> Guarded<'a> {
    fn start(lab: &'a Lab, scratch: &'a Scratch, web: &str, options: &[&str]) -> Self {
        let config = scratch.write("linkproof.toml", HASTY);
        let web = scratch.write("web.yml", web);
        let run = Run::new(BINARY).arg("--config").arg(config).arg("--web.config.file").arg(web);
        let mut guarded = Self { lab, scratch, child: lab.spawn(&run.args(options)) };
        eventually("the daemon to listen", || {
            assert!(guarded.child.is_running(), "{}", guarded.child.stderr());
            guarded.child.stderr().contains("Ready.").then_some(())
        });
        guarded
    }

    fn curl(&self, options: &str) -> Output {
        let line = format!("cd {} && curl -sS -m 9 {options}", self.scratch.0.display());
        self.lab.run(&Run::new("bash").args(["-c", &line]))
    }

    /// The status, `000` where there was no answer.
    fn status(&self, options: &str) -> String {
        self.curl(&format!("-o /dev/null -w '%{{http_code}}' {options}")).stdout
    }
}

#[test]
fn behind_tls_the_port_speaks_nothing_else() {
    let (lab, scratch) = (own_lab(), Scratch::new("web-tls"));
    Authority::new(&scratch, "ca").sign("server", "localhost");
    let server = Guarded::start(&lab, &scratch, &format!("{TLS}  min_version: TLS13\n"), &[]);
    let metrics = server.curl(&format!("--cacert ca.pem {HTTPS}/metrics")).stdout;
    assert!(metrics.contains("linkproof_check_success{"), "{metrics}");
    let verbose = server.curl(&format!("--cacert ca.pem -v --http2 -o /dev/null {HTTPS}/-/ready")).stderr;
    assert!(verbose.contains("TLSv1.3") && verbose.contains("HTTP/1.1 200"), "{verbose}");

    assert_eq!(server.status(&format!("{HTTPS}/metrics")), "000", "nobody vouches for it");
    assert_eq!(server.status(&format!("--cacert ca.pem --tls-max 1.2 {HTTPS}/metrics")), "000");
    let clear = server.curl("-i http://127.0.0.1:10042/metrics").stdout;
    assert!(clear.starts_with("HTTP/1.1 400") && clear.contains("use https"), "{clear}");
    assert!(!clear.contains("linkproof_"), "{clear}");
}

#[test]
fn users_show_their_password_and_health_may_be_left_open() {
    let (lab, scratch) = (own_lab(), Scratch::new("web-users"));
    let server = Guarded::start(&lab, &scratch, USERS, &["--web.open-health", "--web.enable-lifecycle"]);
    let at = |path: &str| format!("http://127.0.0.1:10042{path}");
    for (credentials, status) in [
        ("", "401"),
        ("-u prometheus:proof-of-links", "200"),
        ("-u prometheus:proof-of-link", "401"),
        ("-u 'operator:colon:and ünicode'", "200"),
        ("-u operator:proof-of-links", "401"),
        ("-u nobody:proof-of-links", "401"),
        ("-H 'Authorization: Bearer proof-of-links'", "401"),
    ] {
        for path in ["/metrics", "/"] {
            assert_eq!(server.status(&format!("{credentials} {}", at(path))), status, "{credentials} {path}");
        }
        assert_eq!(server.status(&format!("{credentials} -X POST {}", at("/-/reload"))), status);
        assert_eq!(server.status(&format!("{credentials} {}", at("/-/healthy"))), "200");
        assert_eq!(server.status(&format!("{credentials} {}", at("/-/ready"))), "200");
    }
    let asked = server.curl(&format!("-i {}", at("/metrics"))).stdout.to_lowercase();
    assert!(asked.contains("www-authenticate: basic realm=\"linkproof\""), "{asked}");
    assert!(asked.contains("content-security-policy: default-src 'none'"), "{asked}");
    let log = server.child.stderr();
    assert!(!log.contains("proof-of-links") && !log.contains("$2y$"), "{log}");
}

#[test]
fn only_certificates_of_the_right_authority_and_name_are_let_in() {
    let (lab, scratch) = (own_lab(), Scratch::new("web-clients"));
    let authority = Authority::new(&scratch, "ca");
    authority.sign("server", "localhost");
    authority.sign("prometheus", "prometheus.example");
    authority.sign("other", "other.example");
    Authority::new(&scratch, "stranger").sign("forged", "prometheus.example");
    let certificate =
        |name: &str, path: &str| format!("--cacert ca.pem --cert {name}.pem --key {name}.key {HTTPS}{path}");
    let named = format!("{TLS}{CLIENTS}  client_allowed_sans: [prometheus.example]\n");
    let server = Guarded::start(&lab, &scratch, &named, &[]);
    assert_eq!(server.status(&certificate("prometheus", "/metrics")), "200");
    for stranger in ["other", "forged"] {
        assert_eq!(server.status(&certificate(stranger, "/metrics")), "000", "{stranger}");
    }
    for path in ["/metrics", "/-/healthy"] {
        assert_eq!(server.status(&format!("--cacert ca.pem {HTTPS}{path}")), "000", "{path}");
    }
    drop(server);

    // For the sake of health the handshake lets others in too: they must get no further.
    let server = Guarded::start(&lab, &scratch, &named, &["--web.open-health"]);
    let anonymous = |path: &str| server.status(&format!("--cacert ca.pem {HTTPS}{path}"));
    assert_eq!((anonymous("/-/healthy"), anonymous("/-/ready")), ("200".into(), "200".into()));
    assert_eq!((anonymous("/metrics"), anonymous("/")), ("403".into(), "403".into()));
    assert_eq!(server.status(&certificate("prometheus", "/metrics")), "200");
    for stranger in ["other", "forged"] {
        assert_eq!(server.status(&certificate(stranger, "/-/healthy")), "000", "{stranger}");
    }
}

#[test]
fn the_file_is_followed_and_a_broken_one_changes_nothing() {
    let (lab, scratch) = (own_lab(), Scratch::new("web-follow"));
    let authority = Authority::new(&scratch, "ca");
    authority.sign("server", "localhost");
    let server = Guarded::start(&lab, &scratch, TLS, &["--web.enable-lifecycle"]);
    let fetch = |options: &str| server.status(&format!("--cacert ca.pem {options} {HTTPS}/metrics"));
    assert_eq!(fetch(""), "200");
    scratch.write("web.yml", &format!("{TLS}{USERS}"));
    assert_eq!((fetch(""), fetch("-u prometheus:proof-of-links")), ("401".into(), "200".into()));

    scratch.write("web.yml", &format!("{TLS}{USERS}  operator: again\n"));
    assert_eq!((fetch(""), fetch("-u prometheus:proof-of-links")), ("401".into(), "200".into()));
    let complaints = |log: &str| log.matches("duplicate mapping key `operator`").count();
    assert_eq!(complaints(&server.child.stderr()), 1, "{}", server.child.stderr());
    let reload = format!("--cacert ca.pem -u prometheus:proof-of-links -X POST {HTTPS}/-/reload");
    let refused = server.curl(&reload).stdout;
    assert!(refused.contains("see the log") && !refused.contains("web.yml"), "{refused}");
    assert!(server.child.stderr().contains("web.yml:7:3: duplicate mapping key"));

    // A file that is being written is empty for a moment; what it takes away needs a reload.
    for (text, lost) in [("", "it no longer has TLS"), (TLS, "it no longer has users")] {
        scratch.write("web.yml", text);
        assert_eq!((fetch(""), fetch("-u prometheus:proof-of-links")), ("401".into(), "200".into()));
        assert!(server.child.stderr().contains(lost), "{}", server.child.stderr());
        let page = server.curl(&format!("--cacert ca.pem -u prometheus:proof-of-links {HTTPS}/metrics"));
        assert!(page.stdout.contains("\nlinkproof_config_last_reload_successful 0\n"), "the alert fires");
    }
    assert_eq!(server.status(&reload), "200");
    assert_eq!(fetch(""), "200");

    // As a renewal replaces it: the new authority alone is trusted by then.
    Authority::new(&scratch, "ca").sign("renewed", "localhost");
    assert_eq!(fetch(""), "000", "it still shows the old one");
    fs::rename(scratch.0.join("renewed.pem"), scratch.0.join("server.pem")).unwrap();
    assert_eq!(server.status(&format!("-k {HTTPS}/metrics")), "200", "between certificate and key");
    fs::rename(scratch.0.join("renewed.key"), scratch.0.join("server.key")).unwrap();
    assert_eq!(fetch(""), "200");
}

#[test]
fn headers_are_added_and_a_rate_is_kept() {
    let (lab, scratch) = (own_lab(), Scratch::new("web-headers"));
    let web = "http_server_config:
  headers:
    X-Frame-Options: deny
    Strict-Transport-Security: max-age=31536000
rate_limit:
  interval: 1h
  burst: 3
";
    let server = Guarded::start(&lab, &scratch, web, &[]);
    let first = server.curl("-i http://127.0.0.1:10042/").stdout.to_lowercase();
    assert!(first.contains("x-frame-options: deny") && first.contains("max-age=31536000"), "{first}");
    let statuses: Vec<String> = (0..3).map(|_| server.status("http://127.0.0.1:10042/metrics")).collect();
    assert_eq!(statuses, ["200", "200", "429"]);
}

#[test]
fn it_listens_on_every_address_that_is_given() {
    let (lab, scratch) = (own_lab(), Scratch::new("web-listen"));
    let addresses: [SocketAddr; 3] =
        ["127.0.0.1:10042", "127.0.0.2:10043", "[::1]:10044"].map(|a| a.parse().unwrap());
    let options: Vec<String> =
        addresses.iter().map(|address| format!("--web.listen-address={address}")).collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let server = Guarded::start(&lab, &scratch, "", &options);
    for address in addresses {
        assert_eq!(server.status(&format!("http://{address}/metrics")), "200", "{address}");
    }
    assert_eq!(server.status("http://127.0.0.2:10042/metrics"), "000");
    assert!(server.child.stderr().contains("listen=127.0.0.1:10042 127.0.0.2:10043 [::1]:10044"));
}

#[test]
fn a_file_that_cannot_be_used_is_said_before_anything_starts() {
    let (lab, scratch) = (own_lab(), Scratch::new("web-refused"));
    let web = scratch.write("web.yml", TLS);
    let config = scratch.write("linkproof.toml", &format!("web.config_file = '{}'", web.display()));
    for last in [&["--check-config"][..], &[]] {
        let output = lab.run(&Run::new(BINARY).arg("--config").arg(&config).args(last));
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        let (file, key) = (web.display(), scratch.0.join("server.pem"));
        let said = format!("{file}: tls_server_config: cannot read cert_file {}", key.display());
        assert!(output.stderr.contains(&said), "{}", output.stderr);
    }
}

#[test]
fn prometheus_scrapes_it_with_password_and_certificate_and_not_without() {
    let (lab, scratch) = (own_lab(), Scratch::new("web-prometheus"));
    let authority = Authority::new(&scratch, "ca");
    authority.sign("server", "localhost");
    authority.sign("prometheus", "prometheus.example");
    let _server = Guarded::start(&lab, &scratch, &format!("{TLS}{CLIENTS}{USERS}"), &[]);
    let job = |name: &str, scheme: &str, user: &str, certificate: &str| {
        format!(
            "- {{job_name: {name}, scheme: {scheme}, static_configs: [{{targets: ['{DAEMON}']}}], {user} tls_config: {{ca_file: ca.pem, {certificate}}}}}\n"
        )
    };
    let user = "basic_auth: {username: prometheus, password: proof-of-links},";
    let certificate = "cert_file: prometheus.pem, key_file: prometheus.key";
    let jobs = [
        job("both", "https", user, certificate),
        job("no_user", "https", "", certificate),
        job("wrong_password", "https", &user.replace("links", "lynx"), certificate),
        job("no_certificate", "https", user, ""),
        job("clear", "http", user, ""),
    ];
    let prometheus = Prometheus::start(&lab, &scratch, &jobs.concat(), "");
    prometheus.until("linkproof_check_success{job='both',check='monitoring/connect'} == 1");
    prometheus.until("count(up == 0) == 4");
    assert_eq!(prometheus.query("up == 1").len(), 1);
    assert_eq!(prometheus.query("count by (job) (linkproof_check_success)").len(), 1);
}

#[test]
fn the_example_that_ships_is_taken() {
    let (lab, scratch) = (own_lab(), Scratch::new("web-example"));
    let authority = Authority::new(&scratch, "ca");
    authority.sign("server", "localhost");
    authority.sign("prometheus", "prometheus.example");
    let shipped = fs::read_to_string(packaged("examples/web.yml")).unwrap();
    let here = [
        ("/etc/pki/tls/certs/linkproof.pem", "server.pem"),
        ("/run/credentials/linkproof.service/web.key", "server.key"),
        ("/etc/pki/tls/certs/monitoring-ca.pem", "ca.pem"),
    ];
    let web = here.iter().fold(shipped, |text, (there, here)| text.replacen(there, here, 1));
    let server = Guarded::start(&lab, &scratch, &web, &[]);
    let prometheus =
        "--cacert ca.pem --cert prometheus.pem --key prometheus.key -u prometheus:proof-of-links";
    assert_eq!(server.status(&format!("{prometheus} {HTTPS}/metrics")), "200");
}
