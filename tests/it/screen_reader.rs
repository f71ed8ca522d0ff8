//! The status page as a screen reader has it: the accessibility tree of a real browser, asked over the
//! DevTools protocol.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Scratch, eventually, http, own_lab, program};
use crate::lab::{Child, Fault, Lab, Run};
use crate::prometheus::{DAEMON, daemon};

/// A busy machine starts a browser in ten seconds.
const PATIENCE: Duration = Duration::from_secs(60);

const LAPTOP: u32 = 1280;
const PHONE: u32 = 390;

const ENDPOINTS: usize = 3;
const CAUSE: &str = "One network interface of the endpoint does not respond";

/// A browser that is told what to do through a pair of pipes.
struct Browser {
    _process: Child,
    to: File,
    from: Receiver<Value>,
    last: u64,
    session: Option<String>,
}

impl Browser {
    fn start(lab: &Lab, scratch: &Scratch) -> Self {
        let [to, from] = ["to", "from"].map(|name| scratch.0.join(name));
        for fifo in [&to, &from] {
            assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
        }
        let run = Run::new("bash")
            .args(["-c", "exec 3<\"$1\" 4>\"$2\"; shift 2; exec \"$@\"", "bash"])
            .args([&to, &from])
            .arg(program("chromium", "chromium"))
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--remote-debugging-pipe", "--force-renderer-accessibility"])
            .arg(format!("--user-data-dir={}", scratch.0.join("profile").display()))
            .arg("about:blank");
        let process = lab.spawn(&run);
        // In the order in which the shell opens them: each waits for the other end.
        let to = OpenOptions::new().write(true).open(to).unwrap();
        let answers = BufReader::new(File::open(from).unwrap());
        let (messages, from) = channel();
        thread::spawn(move || {
            for message in answers.split(0).map_while(Result::ok) {
                let Ok(message) = serde_json::from_slice(&message) else { return };
                if messages.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self { _process: process, to, from, last: 0, session: None };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let target = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", &target);
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        browser.call("Accessibility.enable", &json!({}));
        browser
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let answer = self.from.recv_timeout(PATIENCE);
            let answer = answer.unwrap_or_else(|error| panic!("{method}: {error}"));
            if answer["id"] == json!(self.last) {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    /// What stands on the page at this width.
    fn reads(&mut self, width: u32) -> Page {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500});
        self.call("Emulation.setDeviceMetricsOverride", &size);
        self.call("Page.navigate", &json!({"url": format!("http://{DAEMON}/?still")}));
        eventually("the page to be loaded", || {
            let ready = json!({"expression": "document.readyState + location.pathname"});
            let state = self.call("Runtime.evaluate", &ready);
            (state["result"]["value"] == "complete/").then_some(())
        });
        Page::of(&self.call("Accessibility.getFullAXTree", &json!({})))
    }
}

#[derive(Debug)]
struct Node {
    role: String,
    name: String,
    level: Option<u64>,
    is_expanded: Option<bool>,
    children: Vec<usize>,
}

/// What a screen reader has, in the order of the page.
struct Page {
    nodes: Vec<Node>,
}

impl Page {
    fn of(tree: &Value) -> Self {
        let listed = tree["nodes"].as_array().unwrap();
        let by_id: HashMap<&str, &Value> =
            listed.iter().map(|node| (node["nodeId"].as_str().unwrap(), node)).collect();
        let mut page = Self { nodes: Vec::new() };
        page.add(&listed[0], &by_id);
        page
    }

    /// An ignored node is not announced; what is in it is.
    fn add(&mut self, node: &Value, by_id: &HashMap<&str, &Value>) -> Vec<usize> {
        let children = node["childIds"].as_array().into_iter().flatten();
        let children: Vec<&Value> =
            children.filter_map(|id| by_id.get(id.as_str().unwrap()).copied()).collect();
        if node["ignored"] == json!(true) {
            return children.into_iter().flat_map(|child| self.add(child, by_id)).collect();
        }
        let property = |name: &str| {
            let properties = node["properties"].as_array().into_iter().flatten();
            properties.filter(|property| property["name"] == name).map(|p| p["value"]["value"].clone()).next()
        };
        let text = |key: &str| node[key]["value"].as_str().unwrap_or_default().trim().to_owned();
        let at = self.nodes.len();
        self.nodes.push(Node {
            role: text("role"),
            name: text("name"),
            level: property("level").and_then(|level| level.as_u64()),
            is_expanded: property("expanded").and_then(|expanded| expanded.as_bool()),
            children: Vec::new(),
        });
        let children = children.into_iter().flat_map(|child| self.add(child, by_id)).collect();
        self.nodes[at].children = children;
        vec![at]
    }

    fn of_role<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a Node> {
        self.nodes.iter().filter(move |node| node.role == role)
    }

    fn names(&self, role: &str) -> Vec<&str> {
        self.nodes.iter().filter(|node| node.role == role).map(|node| node.name.as_str()).collect()
    }

    /// All the text in a node, as it is read out.
    fn text(&self, node: &Node) -> String {
        if node.role == "StaticText" {
            return node.name.clone();
        }
        let parts: Vec<String> = node.children.iter().map(|child| self.text(&self.nodes[*child])).collect();
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// The descendants with one of these roles.
    fn below<'a>(&'a self, node: &'a Node, roles: &[&str]) -> Vec<&'a Node> {
        let mut found = Vec::new();
        for child in node.children.iter().map(|child| &self.nodes[*child]) {
            if roles.contains(&child.role.as_str()) {
                found.push(child);
            } else {
                found.extend(self.below(child, roles));
            }
        }
        found
    }

    /// Each cell of a table as it is announced: the head of its row, the head of its column, itself.
    fn cells(&self, name: &str) -> Vec<String> {
        let table = self.of_role("table").find(|table| table.name == name);
        let table = table.unwrap_or_else(|| panic!("no table {name}: {:?}", self.names("table")));
        let rows = self.below(table, &["row"]);
        let heads: Vec<String> =
            self.below(rows[0], &["columnheader"]).iter().map(|n| self.text(n)).collect();
        let mut cells = Vec::new();
        for row in &rows[1..] {
            let row = self.below(row, &["rowheader", "cell", "gridcell"]);
            assert_eq!((row.len(), row[0].role.as_str()), (heads.len(), "rowheader"), "{row:?}");
            let of_row = self.text(row[0]);
            for (head, cell) in heads.iter().zip(&row).skip(1) {
                cells.push(format!("{of_row}; {head}; {}", self.text(cell)));
            }
        }
        cells
    }
}

/// One endpoint in two zones, and two more of which the second has ranges alone.
fn config() -> String {
    let own = "vpce-0123456789abcdef0-lab00000";
    let domain = "monitoring.us-east-1.vpce.amazonaws.com";
    let mut config = "interval = '5s'\ntimeout = '2s'\n[egress]\ninterval = '5s'\nwindow = '1s'\n".to_owned();
    for number in 1..=ENDPOINTS {
        config += &format!(
            "[[endpoint]]\nname = 'estate-{number}'\nhost = 'estate-{number}.us-east-1.amazonaws.com'\n"
        );
        config += &if number == ENDPOINTS {
            "zones = [{ name = 'us-east-1a', cidrs = ['10.0.1.0/24'] }, \
             { name = 'us-east-1b', cidrs = ['10.0.2.0/24'] }, \
             { name = 'us-east-1c', cidrs = ['10.0.5.0/24'] }]\n"
                .to_owned()
        } else {
            format!("vpce_hosts = ['{own}-us-east-1a.{domain}', '{own}-us-east-1b.{domain}']\n")
        };
    }
    config
}

fn says(lab: &Lab, words: &str) {
    let page = || Some(http::get(lab, DAEMON, "/", "")?.text()).filter(|page| page.contains(words));
    eventually(&format!("the page to say {words}"), page);
}

#[test]
fn a_screen_reader_is_told_what_the_page_shows() {
    let (lab, scratch) = (own_lab(), Scratch::new("screen-reader"));
    let _daemon = daemon(&lab, &scratch, &config());
    says(&lab, "<strong>PASS</strong>");
    let mut browser = Browser::start(&lab, &scratch);
    lab.set([Fault::EndpointBSilent]);
    eventually("every endpoint to have failed for one reason", || {
        let page = http::get(&lab, DAEMON, "/", "")?.text();
        let failed = page.matches("<b>FAIL</b> <i>10.0.2.113</i>").count();
        (failed == ENDPOINTS && page.contains(CAUSE) && !page.contains("No known cause")).then_some(())
    });
    for width in [LAPTOP, PHONE] {
        let page = browser.reads(width);
        assert_landmarks(&page);
        assert_headings(&page);
        assert_matrix(&page);
        assert_folds(&page);
        assert_checks(&page);
        for name in page.names("table") {
            assert!(!name.is_empty(), "a table without a name at {width}");
        }
    }
    assert_sparklines(&lab, &mut browser);
}

fn assert_landmarks(page: &Page) {
    for landmark in ["banner", "main", "contentinfo"] {
        assert_eq!(page.of_role(landmark).count(), 1, "{landmark}");
    }
    assert_eq!(page.names("region"), ["Endpoints by zone"]);
}

/// One heading of the whole, and no level is left out below it.
fn assert_headings(page: &Page) {
    let headings: Vec<(u64, &str)> =
        page.of_role("heading").map(|node| (node.level.unwrap(), node.name.as_str())).collect();
    let levels: Vec<u64> = headings.iter().map(|(level, _)| *level).collect();
    assert_eq!((levels[0], levels.iter().filter(|level| **level == 1).count()), (1, 1), "{headings:?}");
    assert!(levels.is_sorted_by(|one, next| *next <= one + 1), "{headings:?}");
    let wanted = [
        "Endpoints by zone",
        CAUSE,
        "Warning: The endpoint is missing a zone",
        "Endpoints",
        "Egress",
        "Instance",
        "Last failures",
    ];
    assert_eq!(headings[1..].iter().map(|(_, name)| *name).collect::<Vec<_>>(), wanted);
}

fn assert_matrix(page: &Page) {
    let cells = page.cells("Endpoints by zone");
    for number in 1..=ENDPOINTS {
        for cell in [
            format!("estate-{number}; us-east-1a this instance; pass 10.0.1.57"),
            format!("estate-{number}; us-east-1b; FAIL 10.0.2.113"),
        ] {
            assert!(cells.contains(&cell), "{cell:?} is not in {cells:#?}");
        }
    }
    let missing = format!("estate-{ENDPOINTS}; us-east-1c; missing");
    assert!(cells.contains(&missing), "{cells:#?}");
}

/// What is folded says so, and which endpoint it is and how that is.
fn assert_folds(page: &Page) {
    let folds: Vec<&Node> = page.of_role("DisclosureTriangle").collect();
    assert!(folds.iter().all(|fold| fold.is_expanded.is_some() && !fold.name.is_empty()), "{folds:?}");
    for number in 1..=ENDPOINTS {
        let is_endpoint = |fold: &&&Node| {
            fold.name.starts_with(&format!("FAIL estate-{number} ")) && fold.is_expanded == Some(true)
        };
        assert_eq!(folds.iter().filter(is_endpoint).count(), 1, "{folds:?}");
    }
    assert!(
        folds.iter().any(|fold| fold.name == "Evidence of egress/ipv4" && fold.is_expanded == Some(false))
    );
}

/// The heads of the columns are not shown on a phone, and are told all the same.
fn assert_checks(page: &Page) {
    let cells = page.cells("Checks of estate-2");
    assert!(cells.contains(&"estate-2/connect; Outcome; FAIL".to_owned()), "{cells:#?}");
    let steps = page.cells("Addresses of estate-2");
    assert!(steps.contains(&"10.0.1.57 (us-east-1a); connect; pass".to_owned()), "{steps:#?}");
}

/// The line of an hour is a picture, so its text is what is announced.
fn assert_sparklines(lab: &Lab, browser: &mut Browser) {
    // A line needs two minutes, of which the second begins within one, and each endpoint has its own rounds.
    for _ in 0..8 {
        let page = http::get(lab, DAEMON, "/", "").map(|page| page.text());
        if page.is_some_and(|page| page.matches("<svg").count() == 2 * ENDPOINTS) {
            break;
        }
        thread::sleep(Duration::from_secs(10));
    }
    let page = browser.reads(LAPTOP);
    let cells = page.cells("Addresses of estate-1");
    let of = |ip: &str| {
        let begins = |cell: &&String| cell.starts_with(ip) && cell.contains("; Connect, last hour; ");
        cells.iter().find(begins).unwrap_or_else(|| panic!("{ip} is not in {cells:#?}"))
    };
    assert!(of("10.0.1.57 (us-east-1a)").contains("up to "), "{cells:#?}");
    assert!(of("10.0.2.113 (us-east-1b)").contains("failed in "), "{cells:#?}");
}
