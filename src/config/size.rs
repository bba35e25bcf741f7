//! Numbers of bytes as people write and read them.

/// A number of bytes; prints as `64 MiB` where that is exact, else with one digit or as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub i64);

const UNITS: [(&str, i64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl Size {
    /// Reads `65536`, `64KiB`, `64 MiB`, `64m` (as Java's), `1GB` (decimal); `None` for anything else.
    pub fn parse(text: &str) -> Option<Size> {
        let text = text.trim();
        let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(end);
        let factor = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kib" | "k" => 1 << 10,
            "mib" | "m" => 1 << 20,
            "gib" | "g" => 1 << 30,
            "kb" => 1000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            _ => return None,
        };
        digits.parse::<i64>().ok()?.checked_mul(factor).map(Size)
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (unit, bytes) in UNITS {
            if self.0 >= bytes && self.0 % bytes == 0 {
                return write!(f, "{} {unit}", self.0 / bytes);
            }
            if self.0 >= 10 * bytes || (self.0 >= bytes && bytes >= 1 << 20) {
                return write!(f, "{:.1} {unit}", self.0 as f64 / bytes as f64);
            }
        }
        write!(f, "{} B", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All spellings, no surprises, and what is printed is read back.
    #[test]
    fn spellings() {
        for (text, bytes) in
            [("64MiB", 64 << 20), ("64m", 64 << 20), ("64 mib", 64 << 20), ("1GB", 1_000_000_000), ("7", 7)]
        {
            assert_eq!(Size::parse(text), Some(Size(bytes)), "{text}");
        }
        for text in ["", "MiB", "1.5GiB", "-1", "64 MiBs", "9999999999GiB"] {
            assert_eq!(Size::parse(text), None, "{text}");
        }
        for (bytes, text) in
            [(64 << 20, "64 MiB"), (1_500_000, "1.4 MiB"), (1000, "1000 B"), (12_000, "11.7 KiB"), (0, "0 B")]
        {
            assert_eq!(Size(bytes).to_string(), text);
        }
        assert_eq!(Size::parse(&Size(24 << 20).to_string()), Some(Size(24 << 20)));
    }
}
