//! The functions and methods of the language: their names, what they take, and their code.

mod arrays;
mod call;
mod changes;
mod ciphers;
mod compression;
mod csv;
mod documents;
mod encode;
mod fake;
mod general;
mod hashes;
mod ids;
mod json_path;
mod json_path_filter;
mod json_schema;
mod messages;
mod msgpack;
mod numbers;
mod objects;
mod printf;
mod quoting;
mod spec;
mod strings;
mod times;
mod tokens;
mod types;
mod urls;
mod world;
mod xml;
mod yaml;

pub(crate) use arrays::{index, slice};
pub(crate) use call::{Call, Cell, Prepared};
pub(crate) use encode::base64;
pub(crate) use spec::{Accepts, Constants, Default, MORE, Param, Run, Spec, Touches};
pub(crate) use types::to_text;

/// All functions.
pub(crate) fn functions() -> impl Iterator<Item = &'static Spec> {
    [general::FUNCTIONS, messages::FUNCTIONS, world::FUNCTIONS, ids::FUNCTIONS, fake::FUNCTIONS]
        .into_iter()
        .flatten()
}

/// All methods.
pub(crate) fn methods() -> impl Iterator<Item = &'static Spec> {
    [
        general::METHODS,
        strings::METHODS,
        quoting::METHODS,
        numbers::METHODS,
        types::METHODS,
        objects::METHODS,
        arrays::METHODS,
        documents::METHODS,
        csv::METHODS,
        msgpack::METHODS,
        urls::METHODS,
        xml::METHODS,
        yaml::METHODS,
        encode::METHODS,
        times::METHODS,
        hashes::METHODS,
        ciphers::METHODS,
        compression::METHODS,
        json_schema::METHODS,
        json_path::METHODS,
        changes::METHODS,
        tokens::METHODS,
    ]
    .into_iter()
    .flatten()
}

pub(crate) fn function(name: &str) -> Option<&'static Spec> {
    functions().find(|spec| spec.name == name)
}

pub(crate) fn method(name: &str) -> Option<&'static Spec> {
    methods().find(|spec| spec.name == name)
}

/// Names of the documentation that are not here, and why.
pub(crate) const ABSENT: &[(&str, &str)] = &[
    ("geoip_anonymous_ip", NO_GEOIP),
    ("geoip_asn", NO_GEOIP),
    ("geoip_city", NO_GEOIP),
    ("geoip_connection_type", NO_GEOIP),
    ("geoip_country", NO_GEOIP),
    ("geoip_domain", NO_GEOIP),
    ("geoip_enterprise", NO_GEOIP),
    ("geoip_isp", NO_GEOIP),
    ("parse_parquet", "a reader of Parquet weighs more than all of the language: convert the file before"),
    ("parse_jwt_es512", NO_P521),
    ("sign_jwt_es512", NO_P521),
];

const NO_GEOIP: &str = "it needs a MaxMind database, and no reader of one is built in";
const NO_P521: &str = "the curve P-521 is not built in: ES256 and ES384 are";

pub(crate) fn absent(name: &str) -> Option<&'static str> {
    ABSENT.iter().find(|(other, _)| *other == name).map(|(_, why)| *why)
}
