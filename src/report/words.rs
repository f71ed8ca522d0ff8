//! The words for reasons, durations and lists, the same on every surface.

use std::fmt::Display;
use std::time::{Duration, SystemTime};

use crate::observation::{Phase, Phases, Reason};

/// What a reason means, in the middle of a sentence.
pub fn phrase(reason: Reason) -> &'static str {
    match reason {
        Reason::NameNotFound => "no such name",
        Reason::NoAddress => "the name has no address",
        Reason::ServerFailure => "the resolver could not find out",
        Reason::QueryRefused => "the resolver refused the query",
        Reason::QueryTimeout => "the resolver did not answer",
        Reason::ResolverUnreachable => "the resolver could not be reached",
        Reason::Truncated => "the answer was truncated",
        Reason::PublicAddress => "public address",
        Reason::MixedAddresses => "addresses inside and outside the VPC",
        Reason::OutsideVpc | Reason::AddressOutsideVpc => "outside the VPC",
        Reason::SpecialAddress => "an address where no endpoint can be",
        Reason::ResolversDisagree => "the resolvers disagree",
        Reason::VpcCidrsUnknown => "the VPC's CIDRs are unknown",
        Reason::ConnectTimeout => "no answer to SYN",
        Reason::ConnectionRefused => "connection refused",
        Reason::ConnectionReset => "connection reset",
        Reason::NetworkUnreachable => "network unreachable",
        Reason::TlsTimeout => "connected, but the TLS handshake did not end",
        Reason::TlsFailed => "TLS failed",
        Reason::CertificateExpired => "the certificate has expired",
        Reason::CertificateNotYetValid => "the certificate is not valid yet",
        Reason::CertificateNameMismatch => "the certificate is for another name",
        Reason::CertificateUntrusted => "the certificate is not trusted",
        Reason::ResponseTimeout => "TLS done, but the request was not answered",
        Reason::ResponseInvalid => "the answer is not HTTP",
        Reason::DeniedByIdentityPolicy => "denied: no identity-based policy allows it",
        Reason::DeniedByEndpointPolicy => "denied by the endpoint policy",
        Reason::DeniedByOrganizationPolicy => "denied by an organization policy",
        Reason::DeniedByPermissionsBoundary => "denied by the permissions boundary",
        Reason::DeniedBySessionPolicy => "denied by the session policy",
        Reason::AccessDenied => "access denied",
        Reason::ClockSkew => "the clock is wrong",
        Reason::InvalidCredentials => "the credentials are not accepted",
        Reason::Throttled => "throttled",
        Reason::ServiceError => "the service failed",
        Reason::NotAnAwsAnswer => "the answer is not AWS's",
        Reason::ResponseCut => "the answer was cut off",
        Reason::NotViaEndpoint => "answered, but not by a verified address of the endpoint",
        Reason::MetadataTimeout => "instance metadata did not answer",
        Reason::MetadataUnreachable => "instance metadata could not be reached",
        Reason::MetadataDisabled => "instance metadata is turned off",
        Reason::MetadataInvalid => "instance metadata gave an answer that makes no sense",
        Reason::NoCredentials => "no credentials found",
        Reason::CredentialsTimeout => "the credentials were not delivered in time",
        Reason::CredentialsExpired => "the credentials have expired",
        Reason::IcmpReply => "answered ping",
        Reason::TcpConnected => "accepted a TCP connection",
        Reason::UdpReply => "answered over UDP",
        Reason::ErrorFromOutside => "a router outside the VPC answered",
        Reason::Rejected => "rejected, and nobody can say by whom",
        Reason::NotPermitted => "no socket to probe with was permitted",
        Reason::SendBlocked => "this machine's own firewall blocked the probe",
        Reason::ControlFailed => "a control failed, so silence proves nothing",
        Reason::TooFewTargets => "too few targets were really probed for silence to prove anything",
        Reason::FamilyMissing => "metadata lists an address of this family, but the instance has none",
        Reason::FamilyUnavailable => "the instance has no global address of this family",
        Reason::PrerequisiteFailed => "what has to come first did not pass",
        Reason::InternalError => "an error inside linkproof",
    }
}

