//! The Mixer, as its Racks and its people reach it.

mod agent;
mod client;
mod enrolment;
mod follower;
mod identity;
mod login;
mod obedience;
mod pin;
mod sse;

pub(crate) use agent::{Agent, Leader};
pub(crate) use client::{Asking, Client, Fingerprint, fingerprint, refused};
pub(crate) use enrolment::{Enroller, Outcome};
pub(crate) use follower::{Follower, News, is_final};
pub(crate) use identity::Identity;
pub(crate) use login::{LoginOptions, keep_login};
pub(crate) use obedience::Wish;
