//! The Mixer, as its Racks and its people reach it.

mod agent;
mod client;
mod enrolment;
mod identity;
mod login;
mod obedience;
mod pin;

pub(crate) use agent::{Agent, Leader};
pub(crate) use client::{Client, Fingerprint, fingerprint};
pub(crate) use enrolment::{Enroller, Outcome};
pub(crate) use identity::Identity;
pub(crate) use login::{LoginOptions, keep_login};
pub(crate) use obedience::Wish;
