//! What is decided about accounts over more than one of them: that a role exists, and that someone administers the store.

use std::collections::BTreeSet;

use event_schemas::{AccountId, RoleName};

use crate::{
    Account, AccountCommand, Change, Decision, ROSTER_ID, Refusal, Role, RoleRefusal, Roster, RosterCommand, RosterRefusal,
    World, stream_of,
};

/// Lets things happen to an account one after the other, and keeps the roster of administrators in step.
fn account_changes(
    world: &World<'_>,
    account_id: AccountId,
    commands: impl IntoIterator<Item = AccountCommand>,
) -> Result<Vec<Change>, Refusal> {
    let before = world.get::<Account>(account_id);
    let mut after = before.clone();
    let mut events = Vec::new();
    for command in commands {
        let decided = after.decide(command)?;
        decided.iter().for_each(|event| after.evolve(event));
        events.extend(decided);
    }
    let mut changes = Change::all(stream_of::<Account>(account_id), events);
    let roster = match (before.administers(), after.administers()) {
        (false, true) => RosterCommand::Add { account_id },
        (true, false) => RosterCommand::Remove { account_id },
        (false, false) | (true, true) => return Ok(changes),
    };
    let listed = world.get::<Roster>(ROSTER_ID).decide(roster)?;
    changes.extend(Change::all(stream_of::<Roster>(ROSTER_ID), listed));
    Ok(changes)
}

/// Removes those of these accounts that there are: what goes with the erasure of whom they belong to.
pub(crate) fn removed_accounts(world: &World<'_>, accounts: &BTreeSet<AccountId>) -> Result<Vec<Change>, Refusal> {
    let mut changes = Vec::new();
    for account_id in accounts.iter().filter(|id| world.get::<Account>(id).registered().is_some()) {
        changes.extend(account_changes(world, *account_id, [AccountCommand::Remove])?);
    }
    Ok(changes)
}

/// Refuses what would leave nobody to administer the store when these accounts go.
pub(crate) fn must_leave_an_admin(world: &World<'_>, accounts: &BTreeSet<AccountId>) -> Result<(), RosterRefusal> {
    let admins = world.get::<Roster>(ROSTER_ID).admins();
    if !admins.is_empty() && admins.is_subset(accounts) { Err(RosterRefusal::LastAdmin) } else { Ok(()) }
}

/// Register an account, as a customer.
#[derive(Debug, Clone)]
pub struct RegisterAccount {
    /// Its id.
    pub account_id: AccountId,
}

impl Decision for RegisterAccount {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let account_id = self.account_id;
        account_changes(world, account_id, [AccountCommand::Register { account_id }])
    }
}

/// Let something happen to an account. A role that is given must exist, and someone must be left to administer the store.
#[derive(Debug, Clone)]
pub struct ChangeAccount {
    /// The account.
    pub account_id: AccountId,
    /// What happens to it.
    pub command: AccountCommand,
}

impl Decision for ChangeAccount {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let role = match &self.command {
            AccountCommand::GrantRole { role } => must_exist(world, role),
            _ => Ok(()),
        };
        let changes = account_changes(world, self.account_id, [self.command.clone()])?;
        role?;
        Ok(changes)
    }
}

fn must_exist(world: &World<'_>, role: &RoleName) -> Result<(), RoleRefusal> {
    let exists = role.is_built_in() || world.get::<Role>(role).is_defined();
    if exists { Ok(()) } else { Err(RoleRefusal::NotFound) }
}

/// Make an account the first administrator, if there is none; it is registered and verified as far as it is not yet.
#[derive(Debug, Clone)]
pub struct ClaimFirstAdmin {
    /// The account.
    pub account_id: AccountId,
}

impl Decision for ClaimFirstAdmin {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let account_id = self.account_id;
        let nobody = world.get::<Roster>(ROSTER_ID).must_be_empty();
        let is_new = world.get::<Account>(account_id).registered().is_none();
        let register = is_new.then_some(AccountCommand::Register { account_id });
        let admin = AccountCommand::GrantRole { role: RoleName::admin() };
        let commands = register.into_iter().chain([AccountCommand::Verify, AccountCommand::Enable, admin]);
        let changes = account_changes(world, account_id, commands)?;
        nobody?;
        Ok(changes)
    }
}
