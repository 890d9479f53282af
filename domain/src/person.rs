//! A person whose data is sealed: whether they were erased, and which legal holds forbid it.
//!
//! A person is a key. One that nothing ever happened to is as good as any other, so nobody has to be made known here first.

use std::collections::{BTreeMap, BTreeSet};

use event_schemas::{
    AccountId, CustomerId, LegalHoldLifted, LegalHoldPlaced, PersonErased, PersonErasureApproved, PersonErasureRejected,
    PersonErasureRequested, PersonEvent, PersonId,
};
use serde::{Deserialize, Serialize};

use crate::{
    Change, Decision, MAX_NAME_CHARS, Refusal, World,
    account_decisions::{must_leave_an_admin, removed_accounts},
    stream_of,
};

/// The most characters of a reason.
pub const MAX_REASON_CHARS: usize = 500;
/// The most legal holds on one person at the same time.
pub const MAX_HOLDS: usize = 20;
/// The most persons of one decision: those that one customer has come to be.
pub const MAX_PERSONS: usize = 1_000;

/// What can be asked of a person.
#[derive(Debug, Clone, PartialEq)]
pub enum PersonCommand {
    /// Erase them, or ask for it.
    Erase {
        /// Who asks.
        by: String,
        /// Why.
        reason: String,
        /// The customer that they are.
        customer_id: Option<CustomerId>,
        /// Whether a second person has to agree first.
        needs_approval: bool,
    },
    /// Agree that they be erased.
    Approve {
        /// Who agrees.
        by: String,
    },
    /// Turn down that they be erased.
    Reject {
        /// Who turns it down.
        by: String,
        /// Why.
        reason: String,
    },
    /// Forbid that they be erased.
    PlaceHold {
        /// The hold's name.
        name: String,
        /// Why.
        reason: String,
    },
    /// Let them be erased again, as far as this hold is concerned.
    LiftHold {
        /// The hold's name.
        name: String,
    },
}

/// Why a command to a person was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PersonRefusal {
    /// There is nobody.
    #[error("nothing is known about such a person")]
    NotFound,
    /// They are erased for good.
    #[error("the person was erased")]
    Erased,
    /// Legal holds forbid it.
    #[error("the person's data must be kept: {}", names.join(", "))]
    OnHold {
        /// The names of the holds.
        names: Vec<String>,
    },
    /// It was asked for, and nobody has answered yet.
    #[error("it was asked for already that the person be erased")]
    ErasurePending,
    /// Nobody asked for it.
    #[error("nobody has asked that the person be erased")]
    ErasureNotRequested,
    /// An API key is a program's, or somebody's who has a name too; and a token without a name is anybody's.
    #[error("two persons have to ask and agree, each by their own name, and {by} is none")]
    NotSomebody {
        /// Who is not known by name.
        by: String,
    },
    /// Whoever asks cannot agree.
    #[error("somebody else has to agree than {by}, who asked")]
    SamePerson {
        /// Who asked.
        by: String,
    },
    /// A hold of that name applies already.
    #[error("there is a legal hold {name} already")]
    HoldExists {
        /// Its name.
        name: String,
    },
    /// No hold of that name applies.
    #[error("there is no legal hold {name}")]
    HoldNotFound {
        /// The name.
        name: String,
    },
    /// A text is empty or too long.
    #[error("the {field} must have 1 to {most} characters")]
    InvalidText {
        /// Which text.
        field: &'static str,
        /// The most characters that it may have.
        most: usize,
    },
    /// There are as many as there may be.
    #[error("at most {most} at once")]
    TooMany {
        /// How many there may be.
        most: usize,
    },
}

impl PersonRefusal {
    /// The stable code of the rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "PERSON_NOT_FOUND",
            Self::Erased => "PERSON_ERASED",
            Self::OnHold { .. } => "PERSON_ON_HOLD",
            Self::ErasurePending => "ERASURE_PENDING",
            Self::ErasureNotRequested => "ERASURE_NOT_REQUESTED",
            Self::SamePerson { .. } | Self::NotSomebody { .. } => "SECOND_PERSON_REQUIRED",
            Self::HoldExists { .. } => "LEGAL_HOLD_EXISTS",
            Self::HoldNotFound { .. } => "LEGAL_HOLD_NOT_FOUND",
            Self::InvalidText { .. } => "INVALID_TEXT",
            Self::TooMany { .. } => "TOO_MANY",
        }
    }

    /// The text that it is about, if it is about one.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::InvalidText { field, .. } => Some(field),
            Self::SamePerson { .. } | Self::NotSomebody { .. } => None,
            Self::NotFound | Self::Erased | Self::OnHold { .. } | Self::ErasurePending => None,
            Self::ErasureNotRequested | Self::HoldExists { .. } | Self::HoldNotFound { .. } | Self::TooMany { .. } => None,
        }
    }
}

