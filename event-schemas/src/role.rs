//! What can happen to a role that a store has defined for itself. Its stream is named by the role.

event! {
    /// A role was defined, or defined anew: from now on it permits this and nothing else.
    RoleDefined {
        /// What it permits, each once, sorted.
        pub permissions: Vec<String>,
        /// What it is for, as staff read it.
        pub description: String,
    }
}

event! {
    /// A role was removed: whoever has it may do nothing by it.
    RoleRemoved {}
}

events! {
    /// Everything that can happen to a role.
    RoleEvent of "role" {
        RoleDefined = 1,
        RoleRemoved = 1,
    }
}
