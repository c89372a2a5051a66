//! A stage's secrets: validated before they are stored, and rotated without refusing a token. No value is ever printed.

mod check;
mod keys;
mod remove;
mod rotate;
mod set;

pub(crate) use self::{
    check::check,
    remove::remove,
    rotate::{Step, rotate},
    set::{Options, set},
};
