//! Writers that are killed, and many at once.

use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::thread::{sleep, yield_now};
use std::time::Duration;

use fastpath::table::shared::{Published, Trust, open};
use rustix::process::{Signal, getpid, kill_process};

use crate::alone::{child, given, succeeded};
use crate::bed::{Bed, NAME, number, number_at, publish_number};

/// Numbers of tables that are published in turn.
const NUMBERS: u8 = 100;

fn names(more: &[&str]) -> Vec<String> {
    let mut names = vec![NAME.to_owned(), format!("{NAME}.lock")];
    names.extend(more.iter().map(|suffix| format!("{NAME}.{suffix}")));
    names
}

/// A process that publishes without end.
fn publisher(bed: &Bed) -> Child {
    let mut command = child("deaths::publish_until_killed", bed.dir());
    command.stdout(std::process::Stdio::null()).spawn().unwrap()
}

#[test]
#[ignore = "is killed: run by the test below it"]
fn publish_until_killed() {
    let table = given().join(NAME);
    for number in (0..NUMBERS).cycle() {
        assert_ne!(publish_number(&table, number, |_| Ok(())).unwrap(), Published::NothingNew);
    }
}

/// The moments are spread over the time that one takes to be published, and beyond.
#[test]
fn a_writer_killed_at_any_moment_leaves_a_whole_table() {
    let bed = Bed::new();
    for round in 0..32 {
        let mut writer = publisher(&bed);
        while !bed.table().exists() {
            assert!(writer.try_wait().unwrap().is_none(), "it ends before it publishes");
            yield_now();
        }
        let before = number_at(&bed.table());
        while round > 0 && number_at(&bed.table()) == before {
            assert!(writer.try_wait().unwrap().is_none(), "it publishes nothing");
            yield_now();
        }
        sleep(Duration::from_micros(round * 137));
        writer.kill().unwrap();
        writer.wait().unwrap();
        assert!(number_at(&bed.table()) < NUMBERS);
        let left = bed.names();
        assert!(left == names(&[]) || left == names(&["new"]), "{left:?}");
    }
    assert_eq!(publish_number(&bed.table(), 200, |_| Ok(())).unwrap(), Published::Done);
    assert_eq!((number_at(&bed.table()), bed.names()), (200, names(&[])));
}

#[test]
#[ignore = "kills itself: run by the test below it"]
fn publish_half() {
    let half = |at| {
        // Enough that some of it is no longer in the buffer.
        if at == 150 {
            kill_process(getpid(), Signal::KILL)?;
        }
        Ok(())
    };
    publish_number(&given().join(NAME), 200, half).unwrap();
}

#[test]
fn what_one_killed_in_the_middle_leaves_is_removed_by_the_next() {
    let bed = Bed::new();
    publish_number(&bed.table(), 1, |_| Ok(())).unwrap();
    let killed = child("deaths::publish_half", bed.dir()).output().unwrap();
    assert_eq!(killed.status.signal(), Some(9));
    assert_eq!((number_at(&bed.table()), bed.names()), (1, names(&["new"])));
    assert!(bed.dir().join(format!("{NAME}.new")).metadata().unwrap().len() > 0);
    // Its lock went with it.
    assert_eq!(publish_number(&bed.table(), 2, |_| Ok(())).unwrap(), Published::Done);
    assert_eq!((number_at(&bed.table()), bed.names()), (2, names(&[])));
}

#[test]
#[ignore = "is one of many: run by the test below it"]
fn publish_some() {
    let table = given().join(NAME);
    let mut done = 0;
    let mut numbers = (0..NUMBERS).cycle();
    while done < 10 {
        match publish_number(&table, numbers.next().unwrap(), |_| Ok(())).unwrap() {
            Published::Done => done += 1,
            Published::Busy => yield_now(),
            Published::NothingNew => panic!("there was something"),
        }
    }
}

#[test]
fn eight_writers_at_once_and_a_reader_who_never_sees_half_a_table() {
    let bed = Bed::new();
    let publish = || {
        let mut command = child("deaths::publish_some", bed.dir());
        let piped = command.stdout(std::process::Stdio::piped());
        piped.stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let mut writers: Vec<Child> = (0..8).map(|_| publish()).collect();
    let mut reads = 0;
    while writers.iter_mut().any(|writer| writer.try_wait().unwrap().is_none()) {
        // None only before the first is there.
        if let Ok(table) = open(&bed.table(), Trust::User) {
            assert!(number(&*table).is_none_or(|number| number < NUMBERS));
            reads += 1;
        } else {
            assert_eq!(reads, 0, "it was gone");
        }
    }
    for writer in writers {
        succeeded("publish_some", &writer.wait_with_output().unwrap());
    }
    assert!(reads > 0 && number_at(&bed.table()) < NUMBERS);
    assert_eq!(bed.names(), names(&[]));
}
