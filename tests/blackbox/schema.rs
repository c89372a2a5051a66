//! The schema, as the catalogues tell it.
