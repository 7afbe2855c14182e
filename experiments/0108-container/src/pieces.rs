//! Reading pieces of the mapped file: in place, copied by the kernel, from the file opened again, and
//! from the `.pyc` itself.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::hint::black_box;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use xxhash_rust::xxh3::xxh3_64;

use crate::facts::{Directory, bytecode_of};
use crate::flat::{Access, Flat};
use crate::mapped::{Mapped, pread};
use crate::measure::{median, report, spread};

const PIECES: usize = 500;
/// Rounds in one process, and fresh processes, in which every way has its turn.
const ROUNDS: usize = 101;
const PROCESSES: usize = 31;

const WAYS: [&str; 12] = [
    "nothing",
    "in-place",
    "in-place-then-copied",
    "copied",
    "announced-and-copied",
    "kept-open",
    "opened-again",
    "pyc",
    "stat-and-in-place",
    "stat-and-copied",
    "stat-and-kept-open",
    "stat-and-opened-again",
];

struct Piece {
    at: usize,
    len: usize,
    sum: u64,
    pyc: PathBuf,
}

/// The table's file, and which file it was when it was mapped.
struct Source {
    map: Mapped,
    kept: File,
    file: PathBuf,
    id: (u64, u64),
}

impl Source {
    fn open(file: PathBuf) -> io::Result<Self> {
        let stat = fs::metadata(&file)?;
        let (map, kept) = (Mapped::open(&file)?, File::open(&file)?);
        Ok(Self { map, kept, file, id: (stat.dev(), stat.ino()) })
    }

    /// Reads one piece this way; whether it was sound.
    fn read(&self, way: &str, piece: &Piece) -> io::Result<bool> {
        let sound = |bytes: &[u8]| xxh3_64(bytes) == piece.sum;
        let in_place = || self.map.in_place(piece.at, piece.len);
        let copied = || self.map.copied(piece.at, piece.len);
        let kept = || pread(&self.kept, piece.at, piece.len);
        let again = || self.again(piece);
        let same = || fs::metadata(&piece.pyc).map(|stat| stat.size() == piece.len as u64);
        Ok(match way {
            "nothing" => true,
            "in-place" => in_place().is_some_and(sound),
            "in-place-then-copied" => in_place().is_some_and(|b| sound(&black_box(b.to_vec()))),
            "copied" => sound(&black_box(copied()?)),
            "announced-and-copied" => {
                self.map.announce(piece.at, piece.len);
                sound(&black_box(copied()?))
            }
            "kept-open" => sound(&black_box(kept()?)),
            "opened-again" => again()?.is_some_and(|bytes| sound(&black_box(bytes))),
            "stat-and-in-place" => same()? && in_place().is_some_and(sound),
            "stat-and-copied" => same()? && sound(&black_box(copied()?)),
            "stat-and-kept-open" => same()? && sound(&black_box(kept()?)),
            "stat-and-opened-again" => same()? && again()?.is_some_and(|b| sound(&black_box(b))),
            "pyc" => {
                let file = File::open(&piece.pyc)?;
                let len = file.metadata()?.size() as usize;
                black_box(pread(&file, 0, len)?).len() == piece.len
            }
            other => return Err(io::Error::other(format!("no way is called {other}"))),
        })
    }

    /// The piece from the file opened again; none if it is another file now.
    fn again(&self, piece: &Piece) -> io::Result<Option<Vec<u8>>> {
        let file = File::open(&self.file)?;
        let stat = file.metadata()?;
        let same = (stat.dev(), stat.ino()) == self.id;
        same.then(|| pread(&file, piece.at, piece.len)).transpose()
    }

    /// Nanoseconds for a piece, all read one after another.
    fn time(&self, way: &str, pieces: &[Piece]) -> io::Result<f64> {
        let begin = Instant::now();
        for piece in pieces {
            assert!(self.read(way, piece)?, "{way}: a piece is damaged");
        }
        Ok(begin.elapsed().as_nanos() as f64 / pieces.len() as f64)
    }
}

