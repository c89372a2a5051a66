//! The page and what it loads: the files of `page/`.

include!(concat!(env!("OUT_DIR"), "/files.rs"));
