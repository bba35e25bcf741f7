//! What `/zookeeper/quota/PATH/zookeeper_limits` allows and `.../zookeeper_stats` counts, as ZooKeeper writes them:
//! `count=N,bytes=N`, and after semicolons `countHardLimit=N` and `byteHardLimit=N`. -1 and what is missing: no limit.

/// Of a limits znode, or of a stats znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    /// Znodes, the one at PATH included; going beyond is only reported.
    pub count: i64,
    /// Bytes of data; going beyond is only reported.
    pub bytes: i64,
    /// Znodes; what would go beyond is refused.
    pub count_hard: i64,
    /// Bytes of data; what would go beyond is refused.
    pub bytes_hard: i64,
}

impl Quota {
    const NONE: Quota = Quota { count: -1, bytes: -1, count_hard: -1, bytes_hard: -1 };

    /// What is used: neither is a limit.
    pub fn used(count: i64, bytes: i64) -> Quota {
        Quota { count, bytes, ..Quota::NONE }
    }

    /// Reads any spelling; what cannot be understood is no limit.
    pub fn parse(data: Option<&[u8]>) -> Quota {
        let mut quota = Quota::NONE;
        let text = data.and_then(|data| std::str::from_utf8(data).ok()).unwrap_or_default();
        for (key, value) in text.split([',', ';']).filter_map(|pair| pair.split_once('=')) {
            let value = value.trim().parse().unwrap_or(-1);
            match key.trim() {
                "count" => quota.count = value,
                "bytes" => quota.bytes = value,
                "countHardLimit" => quota.count_hard = value,
                "byteHardLimit" => quota.bytes_hard = value,
                _ => {}
            }
        }
        quota
    }
}

impl std::fmt::Display for Quota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "count={},bytes={}", self.count, self.bytes)?;
        if self.count_hard >= 0 {
            write!(f, ";countHardLimit={}", self.count_hard)?;
        }
        if self.bytes_hard >= 0 {
            write!(f, ";byteHardLimit={}", self.bytes_hard)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ZooKeeper writes comes back, older forms and nonsense are read as what they say.
    #[test]
    fn forms() {
        for text in ["count=3,bytes=-1", "count=-1,bytes=10;countHardLimit=5;byteHardLimit=0"] {
            assert_eq!(Quota::parse(Some(text.as_bytes())).to_string(), text);
        }
        assert_eq!(Quota::parse(Some(b"bytes=7")), Quota { bytes: 7, ..Quota::NONE });
        for nonsense in [None, Some(&b""[..]), Some(b"\xff"), Some(b"count"), Some(b"count=x,=,;;"), Some(b"count=")] {
            assert_eq!(Quota::parse(nonsense), Quota::NONE, "{nonsense:?}");
        }
    }
}
