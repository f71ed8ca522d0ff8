//! The cause that explains the reasons of all checks at one moment. Pure: reasons in, causes out.

use crate::check::CheckId;

/// A cause, with what shows it and what to change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnosis {
    pub cause: Cause,
    pub evidence: String,
    pub remedy: String,
    pub explains: Vec<CheckId>,
}

macro_rules! causes {
    ($($name:ident = $code:literal, $title:literal;)*) => {
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Cause { $($name,)* }

        impl Cause {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            pub fn runbook(self) -> &'static str {
                match self {
                    $(Self::$name => concat!("/usr/share/doc/linkproof/runbook.md#", $code),)*
                }
            }
        }
    };
}

causes! {
    PrivateDnsOff = "private_dns_off", "Private DNS is off for the endpoint";
    EndpointInterfaceDown = "endpoint_interface_down", "A network interface of the endpoint does not answer";
    InternetRouteOpen = "internet_route_open", "There is a way out to the internet";
    ProxyConfigured = "proxy_configured", "Proxy variables are set";
    Unexplained = "unexplained", "No known cause explains this";
}
