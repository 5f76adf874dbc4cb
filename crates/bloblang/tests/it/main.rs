//! The language as its users see it: mappings in, documents out.

mod cases;
mod coverage;
mod errors;
mod fuzz;
mod host;
mod properties;
mod templates;
mod world;
