//! Files made wrong.

use proptest::{collection::vec, prelude::*, sample::Index, sample::select};

/// One change of a file.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Another byte, near the start where the flag says so: there are the headers.
    Byte(Index, bool, u8),
    Cut(Index),
    /// Some bytes twice.
    Double(Index, u8),
    /// A number that is written in digits, or the length of a header.
    Number(Index, String),
    HeaderLen(u64),
    /// Brackets inside brackets.
    Nest(Index, u16, bool),
}

/// Bytes that count as near the start.
const START: usize = 4096;

pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    let numbers = [
        "0",
        "1",
        "-1",
        "2",
        "255",
        "65536",
        "2147483647",
        "2147483648",
        "4294967295",
        "4294967296",
        "9223372036854775807",
        "18446744073709551615",
        "18446744073709551616",
        "1e999",
        "0.5",
        "1e-320",
        "null",
        "true",
        "[]",
        "\"\"",
    ];
    let index = any::<Index>;
    let bytes = prop_oneof![any::<u8>(), select(b"\"0123456789{}[],:.-\\".to_vec())];
    let lens = prop_oneof![any::<u64>(), (0_u32..64).prop_map(|power| 1 << power), 0_u64..4096];
    let change = prop_oneof![
        5 => (index(), any::<bool>(), bytes).prop_map(|(at, start, byte)| Change::Byte(at, start, byte)),
        1 => index().prop_map(Change::Cut),
        1 => (index(), any::<u8>()).prop_map(|(at, len)| Change::Double(at, len)),
        5 => (index(), select(numbers.map(String::from).to_vec())).prop_map(|(at, number)| Change::Number(at, number)),
        1 => lens.prop_map(Change::HeaderLen),
        1 => (index(), any::<u16>(), any::<bool>()).prop_map(|(at, depth, square)| Change::Nest(at, depth, square)),
    ];
    vec(change, 1..4)
}

/// A file after some changes. Those of its text leave the length of a safetensors header right.
pub(crate) fn changed(file: &[u8], changes: &[Change], safetensors: bool) -> Vec<u8> {
    changes.iter().fold(file.to_vec(), |file, change| change.apply(file, safetensors))
}

impl Change {
    fn apply(&self, mut file: Vec<u8>, safetensors: bool) -> Vec<u8> {
        let header = if safetensors { 8.min(file.len()) } else { 0 };
        let text = header..file.len().min(START);
        if text.is_empty() {
            return file;
        }
        let within = |at: &Index| text.start + at.index(text.len());
        match self {
            Self::Byte(at, near, byte) => {
                let len = if *near { START.min(file.len()) } else { file.len() };
                file[at.index(len)] = *byte;
            }
            Self::Cut(at) => file.truncate(at.index(file.len())),
            Self::Double(at, len) => {
                let at = within(at);
                let again = file[at..file.len().min(at + usize::from(*len))].to_vec();
                replace(&mut file, at..at, &again, safetensors);
            }
            Self::Number(at, number) => {
                let digit = |at: usize| file[at].is_ascii_digit();
                let starts: Vec<usize> =
                    text.clone().filter(|&at| digit(at) && (at == text.start || !digit(at - 1))).collect();
                if starts.is_empty() {
                    return file;
                }
                let start = starts[at.index(starts.len())];
                let end = (start..text.end).find(|&at| !digit(at)).unwrap_or(text.end);
                replace(&mut file, start..end, number.as_bytes(), safetensors);
            }
            Self::HeaderLen(len) if safetensors && header == 8 => file[..8].copy_from_slice(&len.to_le_bytes()),
            Self::HeaderLen(_) => {}
            Self::Nest(at, depth, square) => {
                let open = if *square { "[" } else { "{\"a\":" }.repeat(usize::from(*depth));
                let at = within(at);
                replace(&mut file, at..at, open.as_bytes(), safetensors);
            }
        }
        file
    }
}

fn replace(file: &mut Vec<u8>, range: std::ops::Range<usize>, by: &[u8], safetensors: bool) {
    let more = by.len() as u64;
    let less = range.len() as u64;
    file.splice(range, by.iter().copied());
    if let Some(len) = file.first_chunk::<8>().filter(|_| safetensors) {
        let len = u64::from_le_bytes(*len).wrapping_add(more).wrapping_sub(less);
        file[..8].copy_from_slice(&len.to_le_bytes());
    }
}
