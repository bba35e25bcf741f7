//! Arrays: one type for the three places their elements come from.
//!
//! Read from a frame, an array is a checked range of it, decoded again at each iteration. To be written, it is a slice,
//! or a closure that puts its elements one after another, so that nested arrays need no memory of their own.

use std::marker::PhantomData;

use super::{Decode, Decoder, Encode, Encoder, Kind};
use crate::types::ReadError;

/// Elements of type `T`; `Option<Array>` where the protocol allows null. The default is empty.
pub struct Array<'a, T: Encode>(Source<'a, T>);

enum Source<'a, T: Encode> {
    /// `count` elements at the front of `at`, each known to be readable.
    Wire {
        at: Decoder<'a>,
        count: usize,
    },
    Slice(&'a [T]),
    /// What `put` puts, and how often it does, if its maker knew.
    Each {
        put: &'a dyn Fn(&mut Elements<'_, '_, T::Element>),
        count: Option<usize>,
    },
}

/// Where the closure of [`Array::each`] puts the elements.
pub struct Elements<'e, 'o, K> {
    encoder: Option<&'e mut Encoder<'o>>,
    count: usize,
    kind: PhantomData<fn(K)>,
}

impl<K> Elements<'_, '_, K> {
    /// True when the buffer is full already, so that elements which cost something need not be made.
    pub fn is_full(&self) -> bool {
        self.encoder.as_ref().is_some_and(|encoder| encoder.is_full())
    }

    /// The next element of the array.
    pub fn put<T: Encode<Element = K>>(&mut self, element: T) {
        self.count += 1;
        if let Some(encoder) = &mut self.encoder {
            element.write(encoder, false);
        }
    }
}

impl<'a, T: Encode> Array<'a, T> {
    /// The elements of a slice.
    pub const fn of(elements: &'a [T]) -> Array<'a, T> {
        Array(Source::Slice(elements))
    }

    /// The elements that `each` puts. It is called several times (to count, to measure, to write) and must put the
    /// same ones each time. Such an array is for writing: iterated it is empty.
    pub const fn each(each: &'a dyn Fn(&mut Elements<'_, '_, T::Element>)) -> Array<'a, T> {
        Array(Source::Each { put: each, count: None })
    }

    /// The same for exactly `count` elements: a call less, where it is known.
    pub const fn counted(count: usize, each: &'a dyn Fn(&mut Elements<'_, '_, T::Element>)) -> Array<'a, T> {
        Array(Source::Each { put: each, count: Some(count) })
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        match self.0 {
            Source::Wire { count, .. } | Source::Each { count: Some(count), .. } => count,
            Source::Slice(elements) => elements.len(),
            Source::Each { put, count: None } => {
                let mut elements = Elements { encoder: None, count: 0, kind: PhantomData };
                put(&mut elements);
                elements.count
            }
        }
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements in order.
    pub fn iter(&self) -> Iter<'a, T> {
        Iter(match self.0 {
            Source::Each { .. } => Source::Slice(&[]),
            source => source,
        })
    }
}

impl<T: Encode> Clone for Array<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Encode> Copy for Array<'_, T> {}

impl<T: Encode> Clone for Source<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Encode> Copy for Source<'_, T> {}

impl<T: Encode> Default for Array<'_, T> {
    fn default() -> Self {
        Array::of(&[])
    }
}

impl<'a, T: Encode + Decode<'a> + Copy + std::fmt::Debug> std::fmt::Debug for Array<'a, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Iterates an [`Array`].
pub struct Iter<'a, T: Encode>(Source<'a, T>);

impl<'a, T: Encode + Decode<'a> + Copy> Iterator for Iter<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match &mut self.0 {
            Source::Wire { at, count } => {
                *count = count.checked_sub(1)?;
                T::read(at, false).ok() // always Ok: `Array::read` has been here
            }
            Source::Slice(elements) => {
                let (first, rest) = elements.split_first()?;
                *elements = rest;
                Some(*first)
            }
            Source::Each { .. } => None,
        }
    }
}