/// That somebody asked for an erasure, and nobody has answered yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureRequest {
    /// Who asked.
    pub by: String,
    /// The customer that the person is.
    pub customer_id: Option<CustomerId>,
}

/// A person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Legal holds, by name, with their reasons.
    pub holds: BTreeMap<String, String>,
    /// Whether it was asked for that they be erased.
    pub requested: Option<ErasureRequest>,
    /// Whether they were erased.
    pub erased: bool,
}

impl Person {
    /// The rules. Pure: no clock, no I/O, no randomness.
    ///
    /// # Errors
    /// The first rule that forbids the command.
    pub fn decide(&self, command: PersonCommand) -> Result<Vec<PersonEvent>, PersonRefusal> {
        if self.erased {
            return Err(PersonRefusal::Erased);
        }
        match command {
            PersonCommand::Erase { by, reason, customer_id, needs_approval } => {
                must_be_text("reason", &reason, MAX_REASON_CHARS)?;
                self.must_be_free()?;
                if needs_approval {
                    must_be_somebody(&by)?;
                }
                if self.requested.is_some() && needs_approval {
                    return Err(PersonRefusal::ErasurePending);
                }
                let request = PersonErasureRequested { by, reason, customer_id: customer_id.clone() };
                let erased = (!needs_approval).then(|| PersonErased { customer_id }.into());
                Ok(std::iter::once(request.into()).chain(erased).collect())
            }
            PersonCommand::Approve { by } => {
                let request = self.requested.as_ref().ok_or(PersonRefusal::ErasureNotRequested)?;
                must_be_somebody(&by)?;
                // What a version before this rule took of a key has to be asked for again, by somebody.
                must_be_somebody(&request.by)?;
                if who(&request.by) == who(&by) {
                    return Err(PersonRefusal::SamePerson { by });
                }
                // A hold may have come since it was asked for.
                self.must_be_free()?;
                let erased = PersonErased { customer_id: request.customer_id.clone() };
                Ok(vec![PersonErasureApproved { by }.into(), erased.into()])
            }
            PersonCommand::Reject { by, reason } => {
                must_be_text("reason", &reason, MAX_REASON_CHARS)?;
                if self.requested.is_none() {
                    return Err(PersonRefusal::ErasureNotRequested);
                }
                must_be_somebody(&by)?;
                Ok(vec![PersonErasureRejected { by, reason }.into()])
            }
            PersonCommand::PlaceHold { name, reason } => {
                must_be_text("name", &name, MAX_NAME_CHARS)?;
                must_be_text("reason", &reason, MAX_REASON_CHARS)?;
                if self.holds.contains_key(&name) {
                    return Err(PersonRefusal::HoldExists { name });
                }
                if self.holds.len() >= MAX_HOLDS {
                    return Err(PersonRefusal::TooMany { most: MAX_HOLDS });
                }
                Ok(vec![LegalHoldPlaced { name, reason }.into()])
            }
            PersonCommand::LiftHold { name } => match self.holds.get(&name) {
                Some(_) => Ok(vec![LegalHoldLifted { name }.into()]),
                None => Err(PersonRefusal::HoldNotFound { name }),
            },
        }
    }

