//! Tables looked through for damage, and made smaller: what stays says what it said before.

use std::path::Path;

use fastpath::table::shared::{Damage, Learnt, Pruned, Root, Shared, prune, seal};
use proptest::collection::vec;
use proptest::prelude::*;

use super::model::*;

/// What `prune` tells, and what it writes, which is as much with a place to write to as without.
fn pruned(old: &Shared, keeps: &dyn Fn(u32, &Path) -> bool) -> (Pruned, Vec<u8>) {
    let mut out = Vec::new();
    let told = prune(old, keeps, Some(&mut out)).expect("memory does not fail");
    assert_eq!(prune(old, keeps, None).expect("nothing is written"), told);
    assert_eq!(told.is_empty(), out.is_empty());
    (told, out)
}

fn of_many(tellers: Vec<Learnt>) -> Option<Vec<u8>> {
    tellers.into_iter().fold(None, |bytes: Option<Vec<u8>>, learnt| {
        merged(bytes.as_deref(), learnt, NO_LIMIT).or(bytes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_stays_says_what_it_said(tellers in vec(any_learnt(), 1..4), day in 0..100_u32) {
        let Some(bytes) = of_many(tellers) else { return Ok(()) };
        let old = open(&bytes);
        let mut model = read(&old);
        let (told, smaller) = pruned(&old, &|used, _| used >= day);
        let before = model.dirs.len();
        model.dirs.retain(|_, dir| dir.day >= day);
        prop_assert_eq!(told.dirs.len(), before - model.dirs.len());
        prop_assert_eq!(told.damaged, 0);
        if !told.is_empty() {
            prop_assert_eq!(read(&open(&smaller)), model);
        }
    }

    /// Every byte belongs to something whose damage is seen, to the head, or to what nobody reads.
    #[test]
    fn a_changed_byte_is_damage_or_no_table(learnt in any_learnt(), at in any::<prop::sample::Index>()) {
        let Some(mut bytes) = merged(None, learnt, NO_LIMIT) else { return Ok(()) };
        let before = read(&open(&bytes));
        let at = at.index(bytes.len());
        bytes[at] ^= 0x55;
        let Ok(table) = Shared::new(Box::new(bytes), &key(), &[]) else { return Ok(()) };
        if table.damaged().is_empty() {
            prop_assert_eq!(read(&table), before);
        }
    }
}

#[test]
fn directories_go_by_path_and_by_day() {
    let some = |path| learnt(path, 1, &["m.py"], vec![file("m.py", 1, b"code")]);
    let first = merged(None, today(1, vec![some("/old"), some("/gone")]), NO_LIMIT);
    let plan = Some((b"app".to_vec(), vec!["/old".into()]));
    let learnt = Learnt { plan, ..today(9, vec![some("/new"), some("/gone")]) };
    let bytes = merged(first.as_deref(), learnt, NO_LIMIT).expect("news");
    let keeps = |used, dir: &Path| used > 1 && dir != Path::new("/gone");
    let (told, smaller) = pruned(&open(&bytes), &keeps);
    assert_eq!(told.dirs, [Path::new("/old"), Path::new("/gone")]);
    assert_eq!((told.files, told.damaged), (2, 0));
    let left = read(&open(&smaller));
    assert_eq!(left.dirs.keys().collect::<Vec<_>>(), ["/new"]);
    assert_eq!(left.dirs[std::ffi::OsStr::new("/new")].day, 9, "the day stays");
    assert_eq!(left.plans.len(), 1);
    assert!(smaller.len() < bytes.len());
    assert_eq!(pruned(&open(&smaller), &keeps).0, Pruned::default());
}

#[test]
fn damage_is_told_by_name_and_left_out() {
    let one = learnt("/a", 1, &["m.py"], vec![file("m.py", 1, b"COUGH"), file("n.py", 1, b"well")]);
    let mut bytes = merged(None, today(1, vec![one]), NO_LIMIT).expect("news");
    assert_eq!(open(&bytes).damaged(), []);
    let at = bytes.windows(5).position(|piece| piece == b"COUGH").expect("stored as it is");
    bytes[at] = b'X';
    assert_eq!(open(&bytes).damaged(), [Damage::File("/a/m.py".into())]);
    let (told, smaller) = pruned(&open(&bytes), &|_, _| true);
    assert_eq!(told, Pruned { damaged: 1, ..Pruned::default() });
    assert_eq!(open(&smaller).damaged(), []);
    let left = read(&open(&smaller));
    let files = &left.dirs[std::ffi::OsStr::new("/a")].files;
    assert_eq!(files.keys().collect::<Vec<_>>(), [b"n.py"]);
}

#[test]
fn a_sealed_table_is_as_it_was_made() {
    let mut bytes = Vec::new();
    let roots = [Root { path: "/venv".into(), sealed: true }];
    let learnt = today(1, vec![learnt("/venv/a", 1, &["m.py"], vec![])]);
    seal(&key(), learnt, &roots, &mut bytes).expect("memory does not fail");
    let error = prune(&open(&bytes), &|_, _| false, None).expect_err("sealed");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}
