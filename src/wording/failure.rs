//! What went wrong, in words: reasons with their waits and details, DNS queries, clocks.

use std::net::IpAddr;

use super::text::duration;
use crate::check::{CheckId, Family, Step};
use crate::observation::{NotAttempted, Phase, Phases, ProbeError, Query, QueryResult, Reason};

/// The reason, how long was waited for it, and what the library or the peer said.
pub fn with_detail(reason: Reason, phases: &Phases, detail: &str) -> String {
    const WAITED: [(Reason, Phase); 3] = [
        (Reason::ConnectTimeout, Phase::Tcp),
        (Reason::TlsTimeout, Phase::Tls),
        (Reason::ResponseTimeout, Phase::Response),
    ];
    let words = reason.words();
    let Some((_, waited_in)) = WAITED.iter().find(|(timeout, _)| *timeout == reason) else {
        // "connection refused: Connection refused" would say it twice.
        let repeats = detail.to_lowercase().starts_with(words);
        return if detail.is_empty() || repeats { words.to_owned() } else { format!("{words}: {detail}") };
    };
    match phases.iter().find(|(phase, _)| phase == waited_in) {
        Some((_, took)) => format!("{words} after {}", duration(*took)),
        None => words.to_owned(),
    }
}

/// What went wrong where no check stands behind it.
pub fn probe_error(error: &ProbeError) -> String {
    with_detail(error.reason, &Phases::new(), &error.detail)
}

/// Why a check was not attempted.
pub fn not_attempted(check: &CheckId, because: NotAttempted) -> String {
    let before = |step: Step| CheckId::Endpoint(check.target().to_owned(), step);
    match because {
        NotAttempted::NoAddress => format!("{} returned no address", before(Step::Dns)),
        NotAttempted::NoVerifiedAddress => format!("no address passed {}", before(Step::Connect)),
        NotAttempted::NoRegion => {
            "the region is not known; set region in linkproof.toml or make instance metadata available"
                .to_owned()
        }
        NotAttempted::NoCredentials => "no credentials to sign with".to_owned(),
        NotAttempted::CredentialsPending => "credentials were not available in time".to_owned(),
        NotAttempted::NoResources => {
            "this process cannot open sockets (too many open files, or no memory)".to_owned()
        }
        NotAttempted::Overdue { last_run, interval } => {
            format!("last run {} ago, although due every {}", duration(last_run), duration(interval))
        }
    }
}

/// Why an address is of no use here.
pub fn family_unavailable(ip: IpAddr) -> String {
    format!("the instance has no {}", Family::of(ip).name())
}

/// What a server did with a query, after its name: `returned SERVFAIL`. `None` for an answer that
/// lists addresses.
pub fn query_failure(query: &Query) -> Option<String> {
    let what = match &query.result {
        QueryResult::Addresses { addresses, .. } if addresses.is_empty() => {
            "returned no address (NODATA)".to_owned()
        }
        QueryResult::Addresses { .. } => return None,
        QueryResult::Nxdomain => "returned NXDOMAIN (no such name)".to_owned(),
        QueryResult::Servfail => "returned SERVFAIL".to_owned(),
        QueryResult::Refused => "refused the query (REFUSED)".to_owned(),
        QueryResult::NotRecursive => "does not resolve names for others (no recursion)".to_owned(),
        QueryResult::OtherCode { rcode } => format!("returned response code {rcode}"),
        QueryResult::Truncated { detail } => format!("truncated its response, and TCP failed: {detail}"),
        QueryResult::Timeout => format!("did not respond within {}", duration(query.took)),
        QueryResult::Unreachable { detail } => format!("is unreachable: {detail}"),
        QueryResult::Invalid { detail } => format!("sent an invalid response: {detail}"),
    };
    Some(what)
}

/// `skew` is how far the service's clock is ahead of ours, in seconds.
pub fn clock_error(skew: i64) -> String {
    let (seconds, side) = (skew.unsigned_abs(), if skew > 0 { "behind" } else { "ahead of" });
    // A Date is rounded to the second, and two addresses may differ by one: minutes are enough.
    let off = if seconds < 120 { format!("{seconds} s") } else { format!("{} min", (seconds + 30) / 60) };
    format!("the clock is {off} {side} the service's")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_timeout_says_how_long_and_others_quote_the_peer() {
        let waited = vec![(Phase::Tcp, Duration::from_secs(3))];
        let refused = "Connection reset by peer";
        for (reason, phases, detail, text) in [
            (Reason::ConnectTimeout, &waited, "elapsed", "TCP connect timed out after 3 s"),
            (Reason::ConnectTimeout, &vec![], "elapsed", "TCP connect timed out"),
            (Reason::TlsFailed, &waited, "alert 40", "the TLS handshake failed: alert 40"),
            (Reason::TlsFailed, &waited, "", "the TLS handshake failed"),
            (Reason::ConnectionReset, &vec![], refused, "connection reset"),
        ] {
            assert_eq!(with_detail(reason, phases, detail), text);
        }
    }
}
