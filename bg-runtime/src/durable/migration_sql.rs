/// One step of [`Store::migration_sql`](super::Store::migration_sql).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MigrationSql {
    /// Such as `river_006_bulk_unique`, for the name of its file. It stays the same in later versions of this crate.
    pub name: String,
    /// To be run once, in one transaction, behind the steps before it. Has no parameters, and neither begins nor ends
    /// a transaction.
    pub sql: String,
}
