//! The language as its users see it: mappings in, documents out.

mod cases;
mod errors;
mod world;
