//! What people do with Racks and tokens.

use std::collections::BTreeMap;
use std::time::Duration;

use flux_bus::Name;
use flux_identity::{RackState, RackView, Role, Scope, Token};

use super::{Mixer, merged};
use crate::audit::{Note, Outcome};
use crate::limits::INVITATION_MAX;
use crate::refusal::Refusal;
use crate::registry::Record;
use crate::tokens::{Access, Invitation, Listed};

const NOT_ITS_RACK: &str = "among those there is no such rack";
const NOT_ITS_TOKEN: &str = "among those it lets in there is no such token";
const NOT_ITS_LABELS: &str = "would let a rack in that is not among those";

/// Who asks, and in which role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// As it stands in the audit log.
    pub who: String,
    /// What may be done.
    pub role: Role,
    /// With which Racks.
    pub scope: Scope,
}

/// What an invitation is to be.
#[derive(Clone, Debug)]
pub struct Invite {
    /// The only name it is for.
    pub rack: Option<Name>,
    /// Labels that the Rack gets.
    pub labels: BTreeMap<String, String>,
    /// How long it is good.
    pub lifetime: Duration,
}

impl Mixer {
    /// The token for the API that the first person is given; none where there are any.
    pub(super) async fn first_token(&self) -> Result<Option<Token>, Refusal> {
        if !self.access.live().await?.is_empty() {
            return Ok(None);
        }
        let access = Access {
            name: "first".into(),
            role: Role::Admin,
            scope: Scope::default(),
            made_by: "mixer".into(),
        };
        let note = Note {
            who: "mixer",
            what: "token.make",
            about: "first",
            outcome: Outcome::Done,
            detail: "admin, made at the first start",
        };
        self.write_down(note).await?;
        self.access.make(access, None).await.map(Some)
    }

    /// Who shows this token.
    ///
    /// # Errors
    /// When it is not good, which is counted and written down.
    pub async fn actor(&self, text: &str, from: &str) -> Result<Actor, Refusal> {
        let found = match text.parse::<Token>() {
            Ok(token) => self.access.find(&token).await?.map(|found| (token.id(), found.good)),
            Err(_) => None,
        };
        match found {
            Some((id, access)) => {
                let Access { name, role, scope, .. } = access;
                Ok(Actor { who: format!("token {id} ({name})"), role, scope })
            }
            None => {
                self.refuse(from, "api.authenticate", "", "the token is not good").await;
                Err(Refusal::Unauthenticated)
            }
        }
    }

    /// A token for one enrolment.
    ///
    /// # Errors
    /// When it would be good for too long.
    pub async fn invite(&self, actor: &Actor, invite: Invite) -> Result<Token, Refusal> {
        if invite.lifetime.is_zero() || invite.lifetime > INVITATION_MAX {
            let hours = INVITATION_MAX.as_secs() / 3_600;
            return Err(Refusal::Invalid(format!("an enrolment token is good for up to {hours} hours")));
        }
        let about = invite.rack.as_ref().map_or("any rack", Name::as_str).to_owned();
        // What it lets in is in the scope of whoever made it.
        let labels = merged(actor.scope.labels(), &invite.labels);
        if !actor.scope.covers(&labels) || !self.is_within(&actor.scope, invite.rack.as_ref(), &labels) {
            return Err(self.out_of_scope(actor, "enrolment-token.make", &about, NOT_ITS_LABELS).await);
        }
        self.done(actor, "enrolment-token.make", &about, "").await?;
        let invitation =
            Invitation { rack: invite.rack, labels, scope: actor.scope.clone(), made_by: actor.who.clone() };
        self.invitations.make(invitation, Some(invite.lifetime)).await
    }

