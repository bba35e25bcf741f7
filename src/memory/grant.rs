//! `Account` and `Grant`: bytes reserved before they are allocated, and returned when their holder is dropped.
//!
//! Invariants: the grants of an account never sum to more than its limit; a grant returns exactly what it holds, once.
//! A grant may be dropped on a disk thread, therefore the counters are atomic.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug)]
struct Inner {
    limit_bytes: usize,
    used_bytes: AtomicUsize,
    peak_bytes: AtomicUsize,
}

/// One line of the memory table, of the kind that is drawn from at run time. Clones are the same account.
#[derive(Clone, Debug)]
pub struct Account(Arc<Inner>);

impl Account {
    /// An account of at most `limit_bytes`.
    pub fn new(limit_bytes: usize) -> Account {
        Account(Arc::new(Inner { limit_bytes, used_bytes: AtomicUsize::new(0), peak_bytes: AtomicUsize::new(0) }))
    }

    /// Reserves `bytes`, or says no: the caller then waits, evicts or refuses, as its table line states.
    pub fn take(&self, bytes: usize) -> Option<Grant> {
        self.take_leaving(bytes, 0)
    }

    /// The same, as long as `left` bytes remain for others.
    pub fn take_leaving(&self, bytes: usize, left: usize) -> Option<Grant> {
        let limit = self.0.limit_bytes.saturating_sub(left);
        let mut used = self.0.used_bytes.load(Ordering::Relaxed);
        loop {
            let after = used.checked_add(bytes).filter(|&after| after <= limit)?;
            match self.0.used_bytes.compare_exchange_weak(used, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    self.0.peak_bytes.fetch_max(after, Ordering::Relaxed);
                    return Some(Grant { account: Some(self.clone()), bytes });
                }
                Err(seen) => used = seen,
            }
        }
    }

    /// The most that may be reserved at once.
    pub fn limit_bytes(&self) -> usize {
        self.0.limit_bytes
    }

    /// Reserved now.
    pub fn used_bytes(&self) -> usize {
        self.0.used_bytes.load(Ordering::Relaxed)
    }

    /// The most that was ever reserved at once.
    pub fn peak_bytes(&self) -> usize {
        self.0.peak_bytes.load(Ordering::Relaxed)
    }
}

/// Bytes reserved from an account until this is dropped.
#[derive(Debug, Default)]
pub struct Grant {
    account: Option<Account>,
    bytes: usize,
}

impl Grant {
    /// Reserves nothing: for bytes that a fixed table line already counts.
    pub fn none() -> Grant {
        Grant::default()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes over what `other` holds, which is of the same account unless this grant is empty.
    pub fn join(&mut self, mut other: Grant) {
        if self.bytes == 0 {
            *self = other;
            return;
        }
        let same = match (&self.account, &other.account) {
            (Some(own), Some(others)) => Arc::ptr_eq(&own.0, &others.0),
            (own, others) => own.is_none() && others.is_none(),
        };
        assert!(same || other.bytes == 0, "grants of two accounts were joined");
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Moves `bytes` of this grant into one of their own; never more than it holds.
    pub fn split(&mut self, bytes: usize) -> Grant {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Grant { account: self.account.clone(), bytes }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if let Some(account) = &self.account {
            account.0.used_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An account refuses what exceeds it, and every byte comes back, split or not.
    #[test]
    fn take_split_return() {
        let account = Account::new(100);
        let mut grant = account.take(80).unwrap();
        assert!(account.take(21).is_none());
        assert!(account.take(usize::MAX).is_none());
        let part = grant.split(30);
        assert_eq!((grant.bytes(), part.bytes(), account.used_bytes()), (50, 30, 80));
        drop(part);
        assert_eq!(account.used_bytes(), 50);
        grant.join(account.take(20).unwrap());
        grant.join(Grant::none());
        assert_eq!((grant.bytes(), account.used_bytes()), (70, 70));
        drop(grant);
        assert_eq!((account.used_bytes(), account.peak_bytes()), (0, 80));
    }
}
