//! The rpm package in the hands of rpm, on a booted systemd.
