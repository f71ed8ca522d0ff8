//! A library's error, told as one of our reasons. By kinds and sources, never by wording.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};

use super::http::TooLarge;
use super::resources;
use super::tcp_info::{KEPT_BACK, NotDelivered};
use super::trust::HandshakeRecord;
use crate::observation::{ProbeError, Reason, cut};

/// How far a connection had come when it failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    Tcp,
    Tls,
    Response,
    Body,
}

impl Stage {
    /// What silence at this stage is called.
    pub fn timeout(self) -> Reason {
        match self {
            Self::Tcp => Reason::ConnectTimeout,
            Self::Tls => Reason::TlsTimeout,
            Self::Response | Self::Body => Reason::ResponseTimeout,
        }
    }

    /// If the request did not arrive, the peer's silence says nothing about the peer.
    pub fn silent(self, not_delivered: Option<NotDelivered>, detail: &str) -> ProbeError {
        match (self, not_delivered) {
            (Self::Tcp | Self::Response, Some(NotDelivered::KeptBack)) => {
                ProbeError { reason: Reason::SendBlocked, detail: KEPT_BACK.to_owned() }
            }
            (Self::Response, Some(NotDelivered::Unacknowledged)) => {
                ProbeError { reason: Reason::RequestUnacknowledged, detail: String::new() }
            }
            _ => ProbeError { reason: self.timeout(), detail: detail.to_owned() },
        }
    }

    /// The same in words, for the evidence.
    pub fn silence(self) -> &'static str {
        match self {
            Self::Tcp => "TCP connect timed out",
            Self::Tls => "TCP connected, the TLS handshake did not end",
            Self::Response => "connected, no answer to the request",
            Self::Body => "the answer began and did not end",
        }
    }
}

pub fn trouble(stage: Stage, error: &(dyn Error + 'static), record: &HandshakeRecord) -> ProbeError {
    let innermost = innermost(error);
    let detail = match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(certificate)) => of_certificate(certificate),
        Some(_) | None => words(innermost),
    };
    if lacks_client_certificate(stage, error, record) {
        return ProbeError { reason: Reason::ClientCertificateRequired, detail };
    }
    ProbeError { reason: reason(stage, error), detail }
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    chain(error).find_map(|error| error.downcast_ref::<rustls::Error>())
}

/// The peer asked for a certificate, got none, and ended the connection: with an alert as TLS
/// says, or by closing it, as some servers do once they have read the request.
fn lacks_client_certificate(stage: Stage, error: &(dyn Error + 'static), record: &HandshakeRecord) -> bool {
    match tls_error(error) {
        Some(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)) => true,
        Some(rustls::Error::AlertReceived(_)) => record.client_certificate_requested(),
        Some(_) => false,
        None => {
            let closed = !matches!(stage, Stage::Tcp | Stage::Body)
                && matches!(reason(stage, error), Reason::ConnectionReset | Reason::ResponseInvalid);
            closed && is_closed(error) && record.client_certificate_requested()
        }
    }
}

fn is_closed(error: &(dyn Error + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let incomplete = chain(error)
        .filter_map(|error| error.downcast_ref::<hyper::Error>())
        .any(hyper::Error::is_incomplete_message);
    let io = chain(error).filter_map(|error| error.downcast_ref::<io::Error>()).last();
    incomplete
        || io.is_some_and(|io| {
            matches!(io.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
        })
}

/// The certificate itself is evidence: where it is expired, or for another name, that says all.
fn of_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. }
        | CertificateError::NotValidForName
        | CertificateError::NotValidForNameContext { .. } => String::new(),
        CertificateError::UnknownIssuer => "this system does not know its issuer".to_owned(),
        other => other.to_string(),
    }
}

/// A library may repeat what the peer sent.
const LONGEST: usize = 1024;

/// An error without what only programmers read: its number, and where to read about it.
pub fn words(error: &dyn Error) -> String {
    let text = cut(&error.to_string(), LONGEST);
    let end = [" (os error ", ": https://"].iter().filter_map(|noise| text.find(noise)).min();
    text[..end.unwrap_or(text.len())].to_owned()
}

