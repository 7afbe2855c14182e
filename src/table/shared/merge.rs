//! A table made of an old one and of what a process has learnt, or of the latter alone.

use std::io::{self, Write};

use super::draft::{self, Drafts};
use super::layout::MAX_ROOTS;
use super::plans::{self, Plans};
use super::root::Root;
use super::turns::Turns;
use super::write::{self, Outline};
use super::{Key, Learnt, LearntDir, Plan, Shared};

/// A later use is worth writing down only if it is this many days later.
const STALE_DAYS: u32 = 7;
/// This many days later it is worth it even where there is room, for those who want to be rid of what nobody uses.
const DATED_DAYS: u32 = 30;

/// Writes `old` with what was `learnt`, in at most `limit` bytes, to `out`. New facts replace old ones of the same
/// directory or file; directories that nobody has used for longest go first, and what this process has used only if that
/// alone is too much. Old bytes are copied file by file, and left out where they are damaged. Equal input gives
/// equal output.
///
/// False, with nothing written, if it would say nothing that `old` does not. That something was used again counts only
/// if the table is more than half full and it was last used a week ago or longer, or a month ago: until then nothing is
/// decided by it.
///
/// # Errors
///
/// What `out` says; `InvalidInput` if the key is too long for a table.
pub fn merge(
    old: Option<&Shared>,
    key: &Key,
    learnt: Learnt,
    limit: u64,
    out: &mut dyn Write,
) -> io::Result<bool> {
    let outline = Outline::new(key, &[], false)?;
    let Learnt { dirs, plan, day } = learnt;
    let plan = plan.and_then(|(program, paths)| plans::storable(program, paths, day));
    let stale = old.is_some_and(|old| dirs.iter().any(|dir| is_stale(old, dir, day, limit)));
    if !stale && old.is_some_and(|old| is_known(old, &dirs, plan.as_ref())) {
        return Ok(false);
    }
    let Some(room) = limit.checked_sub(outline.size()) else { return Ok(false) };
    let (mut drafts, mut plans) = drawn_up(old, dirs, plan, day, room);
    let room = room - plans.bound(room / 4);
    drafts.bound(room);
    if !stale && !plans.news() && !drafts.all.iter().any(|draft| draft.news) {
        return Ok(false);
    }
    write::table(&outline, old, drafts.all, &plans, out)?;
    Ok(true)
}

/// Writes a table that can be moved with the environment it is about, or made on another machine for it: paths below
/// one of `roots` are stored relative to it, and what lies below a sealed one is dated by size and `mtime` of the source
/// alone. Nothing is left out that can be stored; equal input, in the same order, gives equal output anywhere.
///
/// # Errors
///
/// What `out` says; `InvalidInput` if there are more than 63 roots, or the key is too long for a table.
pub fn seal(key: &Key, learnt: Learnt, roots: &[Root], out: &mut dyn Write) -> io::Result<()> {
    if roots.len() > MAX_ROOTS {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let outline = Outline::new(key, roots, true)?;
    let Learnt { dirs, plan, day } = learnt;
    let plan = plan.and_then(|(program, paths)| plans::storable(program, paths, day));
    let (mut drafts, plans) = drawn_up(None, dirs, plan, day, u64::MAX);
    drafts.bound(u64::MAX);
    write::table(&outline, None, drafts.all, &plans, out)
}

/// What would stand in a table if there were room for all.
fn drawn_up(
    old: Option<&Shared>,
    dirs: Vec<LearntDir>,
    plan: Option<Plan>,
    today: u32,
    limit: u64,
) -> (Drafts, Plans) {
    let mut turns = Turns::of(plan.as_ref().map_or(&[], |plan| &plan.paths));
    let mut drafts = old.map_or_else(Drafts::default, |old| Drafts::of(old, today, limit));
    for dir in dirs {
        drafts.learn(dir, today, old, &mut turns);
    }
    let mut plans = old.map_or_else(Plans::default, |old| Plans::of(old, today));
    if let Some(plan) = plan {
        plans.learn(plan);
    }
    (drafts, plans)
}

/// Whether the old table has all of this: then no more of it is read than what was learnt again.
fn is_known(old: &Shared, dirs: &[LearntDir], plan: Option<&Plan>) -> bool {
    plan.is_none_or(|plan| plans::is_known(old, plan))
        && dirs.iter().all(|dir| draft::is_known(old, dir))
}

fn is_stale(old: &Shared, dir: &LearntDir, today: u32, limit: u64) -> bool {
    let stale = if old.size() > limit / 2 { STALE_DAYS } else { DATED_DAYS };
    old.used_day(&dir.path).is_some_and(|day| today.saturating_sub(day) >= stale)
}