    /// Invitations that are good, and in the scope of whoever asks.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn invitations(&self, actor: &Actor) -> Result<Vec<Listed<Invitation>>, Refusal> {
        let mut live = self.invitations.live().await?;
        live.retain(|listed| actor.scope.covers(&listed.good.labels));
        Ok(live)
    }

    /// Makes an invitation void.
    ///
    /// # Errors
    /// When there is none.
    pub async fn uninvite(&self, actor: &Actor, id: &str) -> Result<(), Refusal> {
        let is_its_own =
            async || Ok::<_, Refusal>(self.invitations(actor).await?.iter().any(|it| it.id == id));
        if !actor.scope.is_whole() && !is_its_own().await? {
            return Err(self.out_of_scope(actor, "enrolment-token.revoke", id, NOT_ITS_TOKEN).await);
        }
        self.done(actor, "enrolment-token.revoke", id, "").await?;
        let is_gone = self.invitations.revoke(id).await?;
        is_gone.then_some(()).ok_or_else(|| Refusal::Missing(format!("enrolment token {id}")))
    }

    /// A token for the API.
    ///
    /// # Errors
    /// When the name is none.
    pub async fn make_access(
        &self,
        actor: &Actor,
        name: &str,
        role: Role,
        scope: Scope,
        lifetime: Option<Duration>,
    ) -> Result<Token, Refusal> {
        let name = Name::new(name)?.to_string();
        self.done(actor, "token.make", &name, &format!("{role}, for {scope}")).await?;
        self.access.make(Access { name, role, scope, made_by: actor.who.clone() }, lifetime).await
    }

    /// Tokens for the API that are good.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn accesses(&self) -> Result<Vec<Listed<Access>>, Refusal> {
        self.access.live().await
    }

    /// Makes a token for the API void. The last one of an admin of the whole fleet stays.
    ///
    /// # Errors
    /// When there is none, and when nobody could make another.
    pub async fn revoke_access(&self, actor: &Actor, id: &str) -> Result<(), Refusal> {
        let live = self.access.live().await?;
        let is_admin =
            |listed: &&Listed<Access>| listed.good.role == Role::Admin && listed.good.scope.is_whole();
        if live.iter().filter(is_admin).all(|listed| listed.id == id) {
            return Err(Refusal::Conflict("it is the last token of an admin: make another one first".into()));
        }
        self.done(actor, "token.revoke", id, "").await?;
        let is_gone = self.access.revoke(id).await?;
        is_gone.then_some(()).ok_or_else(|| Refusal::Missing(format!("token {id}")))
    }

    /// Lets a Rack in that waits; it gets what it needs when it asks again.
    ///
    /// # Errors
    /// When it does not wait.
    pub async fn approve(&self, actor: &Actor, rack: &Name) -> Result<RackView, Refusal> {
        self.pass(actor, "rack.approve", rack, &[RackState::Pending], RackState::Active).await?;
        self.rack(rack)
    }

    /// Takes a Rack's word on the bus from it, until it is activated.
    ///
    /// # Errors
    /// When it is not active.
    pub async fn suspend(&self, actor: &Actor, rack: &Name) -> Result<RackView, Refusal> {
        let record =
            self.pass(actor, "rack.suspend", rack, &[RackState::Active], RackState::Suspended).await?;
        self.make_void(&record).await?;
        self.rack(rack)
    }

    /// Gives it back.
    ///
    /// # Errors
    /// When it is not suspended.
    pub async fn activate(&self, actor: &Actor, rack: &Name) -> Result<RackView, Refusal> {
        let record =
            self.pass(actor, "rack.activate", rack, &[RackState::Suspended], RackState::Active).await?;
        self.make_good(&record).await?;
        self.rack(rack)
    }

    /// Makes all void that a Rack was given, for good.
    ///
    /// # Errors
    /// When it is revoked already.
    pub async fn revoke(&self, actor: &Actor, rack: &Name) -> Result<RackView, Refusal> {
        let from = [RackState::Pending, RackState::Active, RackState::Suspended];
        let record = self.pass(actor, "rack.revoke", rack, &from, RackState::Revoked).await?;
        self.make_void(&record).await?;
        self.rack(rack)
    }

    /// Makes all void that a Rack was given, and forgets it: its name is free.
    ///
    /// # Errors
    /// When there is none.
    pub async fn remove(&self, actor: &Actor, rack: &Name) -> Result<(), Refusal> {
        let record = self.in_scope(actor, "rack.remove", rack).await?;
        self.done(actor, "rack.remove", rack.as_str(), record.state.word()).await?;
        self.registry.remove(rack).await?;
        self.tell_of(&record, "rack.removed");
        self.make_void(&record).await
    }

    /// A Rack, for whoever may do something with it. Of those that are not in the scope, nobody is told that they are there.
    pub(crate) async fn in_scope(&self, actor: &Actor, what: &str, rack: &Name) -> Result<Record, Refusal> {
        let found = self.registry.get(rack);
        if actor.scope.is_whole() {
            return found.ok_or_else(|| Refusal::Missing(format!("rack {rack}")));
        }
        match found.filter(|record| actor.scope.covers(&record.labels)) {
            Some(record) => Ok(record),
            None => Err(self.out_of_scope(actor, what, rack.as_str(), NOT_ITS_RACK).await),
        }
    }

    /// Counts it, and writes it down.
    pub(crate) async fn out_of_scope(
        &self,
        actor: &Actor,
        what: &str,
        about: &str,
        why: &'static str,
    ) -> Refusal {
        let refusal = Refusal::OutOfScope { scope: actor.scope.to_string(), what: why };
        self.refuse(&actor.who, what, about, &refusal.to_string()).await;
        refusal
    }

    /// From one state to another, written down before it is done.
    async fn pass(
        &self,
        actor: &Actor,
        what: &str,
        rack: &Name,
        from: &[RackState],
        to: RackState,
    ) -> Result<Record, Refusal> {
        let check = |state: RackState| match from.contains(&state) {
            true => Ok(()),
            false => Err(Refusal::Conflict(format!("rack {rack} is {state}, and so cannot become {to}"))),
        };
        check(self.in_scope(actor, what, rack).await?.state)?;
        self.done(actor, what, rack.as_str(), "").await?;
        let passed = self
            .registry
            .change(rack, |record| {
                check(record.state)?;
                record.state = to;
                Ok(())
            })
            .await;
        if let Err(why) = &passed {
            let detail = why.to_string();
            let (who, about) = (actor.who.as_str(), rack.as_str());
            self.write_down(Note { who, what, about, outcome: Outcome::Failed, detail: &detail }).await?;
        } else {
            self.tell(&format!("rack.{to}"), rack.as_str());
        }
        passed
    }

    pub(super) async fn done(
        &self,
        actor: &Actor,
        what: &str,
        about: &str,
        detail: &str,
    ) -> Result<(), Refusal> {
        tracing::info!(who = actor.who, what, about, "by the API");
        let who = actor.who.as_str();
        Ok(self.write_down(Note { who, what, about, outcome: Outcome::Done, detail }).await?)
    }
}
