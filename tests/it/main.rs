//! The product as its users meet it, and the lab in which it is met.

#[path = "../lab/mod.rs"]
mod lab;
#[path = "lab.rs"]
mod lab_itself;
mod structure;
