use procbox_guest::prelude::*;

#[worker(name = "a worker")]
fn with_a_space() {}

#[worker(name = "")]
fn without_a_name() {}

#[worker(name = "a", name = "b")]
fn with_two_names() {}

#[worker(named = "a")]
fn with_another_option() {}

#[worker(name)]
fn without_a_value() {}

#[worker(crate = "no such")]
fn of_no_crate() {}

fn main() {}