/// The reason in words, how long was waited for it, and what whoever reported it said.
pub fn explained(reason: Reason, phases: &Phases, detail: &str) -> String {
    const WAITED: [(Reason, Phase); 3] = [
        (Reason::ConnectTimeout, Phase::Tcp),
        (Reason::TlsTimeout, Phase::Tls),
        (Reason::ResponseTimeout, Phase::Response),
    ];
    let words = phrase(reason);
    let Some((_, waited_in)) = WAITED.iter().find(|(timeout, _)| *timeout == reason) else {
        return if detail.is_empty() { words.to_owned() } else { format!("{words}: {detail}") };
    };
    match phases.iter().find(|(phase, _)| phase == waited_in) {
        Some((_, took)) => format!("{words} within {}", time(*took)),
        None => words.to_owned(),
    }
}

/// Two digits that matter, in the unit that a person would choose.
pub fn time(duration: Duration) -> String {
    let (value, unit) = match duration.as_secs_f64() {
        // What would round to 1000 ms is a second.
        seconds if seconds < 0.9995 => (seconds * 1000.0, "ms"),
        seconds => (seconds, "s"),
    };
    let rounded = if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") };
    format!("{} {unit}", rounded.strip_suffix(".0").unwrap_or(&rounded))
}

/// `tcp 0.4 ms, tls 2.1 ms`.
pub fn phases(phases: &Phases) -> String {
    list(phases.iter().map(|(phase, took)| format!("{} {}", phase.code(), time(*took))))
}

pub fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// To the second, for a person.
pub fn clock_time(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

pub fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// At most `width` characters, the last one `…` where there were more.
pub fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// One line without control characters: the words of a peer must not drive a terminal.
pub fn clean(text: &str) -> String {
    let visible = text.replace(|c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}', " ");
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_a_person_writes_them() {
        for (micros, text) in [
            (0, "0 ms"),
            (420, "0.4 ms"),
            (1_000, "1 ms"),
            (2_140, "2.1 ms"),
            (9_960, "10 ms"),
            (12_400, "12 ms"),
            (999_400, "999 ms"),
            (999_900, "1 s"),
            (3_000_000, "3 s"),
            (3_250_000, "3.2 s"),
            (61_000_000, "61 s"),
        ] {
            assert_eq!(time(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn a_peer_cannot_drive_the_terminal() {
        assert_eq!(clean("bad\u{1b}[2Jnews\r\n\ttwice\u{2028}over"), "bad [2Jnews twice over");
    }

    #[test]
    fn what_is_too_long_ends_in_an_ellipsis() {
        assert_eq!(shorten("exact", 5), "exact");
        assert_eq!(shorten("longer", 5), "long…");
        assert_eq!(shorten("two words", 5), "two…");
        assert_eq!(shorten("äöüß", 4), "äöüß");
    }

    #[test]
    fn a_timeout_says_how_long_was_waited_and_others_say_what_was_said() {
        let waited = vec![(Phase::Tcp, Duration::from_secs(3))];
        assert_eq!(explained(Reason::ConnectTimeout, &waited, "elapsed"), "no answer to SYN within 3 s");
        assert_eq!(explained(Reason::ConnectTimeout, &vec![], "elapsed"), "no answer to SYN");
        assert_eq!(explained(Reason::TlsFailed, &waited, "alert 40"), "TLS failed: alert 40");
        assert_eq!(explained(Reason::TlsFailed, &waited, ""), "TLS failed");
    }

    #[test]
    fn every_reason_has_words_of_its_own_kind() {
        for reason in Reason::ALL {
            let phrase = phrase(*reason);
            assert!(!phrase.is_empty() && !phrase.ends_with('.'), "{reason}");
        }
    }
}
