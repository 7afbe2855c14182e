//! Tables made of tables: new facts replace old ones, and what is too much goes.

use std::path::{Path, PathBuf};

use fastpath::fact::Kind;
use fastpath::table::shared::{Key, Learnt, LearntDir, merge};
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

    /// Whatever the limit, it is kept, and what is left is as it was learnt.
    #[test]
    fn a_table_keeps_to_its_limit(one in any_learnt(), other in any_learnt(), limit in 0..3000_u64) {
        let mut model = Model::default();
        model.learn(&one);
        let first = merged(None, one, limit);
        model.learn(&other);
        let second = merged(first.as_deref(), other, limit);
        for bytes in [&first, &second].into_iter().flatten() {
            prop_assert!(bytes.len() as u64 <= limit);
            prop_assert_eq!(open(bytes).check_all().damaged, 0);
        }
        let Some(bytes) = second else { return Ok(()) };
        for (path, dir) in read(&open(&bytes)).undated().dirs {
            let known = &model.dirs[&path];
            prop_assert!(dir.names.is_none() || dir.names == known.names);
            for (name, file) in dir.files {
                prop_assert_eq!(&known.files[&name], &file);
            }
        }
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
fn a_day_in_the_future_does_not_last() {
    let dir = |path: &str| learnt(path, 1, &[], vec![file("m.py", 1, &[7; 1000])]);
    let wrong = merged(None, today(9000, vec![dir("/a")]), NO_LIMIT);
    let mended = merged(wrong.as_deref(), today(10, vec![dir("/b")]), NO_LIMIT).expect("new");
    let days: Vec<_> = open(&mended).blocks().map(|block| block.used_day()).collect();
    assert_eq!(days, [10, 10]);
}

#[test]
fn the_same_names_of_another_generation_are_news() {
    let dir = |n| today(1, vec![learnt("/a", n, &["m.py"], vec![])]);
    let bytes = merged(None, dir(1), NO_LIMIT);
    assert_eq!(merged(bytes.as_deref(), dir(1), NO_LIMIT), None);
    assert!(merged(bytes.as_deref(), dir(2), NO_LIMIT).is_some());
}

#[test]
fn what_does_not_fit_is_not_written_again_and_again() {
    let dir = |path: &str| learnt(path, 1, &[], vec![file("m.py", 1, &[7; 1000])]);
    let both = || today(1, vec![dir("/a"), dir("/b")]);
    let bytes = merged(None, both(), 2000).expect("one of them");
    assert_eq!(open(&bytes).len(), 1);
    assert_eq!(merged(Some(&bytes), both(), 2000), None);
    let reversed = today(1, vec![dir("/b"), dir("/a")]);
    assert_eq!(merged(Some(&bytes), reversed, 2000), None, "what is there stays");
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

#[test]
fn contents_lie_in_the_order_in_which_the_program_needs_them() {
    let texts = ["third", "first", "fifth", "second", "fourth", "sixth"];
    let files = |numbers: &[usize]| {
        let file = |n: &usize| file(&format!("{n}.py"), *n as u64, texts[*n].as_bytes());
        numbers.iter().map(file).collect::<Vec<_>>()
    };
    let dirs = vec![
        learnt("/a", 1, &[], files(&[0, 1, 2])),
        LearntDir { files: files(&[3, 4]), ..used("/b") },
    ];
    let plan = ["/a/1.py", "/b", "/b/3.py", "/a/0.py"].map(PathBuf::from).to_vec();
    let learnt = Learnt { plan: Some((vec![], plan)), ..today(1, dirs) };
    let bytes = merged(None, learnt, NO_LIMIT).expect("new");
    let contents =
        |bytes: &[u8], len: usize| String::from_utf8_lossy(&bytes[16..16 + len]).into_owned();
    assert_eq!(contents(&bytes, 27), "firstsecondthirdfifthfourth", "the plan's, then the others");
    let later = today(2, vec![LearntDir { files: files(&[5, 1]), ..used("/a") }]);
    let bytes = merged(Some(&bytes), later, NO_LIMIT).expect("another file");
    assert_eq!(
        contents(&bytes, 32),
        "firstsecondthirdfifthfourthsixth",
        "what is there stays there"
    );
}

#[test]
fn what_is_beyond_every_measure_is_not_stored() {
    let long = "n".repeat(70_000);
    let dirs = || {
        vec![
            learnt("relative", 1, &["m.py"], vec![]),
            learnt(&format!("/{long}"), 1, &["m.py"], vec![]),
            learnt("/names", 1, &["m.py", &long], vec![file(&long, 1, b""), file("m.py", 1, b"")]),
        ]
    };
    let bytes = merged(None, today(1, dirs()), NO_LIMIT).expect("a file");
    let table = open(&bytes);
    let block = table.block(Path::new("/names")).expect("the only one");
    assert_eq!((table.len(), block.files_len(), block.names()), (1, 1, None));
    assert_eq!(merged(Some(&bytes), today(1, dirs()), NO_LIMIT), None);

    let name = |n: usize| (format!("{n:0100}").into_bytes().into_boxed_slice(), Kind::File);
    let names = Some((listed(1, &[]).expect("names").0, (0..80_000).map(name).collect()));
    let large = LearntDir { path: "/large".into(), names, files: vec![] };
    assert_eq!(merged(None, today(1, vec![large]), NO_LIMIT), None, "9 MB of names");

    let key = Key { environment: vec![0; 9000], ..key() };
    let error = merge(None, &key, today(1, dirs()), NO_LIMIT, &mut Vec::new());
    assert_eq!(error.expect_err("the key").kind(), std::io::ErrorKind::InvalidInput);
}
