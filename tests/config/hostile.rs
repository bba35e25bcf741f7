//! Text that nobody would write: whatever stands in a file, the answer is a configuration or sentences.

use tern::config::{Facts, Layers, resolve};
use tern::types::Rng;

use super::fixture;

const NAMES: [&str; 7] = [
    "pi-zoo.cfg",
    "pi-server.properties",
    "book-zoo.cfg",
    "onehost-zookeeper.properties",
    "onehost-server.properties",
    "compose-zoo-1.env",
    "compose-kafka-1.env",
];

/// Fixtures with bytes changed, cut and doubled; TERN_SEEDS makes it longer. A configuration that comes out has a
/// memory table that fits.
#[test]
fn bent_files() {
    let seeds = std::env::var("TERN_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1u64);
    for seed in 0..300 * seeds {
        let mut rng = Rng::new(seed);
        let mut layers = Layers::default();
        for _ in 0..=rng.below(2) {
            let name = NAMES[rng.below(NAMES.len() as u64) as usize];
            layers.add_file(name, &bent(fixture(name), &mut rng));
        }
        let myid = rng.one_in(2).then(|| bent("1", &mut rng));
        let outcome = resolve(&layers, &Facts { hostname: String::new(), myid });
        match outcome.config {
            Some(config) => {
                assert!(outcome.errors.is_empty(), "seed {seed}");
                assert!(tern::memory::Table::new(&config).is_ok(), "seed {seed}");
            }
            None => assert!(!outcome.errors.is_empty(), "seed {seed}"),
        }
    }
}

fn bent(text: &str, rng: &mut Rng) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..rng.below(8) {
        let at = rng.below(bytes.len() as u64 + 1) as usize;
        match rng.below(4) {
            0 if at < bytes.len() => bytes[at] = rng.below(128) as u8,
            1 => bytes.truncate(at),
            2 => bytes.insert(at, b"\\=:;,[]#-9"[rng.below(10) as usize]),
            _ => {
                let copy = bytes[at..].to_vec();
                bytes.extend_from_slice(&copy);
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
