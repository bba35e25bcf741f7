//! What a Raspberry Pi says about its supply and its heat: read every ten seconds where there is such a file, never on the
//! runtime's thread, told by a line when it gets worse or better, and kept in the metrics.
//!
//! The firmware's bits, as `vcgencmd get_throttled` prints them: 0 under-voltage, 1 frequency capped, 2 throttled, 3 soft
//! temperature limit, now; the same from 16 on, at any time since boot. Boards without that file may have the alarm of
//! the kernel's rpi_volt, which is bit 0.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::metrics::{METRICS, POWER_CAPPED, POWER_LOW, POWER_SEEN_SHIFT};

const RHYTHM: Duration = Duration::from_secs(10);

const SYS: &str = "/sys";
const FIRMWARE: &str = "devices/platform/soc/soc:firmware/get_throttled";
const HWMON: &str = "class/hwmon";

/// Where a board tells about its supply.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Firmware(PathBuf),
    Alarm(PathBuf),
}

/// Looks for ever; ends at once where the board tells nothing.
pub async fn watch() {
    let Some(source) = aside(|| Source::find(Path::new(SYS))).await else { return };
    METRICS.runtime.power_told.set(1);
    let mut bits = 0;
    loop {
        let reading = source.clone();
        if let Some(now) = aside(move || reading.read()).await {
            let now = now | (bits | now << POWER_SEEN_SHIFT) & (0xffff << POWER_SEEN_SHIFT);
            if let Some(sentence) = sentence(bits, now) {
                tracing::warn!("{sentence}");
            }
            bits = now;
            METRICS.runtime.power_bits.set(i64::from(bits));
        }
        tokio::time::sleep(RHYTHM).await;
    }
}

async fn aside<T: Send + 'static>(look: impl FnOnce() -> Option<T> + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(look).await.ok().flatten()
}

impl Source {
    fn find(sys: &Path) -> Option<Source> {
        let firmware = sys.join(FIRMWARE);
        if firmware.exists() {
            return Some(Source::Firmware(firmware));
        }
        let sensors = fs::read_dir(sys.join(HWMON)).ok()?.flatten().take(64);
        let is_supply =
            |sensor: &PathBuf| fs::read_to_string(sensor.join("name")).is_ok_and(|name| name.trim() == "rpi_volt");
        let sensor = sensors.map(|sensor| sensor.path()).find(is_supply)?;
        Some(Source::Alarm(sensor.join("in0_lcrit_alarm")))
    }

    fn read(&self) -> Option<u32> {
        match self {
            Source::Firmware(path) => {
                let text = fs::read_to_string(path).ok()?;
                let text = text.trim();
                u32::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
            }
            Source::Alarm(path) => Some(u32::from(fs::read_to_string(path).ok()?.trim() == "1")),
        }
    }
}

/// What is to be told when `before` became `now`.
fn sentence(before: u32, now: u32) -> Option<&'static str> {
    let came = |mask: u32| before & mask == 0 && now & mask != 0;
    let went = |mask: u32| before & mask != 0 && now & mask == 0;
    if came(POWER_LOW) {
        Some(
            "the board's supply is below 4.63 V: cards lose writes at such voltages; use a stronger supply or a shorter cable",
        )
    } else if came(POWER_CAPPED) {
        Some("the board is throttled because of its supply or its heat: everything takes longer")
    } else if went(POWER_LOW) {
        Some("the board's supply is back above 4.63 V")
    } else if went(POWER_CAPPED) {
        Some("the board is no longer throttled")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sys(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("tern-power-{}-{name}", std::process::id()));
        for (file, text) in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    /// The firmware's file counts before the kernel's alarm, which is found by its name among other sensors.
    #[test]
    fn sources() {
        let alarm = [
            ("class/hwmon/hwmon0/name", "cpu_thermal\n"),
            ("class/hwmon/hwmon1/name", "rpi_volt\n"),
            ("class/hwmon/hwmon1/in0_lcrit_alarm", "1\n"),
        ];
        let only_alarm = sys("alarm", &alarm);
        assert_eq!(Source::find(&only_alarm).unwrap().read(), Some(1));
        let both = sys("both", &[alarm[1], alarm[2], (FIRMWARE, "50005\n")]);
        assert_eq!(Source::find(&both).unwrap().read(), Some(0x50005));
        let neither = sys("neither", &alarm[..1]);
        assert_eq!(Source::find(&neither), None);
        for root in [only_alarm, both, neither] {
            fs::remove_dir_all(root).unwrap();
        }
    }

    /// Getting worse and getting better are told once each.
    #[test]
    fn sentences() {
        assert!(sentence(0, 0x50005).unwrap().contains("4.63 V"));
        assert_eq!(sentence(0x50005, 0x50005), None);
        assert!(sentence(0x50005, 0x50000).unwrap().contains("back above"));
        assert!(sentence(0, 4).unwrap().contains("throttled"));
        assert!(sentence(4, 0).unwrap().contains("no longer"));
    }
}
