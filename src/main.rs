//! x
mod view;
fn main(){}