    fn must_be_free(&self) -> Result<(), PersonRefusal> {
        let names: Vec<_> = self.holds.keys().cloned().collect();
        if names.is_empty() { Ok(()) } else { Err(PersonRefusal::OnHold { names }) }
    }

    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, event: &PersonEvent) {
        match event {
            PersonEvent::PersonErasureRequested(event) => {
                self.requested = Some(ErasureRequest { by: event.by.clone(), customer_id: event.customer_id.clone() });
            }
            PersonEvent::PersonErasureApproved(_) => {}
            PersonEvent::PersonErasureRejected(_) => self.requested = None,
            PersonEvent::PersonErased(_) => (self.requested, self.erased) = (None, true),
            PersonEvent::LegalHoldPlaced(event) => drop(self.holds.insert(event.name.clone(), event.reason.clone())),
            PersonEvent::LegalHoldLifted(event) => drop(self.holds.remove(&event.name)),
        }
    }
}

/// Who an actor is, whatever they act as: `admin:ana` and `support:ana` are one person.
fn who(actor: &str) -> &str {
    actor.split_once(':').map_or(actor, |(_, name)| name)
}

fn must_be_somebody(actor: &str) -> Result<(), PersonRefusal> {
    match actor.split_once(':') {
        Some((label, name)) if label != "api-key" && !name.is_empty() => Ok(()),
        Some(_) | None => Err(PersonRefusal::NotSomebody { by: actor.to_owned() }),
    }
}

fn must_be_text(field: &'static str, text: &str, most: usize) -> Result<(), PersonRefusal> {
    let fits = !text.trim().is_empty() && text.chars().count() <= most;
    if fits { Ok(()) } else { Err(PersonRefusal::InvalidText { field, most }) }
}

/// Ask the same of every person that somebody has come to be (a customer who bought as a guest before is two): of all of them,
/// or of none. Who was erased already is left out. The account of whom is erased goes in the same append, and if nobody else
/// administers the store, nothing is erased.
#[derive(Debug, Clone)]
pub struct ChangePersons {
    /// The persons.
    pub persons: Vec<PersonId>,
    /// Which customer each of them is, of those who are one: what is said of a person's erasure names theirs.
    pub customers: BTreeMap<PersonId, CustomerId>,
    /// What is asked of each.
    pub command: PersonCommand,
}

impl Decision for ChangePersons {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        if self.persons.len() > MAX_PERSONS {
            return Err(PersonRefusal::TooMany { most: MAX_PERSONS }.into());
        }
        // All reads come first, so that what is missing is brought in one go.
        let persons: Vec<_> = self.persons.iter().map(|id| (id, world.get::<Person>(id))).collect();
        let there: Vec<_> = persons.iter().filter(|(_, person)| !person.erased && self.concerns(person)).collect();
        let Some((_, first)) = there.first().copied().or(persons.first()) else { return Err(PersonRefusal::NotFound.into()) };
        if there.is_empty() {
            // Says why not.
            first.decide(self.command.clone())?;
        }
        let (mut changes, mut named, mut erased) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for (id, person) in there {
            let events = person.decide(self.asked_of(id))?;
            for event in &events {
                if let PersonEvent::PersonErasureRequested(event) = event {
                    named.extend(account_of(event.customer_id.as_ref()));
                }
                if let PersonEvent::PersonErased(event) = event {
                    erased.extend(account_of(event.customer_id.as_ref()));
                }
            }
            changes.extend(Change::all(stream_of::<Person>(id), events));
        }
        named.extend(&erased);
        must_leave_an_admin(world, &named)?;
        changes.extend(removed_accounts(world, &erased)?);
        Ok(changes)
    }
}

/// The account that a customer has, if they are one of this shop and not of an import.
fn account_of(customer: Option<&CustomerId>) -> Option<AccountId> {
    customer.and_then(|customer| customer.as_str().parse().ok())
}

impl ChangePersons {
    fn asked_of(&self, person: &PersonId) -> PersonCommand {
        let mut command = self.command.clone();
        if let PersonCommand::Erase { customer_id, .. } = &mut command
            && let Some(own) = self.customers.get(person)
        {
            *customer_id = Some(own.clone());
        }
        command
    }

    /// Whether there is something to answer: a person that was met after it was asked for has not been asked about.
    fn concerns(&self, person: &Person) -> bool {
        match &self.command {
            PersonCommand::Approve { .. } | PersonCommand::Reject { .. } => person.requested.is_some(),
            PersonCommand::LiftHold { name } => person.holds.contains_key(name),
            PersonCommand::PlaceHold { name, .. } => !person.holds.contains_key(name),
            PersonCommand::Erase { .. } => true,
        }
    }
}
