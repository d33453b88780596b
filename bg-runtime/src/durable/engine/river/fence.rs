//! The fence: no verdict of a worker counts whose claim was given to another one.
//!
//! River writes an outcome wherever the task is still running, whoever runs it. So each connection of ours carries the
//! name of its worker, and a trigger refuses what this name has no claim for, unless the claim is older than a lease:
//! then it is the leader's, who rescues. A rescuer also discards what it does not know; that becomes available again.

/// How the names of our connections begin. Those of other clients of River are not judged.
const PREFIX: &str = "bg";

/// Returns a name that no other worker has ever had: it ends with the lease in milliseconds, so that a trigger knows
/// from when on this one may rescue.
pub(super) fn worker_name(lease: std::time::Duration, fenced: bool) -> String {
    let prefix = if fenced { PREFIX } else { "unfenced" };
    let random = fastrand::u64(..) ^ crate::task::TaskId::next().serial();
    let lease = lease.as_millis().min(u128::from(u32::MAX));
    format!("{prefix}:{:x}:{random:x}:{lease}", std::process::id())
}

/// The name of the trigger of PostgreSQL, with its version.
#[cfg(feature = "postgres")]
pub(super) const TRIGGER: &str = "bg_fence_1";

/// Creates the trigger of PostgreSQL, which is not there yet. `prefix` is the schema, quoted, with its dot.
#[cfg(feature = "postgres")]
pub(super) fn postgres_trigger(prefix: &str) -> String {
    format!(
        "create or replace function {prefix}{TRIGGER}() returns trigger language plpgsql as $fence$
         declare
             me text := current_setting('application_name');
         begin
             if me not like '{PREFIX}:%:%:%' then
                 return new;
             end if;
             if old.attempted_at > now() - make_interval(secs => split_part(me, ':', 4)::float8 / 1000) then
                 return null;
             end if;
             if new.state = 'discarded' and old.attempt < old.max_attempts then
                 new.state := 'available';
                 new.finalized_at := null;
                 new.scheduled_at := now();
             end if;
             return new;
         end $fence$;
         -- Who records what it has claimed itself pays for no call of the function.
         create trigger {TRIGGER} before update of state on {prefix}river_job for each row
             when (old.state = 'running' and new.state <> 'running' and
                 current_setting('application_name') is distinct from old.attempted_by[array_upper(old.attempted_by, 1)])
             execute function {prefix}{TRIGGER}();"
    )
}

/// Creates the triggers of one connection to SQLite, which are its own: they know its name, and River's tables stay as
/// they are.
#[cfg(feature = "sqlite")]
pub(super) fn sqlite_triggers(worker: &str, lease: std::time::Duration) -> String {
    let lost = format!(
        "old.state = 'running' and new.state <> 'running' and json_valid(old.attempted_by, 5)
         and coalesce(json_extract(old.attempted_by, '$[#-1]'), '') <> '{worker}'"
    );
    let is_young = format!(
        "julianday(old.attempted_at) > julianday('now') - {} / 86400.0",
        lease.as_secs_f64()
    );
    format!(
        "create temp trigger if not exists bg_fence before update of state on main.river_job
         when {lost} and {is_young}
         begin
             select raise(ignore);
         end;
         create temp trigger if not exists bg_keep before update of state on main.river_job
         when {lost} and not ({is_young}) and new.state = 'discarded' and old.attempt < old.max_attempts
         begin
             update river_job set state = 'available', scheduled_at = strftime('%Y-%m-%d %H:%M:%f', 'now'),
                 errors = new.errors, metadata = new.metadata
             where id = old.id;
             select raise(ignore);
         end;"
    )
}
