//! The daemon alone, with few and with many endpoints at the same time.

use std::path::Path;
use std::thread::{self, sleep};
use std::time::Duration;

use crate::Length;
use crate::by_hand::once;
use crate::daemon::{Daemon, config, name};
use crate::figure::Figure;
use crate::lab::{ESTATE, Lab};
use crate::process::{resident_kib, shared_kib};

const FEW: usize = 10;
const SCRAPES: usize = 20;

/// A window is as long as the interval of the checks, so that each runs once in it.
pub fn measure(lab: &Lab, binary: &Path, scratch: &Path, length: &Length) -> Vec<Figure> {
    let &Length { rounds, window } = length;
    let few = Daemon::start(lab, binary, scratch, (FEW, window), 10042);
    let many = Daemon::start(lab, binary, scratch, (ESTATE, window), 10043);
    let (mut of_few, mut of_many) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (one, other) = thread::scope(|scope| {
            let many = scope.spawn(|| many.cost_while(|| sleep(window)));
            (few.cost_while(|| sleep(window)), many.join().unwrap())
        });
        of_few.push(one * 1e3);
        of_many.push(other * 1e3);
    }
    let mut figures = vec![
        Figure::new(format!("CPU for each address, {FEW} endpoints"), "ms", of_few.clone()),
        Figure::new(format!("CPU for each address, {ESTATE} endpoints"), "ms", of_many.clone()),
        Figure::ratio(format!("CPU for each address, {ESTATE} endpoints to {FEW}"), &of_many, &of_few)
            .at_most(1.15),
    ];
    figures.extend(page(&few));
    figures.extend(page(&many));
    drop((few, many));
    figures.extend([FEW, ESTATE].map(|endpoints| {
        let run = || once(lab, binary, scratch, &config(endpoints, "")).wall;
        let walls = (0..rounds).map(|_| run()).collect();
        Figure::new(format!("--once over {endpoints} endpoints, wall"), "s", walls)
    }));
    figures
}

fn page(daemon: &Daemon<'_>) -> Vec<Figure> {
    let page = daemon.page();
    let label = format!("target=\"{}\"", name(1));
    let series = page.lines().filter(|line| line.contains(&label)).count() as f64;
    let mut scrapes = Vec::new();
    let mut bytes = 0;
    for _ in 0..SCRAPES {
        // Long enough for the page to be made anew.
        sleep(Duration::from_millis(200));
        let cpu = daemon.port_cpu();
        bytes = daemon.scrape().unwrap().len();
        sleep(Duration::from_millis(50));
        scrapes.push((daemon.port_cpu() - cpu) * 1e3);
    }
    let mib = |kib: u64| vec![kib as f64 / 1024.0];
    let of = |what: &str| format!("{what}, {} endpoints", daemon.endpoints);
    vec![
        Figure::new(of("CPU of a scrape"), "ms", scrapes).at_most(10.0),
        Figure::new(of("Length of a scrape, plain"), "KiB", vec![page.len() as f64 / 1024.0]),
        Figure::new(of("Length of a scrape, gzip"), "KiB", vec![bytes as f64 / 1024.0]),
        Figure::new(of("Series of an endpoint"), "", vec![series]).at_most(50.0),
        Figure::new(of("Resident memory"), "MiB", mib(resident_kib(daemon.process()))).at_most(20.0),
        Figure::new(of("The same with the lookup process"), "MiB", mib(shared_kib(daemon.process()))),
    ]
}
