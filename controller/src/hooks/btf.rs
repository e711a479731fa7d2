//! The kernel's type information (BTF, Documentation/bpf/btf.rst), read where it lies: one pass finds the types of the names
//! that are asked for, and nothing is copied. A library that makes objects of all of it takes 60 MB and half a second for a
//! hundred and thirty thousand types, of which the probes need sixty.
//!
//! What the types mean to the probes is `facts`' to say.

use std::collections::BTreeMap;
use std::ops::Range;

/// What is wrong with a type section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BtfError {
    /// It does not begin as BTF does, or for another byte order.
    #[error("it does not begin as BTF of this byte order does")]
    Header,
    /// A type is of a kind whose length is not known: what follows cannot be found.
    #[error("type {id} is of kind {kind}, which is not known here")]
    Kind {
        /// Its number.
        id: u32,
        /// Its kind.
        kind: u32,
    },
    /// A type, or the name of one, lies beyond the end.
    #[error("type {0} is cut off")]
    CutOff(u32),
}

/// What a type is, as far as anybody here asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An integer.
    Int,
    /// An array.
    Array,
    /// A structure.
    Struct,
    /// A union.
    Union,
    /// An enum of 32 bits.
    Enum,
    /// A typedef or a qualifier: another type stands behind it.
    Alias,
    /// A function.
    Func,
    /// A function's prototype.
    FuncProto,
    /// Anything else.
    Other,
}

/// One type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Type<'a> {
    btf: &'a Btf,
    /// Its number.
    pub(super) id: u32,
    /// What it is.
    pub(super) kind: Kind,
    /// How many members, parameters or values it has.
    count: usize,
    /// Whether the offsets of its members hold sizes of bit fields, too.
    has_bit_fields: bool,
    /// Its size in bytes, or the type it leads to.
    word: u32,
    /// What follows its three words.
    extra: &'a [u8],
}

/// A member of a structure or a union.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member<'a> {
    /// Its name; an anonymous one has none.
    pub(super) name: &'a str,
    /// The number of its type.
    pub(super) id: u32,
    /// Where it begins, in bits.
    pub(super) bit: u32,
}

/// The type information of a kernel.
#[derive(Debug)]
pub(super) struct Btf {
    bytes: Vec<u8>,
    strings: Range<usize>,
    /// Where each type begins; number 1 first.
    starts: Vec<u32>,
    /// The numbers of the types that have one of the names that were asked for.
    named: BTreeMap<String, Vec<u32>>,
}

const MAGIC: u32 = 0xeb9f;
/// Bytes of the header as it was first.
const HEADER: usize = 24;
/// Bytes of each type before what depends on its kind.
const COMMON: usize = 12;

impl Btf {
    /// Reads it, with an index of the types that have one of these names.
    ///
    /// # Errors
    /// What is wrong with it. A type that is not understood makes all after it unknown, so there is no half of it.
    pub(super) fn parse<'n>(
        bytes: Vec<u8>,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<Btf, BtfError> {
        let header = |index: usize| word(&bytes, index * 4).map(|word| word as usize).ok_or(BtfError::Header);
        let (length, types, types_length) = (header(1)?, header(2)?, header(3)?);
        let (strings, strings_length) = (header(4)?, header(5)?);
        if header(0)? as u32 & 0xffff != MAGIC || length < HEADER {
            return Err(BtfError::Header);
        }
        let section = |offset: usize, size: usize| {
            let begin = length.checked_add(offset)?;
            let end = begin.checked_add(size)?;
            (end <= bytes.len()).then_some(begin..end)
        };
        let types = section(types, types_length).ok_or(BtfError::Header)?;
        let strings = section(strings, strings_length).ok_or(BtfError::Header)?;
        let named = names.into_iter().map(|name| (name.to_owned(), Vec::new())).collect();
        let mut btf = Btf { bytes, strings, starts: Vec::new(), named };
        let mut at = types.start;
        while at < types.end {
            let id = btf.starts.len() as u32 + 1;
            btf.starts.push(u32::try_from(at).map_err(|_| BtfError::CutOff(id))?);
            let (found, end) = btf.at(id, at)?;
            if end > types.end {
                return Err(BtfError::CutOff(id));
            }
            let name = btf.text(word(&btf.bytes, at).unwrap_or(0)).ok_or(BtfError::CutOff(id))?;
            let is_wanted = found.kind != Kind::Other && !name.is_empty() && btf.named.contains_key(name);
            if is_wanted {
                let name = name.to_owned();
                btf.named.entry(name).or_default().push(id);
            }
            at = end;
        }
        Ok(btf)
    }

