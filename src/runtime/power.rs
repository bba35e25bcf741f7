//! What a Raspberry Pi says about its supply and its heat: read every two seconds where there is such a file, never on the
//! runtime's thread, told by a line when it gets worse or better, once a minute at most, and kept in the metrics.
//!
//! The firmware's bits, as `vcgencmd get_throttled` prints them: 0 under-voltage, 1 frequency capped, 2 throttled, 3 soft
//! temperature limit, now; the same from 16 on, at any time since they were cleared. The kernel's driver reads and clears
//! them every two seconds, and both of its files show what it read last. So a bit at either place is one of the last two
//! seconds here, the files are read as often as that, and what was seen since the start is remembered here.
//!
//! `get_throttled` is read where it exists, because nothing else tells of heat, and it tells of the supply, too. The price:
//! kernels that call it deprecated write a stack trace (`WARN_ONCE`) into their log at the first read after each boot.
//! Boards without that file may have the alarm of the kernel's rpi_volt, which tells of the supply alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::metrics::{METRICS, POWER_CAPPED, POWER_LOW, POWER_SEEN_SHIFT};

/// A little less than the driver's two seconds, so that nothing it reads is missed.
const RHYTHM: Duration = Duration::from_millis(1900);

const SYS: &str = "/sys";
const PLATFORM: &str = "devices/platform";
const HWMON: &str = "class/hwmon";

/// Entries of a directory that are looked at.
const ENTRIES_MAX: usize = 1024;

/// Readings between two lines, so that a supply at its edge fills no log: about a minute.
const QUIET: u32 = 30;

/// What the last line was about.
#[derive(Default)]
struct Told {
    bits: u32,
    quiet: u32,
}

/// Where a board tells about its supply.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Firmware(PathBuf),
    Alarm(PathBuf),
}

/// Looks for ever; ends at once where the board tells nothing.
pub async fn watch() {
    let Some(source) = aside(|| Source::find(Path::new(SYS))).await else { return };
    METRICS.runtime.power_told.set(source.told());
    let (mut bits, mut told) = (0, Told::default());
    loop {
        let reading = source.clone();
        if let Some(read) = aside(move || reading.read()).await {
            bits = remembered(bits, read);
            if let Some(sentence) = told.news(bits) {
                tracing::warn!("{sentence}");
            }
            METRICS.runtime.power_bits.set(i64::from(bits));
        }
        tokio::time::sleep(RHYTHM).await;
    }
}

async fn aside<T: Send + 'static>(look: impl FnOnce() -> Option<T> + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(look).await.ok().flatten()
}

impl Told {
    fn news(&mut self, now: u32) -> Option<&'static str> {
        self.quiet = self.quiet.saturating_sub(1);
        let sentence = sentence(self.bits, now).filter(|_| self.quiet == 0)?;
        *self = Told { bits: now, quiet: QUIET };
        Some(sentence)
    }
}

impl Source {
    fn find(sys: &Path) -> Option<Source> {
        // `soc/soc:firmware` on most boards, `soc@107c000000/soc@107c000000:firmware` on a Pi 5.
        for soc in entries(&sys.join(PLATFORM)) {
            let Some(name) = soc.file_name().and_then(|name| name.to_str()) else { continue };
            let firmware = soc.join(format!("{name}:firmware/get_throttled"));
            if name.starts_with("soc") && firmware.exists() {
                return Some(Source::Firmware(firmware));
            }
        }
        let is_supply =
            |sensor: &PathBuf| fs::read_to_string(sensor.join("name")).is_ok_and(|name| name.trim() == "rpi_volt");
        let sensor = entries(&sys.join(HWMON)).into_iter().find(is_supply)?;
        Some(Source::Alarm(sensor.join("in0_lcrit_alarm")))
    }

    /// For the metrics: 1 when it tells of the supply and the heat, 2 when it tells of the supply alone.
    fn told(&self) -> i64 {
        match self {
            Source::Firmware(_) => 1,
            Source::Alarm(_) => 2,
        }
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

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.take(ENTRIES_MAX).map(|entry| entry.path()).collect()
}

/// The bits of now, either half of what was `read`, and above them those of any time since the start.
fn remembered(before: u32, read: u32) -> u32 {
    let now = (read | read >> POWER_SEEN_SHIFT) & 0xffff;
    now | now << POWER_SEEN_SHIFT | before & 0xffff << POWER_SEEN_SHIFT
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
        assert_eq!(Source::find(&only_alarm).unwrap().told(), 2);
        for (name, soc) in [("both", "soc"), ("pi5", "soc@107c000000")] {
            let file = format!("{PLATFORM}/{soc}/{soc}:firmware/get_throttled");
            let both = sys(name, &[("devices/platform/serial8250/uevent", ""), alarm[1], alarm[2], (&file, "50005\n")]);
            let source = Source::find(&both).unwrap();
            assert_eq!((source.read(), source.told()), (Some(0x50005), 1), "{soc}");
            fs::remove_dir_all(both).unwrap();
        }
        let neither = sys("neither", &alarm[..1]);
        assert_eq!(Source::find(&neither), None);
        for root in [only_alarm, neither] {
            fs::remove_dir_all(root).unwrap();
        }
    }

    /// A dip that was over before the driver looked is one all the same, and is remembered when the driver has cleared it.
    #[test]
    fn dips() {
        let dipped = remembered(0, 0x10000);
        assert_eq!(dipped, 0x10001);
        assert!(sentence(0, dipped).unwrap().contains("4.63 V"));
        let over = remembered(dipped, 0);
        assert_eq!(over, 0x10000);
        assert!(sentence(dipped, over).unwrap().contains("back above"));
        assert_eq!(remembered(over, 0x4), 0x50004);
    }

    /// A supply that comes and goes is told of at once and then once a minute, as it is then.
    #[test]
    fn quiet() {
        let mut told = Told::default();
        let lines = (0..120).filter_map(|reading| told.news(1 - reading % 2)).count();
        assert!((2..=5).contains(&lines), "{lines}");
        assert!((0..QUIET).filter_map(|_| told.news(0)).count() <= 1 && told.bits == 0);
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
