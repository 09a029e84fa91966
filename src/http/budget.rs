//! A bound on the bytes that requests of one kind hold in memory at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many bytes, shared by all. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ByteBudget {
    free: Arc<Semaphore>,
}

/// The bytes that one request holds; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: ByteBudget,
    permit: Option<OwnedSemaphorePermit>,
}

impl ByteBudget {
    /// A budget of `bytes`.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(bytes)),
        }
    }

    /// Begins an empty reservation.
    #[must_use]
    pub fn reserve(&self) -> Reservation {
        Reservation {
            budget: self.clone(),
            permit: None,
        }
    }
}

impl Reservation {
    /// Takes `bytes` more. `false` when they are not to be had now.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> bool {
        let Ok(count) = u32::try_from(bytes) else {
            return false;
        };
        let Ok(more) = Arc::clone(&self.budget.free).try_acquire_many_owned(count) else {
            return false;
        };
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_not_to_be_had_until_it_is_given_back() {
        let budget = ByteBudget::new(100);
        let mut first = budget.reserve();
        assert!(first.grow(60) && first.grow(30));
        assert!(!budget.reserve().grow(20));
        drop(first);
        assert!(budget.reserve().grow(100));
    }
}
