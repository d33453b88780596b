//! A transaction of the caller, so that a task is stored with what else it writes, or not at all.

#[cfg(not(all(feature = "postgres", feature = "sqlite")))]
use std::convert::Infallible;
#[cfg(not(all(feature = "postgres", feature = "sqlite")))]
use std::marker::PhantomData;

/// The connection of a transaction that the caller has begun, and will end.
#[doc(hidden)]
#[derive(Debug)]
#[allow(unreachable_pub, reason = "a sealed trait names it")]
pub enum StoreTransaction<'a> {
    #[cfg(feature = "postgres")]
    Postgres(&'a mut sqlx::PgConnection),
    #[cfg(feature = "sqlite")]
    Sqlite(&'a mut sqlx::SqliteConnection),
    /// There is none: so that the type exists without any engine that has transactions.
    #[cfg(not(all(feature = "postgres", feature = "sqlite")))]
    #[allow(dead_code, reason = "it has no values")]
    Never(Infallible, PhantomData<&'a mut ()>),
}

/// A transaction that a durable task can be stored in: `&mut` of a [`sqlx::Transaction`](crate::sqlx::Transaction) of
/// PostgreSQL or SQLite.
///
/// The task is stored, and picked up by a worker, when the transaction is committed. Cannot be implemented outside this
/// crate.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub trait InTransaction<'a>: sealed::Sealed<'a> {}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sealed {
    pub trait Sealed<'a> {
        fn open(self) -> super::StoreTransaction<'a>;
    }
}

#[cfg(feature = "postgres")]
impl<'a> InTransaction<'a> for &'a mut sqlx::Transaction<'_, sqlx::Postgres> {}

#[cfg(feature = "postgres")]
impl<'a> sealed::Sealed<'a> for &'a mut sqlx::Transaction<'_, sqlx::Postgres> {
    fn open(self) -> StoreTransaction<'a> {
        StoreTransaction::Postgres(self.as_mut())
    }
}

#[cfg(feature = "sqlite")]
impl<'a> InTransaction<'a> for &'a mut sqlx::Transaction<'_, sqlx::Sqlite> {}

#[cfg(feature = "sqlite")]
impl<'a> sealed::Sealed<'a> for &'a mut sqlx::Transaction<'_, sqlx::Sqlite> {
    fn open(self) -> StoreTransaction<'a> {
        StoreTransaction::Sqlite(self.as_mut())
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl<'a> StoreTransaction<'a> {
    pub(crate) fn of(transaction: impl InTransaction<'a>) -> Self {
        sealed::Sealed::open(transaction)
    }
}
