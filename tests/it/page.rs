//! The status page in a real browser on an instance of the lab, healthy and broken. The pictures
//! stay in the build directory for people to look at.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::harness::{Scratch, eventually, http, own_lab, program};
use crate::lab::{Fault, Lab, Run};
use crate::prometheus::{DAEMON, HASTY, daemon};

const LAPTOP: &str = "1100,1700";
const PHONE: &str = "400,2400";
const DARK: &str = "--blink-settings=preferredColorScheme=0";

struct Browser<'a> {
    lab: &'a Lab,
    scratch: &'a Scratch,
}

impl Browser<'_> {
    /// What chromium printed, after it had nothing to complain of.
    fn opens(&self, path: &str, options: &[&str]) -> String {
        let run = Run::new(program("chromium", "chromium"))
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--hide-scrollbars", "--enable-logging=stderr"])
            .arg(format!("--user-data-dir={}", self.scratch.0.join("profile").display()))
            .args(options)
            .arg(format!("http://{DAEMON}{path}"))
            .timeout(Duration::from_secs(40));
        let output = self.lab.run(&run);
        assert!(output.status.success(), "{}", output.stderr);
        // What the policy keeps out is told on the console, as is a broken page.
        assert!(!output.stderr.contains("CONSOLE"), "{}", output.stderr);
        output.stdout
    }

    fn photographs(&self, name: &str, size: &str, more: &[&str]) {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
        fs::create_dir_all(&directory).unwrap();
        let picture = directory.join(format!("{name}.png"));
        let (to, size) = (format!("--screenshot={}", picture.display()), format!("--window-size={size}"));
        self.opens("/?still", &[&[to.as_str(), size.as_str()], more].concat());
        // An empty page makes a picture of a few kilobytes.
        assert!(fs::metadata(&picture).unwrap().len() > 20_000, "{}", picture.display());
    }
}

/// Waits for the page to say this.
fn says(lab: &Lab, words: &str) {
    let page = || Some(http::get(lab, DAEMON, "/", "")?.text()).filter(|page| page.contains(words));
    eventually(&format!("the page to say {words}"), page);
}

#[test]
fn page_shows_cause_remedy_and_history() {
    let (lab, scratch) = (own_lab(), Scratch::new("page"));
    let _daemon = daemon(&lab, &scratch, HASTY);
    let browser = Browser { lab: &lab, scratch: &scratch };
    says(&lab, "<strong>PASS</strong>");
    browser.photographs("healthy", LAPTOP, &[]);
    for (fault, verdict, title, seen) in [
        (Fault::PrivateDnsOff, "monitoring/dns", "Private DNS is off", "203.0.113.20"),
        (Fault::EndpointBSilent, "monitoring/connect", "One network interface of the endpoint", "10.0.2.113"),
        (Fault::NatOpen, "egress/ipv4", "The subnet has internet egress over IPv4", "1.1.1.1"),
    ] {
        lab.set([fault]);
        says(&lab, title);
        let dom = browser.opens("/", &["--dump-dom"]);
        for words in ["<strong>FAIL</strong>", verdict, title, "<dt>Remedy</dt>", seen, " ago</time>"] {
            assert!(dom.contains(words), "{} shows no {words}:\n{dom}", fault.name());
        }
        browser.photographs(fault.name(), LAPTOP, &[]);
    }
    browser.photographs("nat-open-phone-dark", PHONE, &[DARK]);

    lab.set([]);
    says(&lab, "<strong>PASS</strong>");
    let dom = browser.opens("/?still", &["--dump-dom"]);
    let (_, past) = dom.split_once("Last failures").unwrap();
    for words in
        ["<strong>egress/ipv4</strong>", "then passed", "<strong>monitoring/dns</strong>", "203.0.113.20"]
    {
        assert!(past.contains(words), "the history lacks {words}:\n{past}");
    }
    browser.photographs("healthy-again", LAPTOP, &[]);
}

/// So many endpoints, each in two zones.
fn estate(count: usize) -> String {
    let own = "vpce-0123456789abcdef0-lab00000";
    let domain = "monitoring.us-east-1.vpce.amazonaws.com";
    let mut config = "interval = '5s'\ntimeout = '2s'\n[egress]\ninterval = '5s'\nwindow = '1s'\n".to_owned();
    for number in 1..=count {
        config += &format!(
            "[[endpoint]]\nname = 'estate-{number}'\nhost = 'estate-{number}.us-east-1.amazonaws.com'\n\
             vpce_hosts = ['{own}.{domain}', '{own}-us-east-1a.{domain}', '{own}-us-east-1b.{domain}']\n"
        );
    }
    config
}

#[test]
fn page_opens_with_a_matrix_of_any_number_of_endpoints() {
    for count in [1, 20, 200] {
        let (lab, scratch) = (own_lab(), Scratch::new("matrix"));
        let _daemon = daemon(&lab, &scratch, &estate(count));
        let browser = Browser { lab: &lab, scratch: &scratch };
        says(&lab, "<strong>PASS</strong>");
        let dom = browser.opens("/?still", &["--dump-dom"]);
        let (_, matrix) = dom.split_once("<table class=\"matrix\" aria-labelledby=\"matrix\">").unwrap();
        let (matrix, below) = matrix.split_once("</table>").unwrap();
        let rows = matrix.matches("<tr><th scope=\"row\"><a href=\"#e").count();
        let cells = matrix.matches("<span class=\"cell pass\"><b>pass</b> <i>10.0.").count();
        assert_eq!((rows, cells), (count, 2 * count), "{matrix}");
        let folded = below.matches("<details class=\"endpoint\"").count();
        let open = below.matches("<details class=\"endpoint\" open").count();
        assert_eq!((folded, open), (count, usize::from(count == 1)));
        browser.photographs(&format!("estate-{count}"), LAPTOP, &[]);
        browser.photographs(&format!("estate-{count}-phone"), PHONE, &[]);

        lab.set([Fault::EndpointBSilent]);
        says(&lab, "<b>FAIL</b> <i>10.0.2.113</i>");
        says(&lab, "One network interface of the endpoint does not respond");
        browser.photographs(&format!("estate-{count}-dead-zone-dark"), LAPTOP, &[DARK]);
        // Links of the matrix open what is folded.
        let last = format!("/?still#e{count}");
        let dom = browser.opens(&last, &["--dump-dom"]);
        let (before, _) = dom.split_once(&format!("<div id=\"e{count}\">")).unwrap();
        let (_, details) = before.rsplit_once("<details class=\"endpoint\"").unwrap();
        assert!(details.starts_with(" open"), "{details}");
        browser.photographs(&format!("estate-{count}-dead-zone-phone-dark"), PHONE, &[DARK]);
    }
}
