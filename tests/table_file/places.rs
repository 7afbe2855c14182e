//! Files and directories that are not what they should be, or not in the right hands.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use fastpath::table::shared::{Published, Refusal, Trust, open, publish};

use crate::bed::{Bed, NAME, chmod, is_root, names, number_at, pattern, publish_number};

const BOTH: [Trust; 2] = [Trust::User, Trust::Baked];

/// What opening says under either trust, where both say the same.
#[track_caller]
fn refused(path: &Path) -> Refusal {
    let [user, baked] = BOTH.map(|trust| open(path, trust).expect_err("a refusal"));
    assert_eq!(user, baked);
    user
}

/// That nothing is published there, and what is there stays as it is.
#[track_caller]
fn unpublishable(path: &Path) -> std::io::Error {
    publish(path, |_| panic!("nobody should write here")).expect_err("an error")
}

fn fifo(path: &Path) {
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
}

#[test]
fn what_is_not_there_is_missing() {
    let bed = Bed::with(b"a table");
    assert_eq!(refused(&bed.dir().join("other.table")), Refusal::Missing);
    assert_eq!(refused(&bed.dir().join("none").join(NAME)), Refusal::Missing);
    assert_eq!(refused(&bed.table().join(NAME)), Refusal::Missing, "below a file");
}

#[test]
fn a_relative_path_is_no_place() {
    assert!(matches!(refused(Path::new(NAME)), Refusal::NoPlace(_)));
    assert_eq!(unpublishable(Path::new(NAME)).kind(), ErrorKind::PermissionDenied);
}

#[test]
fn only_a_regular_file_is_a_table() {
    let bed = Bed::new();
    fs::create_dir(bed.table()).unwrap();
    assert_eq!(refused(&bed.table()), Refusal::NotRegular);
    fs::remove_dir(bed.table()).unwrap();
    // It would wait for a writer.
    fifo(&bed.table());
    assert_eq!(refused(&bed.table()), Refusal::NotRegular);
    fs::remove_file(bed.table()).unwrap();
    let _socket = UnixListener::bind(bed.table()).unwrap();
    assert_eq!(refused(&bed.table()), Refusal::NotRegular);
}

#[test]
fn a_link_to_a_table_is_none() {
    let there = Bed::with(&pattern(1));
    let bed = Bed::new();
    symlink(there.table(), bed.table()).unwrap();
    assert_eq!(refused(&bed.table()), Refusal::Link);
}

#[test]
fn a_link_to_the_directory_is_for_baked_tables_alone() {
    let there = Bed::with(&pattern(1));
    let bed = Bed::new();
    let link = bed.dir().join("current");
    symlink(there.dir(), &link).unwrap();
    let table = link.join(NAME);
    assert_eq!(open(&table, Trust::User).unwrap_err(), Refusal::Link);
    assert_eq!(open(&table, Trust::Baked).unwrap().len(), pattern(1).len() as u64);
    assert!(unpublishable(&table).to_string().contains("link"));
    // It is where the link leads that counts then.
    chmod(there.dir(), 0o777);
    assert_eq!(open(&table, Trust::Baked).unwrap_err(), Refusal::Writable(0o777));
}

#[test]
fn what_others_may_write_to_is_not_believed() {
    let bed = Bed::with(&pattern(1));
    for mode in [0o620, 0o602, 0o666] {
        chmod(&bed.table(), mode);
        assert_eq!(refused(&bed.table()), Refusal::Writable(mode));
    }
    for mode in [0o400, 0o600, 0o644, 0o755] {
        chmod(&bed.table(), mode);
        for trust in BOTH {
            assert!(open(&bed.table(), trust).is_ok(), "{mode:o}");
        }
    }
}

#[test]
fn nor_is_what_lies_where_others_may_write() {
    let bed = Bed::with(&pattern(1));
    // The last is that of /tmp: nobody can take our table away there, but anybody could have been there before us.
    for mode in [0o720, 0o702, 0o777, 0o1777] {
        chmod(bed.dir(), mode);
        assert_eq!(refused(&bed.table()), Refusal::Writable(mode));
        let error = unpublishable(&bed.table());
        assert!(error.to_string().contains("may write to it"), "{error}");
    }
    chmod(bed.dir(), 0o755);
    assert_eq!(number_at(&bed.table()), 1);
    assert_eq!(bed.names(), [NAME], "nothing was made there");
}

/// As a directory configured below `/tmp` does.
#[test]
fn a_directory_in_a_sticky_one_will_do() {
    let bed = Bed::new();
    chmod(bed.dir(), 0o1777);
    let table = bed.dir().join("ours").join(NAME);
    publish_number(&table, 5, |_| Ok(())).unwrap();
    assert_eq!(number_at(&table), 5);
}

#[test]
fn another_users_table_is_not_believed() {
    if !is_root() {
        return;
    }
    let bed = Bed::with(&pattern(1));
    chown(bed.table(), Some(12_345), None).unwrap();
    assert_eq!(refused(&bed.table()), Refusal::Owner(12_345));
    // In a directory of our own, we may put ours in its place.
    publish_number(&bed.table(), 2, |_| Ok(())).unwrap();
    assert_eq!(number_at(&bed.table()), 2);
}

#[test]
fn nor_is_what_lies_in_another_users_directory() {
    if !is_root() {
        return;
    }
    let bed = Bed::with(&pattern(1));
    chown(bed.dir(), Some(12_345), None).unwrap();
    assert_eq!(refused(&bed.table()), Refusal::Owner(12_345));
    assert!(unpublishable(&bed.table()).to_string().contains("uid 12345"));
    // Root, with HOME still another's, leaves nothing there.
    let below = bed.dir().join(".cache").join("fastpath").join(NAME);
    assert!(unpublishable(&below).to_string().contains("uid 12345"));
    assert_eq!(bed.names(), [NAME]);
}

#[test]
fn a_writer_meets_nothing_but_files_of_its_own() {
    let there = Bed::with(&pattern(1));
    for odd in ["lock", "new"] {
        let bed = Bed::with(&pattern(2));
        let path = bed.dir().join(format!("{NAME}.{odd}"));
        symlink(there.table(), &path).unwrap();
        let published = publish_number(&bed.table(), 3, |_| Ok(()));
        // A lock that is a link is refused; an unfinished table is removed, whatever it is.
        match odd {
            "lock" => assert!(published.unwrap_err().to_string().contains("symbolic link")),
            _ => assert_eq!(published.unwrap(), Published::Done),
        }
        assert_eq!(number_at(&there.table()), 1, "written through the link {odd}");
    }
    let bed = Bed::with(&pattern(2));
    fifo(&bed.dir().join(format!("{NAME}.lock")));
    assert!(unpublishable(&bed.table()).to_string().contains("no regular file"));
    assert_eq!(number_at(&bed.table()), 2);
}

#[test]
fn a_file_in_the_directorys_place_is_an_error() {
    let bed = Bed::with(&pattern(1));
    for path in [bed.table().join(NAME), bed.table().join("deeper").join(NAME)] {
        assert_eq!(unpublishable(&path).kind(), ErrorKind::NotADirectory);
    }
    assert_eq!(names(bed.dir()), [NAME]);
}

#[test]
fn a_directory_in_the_tables_place_stays() {
    let bed = Bed::new();
    fs::DirBuilder::new().mode(0o700).create(bed.table()).unwrap();
    publish_number(&bed.table(), 1, |_| Ok(())).expect_err("EISDIR");
    assert_eq!(bed.names(), [NAME.to_owned(), format!("{NAME}.lock")]);
    assert!(bed.table().is_dir());
}
