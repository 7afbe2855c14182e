//! The plans that are going to stand in a table, the least recently used first.

use std::path::PathBuf;

use super::encode::plan_size;
use super::layout::{ENTRY, MAX_NAME, MAX_PIECE, MAX_PLAN_PATHS, MAX_PLANS, MAX_PROGRAM};
use super::root;
use super::{Plan, Shared};

#[derive(Debug, Default)]
pub(super) struct Plans {
    pub(super) all: Vec<Plan>,
    /// The program whose plan is another than in the old table.
    news: Option<Box<[u8]>>,
}

impl Plans {
    pub(super) fn of(old: &Shared, today: u32) -> Self {
        let today_at_most = |plan: Plan| Plan { used_day: plan.used_day.min(today), ..plan };
        Self { all: old.plans().map(today_at_most).collect(), news: None }
    }

    /// Puts this plan behind all others, in the place of the program's old one.
    pub(super) fn learn(&mut self, plan: Plan) {
        let before = self.all.iter().position(|known| known.program == plan.program);
        let before = before.map(|at| self.all.remove(at));
        if !before.is_some_and(|known| same(&known.paths, &plan.paths)) {
            self.news = Some(plan.program.clone());
        }
        self.all.push(plan);
    }

    /// Whether there is a plan that the old table has not.
    pub(super) fn news(&self) -> bool {
        self.news.as_ref().is_some_and(|news| self.all.iter().any(|plan| plan.program == *news))
    }

    /// Leaves out those that were learnt longest ago, until the others cost at most `limit` bytes; how many they do.
    pub(super) fn bound(&mut self, limit: u64) -> u64 {
        let mut total: u64 = self.all.iter().map(cost).sum();
        while total > limit || self.all.len() > MAX_PLANS {
            total -= cost(&self.all.remove(0));
        }
        total
    }
}

/// What can be stored of a plan: as many paths as it may have, the first ones.
pub(super) fn storable(program: Vec<u8>, mut paths: Vec<PathBuf>, today: u32) -> Option<Plan> {
    paths.retain(|path| path.has_root() && root::bytes(path).len() <= MAX_NAME);
    paths.truncate(MAX_PLAN_PATHS);
    while plan_size(&program, paths.iter().map(|path| root::bytes(path).len())) > MAX_PIECE {
        paths.truncate(paths.len() / 2);
    }
    let short = program.len() <= MAX_PROGRAM;
    short.then(|| Plan { program: program.into(), paths, used_day: today })
}

/// Whether the table has this very plan.
pub(super) fn is_known(old: &Shared, plan: &Plan) -> bool {
    old.plan(&plan.program).is_some_and(|paths| same(&paths, &plan.paths))
}

/// Byte by byte: paths that lead to the same place are not the same here.
fn same(a: &[PathBuf], b: &[PathBuf]) -> bool {
    a.iter().map(|path| root::bytes(path)).eq(b.iter().map(|path| root::bytes(path)))
}

fn cost(plan: &Plan) -> u64 {
    let lengths = plan.paths.iter().map(|path| root::bytes(path).len());
    (plan_size(&plan.program, lengths) + ENTRY) as u64
}