pub fn run(facts: &[Directory], folder: &Path) -> io::Result<()> {
    let flat =
        Flat::open(Access::Read(File::open(folder.join("flat"))?)).map_err(io::Error::other)?;
    let modules = facts.iter().flat_map(|d| d.modules.iter().map(move |m| (d, m))).collect();
    let mut list = String::new();
    for (dir, module) in spread(modules, PIECES) {
        let [at, len, sum] = flat.place(&dir.path, &module.name).expect("a sound store");
        let source = Path::new(OsStr::from_bytes(&dir.path)).join(OsStr::from_bytes(&module.name));
        list += &format!("{at} {len} {sum} {}\n", bytecode_of(&source).display());
    }
    fs::write(folder.join("list"), list)?;
    let mut pieces = listed(folder)?;
    let mut sizes: Vec<f64> = pieces.iter().map(|p| p.len as f64).collect();
    let sum: f64 = sizes.iter().sum();
    println!("{} pieces, {sum} bytes, median {}", pieces.len(), median(&mut sizes));
    println!("again and again in one process:");
    repeated(&pieces, folder)?;
    pieces.sort_by_key(|piece| piece.len);
    let (small, large) = pieces.split_at(pieces.len() / 2);
    println!("the smaller half, up to {} bytes:", large[0].len);
    repeated(small, folder)?;
    println!("the larger half:");
    repeated(large, folder)?;
    println!("the first time, in fresh processes:");
    fresh(folder)
}

fn listed(folder: &Path) -> io::Result<Vec<Piece>> {
    let list = fs::read_to_string(folder.join("list"))?;
    let piece = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let mut number = || words.next()?.parse::<u64>().ok();
        let (at, len, sum) = (number()? as usize, number()? as usize, number()?);
        Some(Piece { at, len, sum, pyc: words.next()?.into() })
    };
    list.lines().map(|line| piece(line).ok_or_else(|| io::Error::other("a bad list"))).collect()
}

fn repeated(pieces: &[Piece], folder: &Path) -> io::Result<()> {
    let source = Source::open(folder.join("flat"))?;
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for way in WAYS {
            times.entry(way).or_default().push(source.time(way, pieces)?);
        }
    }
    report(times, "pyc", "ns a piece");
    Ok(())
}

fn fresh(folder: &Path) -> io::Result<()> {
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for _ in 0..PROCESSES {
        for way in WAYS {
            let child = Command::new("/proc/self/exe").args(["touch", way]).arg(folder).output()?;
            let said = String::from_utf8_lossy(&child.stdout);
            let time = said.trim().parse().map_err(|_| io::Error::other("a child failed"))?;
            times.entry(way).or_default().push(time);
        }
    }
    report(times, "pyc", "ns a piece");
    Ok(())
}

/// Reads every piece once and prints nanoseconds for a piece.
pub fn touch(way: &str, folder: &Path) -> io::Result<()> {
    let source = Source::open(folder.join("flat"))?;
    println!("{:.1}", source.time(way, &listed(folder)?)?);
    Ok(())
}

/// Maps a file, makes it shorter, and reads beyond its end.
pub fn truncated(folder: &Path, undumpable: bool) -> io::Result<()> {
    if undumpable {
        // SAFETY: changes a flag of this process.
        assert_eq!(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) }, 0);
    }
    // SAFETY: these ask for a number each.
    let (user, dumpable) = unsafe { (libc::geteuid(), libc::prctl(libc::PR_GET_DUMPABLE)) };
    println!("user {user}, dumpable {dumpable}");
    let file = folder.join("cut");
    fs::write(&file, [7; 8 * 4096])?;
    let map = Mapped::open(&file)?;
    let kept = File::open(&file)?;
    let say = |what, at, len| match map.copied(at, len) {
        Ok(bytes) => println!("  {what}: {len} bytes, the last is {}", bytes[len - 1]),
        Err(error) => println!("  {what}: {error}"),
    };
    say("whole file", 0, 8 * 4096);
    File::options().write(true).open(&file)?.set_len(6144)?;
    say("what is left", 0, 6144);
    say("rest of the last page", 6144, 2048);
    say("across the end", 4096, 8192);
    say("beyond the end", 5 * 4096, 100);
    println!("  by pread, across the end: {:?}", pread(&kept, 4096, 8192).err());
    let child = Command::new("/proc/self/exe").arg("read-in-place").arg(&file).status();
    println!("  in place, beyond the end: {}", child?);
    Ok(())
}

/// The child that reads beyond the end in place.
pub fn read_in_place(file: &Path) -> io::Result<()> {
    fs::write(file, [7; 8 * 4096])?;
    let map = Mapped::open(file)?;
    File::options().write(true).open(file)?.set_len(6144)?;
    println!("{:?}", map.in_place(5 * 4096, 1));
    Ok(())
}
