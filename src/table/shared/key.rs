//! Whose table it is: the interpreter and the environment that its facts are about.

use std::fmt;

use super::layout::{FORMAT, KEY};
use super::layout::{Fields, MAX_KEY, Made};

/// What must be the same for a table to be of use. Format, word size and byte order are added when it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// `sys.implementation.cache_tag`.
    pub cache_tag: String,
    /// `importlib.util.MAGIC_NUMBER`: the version of bytecode.
    pub magic: [u8; 4],
    /// `sys.flags.optimize`, by which bytecode files are named.
    pub optimize: u32,
    /// Whatever tells environments apart, such as the bytes of `sys.prefix`.
    pub environment: Vec<u8>,
}

const WORD: u8 = size_of::<usize>() as u8;
const ORDER: u8 = if cfg!(target_endian = "big") { b'b' } else { b'l' };

impl Key {
    /// The name of the file that has this key's table: 32 hexadecimal digits and `.table`.
    ///
    /// The format is in it, too: two versions of fastpath whose formats differ have a table each, and never take turns in
    /// replacing the other's.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{:032x}.table", xxhash_rust::xxh3::xxh3_128(&self.encoded()))
    }

    /// The same for wherever the environment lies: the key of a table that is found in the environment itself, and moves
    /// with it.
    #[must_use]
    pub fn anywhere(&self) -> Self {
        Self { environment: Vec::new(), ..self.clone() }
    }

    /// As it stands in a table.
    pub(super) fn encoded(&self) -> Vec<u8> {
        let tag = self.cache_tag.as_bytes();
        let mut made = Made::with_room(KEY + tag.len() + self.environment.len());
        made.u32(FORMAT).u8(WORD).u8(ORDER).u16(0).bytes(&self.magic).u32(self.optimize);
        made.size(tag.len()).size(self.environment.len()).bytes(tag).bytes(&self.environment);
        made.0
    }

    /// Whether it is short enough for a table.
    pub(super) fn fits(&self) -> bool {
        self.cache_tag.len().saturating_add(self.environment.len()) <= MAX_KEY
    }

    /// The key that [`Key::encoded`] made these bytes of, on whatever machine.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let _format_word_order = fields.u64()?;
        let (magic, optimize) = (fields.four()?, fields.u32()?);
        let (tag, environment) = (fields.size()?, fields.size()?);
        let cache_tag = std::str::from_utf8(fields.bytes(tag)?).ok()?.to_owned();
        let environment = fields.bytes(environment)?.to_vec();
        fields.0.is_empty().then_some(Self { cache_tag, magic, optimize, environment })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let environment = String::from_utf8_lossy(&self.environment);
        write!(f, "{}, optimization {}, {environment}", self.cache_tag, self.optimize)
    }
}