impl<'a, T: Encode + Decode<'a> + Copy> IntoIterator for Array<'a, T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<'de: 'a, 'a, T: Encode + Decode<'de>> Decode<'de> for Option<Array<'a, T>> {
    fn read(d: &mut Decoder<'de>, nullable: bool) -> Result<Self, ReadError> {
        let Some(count) = d.count(nullable)? else { return Ok(None) };
        let at = *d;
        for _ in 0..count {
            T::read(d, false)?;
        }
        Ok(Some(Array(Source::Wire { at, count })))
    }
}

impl<'de: 'a, 'a, T: Encode + Decode<'de>> Decode<'de> for Array<'a, T> {
    fn read(d: &mut Decoder<'de>, _nullable: bool) -> Result<Self, ReadError> {
        Option::<Array<'a, T>>::read(d, false)?.ok_or(ReadError::BadLength)
    }
}

impl<'a, T: Encode + Decode<'a> + Copy> Encode for Array<'a, T> {
    type Element = PhantomData<T::Element>;
    const KIND: Kind = Kind::Array(&T::KIND);

    fn write(&self, e: &mut Encoder<'_>, _nullable: bool) {
        let count = self.len();
        e.count(Some(count));
        match self.0 {
            Source::Each { put, .. } => {
                let mut elements = Elements { encoder: Some(e), count: 0, kind: PhantomData };
                put(&mut elements);
                let is_repeatable = elements.count == count || elements.is_full();
                debug_assert!(is_repeatable, "the closure of an array puts the same elements each time");
            }
            _ => self.iter().for_each(|element| element.write(e, false)),
        }
    }

    fn same(&self, other: &Self) -> bool {
        self.is_empty() && other.is_empty()
    }
}

impl<'a, T: Encode + Decode<'a> + Copy> Encode for Option<Array<'a, T>> {
    type Element = PhantomData<T::Element>;
    const KIND: Kind = Kind::Array(&T::KIND);
    const OPTIONAL: bool = true;

    fn write(&self, e: &mut Encoder<'_>, nullable: bool) {
        match self {
            None if nullable => e.count(None),
            None => e.count(Some(0)),
            Some(array) => array.write(e, false),
        }
    }

    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (None, None) => true,
            (Some(one), Some(other)) => one.same(other),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slice and a closure write the same bytes, which read back as the same elements, any number of times.
    #[test]
    fn three_sources() {
        for flexible in [false, true] {
            let numbers: Vec<i32> = (0..200).collect();
            let each = |out: &mut Elements<'_, '_, i32>| numbers.iter().for_each(|&number| out.put(number));
            let write = |array: Array<'_, i32>| {
                let mut out = Vec::with_capacity(1000);
                array.write(&mut Encoder::new(&mut out, 0, flexible), false);
                out
            };
            let bytes = write(Array::of(&numbers));
            assert_eq!(bytes, write(Array::each(&each)));
            assert_eq!(bytes, write(Array::counted(200, &each)));
            let array = Array::<i32>::read(&mut Decoder::new(&bytes, 0, flexible), false).unwrap();
            assert_eq!(array.len(), 200);
            assert!(array.iter().eq(numbers.iter().copied()) && array.iter().eq(array));
            assert_eq!(bytes, write(array));
        }
    }

    /// A count that the rest of the message cannot hold is refused at once, with its elements unread.
    #[test]
    fn count_is_checked() {
        let read =
            |bytes: &[u8]| Array::<i32>::read(&mut Decoder::new(bytes, 0, false), false).map(|array| array.len());
        assert_eq!(read(&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]), Err(ReadError::Truncated));
        assert_eq!(read(&[0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0]), Err(ReadError::Truncated));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff]), Err(ReadError::BadLength));
        assert_eq!(read(&[0, 0, 0, 1, 0, 0, 0, 1, 9, 9]), Ok(1));
    }
}