    /// The types of this name, of those that were asked for.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = Type<'_>> {
        self.named.get(name).into_iter().flatten().filter_map(|id| self.get(*id))
    }

    /// The type of this number. 0 is `void`, and none.
    #[must_use]
    pub(super) fn get(&self, id: u32) -> Option<Type<'_>> {
        let start = *self.starts.get(id.checked_sub(1)? as usize)?;
        self.at(id, start as usize).ok().map(|(found, _)| found)
    }

    /// The type behind typedefs and qualifiers.
    #[must_use]
    pub(super) fn plain(&self, id: u32) -> Option<Type<'_>> {
        let mut found = self.get(id)?;
        // Longer chains than there are types are a circle.
        for _ in 0..self.starts.len() {
            if found.kind != Kind::Alias {
                return Some(found);
            }
            found = self.get(found.word)?;
        }
        None
    }

    /// The type at this byte, and the byte after it.
    fn at(&self, id: u32, at: usize) -> Result<(Type<'_>, usize), BtfError> {
        let read = |index: usize| word(&self.bytes, at + index * 4).ok_or(BtfError::CutOff(id));
        let (info, size_or_type) = (read(1)?, read(2)?);
        let (count, number) = ((info & 0xffff) as usize, info >> 24 & 0x1f);
        let (kind, length) = match number {
            1 => (Kind::Int, 4),
            3 => (Kind::Array, 12),
            4 => (Kind::Struct, count * 12),
            5 => (Kind::Union, count * 12),
            6 => (Kind::Enum, count * 8),
            // Typedef, volatile, const, restrict, a tag of a type.
            8..=11 | 18 => (Kind::Alias, 0),
            12 => (Kind::Func, 0),
            13 => (Kind::FuncProto, count * 8),
            // A pointer, a forward declaration, a float.
            2 | 7 | 16 => (Kind::Other, 0),
            // A variable, a tag of a declaration.
            14 | 17 => (Kind::Other, 4),
            // A section of data, an enum of 64 bits.
            15 | 19 => (Kind::Other, count * 12),
            kind => return Err(BtfError::Kind { id, kind }),
        };
        let begin = at + COMMON;
        let extra = self.bytes.get(begin..begin + length).ok_or(BtfError::CutOff(id))?;
        let has_bit_fields = info >> 31 == 1;
        Ok((Type { btf: self, id, kind, count, has_bit_fields, word: size_or_type, extra }, begin + length))
    }

    /// The text at this place of the strings. One that is no UTF-8 is nobody's name here.
    fn text(&self, offset: u32) -> Option<&str> {
        let rest = self.bytes[self.strings.clone()].get(offset as usize..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        Some(std::str::from_utf8(&rest[..end]).unwrap_or_default())
    }
}

impl<'a> Type<'a> {
    /// Its size in bytes; of a structure, a union, an enum or an integer.
    #[must_use]
    pub(super) fn size(&self) -> u32 {
        self.word
    }

    /// The type it leads to: a function's prototype, what a prototype returns (0: nothing).
    #[must_use]
    pub(super) fn leads_to(&self) -> u32 {
        self.word
    }

    /// Members of a structure or a union.
    pub(super) fn members(&self) -> impl Iterator<Item = Member<'a>> + use<'a> {
        let (btf, mask) = (self.btf, if self.has_bit_fields { 0xff_ffff } else { u32::MAX });
        let is_one = matches!(self.kind, Kind::Struct | Kind::Union);
        words::<3>(if is_one { self.extra } else { &[] }).map(move |[name, id, bit]| Member {
            name: btf.text(name).unwrap_or_default(),
            id,
            bit: bit & mask,
        })
    }

