//! How much of something each address holds, such as connections, with a bound.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::net::AddressKey;

/// What is held, by address. An address that holds nothing takes no room.
#[derive(Debug)]
pub(crate) struct Counts {
    most: usize,
    held: Mutex<HashMap<AddressKey, usize>>,
}

impl Counts {
    /// Nothing is held yet, and each address may hold `most`.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, held: Mutex::default() })
    }

    /// One more for an address, until what this gives is dropped; `None` when it has as many as it may.
    pub(crate) fn take(self: &Arc<Self>, key: AddressKey) -> Option<Held> {
        // Else those that may hold nothing would take room.
        if self.most == 0 {
            return None;
        }
        let mut held = self.lock();
        let count = held.entry(key).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(held);
        Some(Held { counts: self.clone(), key })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AddressKey, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that is held.
#[derive(Debug)]
pub(crate) struct Held {
    counts: Arc<Counts>,
    key: AddressKey,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.counts.lock();
        if let Some(count) = held.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_as_many_as_it_may_and_gives_back_what_it_drops() {
        let counts = Counts::new(2);
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|address| AddressKey::of(address.parse().unwrap()));
        let held = (counts.take(one).unwrap(), counts.take(one).unwrap());
        assert!(counts.take(one).is_none() && counts.take(other).is_some());
        drop(held.0);
        assert!(counts.take(one).is_some());
        drop(held.1);
        assert!(counts.lock().is_empty(), "what holds nothing takes no room");
        let none = Counts::new(0);
        assert!(none.take(one).is_none() && none.lock().is_empty());
    }
}
