use std::{path::Path, time::Duration};
use swaptier::{
    hooks::{Hooks, load::pin_folder},
    map::{self, ShadowMap},
};
use swaptier_common::slot::State;
fn main() {
    let secs: u64 = std::env::args().nth(1).map_or(10, |s| s.parse().unwrap());
    let pins = pin_folder(Path::new("/sys/fs/bpf"));
    let hooks = Hooks { pins: pins.clone(), directory_pages: 512, is_logging: false };
    let t = std::time::Instant::now();
    let mut loaded = match hooks.load() {
        Ok(l) => l,
        Err(e) => {
            println!("ERR {e}");
            std::process::exit(1)
        }
    };
    println!("loaded in {:?}", t.elapsed());
    let mut map = ShadowMap::open(&pins).unwrap();
    map.refill(512).unwrap();
    map.make_room(256).unwrap();
    println!("room in {:?}", t.elapsed());
    if let Err(e) = loaded.attach() {
        println!("ERR {e}");
        std::process::exit(1)
    }
    println!("attached in {:?}; lost: {:?}", t.elapsed(), loaded.lost());
    let _ = std::fs::read_to_string("/proc/swaps");
    println!("areas {:?}", map.areas());
    std::fs::write("/tmp/ready", "").unwrap();
    for n in 0..secs {
        std::thread::sleep(Duration::from_secs(1));
        map.refill(512).unwrap();
        if n % 3 == 2 || n + 1 == secs {
            report(&map);
        }
    }
    for p in loaded.programs() {
        println!(
            "{:24} {:24} misses {:5} verified {}",
            p.program, p.function, p.recursion_misses, p.verified_instructions
        );
    }
    loaded.remove();
}
fn report(map: &ShadowMap) {
    let scan = map.scan(map::now(), |_| Some(5));
    let h = map.health();
    println!("health {h:?} strays {}", scan.strays);
    for (idx, c) in map.counters() {
        let o = scan.owner(idx);
        println!(
            "idx {idx} id {} map zswap {} bytes {} | ctr zswap {} bytes {} stored {} loaded {} wb {} direct {} zero {} read {} | slots {:?} cold {} oldest {}",
            c.id,
            o.slots(State::Zswap),
            o.zswap_bytes,
            c.stored_pages - c.dropped_pages,
            c.stored_bytes - c.dropped_bytes,
            c.stored_pages,
            c.loaded_pages,
            c.written_back_pages,
            c.direct_pages,
            c.zero_pages,
            c.read_pages,
            o.slots,
            o.cold_pages,
            o.oldest
        );
    }
    let v = std::fs::read_to_string("/proc/vmstat").unwrap();
    println!(
        "vmstat {}",
        v.lines().filter(|l| l.contains("zsw") || l.contains("swp")).collect::<Vec<_>>().join(" ")
    );
    for e in walk(Path::new("/sys/fs/cgroup")) {
        use std::os::unix::fs::MetadataExt;
        let id = std::fs::metadata(&e).map(|m| m.ino()).unwrap_or(0);
        if let Ok(s) = std::fs::read_to_string(e.join("memory.stat")) {
            println!(
                "stat {} {id} {} swap.current {}",
                e.display(),
                s.lines()
                    .filter(|l| l.starts_with("zsw") || l.contains("swpout") || l.contains("swpin"))
                    .collect::<Vec<_>>()
                    .join(" "),
                std::fs::read_to_string(e.join("memory.swap.current")).unwrap_or_default().trim()
            );
        }
    }
}
fn walk(p: &Path) -> Vec<std::path::PathBuf> {
    let mut v = vec![p.to_path_buf()];
    for e in std::fs::read_dir(p).into_iter().flatten().flatten() {
        if e.path().is_dir() {
            v.extend(walk(&e.path()));
        }
    }
    v
}
