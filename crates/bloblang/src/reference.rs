//! What there is: every function and method with its parameters, for documentation and tables.

use crate::library::{self, Spec};

/// A function or a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Its name.
    pub name: &'static str,
    /// Its parameters in words, optional ones in brackets.
    pub parameters: String,
}

/// All functions, by name.
pub fn functions() -> Vec<Signature> {
    sorted(library::functions())
}

/// All methods, by name.
pub fn methods() -> Vec<Signature> {
    sorted(library::methods())
}

/// Why a name of the language's documentation is neither a function nor a method here, if it is one of those.
pub fn absent(name: &str) -> Option<&'static str> {
    library::absent(name)
}

fn sorted(specs: impl Iterator<Item = &'static Spec>) -> Vec<Signature> {
    let mut signatures: Vec<_> =
        specs.map(|spec| Signature { name: spec.name, parameters: spec.signature() }).collect();
    signatures.sort_by_key(|signature| signature.name);
    signatures
}
