//! A new table in an old one's place.

use std::cell::Cell;
use std::fs;
use std::io::{Error, ErrorKind};

use fastpath::table::shared::{Published, publish};

use crate::bed::{Bed, NAME, chmod, mode, number_at, pattern, publish_number};

fn with_lock() -> Vec<String> {
    vec![NAME.to_owned(), format!("{NAME}.lock")]
}

#[test]
fn a_table_and_its_directories_are_made_for_their_owner_alone() {
    let bed = Bed::new();
    let dir = bed.dir().join("a").join("b");
    let table = dir.join(NAME);
    assert_eq!(publish_number(&table, 1, |_| Ok(())).unwrap(), Published::Done);
    assert_eq!(number_at(&table), 1);
    assert_eq!(crate::bed::names(&dir), with_lock());
    for path in [dir.parent().unwrap(), &dir] {
        assert_eq!(mode(path), 0o700, "{path:?}");
    }
    for name in with_lock() {
        assert_eq!(mode(&dir.join(&name)), 0o600, "{name}");
    }
}

#[test]
fn permissions_that_are_there_stay() {
    let bed = Bed::new();
    chmod(bed.dir(), 0o755);
    publish_number(&bed.table(), 1, |_| Ok(())).unwrap();
    assert_eq!(mode(bed.dir()), 0o755);
}

#[test]
fn each_table_takes_the_place_of_the_one_before() {
    let bed = Bed::new();
    for number in [9, 0, 4] {
        assert_eq!(publish_number(&bed.table(), number, |_| Ok(())).unwrap(), Published::Done);
        assert_eq!(number_at(&bed.table()), number);
    }
    assert_eq!(bed.names(), with_lock());
}

#[test]
fn who_has_nothing_to_say_changes_nothing() {
    let bed = Bed::with(&pattern(1));
    let before = bed.table().metadata().unwrap().modified().unwrap();
    let published = publish(&bed.table(), |out| {
        out.write_all(&pattern(2))?;
        Ok(false)
    });
    assert_eq!(published.unwrap(), Published::NothingNew);
    assert_eq!(number_at(&bed.table()), 1);
    assert_eq!(bed.table().metadata().unwrap().modified().unwrap(), before);
    assert_eq!(bed.names(), with_lock());
}

/// The lock is that of the open file, not that of the process: within one it works as between two.
#[test]
fn the_second_writer_goes_away_at_once() {
    let bed = Bed::with(&pattern(1));
    let second = Cell::new(None);
    let first = publish_number(&bed.table(), 2, |at| {
        if at == 3 {
            let refused = publish(&bed.table(), |_| panic!("two at once"));
            second.set(Some((refused.unwrap(), number_at(&bed.table()))));
        }
        Ok(())
    });
    assert_eq!(second.take(), Some((Published::Busy, 1)), "with the first table still there");
    assert_eq!(first.unwrap(), Published::Done);
    assert_eq!(number_at(&bed.table()), 2);
    assert_eq!(publish_number(&bed.table(), 3, |_| Ok(())).unwrap(), Published::Done);
}

/// Two tables in one directory have nothing to do with each other.
#[test]
fn a_writer_leaves_other_tables_alone() {
    let bed = Bed::new();
    let other = bed.dir().join("4567.table");
    let unfinished = bed.dir().join("4567.table.new");
    fs::write(&unfinished, b"somebody is at it").unwrap();
    publish_number(&bed.table(), 2, |at| {
        if at == 0 {
            fs::remove_file(&unfinished)?;
            publish_number(&other, 3, |_| Ok(())).map(drop)?;
            fs::write(&unfinished, b"somebody is at it")?;
        }
        Ok(())
    })
    .unwrap();
    assert_eq!((number_at(&bed.table()), number_at(&other)), (2, 3));
    assert_eq!(fs::read(&unfinished).unwrap(), b"somebody is at it");
}

#[test]
fn what_a_killed_writer_left_is_removed() {
    let bed = Bed::with(&pattern(1));
    fs::write(bed.dir().join(format!("{NAME}.new")), b"half a tab").unwrap();
    assert_eq!(publish(&bed.table(), |_| Ok(false)).unwrap(), Published::NothingNew);
    assert_eq!(bed.names(), with_lock());
}

#[test]
fn a_writer_that_fails_or_panics_leaves_the_table_that_was_there() {
    let bed = Bed::with(&pattern(1));
    let failed = publish_number(&bed.table(), 2, |at| match at {
        usize::MAX => Err(Error::new(ErrorKind::StorageFull, "a test's")),
        _ => Ok(()),
    });
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::StorageFull);
    let unwound = std::panic::catch_unwind(|| {
        publish_number(&bed.table(), 2, |at| if at == 40 { panic!("a test's") } else { Ok(()) })
    });
    assert!(unwound.is_err());
    assert_eq!(number_at(&bed.table()), 1);
    assert_eq!(bed.names(), with_lock());
}