fn reason(stage: Stage, error: &(dyn Error + 'static)) -> Reason {
    if let Some(tls) = tls_error(error) {
        return of_tls(tls);
    }
    if chain(error).any(<dyn Error>::is::<TooLarge>) {
        return Reason::NotAnAwsAnswer;
    }
    let io = chain(error).filter_map(|error| error.downcast_ref::<io::Error>()).last();
    match io {
        Some(error) if resources::are_lacking(error) => Reason::NoResources,
        Some(error) => of_io(stage, error.kind()),
        None => stage.otherwise(),
    }
}

impl Stage {
    fn otherwise(self) -> Reason {
        match self {
            Self::Tcp => Reason::InternalError,
            Self::Tls => Reason::TlsFailed,
            Self::Response => Reason::ResponseInvalid,
            Self::Body => Reason::ResponseCut,
        }
    }
}

fn of_io(stage: Stage, kind: io::ErrorKind) -> Reason {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, InvalidInput,
        NetworkDown, NetworkUnreachable, PermissionDenied, TimedOut, UnexpectedEof,
    };
    match (stage, kind) {
        (Stage::Tcp, ConnectionRefused) => Reason::ConnectionRefused,
        // PermissionDenied is a route or filter of this machine that prohibits the address.
        (_, HostUnreachable | NetworkUnreachable | NetworkDown | PermissionDenied) => {
            Reason::NetworkUnreachable
        }
        // A route of the type blackhole (ip-route(8)).
        (Stage::Tcp, InvalidInput) => Reason::NetworkUnreachable,
        (_, TimedOut) => stage.timeout(),
        (Stage::Body, ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof) => {
            Reason::ResponseCut
        }
        (_, ConnectionReset | ConnectionAborted | BrokenPipe) => Reason::ConnectionReset,
        // Closed in the middle of a handshake: what a plain-text or overloaded peer does.
        (Stage::Tls, UnexpectedEof) => Reason::ConnectionReset,
        _ => stage.otherwise(),
    }
}

fn of_tls(error: &rustls::Error) -> Reason {
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return Reason::TlsFailed;
    };
    match certificate {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Reason::CertificateExpired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Reason::CertificateNotYetValid
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Reason::CertificateNameMismatch
        }
        _ => Reason::CertificateUntrusted,
    }
}

fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    chain(error).last().unwrap_or(error)
}

