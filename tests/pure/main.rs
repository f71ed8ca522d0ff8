//! Times what `src/pure.rs` lists: decisions and pages, without a socket or a clock.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use linkproof::pure;

fn all(criterion: &mut Criterion) {
    for endpoints in [10, 200] {
        for part in pure::parts(endpoints) {
            let name = format!("{} of {endpoints}", part.name);
            criterion.bench_function(&name, |bencher| bencher.iter(|| black_box((part.run)())));
        }
    }
}

criterion_group! {
    name = parts;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    targets = all
}
criterion_main!(parts);
