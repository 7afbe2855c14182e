//! Tables made of tables: new facts replace old ones, and what is too much goes.

use std::path::Path;

use fastpath::table::shared::{Learnt, LearntDir};
use proptest::collection::vec;
use proptest::prelude::*;

use super::model::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// However many processes tell one after another what they have learnt, the table says what the model does; telling
    /// the same again is nothing new.
    #[test]
    fn a_table_says_what_was_learnt(tellers in vec(any_learnt(), 1..5)) {
        let mut model = Model::default();
        let mut bytes = None;
        for learnt in tellers {
            model.learn(&learnt);
            if let Some(new) = merged(bytes.as_deref(), learnt.clone(), NO_LIMIT) {
                prop_assert_eq!(merged(Some(&new), learnt, NO_LIMIT), None);
                bytes = Some(new);
            }
        }
        let said = bytes.map_or_else(Model::default, |bytes| read(&open(&bytes)));
        prop_assert_eq!(said.undated(), model.undated());
    }

    #[test]
    fn equal_input_gives_equal_bytes(one in any_learnt(), other in any_learnt()) {
        let twice = [(); 2].map(|()| {
            let first = merged(None, one.clone(), NO_LIMIT);
            merged(first.as_deref(), other.clone(), NO_LIMIT)
        });
        prop_assert_eq!(&twice[0], &twice[1]);
    }
}

#[test]
fn nothing_learnt_is_nothing_written() {
    assert_eq!(merged(None, Learnt::default(), NO_LIMIT), None);
    assert_eq!(merged(None, today(1, vec![used("/a")]), NO_LIMIT), None);
}

#[test]
fn a_file_learnt_alone_leaves_the_names_as_they_were() {
    let first = merged(None, today(1, vec![learnt("/a", 1, &["m.py", "n"], vec![])]), NO_LIMIT);
    let files = vec![file("m.py", 5, b"code")];
    let more = LearntDir { files, ..used("/a") };
    let second = merged(first.as_deref(), today(2, vec![more]), NO_LIMIT).expect("a file is new");
    let dir = dir(&open(&second), Path::new("/a")).expect("known");
    assert_eq!(dir.names.expect("kept").1.len(), 2);
    assert_eq!((dir.files.len(), dir.day), (1, 2));
}

#[test]
fn what_was_used_longest_ago_goes_first() {
    let dir = |path: &str| learnt(path, 1, &[], vec![file("m.py", 1, &[7; 1000])]);
    let mut bytes = None;
    for (day, path) in [(1, "/a"), (2, "/b"), (3, "/c")] {
        bytes = merged(bytes.as_deref(), today(day, vec![dir(path)]), NO_LIMIT);
    }
    let room = bytes.as_ref().expect("three").len() as u64;
    let old = bytes.as_deref();
    let kept = |learnt, limit| {
        let bytes = merged(old, learnt, limit).expect("something new");
        assert!(bytes.len() as u64 <= limit);
        let paths: Vec<_> = open(&bytes).blocks().map(|block| block.path().to_owned()).collect();
        paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(kept(today(4, vec![dir("/d")]), room), "/b /c /d");
    assert_eq!(kept(today(4, vec![used("/a"), dir("/d")]), room), "/a /c /d", "/a was just used");
    assert_eq!(
        kept(today(4, vec![dir("/d"), dir("/e")]), room / 2),
        "/d",
        "and /e was learnt last"
    );
}

#[test]
fn what_does_not_fit_is_not_written_again_and_again() {
    let dir = |path: &str| learnt(path, 1, &[], vec![file("m.py", 1, &[7; 1000])]);
    let both = || today(1, vec![dir("/a"), dir("/b")]);
    let bytes = merged(None, both(), 2000).expect("one of them");
    assert_eq!(open(&bytes).len(), 1);
    assert_eq!(merged(Some(&bytes), both(), 2000), None);
    assert_eq!(merged(None, both(), 100), None, "no room for anything");
}

#[test]
fn being_used_again_is_news_only_where_it_will_decide_something() {
    let dir = learnt("/a", 1, &[], vec![file("m.py", 1, &[7; 1000])]);
    let bytes = merged(None, today(10, vec![dir]), NO_LIMIT).expect("new");
    let size = bytes.len() as u64;
    let again = |day, limit| merged(Some(&bytes), today(day, vec![used("/a")]), limit).is_some();
    assert!(again(17, size), "a week later, in a full table");
    assert!(!again(16, size) && !again(3, size), "too early");
    assert!(!again(39, 2 * size) && again(40, 2 * size), "a month later, in one half full");
    assert!(merged(Some(&bytes), today(17, vec![used("/b")]), size).is_none(), "another directory");
}

#[test]
fn plans_are_bounded_and_the_latest_stay() {
    let plan = |n: usize, paths| Learnt {
        plan: Some((n.to_string().into_bytes(), vec!["/a/m.py".into(); paths])),
        ..Learnt::default()
    };
    let mut bytes = None;
    for n in 0..70 {
        bytes = merged(bytes.as_deref(), plan(n, 1), NO_LIMIT);
    }
    let bytes = merged(bytes.as_deref(), plan(6, 9000), NO_LIMIT).expect("a longer one");
    let table = open(&bytes);
    assert_eq!(table.plans().count(), 64);
    assert_eq!(table.plan(b"6").map(|paths| paths.len()), Some(8192));
    assert_eq!((table.plan(b"5"), table.plan(b"7").is_some()), (None, true));
    assert_eq!(merged(Some(&bytes), plan(6, 9000), NO_LIMIT), None, "the same again");
}
