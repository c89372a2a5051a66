//! The files in `assets/`, and Swagger UI.

include!(concat!(env!("OUT_DIR"), "/files.rs"));
