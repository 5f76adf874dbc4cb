//! Deterministic CBOR (RFC 8949 section 4.2.1): placeholder while it is being written.