/// The error and its sources. An `io::Error` hides the error that it wraps from `source`.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error: &&'a (dyn Error + 'static)| {
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    fn reason_of(stage: Stage, error: &io::Error) -> Reason {
        trouble(stage, error, &HandshakeRecord::default()).reason
    }

    #[test]
    fn client_certificate_is_missing_where_the_peer_asked_for_it() {
        let alert = |description| io::Error::other(rustls::Error::AlertReceived(description));
        let asked = HandshakeRecord::default();
        asked.request_client_certificate();
        let (required, failure) = (AlertDescription::CertificateRequired, AlertDescription::HandshakeFailure);
        for (record, stage, error, expected) in [
            (&HandshakeRecord::default(), Stage::Response, alert(required), true),
            (&HandshakeRecord::default(), Stage::Tls, alert(failure), false),
            (&asked, Stage::Tls, alert(failure), true),
            (&asked, Stage::Response, io::ErrorKind::ConnectionReset.into(), true),
            (&asked, Stage::Response, io::ErrorKind::UnexpectedEof.into(), true),
            (&asked, Stage::Response, io::ErrorKind::InvalidData.into(), false),
            (&asked, Stage::Response, io::ErrorKind::TimedOut.into(), false),
            (&HandshakeRecord::default(), Stage::Response, io::ErrorKind::ConnectionReset.into(), false),
        ] {
            let required = trouble(stage, &error, record).reason == Reason::ClientCertificateRequired;
            assert_eq!(required, expected, "{stage:?} {error:?}");
        }
    }

    #[test]
    fn what_the_kernel_says_is_told_by_the_stage() {
        use io::ErrorKind;
        for (stage, kind, expected) in [
            (Stage::Tcp, ErrorKind::ConnectionRefused, Reason::ConnectionRefused),
            (Stage::Tcp, ErrorKind::ConnectionReset, Reason::ConnectionReset),
            (Stage::Tcp, ErrorKind::TimedOut, Reason::ConnectTimeout),
            (Stage::Tcp, ErrorKind::HostUnreachable, Reason::NetworkUnreachable),
            (Stage::Tcp, ErrorKind::NetworkUnreachable, Reason::NetworkUnreachable),
            (Stage::Tcp, ErrorKind::PermissionDenied, Reason::NetworkUnreachable),
            (Stage::Tcp, ErrorKind::NetworkDown, Reason::NetworkUnreachable),
            (Stage::Tcp, ErrorKind::InvalidInput, Reason::NetworkUnreachable),
            (Stage::Response, ErrorKind::InvalidInput, Reason::ResponseInvalid),
            (Stage::Tcp, ErrorKind::AddrNotAvailable, Reason::InternalError),
            (Stage::Tls, ErrorKind::ConnectionReset, Reason::ConnectionReset),
            (Stage::Tls, ErrorKind::UnexpectedEof, Reason::ConnectionReset),
            (Stage::Tls, ErrorKind::InvalidData, Reason::TlsFailed),
            (Stage::Response, ErrorKind::ConnectionReset, Reason::ConnectionReset),
            (Stage::Response, ErrorKind::UnexpectedEof, Reason::ResponseInvalid),
            (Stage::Body, ErrorKind::ConnectionReset, Reason::ResponseCut),
            (Stage::Body, ErrorKind::UnexpectedEof, Reason::ResponseCut),
            (Stage::Body, ErrorKind::TimedOut, Reason::ResponseTimeout),
        ] {
            assert_eq!(reason_of(stage, &kind.into()), expected, "{stage:?} {kind:?}");
        }
    }

    #[test]
    fn a_lack_of_descriptors_or_ports_is_not_blamed_on_the_peer() {
        for errno in [
            Errno::EMFILE,
            Errno::ENFILE,
            Errno::ENOBUFS,
            Errno::ENOMEM,
            Errno::EADDRINUSE,
            Errno::EADDRNOTAVAIL,
        ] {
            let error = io::Error::from_raw_os_error(errno as i32);
            assert_eq!(reason_of(Stage::Tcp, &error), Reason::NoResources, "{errno}");
        }
    }

    #[test]
    fn words_are_for_people() {
        let told = |error: io::Error| trouble(Stage::Tls, &error, &HandshakeRecord::default()).detail;
        assert_eq!(told(io::Error::from_raw_os_error(111)), "Connection refused");
        let closed = "peer closed connection without sending TLS close_notify: https://docs.rs/rustls";
        assert_eq!(told(io::Error::other(closed)), "peer closed connection without sending TLS close_notify");
        let certificate = |error| io::Error::other(rustls::Error::InvalidCertificate(error));
        assert_eq!(told(certificate(CertificateError::Expired)), "");
        assert_eq!(
            told(certificate(CertificateError::UnknownIssuer)),
            "this system does not know its issuer"
        );
    }

    #[test]
    fn a_certificate_error_is_found_inside_the_io_error_that_hides_it() {
        let hidden = |certificate| {
            let tls = rustls::Error::InvalidCertificate(certificate);
            io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls))
        };
        for (certificate, expected) in [
            (CertificateError::Expired, Reason::CertificateExpired),
            (CertificateError::NotValidYet, Reason::CertificateNotYetValid),
            (CertificateError::NotValidForName, Reason::CertificateNameMismatch),
            (CertificateError::UnknownIssuer, Reason::CertificateUntrusted),
            (CertificateError::BadSignature, Reason::CertificateUntrusted),
        ] {
            assert_eq!(reason_of(Stage::Tls, &hidden(certificate)), expected);
        }
    }
}
