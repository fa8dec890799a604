//! Where values stand in what is counted: `struct call_values` of bpf/steps.bpf.h.

use hostdiag_model::trace::{Column, Form, Value};

use crate::expression::Step;

/// Words of a key: `WORDS`.
pub(super) const WORDS: usize = 19;
/// Words of a key without texts: that many are enough.
pub(super) const FEW_WORDS: usize = 7;
/// Words that all values together may have.
const VALUE_WORDS: usize = 16;
/// Words that a text has at most.
const TEXT_WORDS: usize = 8;

/// Where all values are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// One for each value.
    pub(super) places: Vec<Place>,
    /// The key has a command name.
    pub(super) by_command: bool,
    /// Words of the key.
    pub(super) words: usize,
}

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which of the values.
    pub(super) column: u8,
    /// Its first word.
    pub(super) word: u8,
    /// How many it has.
    pub(super) words: u8,
}

impl Layout {
    /// Texts share what is left by numbers.
    pub(super) fn of(forms: &[Form], by_command: bool) -> Self {
        let texts = forms.iter().filter(|form| **form == Form::Text).count();
        let left = VALUE_WORDS.saturating_sub(forms.len() - texts);
        let of_text = left.checked_div(texts).unwrap_or(0).min(TEXT_WORDS);
        // Marks, and a name of 16 bytes.
        let mut word = if by_command { 3 } else { 1 };
        let mut places = Vec::new();
        for (column, form) in (0..).zip(forms) {
            let words = if *form == Form::Text { of_text } else { 1 };
            places.push(Place { column, word: word as u8, words: words as u8 });
            word += words;
        }
        let words = if word <= FEW_WORDS { FEW_WORDS } else { WORDS };
        Self { places, by_command, words }
    }
}

impl Place {
    /// The step that keeps a text of this length there.
    pub(super) fn text(&self, length: Option<u64>) -> Step {
        let whole = u64::from(self.words) * 8;
        // With the 0 at its end, which a text that fills its array does not have.
        let room = length.map_or(whole, |length| length.saturating_add(1)).min(whole);
        let may_go_on = length.is_none_or(|length| length >= whole);
        Step::Text { word: self.word, column: self.column, room: room as u8, may_go_on }
    }
}

/// What was counted, as the programs have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(pub(super) [u64; WORDS]);

impl Key {
    /// From its bytes; words that are not there are 0.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut words = [0; WORDS];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
        Self(words)
    }

    /// The slot of its function.
    pub(super) fn slot(&self) -> u32 {
        (self.0[0] >> 32) as u32
    }

    /// Its command name.
    pub(super) fn comm(&self) -> String {
        text(&self.0[1..3])
    }

    /// The word of a value.
    pub(super) fn word(&self, place: Place) -> u64 {
        self.0.get(usize::from(place.word)).copied().unwrap_or(0)
    }

    /// A value of a column.
    pub(super) fn value(&self, place: Place, column: &Column, signed: bool) -> Value {
        let marked = |first: u8| self.0[0] >> first >> place.column & 1 != 0;
        if marked(0) {
            return Value::Unreadable;
        }
        if column.form == Form::Text {
            let first = usize::from(place.word);
            let text = text(self.0.get(first..first + usize::from(place.words)).unwrap_or_default());
            return if marked(4) { Value::Cut { cut: text } } else { Value::Text(text) };
        }
        let word = self.word(place);
        if signed { Value::from(word.cast_signed()) } else { Value::Unsigned(word) }
    }
}

/// What stands before the first 0.
fn text(words: &[u64]) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_share_what_numbers_leave() {
        use Form::{Number, Text};
        let words = |forms: &[Form], by| {
            let layout = Layout::of(forms, by);
            let end = layout.places.last().map_or(0, |place| place.word + place.words);
            assert!(usize::from(end) <= layout.words && layout.words <= WORDS);
            layout.places.iter().map(|place| (place.word, place.words)).collect::<Vec<_>>()
        };
        assert_eq!(words(&[Number, Number], false), [(1, 1), (2, 1)]);
        assert_eq!(words(&[Text], true), [(3, 8)]);
        assert_eq!(words(&[Number, Text, Text], true), [(3, 1), (4, 7), (11, 7)]);
        let texts = [Text, Text, Text, Text];
        assert_eq!(words(&texts, true), [(3, 4), (7, 4), (11, 4), (15, 4)]);
        assert_eq!(Layout::of(&[Number, Number, Number, Number], true).words, FEW_WORDS);
    }

    #[test]
    fn a_text_that_fills_its_array_is_whole() {
        let place = Place { column: 0, word: 1, words: 8 };
        let of = |length| match place.text(length) {
            Step::Text { room, may_go_on, .. } => (room, may_go_on),
            other => panic!("{other:?}"),
        };
        assert_eq!(of(Some(16)), (17, false));
        assert_eq!(of(Some(63)), (64, false));
        assert_eq!(of(Some(64)), (64, true));
        assert_eq!(of(None), (64, true));
    }

    #[test]
    fn a_key_is_as_the_programs_have_it() {
        let mut words = [0_u64; WORDS];
        // The second is unreadable, the third cut.
        words[0] = 7 << 32 | 2 | 4 << 4;
        words[1] = u64::from_ne_bytes(*b"cat\0\0\0\0\0");
        (words[3], words[5]) = (-5_i64 as u64, u64::from_ne_bytes(*b"/var/log"));
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let key = Key::of(&bytes);
        assert_eq!((key.slot(), key.comm().as_str()), (7, "cat"));
        let column = |form| Column { expression: String::new(), form };
        let place = |column, word| Place { column, word, words: 1 };
        assert_eq!(key.value(place(0, 3), &column(Form::Number), true), Value::Signed(-5));
        assert_eq!(key.value(place(1, 4), &column(Form::Number), true), Value::Unreadable);
        let cut = Value::Cut { cut: "/var/log".into() };
        assert_eq!(key.value(place(2, 5), &column(Form::Text), false), cut);
        assert_eq!(Key::of(&bytes[..56]).0[..7], words[..7]);
    }
}