    /// Names of a prototype's parameters.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let btf = self.btf;
        words::<2>(if self.kind == Kind::FuncProto { self.extra } else { &[] })
            .map(move |[name, _]| btf.text(name).unwrap_or_default())
    }

    /// Names and values of an enum.
    pub(super) fn values(&self) -> impl Iterator<Item = (&'a str, u32)> + use<'a> {
        let btf = self.btf;
        words::<2>(if self.kind == Kind::Enum { self.extra } else { &[] })
            .map(move |[name, value]| (btf.text(name).unwrap_or_default(), value))
    }

    /// Elements of an array.
    #[must_use]
    pub(super) fn elements(&self) -> Option<u32> {
        if self.kind == Kind::Array { word(self.extra, 8) } else { None }
    }

    /// Whether it has members: a structure that is only declared has none.
    #[must_use]
    pub(super) fn has_members(&self) -> bool {
        matches!(self.kind, Kind::Struct | Kind::Union) && self.count > 0
    }

    /// Whether an integer is a truth value.
    #[must_use]
    pub(super) fn is_bool(&self) -> bool {
        /// `BTF_INT_BOOL`, in the encoding.
        const BOOL: u32 = 1 << 2;
        self.kind == Kind::Int && word(self.extra, 0).is_some_and(|word| word >> 24 & 0xf & BOOL != 0)
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u32; N]> {
    bytes.chunks_exact(N * 4).map(|chunk| std::array::from_fn(|index| word(chunk, index * 4).unwrap_or(0)))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A section of types under construction.
    #[derive(Default)]
    struct Made {
        types: Vec<u32>,
        strings: Vec<u8>,
    }

    impl Made {
        fn name(&mut self, name: &str) -> u32 {
            if self.strings.is_empty() {
                self.strings.push(0);
            }
            if name.is_empty() {
                return 0;
            }
            let at = self.strings.len() as u32;
            self.strings.extend(name.bytes().chain([0]));
            at
        }

        fn add(&mut self, name: &str, kind: u32, count: u32, word: u32, extra: &[u32]) -> &mut Made {
            let name = self.name(name);
            self.types.extend([name, kind << 24 | count, word]);
            self.types.extend(extra);
            self
        }

        fn bytes(&self) -> Vec<u8> {
            let types = self.types.len() as u32 * 4;
            let header = [MAGIC | 1 << 16, HEADER as u32, 0, types, types, self.strings.len() as u32];
            let words = header.iter().chain(&self.types).flat_map(|word| word.to_ne_bytes());
            words.chain(self.strings.iter().copied()).collect()
        }
    }

    /// 1: `int`; 2: `struct s { int a; struct { int b; }; }`, whose inner one is 3; 4: `typedef s t`; 5: `bool`;
    /// 6: a prototype `bool (x)`; 7: function `f` of it; 8: `enum e { A = 7 }`; 9: an array of 5 `int`; 10: `struct s;`.
    fn made() -> Made {
        let mut made = Made::default();
        let (a, b, x, big) = (made.name("a"), made.name("b"), made.name("x"), made.name("A"));
        made.add("int", 1, 0, 4, &[1 << 24 | 32]).add("s", 4, 2, 8, &[a, 1, 0, 0, 3, 32]);
        made.add("", 4, 1, 4, &[b, 1, 0]).add("t", 8, 0, 2, &[]).add("bool", 1, 0, 1, &[4 << 24 | 8]);
        made.add("", 13, 1, 5, &[x, 1]).add("f", 12, 0, 6, &[]).add("e", 6, 1, 4, &[big, 7]);
        made.add("", 3, 0, 0, &[1, 1, 5]).add("s", 7, 0, 0, &[]);
        made
    }

    #[test]
    fn types_are_found_by_name_and_number() {
        let btf = Btf::parse(made().bytes(), ["s", "t", "f", "e"]).unwrap();
        assert_eq!(btf.named("s").map(|found| found.id).collect::<Vec<_>>(), [2]);
        assert_eq!(btf.named("int").count(), 0, "nobody asked for it");
        let body = btf.plain(4).unwrap();
        assert_eq!((body.id, body.size(), body.has_members()), (2, 8, true));
        let members: Vec<_> = body.members().collect();
        assert_eq!(members[0], Member { name: "a", id: 1, bit: 0 });
        assert_eq!(members[1], Member { name: "", id: 3, bit: 32 });
        let proto = btf.get(btf.named("f").next().unwrap().leads_to()).unwrap();
        assert_eq!(proto.parameters().collect::<Vec<_>>(), ["x"]);
        assert!(btf.get(proto.leads_to()).unwrap().is_bool() && !btf.get(1).unwrap().is_bool());
        assert_eq!(btf.named("e").next().unwrap().values().collect::<Vec<_>>(), [("A", 7)]);
        assert_eq!(btf.get(9).unwrap().elements(), Some(5));
        assert!(btf.get(0).is_none() && btf.get(11).is_none());
    }

    #[test]
    fn a_bit_field_begins_where_its_low_bits_say() {
        let mut made = Made::default();
        let a = made.name("a");
        made.add("s", 1 << 7 | 4, 1, 4, &[a, 1, 3 << 24 | 35]);
        let btf = Btf::parse(made.bytes(), ["s"]).unwrap();
        assert_eq!(btf.named("s").next().unwrap().members().next().unwrap().bit, 35);
    }

    #[test]
    fn what_is_damaged_is_refused_and_never_a_panic() {
        let whole = made().bytes();
        for length in 0..whole.len() {
            assert!(Btf::parse(whole[..length].to_vec(), ["s"]).is_err(), "{length} bytes");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] = !bytes[at];
            if let Ok(btf) = Btf::parse(bytes, ["s", "t"]) {
                for id in 0..12 {
                    let found = btf.plain(id);
                    let _members = found.map(|found| found.members().chain([]).count());
                }
            }
        }
        let mut strange = Made::default();
        strange.name("");
        strange.add("", 30, 0, 0, &[]);
        assert_eq!(Btf::parse(strange.bytes(), []).unwrap_err(), BtfError::Kind { id: 1, kind: 30 });
    }

    #[test]
    fn a_circle_of_typedefs_ends() {
        let mut made = Made::default();
        made.add("a", 8, 0, 2, &[]).add("b", 8, 0, 1, &[]);
        assert!(Btf::parse(made.bytes(), []).unwrap().plain(1).is_none());
    }
}
