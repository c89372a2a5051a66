//! The files in `assets/`: the page and what it loads.

include!(concat!(env!("OUT_DIR"), "/files.rs"));
